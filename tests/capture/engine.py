"""Docker Engine as the reference: images from layer tars, one container run, two ways to keep it.

In: layers and a task. Out: the tree that `docker commit` keeps of a container and the tree of the same
base with our layers, both read back through `docker export`.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import tarfile
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.capture.trees import read_tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import docker
    from docker.models.containers import Container
    from tests.capture.trees import Node

_CHUNK = 1 << 20
_RUN_SECONDS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """An uncompressed layer tar and its digest."""

    path: Path
    diff_id: str

    @classmethod
    def of(cls, path: Path) -> Layer:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while data := file.read(_CHUNK):
                digest.update(data)
        return cls(path=path, diff_id="sha256:" + digest.hexdigest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """What one run of the stage program left."""

    exit_code: int
    log: str
    io: Path
    done: dict[str, Any]
    runs: tuple[dict[str, Any], ...]
    layers: tuple[Layer, ...]
    committed: dict[str, Node] = field(default_factory=dict)


class Engine:
    """One Docker Engine, with the images and containers of this test session to be removed."""

    def __init__(self, client: docker.DockerClient, work: Path) -> None:
        self.client = client
        self._work = work
        self._known: set[str] = set()
        self.layers: dict[str, tuple[Layer, ...]] = {}

    def image(self, layers: Sequence[Layer], config: dict[str, object] | None = None) -> str:
        """Load an image made of `layers`; those the engine has already are not sent again."""
        name = f"conveyor-capture/{uuid.uuid4().hex[:12]}:test"
        body = {
            "architecture": "amd64",
            "os": "linux",
            "config": config or {},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        }
        names = [f"{index}/layer.tar" for index in range(len(layers))]
        manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": names}]
        parts = [
            _member("config.json", json.dumps(body)),
            _member("manifest.json", json.dumps(manifest)),
        ]
        for entry, layer, chain in zip(names, layers, _chains(layers), strict=True):
            if chain not in self._known:
                parts.append(_file(entry, layer.path))
                self._known.add(chain)
        self.client.images.load(itertools.chain(*parts, (bytes(1024),)))  # type: ignore[arg-type]  # streamed
        self.layers[name] = tuple(layers)
        return name

    def capture(
        self,
        image: str,
        work: dict[str, Any],
        *,
        inputs: dict[str, bytes] | None = None,
        commit: bool = False,
        **options: Any,
    ) -> Captured:
        """Run the stage program in a container of `image`, as a pod would.

        Args:
            image: Execution image: the tools layer below the base's layers.
            work: The stage task.
            inputs: Files the courier would have put into `in/`.
            commit: Also keep the container with `docker commit` and read that tree.
            options: Of `docker run`, such as `network_mode`.
        """
        container, shared = self.start(image, work, inputs=inputs, **options)
        try:
            code = int(container.wait(timeout=_RUN_SECONDS)["StatusCode"])
            log = container.logs().decode("utf-8", "replace")
            committed = self._committed(container) if commit and code == 0 else {}
        finally:
            container.remove(force=True, v=True)
        return collect(code, log, shared, committed)

    def start(
        self,
        image: str,
        work: dict[str, Any],
        *,
        inputs: dict[str, bytes] | None = None,
        ready: bool = True,
        **options: Any,
    ) -> tuple[Container, Path]:
        """Start the stage program; answers the container and the folder shared with it."""
        shared = Path(tempfile.mkdtemp(dir=self._work))
        (shared / "in").mkdir()
        for name, data in (inputs or {}).items():
            (shared / "in" / name).write_bytes(data)
        for number, _ in enumerate(work["runs"]):
            if ready:
                (shared / f"in/ready-{number}").touch()
        container = self.client.containers.create(
            image,
            entrypoint=["/.conveyor/bin/stage"],
            environment={"CONVEYOR_TASK": json.dumps(work)},
            volumes={str(shared): {"bind": "/.conveyor-io", "mode": "rw"}},
            user="0:0",
            working_dir="/",
            **options,
        )
        container.start()
        return container, shared

    def tree(self, image: str) -> dict[str, Node]:
        """The files of an image."""
        container = self.client.containers.create(image, command=["/nothing"])
        try:
            return read_tree(iter(container.export()))  # type: ignore[arg-type]  # bytes, not str
        finally:
            container.remove(v=True)

    def clean(self) -> None:
        """Remove this session's images."""
        for name in self.layers:
            self.client.images.remove(name, force=True)

    def _committed(self, container: Container) -> dict[str, Node]:
        image = container.commit()
        try:
            return self.tree(str(image.id))
        finally:
            self.client.images.remove(str(image.id), force=True)


def task(*layers: Sequence[dict[str, object]], **more: object) -> dict[str, Any]:
    """A task of one run, each argument the steps of one layer."""
    run = {"layers": [{"steps": list(steps)} for steps in layers]}
    return {"version": 1, "env": {}, "runs": [run], **more}


def script(*commands: str) -> list[dict[str, object]]:
    """The steps of a layer that runs shell commands as werf does."""
    return [{"op": "script", "commands": list(commands)}]


def collect(code: int, log: str, shared: Path, committed: dict[str, Node]) -> Captured:
    """Read what a run left in the shared folder."""
    out = shared / "out"
    runs = tuple(json.loads(path.read_text()) for path in sorted(out.glob("[0-9].json")))
    files = [layer["file"] for run in runs for layer in run["layers"] if layer["file"]]
    done = out / "done.json"
    return Captured(
        exit_code=code,
        log=log,
        io=shared,
        done=json.loads(done.read_text()) if done.exists() else {},
        runs=runs,
        layers=tuple(Layer.of(out / name) for name in files),
        committed=committed,
    )


def _chains(layers: Sequence[Layer]) -> list[str]:
    chain, chains = "", []
    for layer in layers:
        text = f"{chain} {layer.diff_id}" if chain else layer.diff_id
        chain = "sha256:" + hashlib.sha256(text.encode()).hexdigest() if chain else text
        chains.append(chain)
    return chains


def _member(name: str, text: str) -> Iterator[bytes]:
    data = text.encode()
    info = tarfile.TarInfo(name)
    info.size = len(data)
    yield info.tobuf() + data + bytes(-len(data) % 512)


def _file(name: str, path: Path) -> Iterator[bytes]:
    info = tarfile.TarInfo(name)
    info.size = path.stat().st_size
    yield info.tobuf()
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            yield data
    yield bytes(-info.size % 512)
