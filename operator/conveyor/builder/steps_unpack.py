"""The steps that unpack what the courier delivered: files of a repository, a change of them, a bundle of another image.

In: a step of the task and the container's root filesystem. Out: files changed, or a `StageFailure`.
"""
# Names are bytes that need not be UTF-8, and pathlib has no bytes paths.
# ruff: noqa: PTH106, PTH123

from __future__ import annotations

import json
import os

from conveyor.builder import tarformat, users
from conveyor.builder.failure import StageFailure
from conveyor.builder.steps import raw
from conveyor.builder.unpack import Placement, Unpacker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from io import BufferedReader

    from conveyor.builder.steps import Step, Workplace


def unpack(work: Workplace, step: Step) -> None:
    """Unpack an archive into a directory, or its only file in that name's place.

    Raises:
        StageFailure: InputMissing, or it does not fit.
    """
    owner = users.owner_ids(work.rootfs, str(step.get("owner") or ""), str(step.get("group") or ""))
    single = bool(step.get("single"))
    to = b"/" + raw(step["to"]).strip(b"/")
    if not single:
        _prepare(work, to, owner)
    with _input(work, step) as stream:
        Unpacker(work.rootfs, Placement(to, owner=owner, single=single)).run(stream)


def _prepare(work: Workplace, to: bytes, owner: tuple[int | None, int | None]) -> None:
    """The directory itself, as `install -d -o OWNER` makes it; the root's owner is left alone."""
    real = work.rootfs.resolve(to)
    work.rootfs.make_dirs(real)
    if owner != (None, None) and real != work.rootfs.root:
        os.chown(real, *(-1 if number is None else number for number in owner))


def patch(work: Workplace, step: Step) -> None:
    """Delete files, and directories that this leaves empty; then unpack the archive, where there is one.

    Raises:
        StageFailure: StepInvalid, a path leads out of the directory; as of `unpack`.
    """
    to = b"/" + raw(step["to"]).strip(b"/")
    deletes = [raw(path).strip(b"/") for path in _deletes(work, step)]
    for path in deletes:
        if b".." in path.split(b"/"):
            raise StageFailure("StepInvalid", f"patch deletes {path!r}, outside of its directory")
        work.rootfs.remove(work.rootfs.resolve(to + b"/" + path, follow_last=False))
    for parent in sorted({p for path in deletes for p in _parents(path)}, reverse=True):
        _remove_if_empty(work.rootfs.resolve(to + b"/" + parent, follow_last=False))
    if step.get("file"):
        unpack(work, step)


def _deletes(work: Workplace, step: Step) -> list[str]:
    """The paths to delete: in the step itself, or in the list that the courier wrote beside the archive."""
    if not step.get("deletesFile"):
        return list(step.get("deletes", ()))
    with open(f"{work.io}/{step['deletesFile']}", "rb") as stream:
        return [str(path) for path in json.load(stream)]


def import_bundle(work: Workplace, step: Step) -> None:
    """Unpack a bundle of another image. A directory always has an entry for itself, so one entry alone is a file.

    Raises:
        StageFailure: As of `unpack`.
    """
    with _input(work, step) as stream:
        kinds = [entry.kind for _, entry in zip(range(2), tarformat.Reader(stream), strict=False)]
    single = len(kinds) == 1 and kinds[0] != tarformat.DIR
    unpack(work, {**step, "single": single})


def _parents(path: bytes) -> list[bytes]:
    parts = path.split(b"/")
    return [b"/".join(parts[:count]) for count in range(1, len(parts))]


def _remove_if_empty(real: bytes) -> None:
    try:
        os.rmdir(real)
    except OSError:  # not empty, not a directory, or gone: then it stays as it is
        return


def _input(work: Workplace, step: Step) -> BufferedReader:
    path = f"{work.io}/{step['file']}"
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise StageFailure("InputMissing", f"input {step['file']} was not delivered") from None
