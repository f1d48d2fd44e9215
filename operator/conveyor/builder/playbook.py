"""Tasks of ansible, run by the program of the ansible layer.

In: the tasks of a step, as JSON values. Out: what they did to the container, or a `StageFailure` that shows the task that
failed as YAML and says what its module said. What ansible writes for itself goes to the shared directory, never
into the image.
"""
# ruff: noqa: PTH103, PTH123

from __future__ import annotations

import json
import os

from conveyor.builder import users
from conveyor.builder.failure import StageFailure
from conveyor.builder.processes import Command
from conveyor.builder.procfs import oom_kills

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from conveyor.builder.steps import Step, Workplace

PROGRAM = "/.conveyor/ansible/bin/playbook"
_LOCALE = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "utf-8"}
# They steer a loader or ansible itself; the image has them for its own programs.
_DROPPED = ("ANSIBLE_", "LD_PRELOAD", "LD_AUDIT", "LD_BIND_NOW", "LD_DEBUG", "GLIBC_TUNABLES")
_MOST = 512
_MOST_MESSAGE = 1000


def run(work: Workplace, step: Step, label: str) -> None:
    """Run the tasks as user 0:0.

    Raises:
        StageFailure: CommandFailed, a task failed or ansible cannot read them; OutOfMemory.
    """
    folder = f"{work.io}/run/{label}"
    os.makedirs(folder)
    with open(f"{folder}/tasks.json", "w", encoding="utf-8") as file:
        json.dump(step["tasks"], file)
    root = users.identity(work.rootfs, "0:0")
    command = Command([PROGRAM, folder], root, work.rootfs.root, environment(work, root.home))
    status = work.runner.run(command)
    if status:
        raise failure(status, _note(folder), out_of_memory=bool(oom_kills()))


def environment(work: Workplace, home: str) -> dict[str, str]:
    """What ansible and all it starts sees; it refuses to work in another character set than UTF-8."""
    kept = {key: text for key, text in work.environ.items() if not key.startswith(_DROPPED)}
    return {"HOME": home, **kept, **_LOCALE}


def failure(status: int, note: dict[str, Any], *, out_of_memory: bool = False) -> StageFailure:
    """What to report.

    Args:
        status: Exit code of the program, or minus a signal.
        note: `{"task", "message", "exitCode"}` of the failed task; {} when there is none.
        out_of_memory: Whether the kernel has killed a process of the container for its memory.
    """
    task, code = str(note.get("task", "")), note.get("exitCode")
    if out_of_memory and (code in {-9, 137} or status in {-9, 137}):
        message = "a task was ended: it used more memory than the limit"
        return StageFailure("OutOfMemory", message, exit_code=137, command=task[:_MOST])
    message = str(note.get("message") or f"ansible ended with status {status}")
    said = f"the task failed: {message}" if task else message
    code = code if isinstance(code, int) and 0 < code <= 255 else None
    return StageFailure(
        "CommandFailed",
        said[:_MOST_MESSAGE],
        exit_code=code or (status if status > 0 else None),
        signal=-status if status < 0 else None,
        command=task[:_MOST],
    )


def _note(folder: str) -> dict[str, Any]:
    try:
        with open(f"{folder}/failed.json", encoding="utf-8", errors="replace") as file:
            note = json.load(file)
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}
