"""Assemblies: the layers of a block that only copies, made in the pod of the image that its files come from.

In: the outline of the image below the block, its runs, bundles that this pod has made. Out: the tars of its layers, as a pod on
the image would have written them; nothing where the outline does not tell enough, and then the block gets a pod of its own.
"""
# Names are bytes that need not be UTF-8, and pathlib has no bytes paths.
# ruff: noqa: PTH102

from __future__ import annotations

import os

from conveyor.builder import steps
from conveyor.builder.capture import capture
from conveyor.builder.failure import StageFailure
from conveyor.builder.outline import Outline
from conveyor.builder.rootfs import OF_EVERY_CONTAINER, Rootfs
from conveyor.builder.snapshot import Snapshot
from conveyor.builder.tarformat import TarError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from conveyor.builder.processes import Runner

    Json = dict[str, Any]


_ROOT = ("", "0", "0:0")


def assemble(export: Json, io: str, runner: Runner) -> list[Json] | None:
    """Make the layers of every run.

    Args:
        export: See `docs/stage-task.md`.
        io: The shared directory: bundles are read there, layers written to `out/`.
        runner: For what steps say.

    Returns:
        `{"layers": [...]}` of each run as in `out/RUN.json`, None where a pod on the image has to do it, or to say what is wrong.
    """
    try:
        return _Assembly(export, io, runner).runs()
    except (StageFailure, TarError, OSError):  # a bundle that was left out, too
        return None


class _Assembly:
    def __init__(self, export: Json, io: str, runner: Runner) -> None:
        self._export = export
        self._out = f"{io}/out"
        root = f"{io}/assembly-{export['id']}/".encode()
        os.mkdir(root, 0o755)
        self._outline = Outline(export["outline"])
        self._outline.lay_out(root)
        self._rootfs = Rootfs(root)
        self._snapshot = Snapshot(root)
        self._snapshot.take()
        self._snapshot.settle()
        self._work = steps.Workplace(self._rootfs, runner, io, {})

    def runs(self) -> list[Json]:
        made = [
            {"layers": [self._layer(f"{number}-{at}", layer) for at, layer in enumerate(layers)]}
            for number, layers in enumerate(run["layers"] for run in self._export["runs"])
        ]
        root = self._rootfs.root
        if any(os.path.lexists(root + name) for name in OF_EVERY_CONTAINER):
            raise StageFailure("StepInvalid", "no pod can place what is mounted into every pod")
        return made

    def _layer(self, place: str, layer: Json) -> Json:
        for index, step in enumerate(layer["steps"]):
            if step.get("user", "") not in _ROOT:
                raise StageFailure("StepInvalid", "the group of a user is in the image's files")
            self._work.run(step, f"{place}-{index}")
        touched = self._rootfs.take_touched()
        if not self._outline.tells(self._rootfs.root, touched):
            raise StageFailure("StepInvalid", "the outline does not tell what is there")
        name = f"export-{self._export['id']}-{place}.tar"
        return capture(self._snapshot, self._rootfs.root, touched, f"{self._out}/{name}")
