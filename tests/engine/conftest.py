"""Fixtures of the engine lane: a Docker Engine, a registry on a loopback port, projects, the command as a user runs it.

In: the Engine of the environment, Conveyor's image as `hack/image.sh` left it there. Out: `lab`. The image is that one with this
source tree's modules, so couriers and stage programs are the ones under test. Nothing is skipped.
"""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

from tests.capture import basefiles  # noqa: E402 - the path is set above
from tests.registry.conftest import (  # noqa: E402, F401 - fixtures by their names
    PASSWORD,
    USER,
    Registry,
    basic_registry,
    git_server,
    registry,
)

from conveyor.api.names import repo_hash  # noqa: E402

OURS = {"label": "app.kubernetes.io/managed-by=conveyor"}
SECONDS = 300
_BASE_IMAGE = "conveyor:dev"
_OVERLAY = f"""FROM {_BASE_IMAGE}
USER 0
COPY conveyor /opt/conveyor/lib/python3.11/site-packages/conveyor
COPY tools /tmp/tools
RUN python3 /tmp/tools/build.py --source /opt/conveyor/lib/python3.11/site-packages --out /usr/share/conveyor/tools \\
 && rm -rf /tmp/tools /usr/share/conveyor/tools/root
USER 65532:65532
"""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a command said."""

    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found

    def states(self) -> dict[str, str]:
        """State of every stage as `image/stage`."""
        return {
            f"{image['name']}/{stage['name']}": stage["state"]
            for image in self.json()["images"]
            for stage in image["stages"]
        }


@dataclass(kw_only=True)
class Lab:
    """One test's view: a project, a repository, the Engine."""

    client: docker.DockerClient
    image: str
    base: str
    repo: str
    folder: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    options: tuple[str, ...] = ("--cache-volume", "")

    @property
    def project(self) -> Path:
        return self.folder / "project"

    def commit(self, files: Mapping[str, str]) -> str:
        """Commit these files; `BASE` in them is the base image."""
        if not self.project.exists():
            self.project.mkdir()
            self.git("init", "-q", "-b", "main")
        for name, text in files.items():
            path = self.project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("BASE", self.base))
        self.git("add", "--all")
        self.git("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "c")
        return self.git("rev-parse", "HEAD")

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.project), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603

    def start(self, *arguments: str, **env: str) -> subprocess.Popen[bytes]:
        """Start `conveyor build`."""
        repo = () if "--repo" in arguments else ("--repo", self.repo)
        command = [sys.executable, "-m", "conveyor", "build", "--git", str(self.project), *repo]
        command += ["--conveyor-image", self.image, "--debug", *self.options, *arguments]
        number = len(self.running)
        with (
            (self.folder / f"{number}.out").open("wb") as out,
            (self.folder / f"{number}.err").open("wb") as err,
        ):
            process = subprocess.Popen(  # noqa: S603 - our own program
                command,
                stdout=out,
                stderr=err,
                env=self._env(env),
            )
        self.running.append(process)
        return process

    def result(self, process: subprocess.Popen[bytes]) -> Result:
        """Wait for a build."""
        code = process.wait(SECONDS)
        number = self.running.index(process)
        out, err = ((self.folder / f"{number}.{name}").read_text() for name in ("out", "err"))
        return Result(code=code, out=out, err=err)

    def build(self, *arguments: str, **env: str) -> Result:
        """Run `conveyor build` to its end."""
        return self.result(self.start(*arguments, **env))

    def conveyor(self, *arguments: str) -> Result:
        """Run another command on the project."""
        command = [sys.executable, "-m", "conveyor", *arguments, "--git", str(self.project)]
        done = subprocess.run(  # noqa: S603 - our own program
            command,
            capture_output=True,
            text=True,
            env=self._env({}),
            timeout=SECONDS,
            check=False,
        )
        return Result(code=done.returncode, out=done.stdout, err=done.stderr)

    def _env(self, more: Mapping[str, str]) -> dict[str, str]:
        own = {
            "PYTHONPATH": str(ROOT / "operator"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "DOCKER_CONFIG": str(self.folder / "docker"),
        }
        return {**os.environ, **own, **more}

    def shell(self, ref: str, command: str) -> str:
        """Output of a command in a built image."""
        try:
            output = self.client.containers.run(
                ref, ["/bin/sh", "-c", command], entrypoint=[], remove=True
            )
        finally:
            self.client.images.remove(ref, force=True)
        return str(output.decode())

    def stages(self) -> list[Any]:
        """Running stage containers of this test's repository."""
        label = "conveyor.dev/container=stage"
        labels = {"label": [OURS["label"], label]}
        found = self.client.containers.list(filters=labels, ignore_removed=True)
        return [it for it in found if it.attrs["Config"]["Image"].startswith(f"{self.repo}@")]

    def containers(self) -> list[Any]:
        """All containers of this test's repository, with what the Engine says of them."""
        found = self.client.containers.list(all=True, filters=OURS, ignore_removed=True)
        return [it for it in found if _repo_hash(self.repo) in it.name]

    def left(self) -> list[str]:
        """Containers and volumes of this test's repository."""
        found = self.client.containers.list(all=True, filters=OURS, ignore_removed=True)
        names = [it.name for it in found if _repo_hash(self.repo) in it.name]
        volumes = self.client.volumes.list(filters=OURS)
        return names + [it.name for it in volumes if _repo_hash(self.repo) in it.name]

    def wait_for(self, what: str, check: Callable[[], object]) -> None:
        end = time.monotonic() + SECONDS
        while not check():
            assert time.monotonic() < end, f"not within {SECONDS} s: {what}"
            for process in self.running:
                number = self.running.index(process)
                told = (self.folder / f"{number}.err").read_text()
                assert process.poll() in (None, 0, -signal.SIGKILL), told
            time.sleep(0.1)


def _repo_hash(repo: str) -> str:
    return repo_hash(repo)


@pytest.fixture(scope="session")
def client() -> Iterator[docker.DockerClient]:
    """The Engine."""
    found = docker.from_env(timeout=SECONDS)
    try:
        found.ping()
    except docker.errors.DockerException as error:
        pytest.fail(f"the engine lane needs a Docker Engine: {error}", pytrace=False)
    yield found
    found.close()


@pytest.fixture(scope="session")
def conveyor_image(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Conveyor's image with the modules of this source tree."""
    try:
        client.images.get(_BASE_IMAGE)
    except docker.errors.ImageNotFound:
        pytest.fail(f"the engine lane needs {_BASE_IMAGE}: hack/image.sh", pytrace=False)
    folder = tmp_path_factory.mktemp("image")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "operator/conveyor", folder / "conveyor", ignore=ignored)
    shutil.copytree(ROOT / "images/tools", folder / "tools", ignore=ignored)
    (folder / "Dockerfile").write_text(_OVERLAY)
    tag = "conveyor:engine-lane"
    client.images.build(path=str(folder), tag=tag, rm=True)
    return tag


@pytest.fixture(scope="session")
def base_image(
    client: docker.DockerClient,
    registry: Registry,  # noqa: F811 - a fixture
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """A small base image in the registry."""
    tar = tmp_path_factory.mktemp("base") / "small.tar"
    basefiles.write_small(tar)
    name = f"{registry.host}/base"
    client.api.import_image(str(tar), repository=name, tag="1")
    client.images.push(name, tag="1")
    client.images.remove(f"{name}:1", force=True)
    return f"{name}:1"


@pytest.fixture
def lab(
    client: docker.DockerClient,
    conveyor_image: str,
    base_image: str,
    registry: Registry,  # noqa: F811 - a fixture
    tmp_path: Path,
) -> Iterator[Lab]:
    """A project without commits, a repository that nobody has used; at the end nothing of it is in the Engine."""
    found = Lab(
        client=client,
        image=conveyor_image,
        base=base_image,
        repo=f"{registry.host}/app-{os.urandom(4).hex()}",
        folder=tmp_path,
    )
    yield found
    for process in found.running:
        if process.poll() is None:
            process.kill()
            process.wait(30)
    for container in client.containers.list(all=True, filters=OURS, ignore_removed=True):
        if _repo_hash(found.repo) in container.name:
            container.remove(force=True, v=True)
    for image in client.images.list(found.repo):
        client.images.remove(image.id, force=True)


@pytest.fixture
def docker_login(lab: Lab, basic_registry: Registry) -> str:  # noqa: F811 - a fixture
    """What `docker login` leaves, for the registry that wants a password; answers its host."""
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    config = {"auths": {basic_registry.host: {"auth": auth}}}
    (lab.folder / "docker").mkdir()
    (lab.folder / "docker/config.json").write_text(json.dumps(config))
    return basic_registry.host
