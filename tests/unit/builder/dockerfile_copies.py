"""COPY and ADD instructions carried out from their text to files, without a cluster.

In: a Dockerfile without RUN and a directory that is its context. Out: the tree that each stage has in the end, in words. Every
piece is the real one: parser, steps, both tasks, bundle of the context or of another stage, and the placing of files; only
git is a directory.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from conveyor.builder import copying
from conveyor.builder.courier_fields import Fields
from conveyor.builder.courier_inputs import _context
from conveyor.builder.courier_task import Limits
from conveyor.builder.exports import export_copy
from conveyor.builder.inputs_context import write_context
from conveyor.builder.inputs_objects import TreeEntry
from conveyor.builder.rootfs import Rootfs
from conveyor.builder.snapshot import Snapshot
from conveyor.config.dockerfile import Block, Dockerfile, parse_dockerfile
from conveyor.config.dockerfile_blocks import source_block
from conveyor.jobs.task_dockerfile import block_layers
from conveyor.plan.dockerfile_args import arguments
from conveyor.plan.dockerfile_steps import Scope, StepMaker
from conveyor.plan.model import CopySource, DockerfileBlock

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMIT = "c" * 40


class Context:
    """A directory as a fetched repository with one commit."""

    def __init__(self, top: Path) -> None:
        self._paths = {
            os.path.relpath(path, top): path
            for path in sorted(top.rglob("*"))
            if path.is_symlink() or path.is_file()
        }
        self._left = b""

    def tree(self, _commit: str, _base: str, _most: int) -> Iterator[TreeEntry]:
        for name, path in self._paths.items():
            executable = path.lstat().st_mode & 0o100
            mode = "120000" if path.is_symlink() else "100755" if executable else "100644"
            yield TreeEntry(path=os.fsencode(name), mode=mode, oid=name)

    @contextmanager
    def objects(self) -> Iterator[Any]:
        yield self

    def open(self, oid: str) -> int:
        self._left = self._content(oid)
        return len(self._left)

    def read(self) -> bytes:
        data, self._left = self._left[: 1 << 16], self._left[1 << 16 :]
        return data

    def whole(self, oid: str, _most: int) -> bytes:
        return self._content(oid)

    def _content(self, oid: str) -> bytes:
        if oid == COMMIT:
            return b"committer A <a@b> 1700000000 +0000\n"
        path = self._paths[oid]
        return os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()


class Build:
    """All stages of a Dockerfile, each in a folder of `work`, made when it is asked for."""

    def __init__(
        self, dockerfile: str, context: Path, work: Path, limits: Limits | None = None
    ) -> None:
        self._parsed: Dockerfile = parse_dockerfile(dockerfile, file="Dockerfile")
        self._context = Context(context)
        self._work = work
        self._limits = limits or Limits()
        self._made: dict[int, Path] = {}

    def stage(self, name: str) -> Path:
        """The root filesystem of a stage."""
        return self._stage(next(one for one in self._parsed.blocks if one.name == name))

    def _stage(self, block: Block) -> Path:
        if block.index not in self._made:
            root = self._work / f"root{block.index}"
            root.mkdir(parents=True)
            self._made[block.index] = root
            self._carry_out(block, root)
        return self._made[block.index]

    def _carry_out(self, block: Block, root: Path) -> None:
        names = {i.flag("from") for i in block.instructions if i.flag("from")}
        sources = {name: CopySource(image=name) for name in names}
        maker = StepMaker(self._parsed, arguments(self._parsed, {}, "linux/amd64"))
        steps, _ = maker.steps(block, Scope.of_image(()), sources)
        planned = DockerfileBlock(
            steps=steps, context="", dockerfile="Dockerfile", dockerignore="", commit=COMMIT
        )
        layers, _ = block_layers(planned, cast("Any", _Run(self, block)), {"config": {}})
        place, seen = Rootfs(os.fsencode(root)), _Seen(root)
        for layer in layers:
            for step in cast("list[dict[str, Any]]", layer["steps"]):
                if step["op"] == "mkdir":
                    place.make_dirs(place.resolve(os.fsencode(step["path"])))
                else:
                    bundle = str(step["file"]) if step.get("file") else None
                    copying.copy(place, bundle, step)
                seen.compare(place.take_touched())

    def bundle_of_context(self, what: dict[str, Any]) -> str:
        """Write the bundle that the courier makes."""
        path = self._new_bundle()
        item = _context(Fields({**what, "repository": 0}, "input"), 0, "x.tar")
        with path.open("wb") as out:
            write_context(
                cast("Any", self._context),
                item,
                out,
                self._limits,
                lambda number: _new_file(f"{path}.{number}"),
            )
        return str(path)

    def bundle_of_stage(self, block: Block, name: str, export: Any) -> str:
        """Write the bundle that the stage program makes of another stage."""
        found = source_block(self._parsed, block, name)
        assert found is not None
        root, path = self._stage(found), self._new_bundle()
        out = os.open(path, os.O_WRONLY | os.O_CREAT)
        export_copy(
            Rootfs(os.fsencode(root)), [os.fsencode(s) for s in export.sources], out, export.select
        )
        os.close(out)
        return str(path)

    def _new_bundle(self) -> Path:
        folder = self._work / "bundles"
        folder.mkdir(exist_ok=True)
        return folder / f"{len(list(folder.iterdir()))}.tar"


class _Seen:
    """Two snapshots: one looks everywhere, one only where a step says that it placed something."""

    def __init__(self, root: Path) -> None:
        self._snapshots = [Snapshot(os.fsencode(root)) for _ in range(2)]
        for snapshot in self._snapshots:
            snapshot.take()
            snapshot.settle()

    def compare(self, touched: set[bytes] | None) -> None:
        """Both see the same changes."""
        places = None, touched
        found = [
            [path for path, _ in snapshot.changes(within)]
            for snapshot, within in zip(self._snapshots, places, strict=True)
        ]
        self._snapshots[0].settle()
        assert found[0] == found[1]


def _new_file(path: str) -> BinaryIO:
    return Path(path).open("xb")


class _Run:
    """What writes a stage task asks for its inputs."""

    def __init__(self, build: Build, block: Block) -> None:
        self._build = build
        self._block = block
        self.stage = SimpleNamespace(platform="linux/amd64")
        self.plan = SimpleNamespace(
            image=lambda _: SimpleNamespace(
                stages=[SimpleNamespace(digest="d", platform="linux/amd64")]
            )
        )

    def fetch_git(self, _kind: str, _repository: str, **what: Any) -> str:
        return self._build.bundle_of_context(what)

    def fetch_bundle(self, export: Any) -> str:
        return self._build.bundle_of_stage(self._block, export.source, export)


def tree(root: Path) -> list[str]:
    """Every path below: kind, mode, owner, name, content or where a link leads; of hard links the first name of the file."""
    found = {path: path.lstat() for path in root.rglob("*")}
    names: dict[int, str] = {}
    for path, status in sorted(found.items()):
        names.setdefault(status.st_ino, str(path.relative_to(root)))
    return sorted(_line(root, path, status, names) for path, status in found.items())


def _line(root: Path, path: Path, status: os.stat_result, names: dict[int, str]) -> str:
    kind, mode = stat.filemode(status.st_mode)[0], stat.S_IMODE(status.st_mode)
    line = f"{path.relative_to(root)} {kind} {mode:o} {status.st_uid}:{status.st_gid}"
    if kind == "l":
        return f"{line} -> {path.readlink()}"
    if kind == "-":
        data = path.read_bytes()
        line += (
            f" {data.decode()!r}" if len(data) < 100 and data.isascii() else f" {len(data)} bytes"
        )
    return f"{line} = {names[status.st_ino]}" if kind != "d" and status.st_nlink > 1 else line
