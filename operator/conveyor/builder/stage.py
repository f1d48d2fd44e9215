"""The program of the stage container: run the steps, capture what they changed.

In: the task (environment variable CONVEYOR_TASK) and the courier's files in `/.conveyor-io/in`.
Out: in `/.conveyor-io/out` one tar per layer, a JSON per run, bundles for other images, and last
`done.json`. Holds no credentials and speaks to nobody; it holds the directory out to the courier (`handover`), unless
one is mounted there. Runs as process 1 on the tools' own Python, standard library only.

    alive              locked by us as long as we live
    in/ready-<run>     the courier: inputs of this run are complete   (in/failed: they will not come)
    out/   <run>-<layer>.tar, <run>.json, export-<id>[-<run>-<layer>].tar, export-<id>.json, done.json
"""
# Names are bytes that need not be UTF-8, and pathlib has no bytes paths.
# ruff: noqa: PTH104, PTH110, PTH123

from __future__ import annotations

import base64
import binascii
import gc
import json
import os
import signal
import sys
import time
import zlib

from conveyor.builder import procfs
from conveyor.builder.capture import capture
from conveyor.builder.failure import StageFailure
from conveyor.builder.handover import Offer, hold_alive, make_directories
from conveyor.builder.outline import Recorder
from conveyor.builder.processes import Output, Runner
from conveyor.builder.rootfs import Rootfs
from conveyor.builder.snapshot import Snapshot, mount_points
from conveyor.builder.steps import Workplace, environment, raw
from conveyor.builder.tarformat import TarError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Task = dict[str, Any]

IO = "/.conveyor-io"
_VERSION = 1
_INTERNAL = 126
_TERMINATED = 143
_INPUT_SECONDS = 600
_TAKEN_SECONDS = 900  # as long as a courier waits for the stage
_POLL_SECONDS = 0.005
_MAX_TASK = 64 << 20


class Place:
    """Where the program stands: run, layer and step, for the report of a failure."""

    def __init__(self) -> None:
        self.run = self.layer = self.step = 0


class Stage:
    """One task, from the first walk to the last export."""

    def __init__(self, task: Task, *, root: bytes = b"/", io: str = IO, out: int = 1) -> None:
        self.task = task
        self.place = Place()
        self.output = Output(out)
        self._io = io
        self._rootfs = Rootfs(root, look=lambda: mount_points(procfs.mountinfo()))
        self._snapshot = Snapshot(root, mounts=self._rootfs.mounts)
        self._work = Workplace(self._rootfs, Runner(self.output), io, environment(task))
        self._outline = Recorder(self._rootfs.root, self._snapshot) if task.get("outline") else None

    def run(self) -> None:
        """Do everything the task says.

        Raises:
            StageFailure: A step, a capture or an export failed; `place` says which.
        """
        if mounts := self.task.get("mounts"):
            from conveyor.builder.run_mounts import RunMounts  # noqa: PLC0415 - start-up time

            # Before the first walk: what is made for them in the root filesystem is no change.
            self._work.mounts = RunMounts(self._rootfs, mounts, self.output)
        seconds = {"walk": _timed(self._first_walk)}
        write_json(f"{self._io}/out/began.json", {})
        for number, run in enumerate(self.task["runs"]):
            self.place.run, self.place.layer, self.place.step = number, 0, 0
            self._run(number, run, seconds)
            seconds = {}
        for export in self.task.get("exports", ()):
            self._export(export)

    def _first_walk(self) -> None:
        self._snapshot.take()
        self._snapshot.settle()

    def _run(self, number: int, run: Task, seconds: dict[str, float]) -> None:
        steps = [step for layer in run["layers"] for step in layer["steps"]]
        if any(step.get("file") for step in steps) or self.task.get("waitInputs"):
            seconds["inputs"] = _timed(lambda: self._await_inputs(number))
        layers: list[dict[str, object]] = []
        seconds["steps"] = seconds["capture"] = 0.0
        for index, layer in enumerate(run["layers"]):
            self.place.layer = index
            begun = time.monotonic()
            self._steps(layer["steps"])
            seconds["steps"] += time.monotonic() - begun
            begun = time.monotonic()
            layers.append(self._capture(number, index))
            seconds["capture"] += time.monotonic() - begun
        rounded = {key: round(value, 4) for key, value in seconds.items()}
        report = {"run": number, "layers": layers, "seconds": rounded, "peakRSS": procfs.peak_rss()}
        later = self.task["runs"][number + 1 :]
        if self._outline is not None and not any(
            it["steps"] for run in later for it in run["layers"]
        ):
            report["outline"] = self._outline.entries()
        write_json(f"{self._io}/out/{number}.json", report)

    def _steps(self, steps: list[dict[str, Any]]) -> None:
        for index, step in enumerate(steps):
            self.place.step = index
            self._work.run(step, f"{self.place.run}-{self.place.layer}-{index}")

    def _capture(self, run: int, layer: int) -> dict[str, object]:
        self._snapshot.hide(self._rootfs.mounts)
        touched, followed = self._rootfs.take_touched(), self._rootfs.take_followed()
        if self._outline is not None:
            self._outline.note(touched, followed)
        path = f"{self._io}/out/{run}-{layer}.tar"
        return capture(self._snapshot, self._rootfs.root, touched, path)

    def _export(self, export: Task) -> None:
        base = f"{self._io}/out/export-{export['id']}"
        report = self._assembly(export) if export["kind"] == "assembly" else self._bundle(export)
        write_json(f"{base}.json", report)

    def _bundle(self, export: Task) -> dict[str, object]:
        from conveyor.builder import exports  # noqa: PLC0415 - only here: start-up time

        path = f"{self._io}/out/export-{export['id']}.tar"
        out = os.open(f"{path}.part", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            if export["kind"] == "import":
                filters = _paths(export, "includePaths"), _paths(export, "excludePaths")
                report = exports.export_import(self._rootfs, raw(export["add"]), filters, out)
            else:
                report = exports.export_copy(self._rootfs, _paths(export, "sources"), out, export)
        except exports.CoveredError:
            return {"leftOut": True}
        finally:
            os.close(out)
        os.rename(f"{path}.part", path)
        return report

    def _assembly(self, export: Task) -> dict[str, object]:
        """The layers of another block; bundles that it alone needs are for nobody else then."""
        from conveyor.builder import assembly  # noqa: PLC0415 - only here: start-up time

        runs = assembly.assemble(export, self._io, self._work.runner)
        if runs is None:
            return {"leftOut": True}
        for bundle in export.get("bundles", ()):
            write_json(f"{self._io}/out/export-{bundle}.json", {"leftOut": True})
        return {"runs": runs}

    def _await_inputs(self, run: int) -> None:
        limit = float(self.task.get("inputSeconds", _INPUT_SECONDS))
        deadline = time.monotonic() + limit
        while not os.path.exists(f"{self._io}/in/ready-{run}"):
            if os.path.exists(f"{self._io}/in/failed"):
                raise StageFailure("InputMissing", _failure_message(f"{self._io}/in/failed"))
            if time.monotonic() > deadline:
                raise StageFailure("InputMissing", f"inputs did not arrive within {limit:.0f} s")
            time.sleep(_POLL_SECONDS)


def main() -> int:
    """Run as the first process of the stage container.

    Returns:
        Exit code: 0, the user command's own (1..125), 126 for anything of ours.
    """
    shared = os.path.ismount(IO)
    make_directories(IO, keep=shared)
    if os.getpid() != 1:  # it kills every process it can see: that must be its own container's only
        return _report(StageFailure("Internal", "the stage program must be process 1"), None)
    gc.disable()  # nothing here makes cycles that grow; scanning the snapshot would only cost time
    signal.signal(signal.SIGTERM, _terminate)
    lock = hold_alive(f"{IO}/alive")
    offer = None if shared else Offer(IO)
    try:
        code = _guarded(os.environ.get("CONVEYOR_TASK", ""))
        if offer and code != _TERMINATED:
            signal.signal(signal.SIGTERM, lambda *_: os._exit(_TERMINATED))
            offer.wait(_TAKEN_SECONDS)
    finally:
        os.close(lock)
    return code


def parse_task(text: str) -> Task:
    """Read a task: JSON, or `z:` and base64 of its zlib stream.

    Raises:
        StageFailure: Internal, it cannot be read or is of another version.
    """
    try:
        if text.startswith("z:"):
            unpacked = zlib.decompressobj().decompress(base64.b64decode(text[2:]), _MAX_TASK)
            text = unpacked.decode("utf-8", "surrogateescape")
        task = json.loads(text)
    except (ValueError, RecursionError, binascii.Error, zlib.error) as error:
        raise StageFailure("Internal", f"the task cannot be read: {error}") from error
    if not isinstance(task, dict) or task.get("version") != _VERSION:
        raise StageFailure("Internal", f"this program knows tasks of version {_VERSION} only")
    return task


def write_json(path: str, value: object) -> None:
    """Write so that a reader sees all of it or nothing."""
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        json.dump(value, file)
    os.rename(f"{path}.part", path)


def _guarded(text: str) -> int:
    """Run the task; whatever happens is told in `done.json`."""
    stage: Stage | None = None
    try:
        stage = Stage(parse_task(text))
        stage.run()
    except StageFailure as failure:
        return _report(failure, stage)
    except TarError as error:
        return _report(StageFailure("StepInvalid", f"an input archive is broken: {error}"), stage)
    except OSError as error:
        where = f": {os.fsdecode(error.filename)!r}" if error.filename else ""
        return _report(StageFailure("Internal", f"{error.strerror}{where}"), stage)
    except Exception as error:
        sys.excepthook(type(error), error, error.__traceback__)
        return _report(StageFailure("Internal", f"{type(error).__name__}: {error}"), stage)
    write_json(f"{IO}/out/done.json", {"ok": True})
    return 0


def _report(failure: StageFailure, stage: Stage | None) -> int:
    place = stage.place if stage else Place()
    report = {
        "ok": False,
        "run": place.run,
        "layer": place.layer,
        "step": place.step,
        "reason": failure.reason,
        "exitCode": failure.exit_code,
        "signal": failure.signal,
        "command": failure.command,
        "logTail": stage.output.tail() if stage else "",
        "message": failure.message,
    }
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stderr.write(f"conveyor: {failure.reason}: {failure.message}\n")
    write_json(f"{IO}/out/done.json", report)
    if failure.reason == "Terminated":
        return _TERMINATED
    if failure.reason != "CommandFailed":
        return _INTERNAL
    return min(failure.exit_code or 125, 125)


def _terminate(*_: object) -> None:
    raise StageFailure("Terminated", "the stage container was told to stop")


def _timed(action: Callable[[], None]) -> float:
    begun = time.monotonic()
    action()
    return time.monotonic() - begun


if TYPE_CHECKING:
    from collections.abc import Callable


def _paths(export: Task, key: str) -> list[bytes]:
    return [raw(path) for path in export.get(key, ())]


def _failure_message(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return str(json.load(file)["message"])
    except (ValueError, KeyError, TypeError):
        return "the courier could not deliver the inputs"


if __name__ == "__main__":
    sys.exit(main())
