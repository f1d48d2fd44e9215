"""Where the benchmarks build: a namespace, repositories and git projects of this run alone.

In: the addresses that `hack/cluster.py env` exports. Out: `Lab`: applies ImageBuilds and waits for them; in the end everything
that it made is removed again.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.watching import Recorder, Seen, clock
from cluster import settings
from conveyor.adapters.cluster import BUILDS, CORE, ApiError, Cluster
from conveyor.api import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.watching import Json

ROOT = Path(__file__).parents[2]
BUILD_SECONDS = 300.0


class BenchError(Exception):
    """Something that is measured did not work; the message says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A build that came to its end. Times are seconds since the epoch, as this client knew them.

    Attributes:
        applied_at: Before the request that created the ImageBuild.
        ready_at: The watch showed it Ready.
    """

    name: str
    repo: str
    applied_at: float
    ready_at: float
    status: Json
    seen: tuple[Seen, ...]

    @property
    def seconds(self) -> float:
        """Apply to Ready."""
        return self.ready_at - self.applied_at

    @property
    def jobs(self) -> list[Seen]:
        """Its Jobs as they were created, in order."""
        return [
            seen
            for seen in self.seen
            if seen.kind == "jobs"
            and seen.type == "ADDED"
            and seen.object["metadata"]["ownerReferences"][0]["name"] == self.name
        ]

    def event(self, reason: str, about: str) -> Seen:
        """The Event of a reason about something (`image/stage`).

        Raises:
            BenchError: There is none.
        """
        for seen in self.seen:
            if seen.kind == "events" and seen.object["reason"] == reason:
                said = seen.object["message"].startswith(about)
                if said and seen.object["involvedObject"]["name"] == self.name:
                    return seen
        raise BenchError(f"no Event {reason} about {about} of {self.name}")


@dataclass(slots=True, kw_only=True)
class Lab:
    """One run's place on the cluster."""

    cluster: Cluster
    recorder: Recorder
    id: str
    namespace: str
    folder: Path
    registry: str
    git_url: str
    projects: list[str] = field(default_factory=list)
    _count: int = 0

    def fresh(self, word: str) -> str:
        """A name that nobody has used."""
        self._count += 1
        return f"{word}-{self._count}"

    def repo(self, word: str) -> str:
        """A repository that nobody has used."""
        return f"{self.registry}/bench-{self.id}/{self.fresh(word)}"

    async def project(self, word: str, files: Mapping[str, str]) -> Json:
        """Push files as a new git repository; answers `spec.source`."""
        name = f"bench-{self.id}-{self.fresh(word)}"
        self.projects.append(name)
        commit = await asyncio.to_thread(_push, self.folder / name, name, self.git_url, files)
        return {"git": {"url": f"{self.git_url}/{name}.git", "commit": commit}}

    async def change(self, source: Json, files: Mapping[str, str]) -> Json:
        """Push a commit that changes files; answers `spec.source` of it."""
        name = source["git"]["url"].rpartition("/")[2].removesuffix(".git")
        folder = self.folder / name
        commit = await asyncio.to_thread(_commit, folder, source["git"]["url"], files)
        return {"git": {**source["git"], "commit": commit}}

    async def build(self, spec: Json) -> Built:
        """Apply an ImageBuild and wait until it is Ready.

        Raises:
            BenchError: It failed or took longer than five minutes.
        """
        name = self.fresh("build")
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {"name": name},
            "spec": {"jobTTLSeconds": 3600, **spec},
        }
        begun = len(self.recorder.seen)
        applied_at = clock()
        await self.cluster.create(BUILDS, names.PLURAL, self.namespace, body)
        try:
            ended = await self.recorder.first(
                lambda seen: _ended(seen, name), since=applied_at, timeout_seconds=BUILD_SECONDS
            )
        except TimeoutError:
            raise BenchError(f"{name} is not ready after {BUILD_SECONDS:.0f} s") from None
        status = ended.object["status"]
        if not _ready(status):
            raise BenchError(f"{name} failed: {status.get('failure') or status['conditions']}")
        await asyncio.sleep(0.3)  # for the Events that are still under way
        return Built(
            name=name,
            repo=spec["repo"],
            applied_at=applied_at,
            ready_at=ended.at,
            status=status,
            seen=tuple(self.recorder.seen[begun:]),
        )

    async def log(self, pod: str, container: str) -> list[tuple[str, str]]:
        """Lines of a container's log: (RFC 3339 with nanoseconds, text)."""
        path = f"{CORE}/namespaces/{self.namespace}/pods/{pod}/log"
        query = {"container": container, "timestamps": "true"}
        try:
            lines = (await self.cluster.text(path, query=query)).splitlines()
        except ApiError as error:
            raise BenchError(f"log of {pod}/{container}: {error.message}") from None
        return [(line.split(" ", 1)[0], line.partition(" ")[2]) for line in lines]


def _ended(seen: Seen, name: str) -> bool:
    if seen.kind != names.PLURAL or seen.name != name:
        return False
    return bool((seen.object.get("status") or {}).get("completedAt"))


def _ready(status: Json) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in status["conditions"])


def _push(folder: Path, name: str, url: str, files: Mapping[str, str]) -> str:
    run(["python3", str(ROOT / "hack/cluster.py"), "git-repo", name])
    folder.mkdir(parents=True)
    run(["git", "-C", str(folder), "init", "--quiet", "--initial-branch", "main"])
    return _commit(folder, f"{url}/{name}.git", files)


def _commit(folder: Path, url: str, files: Mapping[str, str]) -> str:
    write(folder, files)
    git = ["git", "-C", str(folder)]
    run([*git, "add", "--all"])
    who = ["-c", "user.name=bench", "-c", "user.email=bench@example.com"]
    run([*git, *who, "commit", "--quiet", "--message", "bench"])
    run([*git, "push", "--quiet", url, "HEAD:main"])
    return run([*git, "rev-parse", "HEAD"]).strip()


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write files below a folder."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def run(command: list[str], *, timeout_seconds: float = 300.0, **env: str) -> str:
    """Output of a command.

    Raises:
        BenchError: It failed.
    """
    done = subprocess.run(  # noqa: S603 - our own commands
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_seconds,
        env={**os.environ, **env},
    )
    if done.returncode:
        raise BenchError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


class Stay:
    """Makes a `Lab` when entered and removes what it made when left."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._folder = tempfile.TemporaryDirectory(prefix="bench-")
        self._id = secrets.token_hex(4)
        self._recorder = Recorder(cluster, self._namespace)
        self._lab: Lab | None = None

    @property
    def _namespace(self) -> str:
        return f"bench-{self._id}"

    async def __aenter__(self) -> Lab:
        body = {"metadata": {"name": self._namespace}}
        await self._cluster.request("POST", f"{CORE}/namespaces", body=body)
        await self._account_exists()
        await self._recorder.__aenter__()
        self._lab = Lab(
            cluster=self._cluster,
            recorder=self._recorder,
            id=self._id,
            namespace=self._namespace,
            folder=Path(self._folder.name),
            registry=os.environ["CONVEYOR_REGISTRY"],
            git_url=os.environ["CONVEYOR_GIT_URL"],
        )
        return self._lab

    async def _account_exists(self) -> None:
        """Wait for the ServiceAccount `default`: no pod can be created before."""
        for _ in range(600):
            if await self._cluster.get(CORE, "serviceaccounts", self._namespace, "default"):
                return
            await asyncio.sleep(0.1)
        raise BenchError(f"namespace {self._namespace} gets no ServiceAccount")

    async def __aexit__(self, *_: object) -> None:
        await self._recorder.__aexit__()
        await self._cluster.request("DELETE", f"{CORE}/namespaces/{self._namespace}")
        await asyncio.to_thread(self._forget)

    def _forget(self) -> None:
        """Remove git projects and repositories; blobs go with the registry's next collection."""
        projects = [f"/srv/git/{name}.git" for name in (self._lab.projects if self._lab else [])]
        if projects:
            run(["docker", "exec", settings.GIT_CONTAINER, "rm", "-rf", *projects])
        place = f"/var/lib/registry/docker/registry/v2/repositories/bench-{self._id}"
        run(["docker", "exec", settings.REGISTRY_CONTAINER, "rm", "-rf", place])
        self._folder.cleanup()
