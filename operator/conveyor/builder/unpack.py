"""Archives put into the root filesystem.

In: a tar stream and where it goes. Out: files in place, merged into what is there: a directory
stays the directory it is (a symlink to one is followed, as rsync --keep-dirlinks does),
everything else is replaced. Modes, owners, times, hard links and extended attributes are the
archive's unless the step overrides them.
"""
# Names are bytes that need not be UTF-8, and pathlib has no bytes paths.
# ruff: noqa: PTH101, PTH102, PTH106, PTH108, PTH112, PTH114, PTH211

from __future__ import annotations

import errno
import os
import stat

from conveyor.builder import tarformat
from conveyor.builder.failure import StageFailure
from conveyor.builder.rootfs import Rootfs, shown
from conveyor.builder.tarformat import Entry, Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO


class Placement:
    """Where an archive goes and what overrides its own figures.

    Attributes:
        to: Directory it is merged into, or with `single` the path of its only file.
        uid: Owner of everything placed; None keeps the archive's.
        gid: Group likewise.
        mode: Permissions of everything but symlinks; None keeps the archive's.
        single: The archive holds one file, which becomes `to`.
        prefix: Only entries below this folder of the archive are placed, the folder cut off.
        keep_top: Leave mode and owner of `to` alone when it existed, whatever the archive says.
    """

    def __init__(
        self,
        to: bytes,
        *,
        owner: tuple[int | None, int | None] = (None, None),
        mode: int | None = None,
        single: bool = False,
        prefix: bytes = b"",
        keep_top: bool = False,
    ) -> None:
        self.to = to
        self.uid, self.gid = owner
        self.mode = mode
        self.single = single
        self.prefix = prefix
        self.keep_top = keep_top


class Unpacker:
    """Puts the entries of one archive in place; `finish()` sets the directories' own figures."""

    def __init__(self, rootfs: Rootfs, placement: Placement) -> None:
        self._rootfs = rootfs
        self._place = placement
        self._parent: tuple[bytes, bytes] | None = None
        self._dirs: dict[bytes, Entry] = {}
        rootfs.forget_links()

    def run(self, stream: BinaryIO) -> int:
        """Place every entry of the archive that is meant.

        Returns:
            How many.

        Raises:
            StageFailure: StepInvalid: an entry that leaves the directory, runs through a link of
                this archive, or would replace a directory with files in it.
            TarError: The archive is broken.
        """
        reader, count = Reader(stream), 0
        for entry in reader:
            relative = self._relative(entry.name)
            if relative is not None:
                self._put(entry, relative, reader)
                count += 1
        self._finish()
        return count

    def _relative(self, name: bytes) -> bytes | None:
        """The entry's path below `to`; None when it is outside the wanted folder."""
        parts = [part for part in name.split(b"/") if part not in (b"", b".")]
        if b".." in parts:
            raise StageFailure("StepInvalid", f"archive entry {shown(name)!r} leaves its directory")
        if self._place.prefix:
            if not parts or parts[0] != self._place.prefix:
                return None
            parts = parts[1:]
        return b"" if self._place.single else b"/".join(parts)

    def _put(self, entry: Entry, relative: bytes, reader: Reader) -> None:
        if not relative and not self._place.single:
            self._put_top(entry)
            return
        path = self._place.to + b"/" + relative if relative else self._place.to
        parent, _, name = path.rpartition(b"/")
        target = self._real_parent(parent) + name
        if entry.kind == tarformat.DIR:
            self._put_dir(target, path, entry)
            return
        _make_way(target)
        self._make(target, entry, reader)
        if entry.kind != tarformat.LINK:
            self._own(target, entry)

    def _put_top(self, entry: Entry) -> None:
        """The entry that stands for `to` itself."""
        if entry.kind != tarformat.DIR:
            raise StageFailure("StepInvalid", "the archive's own folder is not a directory")
        top = self._rootfs.resolve(self._place.to)
        made = self._rootfs.make_dirs(top, self._owner_of_new())
        if made or not self._place.keep_top:
            self._dirs[top] = entry

    def _put_dir(self, target: bytes, path: bytes, entry: Entry) -> None:
        if os.path.islink(target) and target not in self._rootfs.placed_links:
            followed = self._rootfs.resolve(path)
            if os.path.isdir(followed):
                self._dirs[followed] = entry
                return
        if not _is_dir(target):
            _make_way(target)
            os.mkdir(target, 0o755)
        self._dirs[target] = entry

    def _real_parent(self, parent: bytes) -> bytes:
        if self._parent is None or self._parent[0] != parent:
            real = self._rootfs.resolve(parent)
            self._rootfs.make_dirs(real, self._owner_of_new())
            self._parent = (parent, real if real.endswith(b"/") else real + b"/")
        return self._parent[1]

    def _make(self, target: bytes, entry: Entry, reader: Reader) -> None:
        put(target, entry, reader, self._link_source)
        if entry.kind == tarformat.SYMLINK:
            self._rootfs.placed_links.add(target)

    def _link_source(self, entry: Entry) -> bytes:
        relative = self._relative(entry.link)
        source = self._rootfs.resolve(self._place.to + b"/" + (relative or b""), follow_last=False)
        if not relative or not os.path.lexists(source) or _is_dir(source):
            raise StageFailure(
                "StepInvalid",
                f"archive entry {shown(entry.name)!r} is a hard link to {shown(entry.link)!r}, "
                "which is not a file of this archive",
            )
        return source

    def _own(self, path: bytes, entry: Entry) -> None:
        mode = entry.mode if self._place.mode is None else self._place.mode
        own(path, entry, (self._place.uid, self._place.gid), mode)

    def _owner_of_new(self) -> tuple[int, int]:
        return self._place.uid or 0, self._place.gid or 0

    def _finish(self) -> None:
        """Figures of directories last: placing files in them changes their times."""
        for path, entry in self._dirs.items():
            if _is_dir(path):
                self._own(path, entry)


def put(target: bytes, entry: Entry, reader: Reader, link_source: Callable[[Entry], bytes]) -> None:
    """Make a file, link, pipe or device where nothing is; `link_source` gives the path that a hard link names."""
    if entry.kind == tarformat.FILE:
        _write(target, reader)
    elif entry.kind == tarformat.SYMLINK:
        os.symlink(entry.link, target)
    elif entry.kind == tarformat.LINK:
        os.link(link_source(entry), target, follow_symlinks=False)
    elif entry.kind == tarformat.FIFO:
        os.mkfifo(target)
    else:
        kind = stat.S_IFCHR if entry.kind == tarformat.CHAR else stat.S_IFBLK
        os.mknod(target, kind | 0o600, os.makedev(*entry.device))


def own(path: bytes, entry: Entry, owner: tuple[int | None, int | None], mode: int) -> None:
    """Owner (the entry's where None), mode, attributes, time: in this order, each clears what follows."""
    uid = entry.uid if owner[0] is None else owner[0]
    gid = entry.gid if owner[1] is None else owner[1]
    os.chown(path, uid, gid, follow_symlinks=False)
    if entry.kind != tarformat.SYMLINK:
        os.chmod(path, mode)
    for name, value in entry.xattrs:
        try:
            os.setxattr(path, name, value, follow_symlinks=False)
        except OSError as error:
            if error.errno != errno.ENOTSUP:
                raise
    time = entry.mtime * 1_000_000_000
    os.utime(path, ns=(time, time), follow_symlinks=False)


def _write(target: bytes, reader: Reader) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    out = os.open(target, flags, 0o600)
    try:
        while data := reader.read():
            view = memoryview(data)
            while view:
                view = view[os.write(out, view) :]
    finally:
        os.close(out)


def _make_way(target: bytes) -> None:
    """Remove what a new entry replaces: a file, a link, an empty directory."""
    if not os.path.lexists(target):
        return
    if not _is_dir(target):
        os.unlink(target)
        return
    try:
        os.rmdir(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
            raise
        raise StageFailure(
            "StepInvalid",
            f"{shown(target)} is a directory with files in it; it cannot be replaced by a file",
        ) from error


def _is_dir(path: bytes) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)
