"""Archives that ADD unpacks.

In: an uncompressed tar and the destination. Out: its entries below the destination by Docker's rules (moby/go-archive):
what is in the way is replaced, whatever it is, directories merge, owners are the archive's own unless `--chown` says
otherwise. Symlinks are resolved as if the destination were the root directory, so nothing is written outside of it.
"""
# Names are bytes that need not be UTF-8, and pathlib has no bytes paths.
# ruff: noqa: PTH102, PTH112

from __future__ import annotations

import errno
import os
import stat

from conveyor.builder import tarformat
from conveyor.builder.failure import StageFailure
from conveyor.builder.rootfs import Rootfs, shown
from conveyor.builder.tarformat import Entry, Reader
from conveyor.builder.unpack import own, put

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    Owner = tuple[int | None, int | None]


def unpack(rootfs: Rootfs, dest: bytes, stream: BinaryIO, owner: Owner) -> None:
    """Unpack.

    Args:
        rootfs: The image.
        dest: Resolved path of an existing directory.
        stream: The archive.
        owner: Of everything; None keeps the archive's.

    Raises:
        StageFailure: StepInvalid: an entry that leaves the destination, a hard link to nothing, a device that an
            unprivileged pod cannot make.
        TarError: The archive is broken.
    """
    _Archive(rootfs, dest, owner).run(Reader(stream))


class _Archive:
    def __init__(self, rootfs: Rootfs, dest: bytes, owner: Owner) -> None:
        top = dest.rstrip(b"/") + b"/"
        self._root = rootfs if top == rootfs.root else _Inside(top, mounts=rootfs.mounts)
        self._owner = owner
        self._dirs: dict[bytes, Entry] = {}

    def run(self, reader: Reader) -> None:
        for entry in reader:
            path = inside(entry.name, entry)
            if path:
                self._put(path, entry, reader)
            elif entry.kind != tarformat.DIR:
                raise StageFailure("StepInvalid", "the archive's own folder is not a directory")
        for path, entry in self._dirs.items():
            if _is_dir(path):
                own(path, entry, self._owner, entry.mode)

    def _put(self, path: bytes, entry: Entry, reader: Reader) -> None:
        parent, _, name = path.rpartition(b"/")
        target = self._parent(parent).rstrip(b"/") + b"/" + name
        if self._root.root == b"/" and not parent and self._root.is_ours(name):
            raise StageFailure("StepInvalid", f"/{shown(name)} is not part of an image")
        if entry.kind == tarformat.DIR:
            if not _is_dir(target):
                self._root.remove(target)
                os.mkdir(target, 0o755)
            self._dirs[target] = entry
            return
        self._root.remove(target)
        self._dirs.pop(target, None)
        try:
            put(target, entry, reader, self._link_source)
        except PermissionError as error:
            if error.errno != errno.EPERM or entry.kind not in (tarformat.CHAR, tarformat.BLOCKDEV):
                raise
            text = f"archive entry {shown(path)!r} is a device, which this pod may not make"
            raise StageFailure("StepInvalid", text) from error
        if entry.kind != tarformat.LINK:
            own(target, entry, self._owner, entry.mode)

    def _parent(self, parent: bytes) -> bytes:
        real = self._root.resolve(parent)
        if os.path.isdir(real):
            return real
        if os.path.lexists(self._root.resolve(parent, follow_last=False)):
            raise StageFailure("StepInvalid", f"archive: {shown(parent)!r} is not a directory")
        self._root.make_dirs(real, (self._owner[0] or 0, self._owner[1] or 0))
        return real

    def _link_source(self, entry: Entry) -> bytes:
        path = inside(entry.link, entry)
        source = self._root.resolve(path, follow_last=False)
        if not path or not os.path.lexists(source) or _is_dir(source):
            raise StageFailure(
                "StepInvalid",
                f"archive entry {shown(entry.name)!r} is a hard link to {shown(entry.link)!r}, which is no file below "
                "the destination",
            )
        return source


class _Inside(Rootfs):
    """A directory of an image taken for its root; nothing in it is ours."""

    def is_ours(self, relative: bytes) -> bool:
        return False


def inside(name: bytes, entry: Entry) -> bytes:
    """A path of an archive, cleaned and relative, b"" for the archive's own folder.

    Raises:
        StageFailure: StepInvalid, it leaves the folder.
    """
    path = os.path.normpath(name.lstrip(b"/") or b".")
    if path == b".." or path.startswith(b"../"):
        text = f"archive entry {shown(entry.name)!r} leaves the directory that it is unpacked in"
        raise StageFailure("StepInvalid", text)
    return b"" if path == b"." else path


def _is_dir(path: bytes) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
