"""The builders that Conveyor is measured beside: BuildKit of our own building and Docker's legacy builder.

In: Go, runc, Docker Engine. Out: programs in the cache folder (built once for each version), a `buildkitd` for as long as
`BuildKit` is entered, and seconds a build took.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.console import Console

from bench.lab import BenchError, run
from cluster import cache, golang, settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MODULE = Path(__file__).parent / "buildkit"
PROGRAMS = ("buildkitd", "buildctl")
_REQUIRED = re.compile(r"^require github.com/moby/buildkit (v\S+)$", re.MULTILINE)
_CONFIG = """\
root = "{root}"
[grpc]
  address = ["{address}"]
[worker.containerd]
  enabled = false
[worker.oci]
  enabled = true
  networkMode = "host"
  snapshotter = "overlayfs"
[registry."{registry}"]
  http = true
[registry."docker.io"]
  mirrors = ["{registry}"]
"""


def version() -> str:
    """The BuildKit that go.mod names."""
    found = _REQUIRED.search((MODULE / "go.mod").read_text())
    if found is None:
        raise BenchError(f"{MODULE / 'go.mod'} does not require BuildKit")
    return found[1]


def programs() -> Path:
    """Build `buildkitd` and `buildctl` unless the cache has them; answers their folder."""
    console = Console(settings.cache_folder() / "bench.log")
    sources = [MODULE / name for name in ("go.mod", "go.sum")]
    folder = settings.cache_folder() / "bench" / f"buildkit-{cache.key_of(sources)}"
    if all(cache.is_whole(folder / name) for name in PROGRAMS):
        return folder
    go = golang.program(console)
    with cache.locked(settings.cache_folder(), console):
        for name in PROGRAMS:
            _build(console, go, name, folder / name)
        cache.forget_others(folder, "buildkit-*")
    return folder


def _build(console: Console, go: str, name: str, place: Path) -> None:
    with (
        cache.scratch(settings.cache_folder()) as scratch,
        console.step(f"building {name}", slow="two minutes the first time"),
    ):
        package = f"github.com/moby/buildkit/cmd/{name}"
        flags = ["-trimpath", "-mod=readonly", "-ldflags", "-s -w"]
        console.run(
            ["nice", go, "build", *flags, "-o", str(scratch / name), package],
            timeout=1800,
            env={"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"},
            cwd=MODULE,
        )
        cache.store(scratch / name, place)


class BuildKit:
    """A running buildkitd with an empty store."""

    def __init__(self, folder: Path, address: str) -> None:
        self._folder = folder
        self._address = address

    def build(
        self,
        context: Path,
        target: str,
        image: str,
        *,
        cache: bool = False,
        options: Iterable[str] = (),
    ) -> float:
        """Build, by default without cache, and push; returns seconds.

        Args:
            options: Further options of `buildctl build`.
        """
        command = [str(self._folder / "buildctl"), "--addr", self._address, "build"]
        command += ["--progress", "plain", "--frontend", "dockerfile.v0"]
        command += [] if cache else ["--no-cache"]
        command += ["--local", f"context={context}", "--local", f"dockerfile={context}"]
        command += ["--opt", f"target={target}"] if target else []
        command += ["--output", f"type=image,name={image},push=true", *options]
        return _timed(command)


@contextmanager
def buildkit(registry: str) -> Iterator[BuildKit]:
    """Run a buildkitd that knows the cluster's registry.

    Raises:
        BenchError: It does not start.
    """
    folder = programs()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=settings.cache_folder()) as place:
        address = f"unix://{place}/buildkitd.sock"
        config = Path(place) / "buildkitd.toml"
        config.write_text(_CONFIG.format(root=f"{place}/root", address=address, registry=registry))
        with (settings.cache_folder() / "buildkitd.log").open("wb") as log:
            daemon = subprocess.Popen(  # noqa: S603 - our own program
                [str(folder / "buildkitd"), "--config", str(config)], stdout=log, stderr=log
            )
        try:
            _wait(folder, address, daemon)
            yield BuildKit(folder, address)
        finally:
            _stop(daemon)
            shutil.rmtree(f"{place}/root", ignore_errors=True)


def _wait(folder: Path, address: str, daemon: subprocess.Popen[bytes]) -> None:
    for _ in range(150):
        if daemon.poll() is not None:
            break
        try:
            run([str(folder / "buildctl"), "--addr", address, "debug", "workers"])
        except BenchError:
            time.sleep(0.2)
        else:
            return
    raise BenchError(f"buildkitd does not start: {settings.cache_folder() / 'buildkitd.log'}")


def _stop(daemon: subprocess.Popen[bytes]) -> None:
    daemon.terminate()
    try:
        daemon.wait(20)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def docker_legacy(context: Path, target: str, tag: str, *, cache: bool = False) -> float:
    """Build with the legacy builder into the Engine's store, by default without cache; returns seconds."""
    os.environ["DOCKER_BUILDKIT"] = "0"
    # The Engine's own bridge may be missing on a machine whose daemon was restarted.
    command = ["docker", "build", "--network", "host", *([] if cache else ["--no-cache"])]
    command += ["--target", target] if target else []
    return _timed([*command, "--tag", tag, str(context)])


def forget(tags: list[str]) -> None:
    """Remove images from the Engine's store."""
    run(["docker", "rmi", "--force", *tags])


def _timed(command: list[str]) -> float:
    begun = time.perf_counter()
    run(command)
    return time.perf_counter() - begun
