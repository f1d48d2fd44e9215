"""What `--chmod` makes of modes.

In: the mode of a `copy` step, octal or as changes of bits (`conveyor.config.dockerfile_modes` reads symbolic ones). Out: the
mode of each file, and that of directories made on the way.
"""

from __future__ import annotations

from conveyor.builder import tarformat
from conveyor.builder.failure import StageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from conveyor.builder.tarformat import Entry

    Step = dict[str, Any]

_CLASSES = (("u", 6), ("g", 3), ("o", 0))


def modes(step: Step) -> tuple[Callable[[Entry], int], int]:
    """What an entry's mode becomes, and the mode of directories that are made on the way."""
    text, changes = str(step.get("chmod") or ""), step.get("chmodChanges")
    if changes:
        return lambda entry: changed_mode(entry, changes), 0o755
    if not text:
        return lambda entry: entry.mode, 0o755
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777:
        raise StageFailure("StepInvalid", f"--chmod={text}: must be an octal number, as in 0755")
    return lambda _: mode, mode & 0o777


def changed_mode(entry: Entry, changes: list[Step]) -> int:
    """The mode after the changes of a symbolic mode, one after the other."""
    mode = entry.mode
    for change in changes:
        op, bits = str(change["op"]), int(change.get("bits", 0))
        if op == "+" or (op == "X" and (entry.mode & 0o111 or entry.kind == tarformat.DIR)):
            mode |= bits
        elif op == "-":
            mode &= ~bits
        elif op in "ugo":
            mode = _copied(mode, op, str(change["to"]), str(change["how"]))
    return mode


def _copied(mode: int, source: str, to: str, how: str) -> int:
    value = mode >> dict(_CLASSES)[source] & 7
    for name, shift in _CLASSES:
        if name in to:
            mode &= ~((7 if how == "=" else value if how == "-" else 0) << shift)
            mode |= 0 if how == "-" else value << shift
    return mode
