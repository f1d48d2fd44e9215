"""Dockerfile COPY: where the files of a bundle go.

In: a bundle (folder `n/` per source) and the instruction's destination. Out: files in place by
Docker's rules: a directory source gives its content, several sources need a directory, a
destination that ends in `/` or is a directory takes files by their own name, else the file gets
the destination's name.
"""
# Names are bytes that need not be UTF-8, and pathlib has no bytes paths.
# ruff: noqa: PTH112, PTH123

from __future__ import annotations

import os

from conveyor.builder import tarformat, users
from conveyor.builder.failure import StageFailure
from conveyor.builder.tarformat import Reader
from conveyor.builder.unpack import Placement, Unpacker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from conveyor.builder.rootfs import Rootfs


class Source:
    """What the bundle holds for one source: a directory's own entry, and names right below it."""

    __slots__ = ("is_dir", "names")

    def __init__(self) -> None:
        self.is_dir = False
        self.names: set[bytes] = set()


def copy(rootfs: Rootfs, bundle: str, step: dict[str, Any]) -> None:
    """Carry out a `copy` step.

    Args:
        rootfs: Where to.
        bundle: Path of the tar.
        step: `sources`, `dest`, `workdir`, and optionally `chown`, `chmod` (octal), `keepOwner`
            (COPY --from: owners of the bundle; else 0:0).

    Raises:
        StageFailure: StepInvalid (several sources, dest is no directory), InputMissing (a source
            that is not in the bundle), NoSuchUser.
    """
    dest, wants_dir = _destination(step)
    folders = [str(source["entries"]).strip("/").encode() for source in step["sources"]]
    sources = _survey(bundle, folders)
    _check(step, sources, wants_dir=wants_dir)
    single = not wants_dir and not any(source.is_dir for source in sources.values())
    if single and os.path.isdir(rootfs.resolve(dest)):
        single = False
    owner, mode = _owner(rootfs, step), _mode(step)
    for folder in folders:
        if not sources[folder].is_dir and not sources[folder].names:
            continue
        place = Placement(dest, owner=owner, mode=mode, single=single, prefix=folder, keep_top=True)
        with open(bundle, "rb") as stream:
            Unpacker(rootfs, place).run(stream)


def _destination(step: dict[str, Any]) -> tuple[bytes, bool]:
    text = str(step["dest"])
    wants_dir = text.endswith(("/", "/.")) or text in (".", "")
    if not text.startswith("/"):
        text = str(step.get("workdir") or "/").rstrip("/") + "/" + text
    dest = text.encode("utf-8", "surrogateescape")
    return b"/" + os.path.normpath(dest).strip(b"/"), wants_dir


def _survey(bundle: str, folders: list[bytes]) -> dict[bytes, Source]:
    sources = {folder: Source() for folder in folders}
    with open(bundle, "rb") as stream:
        for entry in Reader(stream):
            parts = [part for part in entry.name.split(b"/") if part not in (b"", b".")]
            source = sources.get(parts[0]) if parts else None
            if source is None:
                continue
            if len(parts) > 1:
                source.names.add(parts[1])
            elif entry.kind == tarformat.DIR:
                source.is_dir = True
    return sources


def _check(step: dict[str, Any], sources: dict[bytes, Source], *, wants_dir: bool) -> None:
    for declared, source in zip(step["sources"], sources.values(), strict=True):
        if declared.get("dir") and source.names:
            source.is_dir = True
        pattern = str(declared["pattern"])
        if not source.is_dir and not source.names and not any(c in pattern for c in "*?["):
            raise StageFailure("InputMissing", f"COPY {pattern}: no such file or directory")
    files = sum(1 if source.is_dir else len(source.names) for source in sources.values())
    if files > 1 and not wants_dir:
        raise StageFailure(
            "StepInvalid",
            f"COPY to {step['dest']}: with more than one source file the destination must be "
            "a directory and end with a /",
        )


def _owner(rootfs: Rootfs, step: dict[str, Any]) -> tuple[int | None, int | None]:
    if step.get("chown"):
        return users.chown_ids(rootfs, str(step["chown"]))
    return (None, None) if step.get("keepOwner") else (0, 0)


def _mode(step: dict[str, Any]) -> int | None:
    text = str(step.get("chmod") or "")
    if not text:
        return None
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777:
        raise StageFailure("StepInvalid", f"--chmod={text}: must be an octal number, as in 0755")
    return mode
