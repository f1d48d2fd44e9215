"""The reference builders: BuildKit, and Docker's legacy builder.

In: cases, the cluster's registry. Out: what each made of each case, or its error; and the versions of both. The programs and the
daemon are those that `make bench` measures beside. Images are pushed to one repository of this run, and removed from Docker.
"""

import re
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.corpus.cases import Case, write_context
from tests.corpus.images import BASE, Images
from tests.corpus.results import Json

HACK = Path(__file__).parents[2] / "hack"
if str(HACK) not in sys.path:
    sys.path.append(str(HACK))

from bench.lab import BenchError, run  # noqa: E402

from bench import reference  # noqa: E402 - path set above
from cluster import settings  # noqa: E402

_LEGACY_ENV = {"DOCKER_BUILDKIT": "0"}
_ERROR_LINES = 6
# Identifiers, digests, and folders of the daemons.
_CHANGING = re.compile(r"[0-9a-z]{25,}|sha256:[0-9a-f]{64}|/\S*/(?:bench-|overlay2)[^\s:]*")
_LOCAL_BASE = BASE.removeprefix("library/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A reference builder that is ready.

    Attributes:
        version: As it tells it.
        build: Builds a case from a context folder and pushes it under a reference; BenchError when it cannot.
    """

    version: str
    build: Callable[[Case, Path, str], None]


@contextmanager
def buildkit(registry: str) -> Iterator[Reference]:
    """A buildkitd of our own, with its built-in Dockerfile frontend."""
    with reference.buildkit(registry) as daemon:

        def build(case: Case, context: Path, image: str) -> None:
            options = [f"--opt=build-arg:{key}={value}" for key, value in case.args.items()]
            for name, value in case.secrets.items():
                place = context.parent / f"secret-{name}"
                place.write_text(value)
                options.append(f"--secret=id={name},src={place}")
            daemon.build(context, case.target, image, options=options)

        yield Reference(version=f"buildkitd {reference.version()}", build=build)


@contextmanager
def legacy(registry: str) -> Iterator[Reference]:
    """Docker Engine's own builder; `debian:bookworm` is the cluster's while it works."""
    version = run(["docker", "version", "--format", "{{.Server.Version}}"]).strip()
    run(["docker", "pull", "--quiet", f"{registry}/{BASE}"])
    run(["docker", "tag", f"{registry}/{BASE}", _LOCAL_BASE])
    try:
        yield Reference(version=f"Docker Engine {version}", build=_legacy_build)
    finally:
        run(["docker", "rmi", _LOCAL_BASE])


def _legacy_build(case: Case, context: Path, image: str) -> None:
    options = [f"--build-arg={key}={value}" for key, value in case.args.items()]
    options += [f"--target={case.target}"] if case.target else []
    command = ["docker", "build", "--no-cache", "--force-rm", *options, "--tag", image]
    try:
        run([*command, str(context)], **_LEGACY_ENV)
        run(["docker", "push", "--quiet", image])
    finally:
        found = run(["docker", "images", "--quiet", image]).strip()
        if found:
            run(["docker", "rmi", "--force", image])


def build_all(
    builder: Reference, cases: Iterable[Case], images: Images, registry: str
) -> Iterator[tuple[str, Json]]:
    """Build each case; gives its name with `{"config": …, "files": …}` or `{"error": …}`."""
    name = f"e2e/corpus-{secrets.token_hex(4)}"
    try:
        yield from _build_each(builder, cases, images, f"{registry}/{name}")
    finally:  # blobs go with the registry's next collection
        place = f"/var/lib/registry/docker/registry/v2/repositories/{name}"
        run(["docker", "exec", settings.REGISTRY_CONTAINER, "rm", "-rf", place])


def _build_each(
    builder: Reference, cases: Iterable[Case], images: Images, repo: str
) -> Iterator[tuple[str, Json]]:
    for case in cases:
        with tempfile.TemporaryDirectory(prefix="corpus-") as place:
            context = Path(place) / "context"
            context.mkdir()
            write_context(case, context)
            ref = f"{repo}:{case.name}"
            try:
                builder.build(case, context, ref)
            except BenchError as error:
                yield case.name, {"error": _why(str(error), place)}
            else:
                yield case.name, images.result(ref).to_json()


def _why(text: str, place: str) -> str:
    """The builder's own sentence, without what is different each time."""
    lines = [line.strip() for line in text.replace(place, "").splitlines() if line.strip()]
    told = [line for line in lines if re.match(r"(?i)error", line)] or lines[-_ERROR_LINES:]
    return _CHANGING.sub("…", told[-1])[:300]
