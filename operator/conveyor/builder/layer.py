"""Changes of a root filesystem, written as an OCI layer.

In: the changes of a `Snapshot` and an open file. Out: an uncompressed layer tar and its figures.
Reads file content only here, streaming: holes are found and not read, content goes from file to
file inside the kernel where it can. Entries keep the order of the changes, so equal trees give
equal tars.

Rules are those of the OCI image layer specification (`.wh.` whiteouts, hard links by earlier
name) and, where it is silent, of Docker Engine (pkg/archive): whole seconds of mtime, names
relative without `./`.
"""
# Names are bytes that need not be UTF-8, and pathlib has no bytes paths.
# ruff: noqa: PTH115

from __future__ import annotations

import errno
import os
import stat

from conveyor.builder import tarformat
from conveyor.builder.failure import StageFailure
from conveyor.builder.snapshot import kept_xattrs
from conveyor.builder.tarformat import Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from conveyor.builder.snapshot import Change

_WHITEOUT = b".wh."
_BUFFER = 1 << 20
_CHUNK = 16 << 20
_SMALL = 64 << 10
_KINDS = {
    stat.S_IFREG: tarformat.FILE,
    stat.S_IFDIR: tarformat.DIR,
    stat.S_IFLNK: tarformat.SYMLINK,
    stat.S_IFIFO: tarformat.FIFO,
    stat.S_IFCHR: tarformat.CHAR,
    stat.S_IFBLK: tarformat.BLOCKDEV,
}


class TarFile:
    """An archive being written to an open file descriptor; what is in the file stays as it is, for the courier may read along.

    Attributes:
        size: Bytes so far, the ones still buffered included.
        entries: Members so far.
    """

    def __init__(self, out: int) -> None:
        self._out = out
        self._buffer = bytearray()
        self._links: dict[tuple[int, int], bytes] = {}
        self.size = 0
        self.entries = 0

    def add(
        self,
        name: bytes,
        path: bytes,
        status: os.stat_result,
        *,
        root_owned: bool = False,
        note: bytes = b"",
    ) -> None:
        """Add what lies at `path` as `name`.

        Args:
            name: Name in the archive.
            path: Where it is read from; never followed when it is a symlink.
            status: Its `lstat`.
            root_owned: Write owner and group as 0:0.
            note: For bundles, see `Entry`.

        Raises:
            OSError: It cannot be read.
        """
        entry = Entry(name, _KINDS[stat.S_IFMT(status.st_mode)], stat.S_IMODE(status.st_mode))
        entry.note = note
        if not root_owned:
            entry.uid, entry.gid = status.st_uid, status.st_gid
        entry.mtime = status.st_mtime_ns // 1_000_000_000
        if self._linked(entry, status):
            self.write(tarformat.header(entry))
            return
        if entry.kind == tarformat.SYMLINK:
            entry.link = os.readlink(path)
        elif entry.kind in (tarformat.CHAR, tarformat.BLOCKDEV):
            entry.device = (os.major(status.st_rdev), os.minor(status.st_rdev))
        elif entry.kind == tarformat.FILE:
            entry.size = status.st_size
        entry.xattrs = tuple((key.encode(), value) for key, value in kept_xattrs(path))
        self.write(tarformat.header(entry))
        if entry.size:
            self._content(path, entry.size)

    def forget_links(self) -> None:
        """From here on files that were linked to earlier ones are files again."""
        self._links.clear()

    def empty(self, name: bytes) -> None:
        """Add an empty file, the shape of a whiteout."""
        self.write(tarformat.header(Entry(name, tarformat.FILE, 0)))

    def write(self, header: bytes) -> None:
        """Add one member's header."""
        self.entries += 1
        self._put(header)

    def close(self) -> None:
        """Write the end of the archive; the descriptor stays open."""
        self._put(tarformat.END)
        self._flush()

    def _linked(self, entry: Entry, status: os.stat_result) -> bool:
        """Turn the entry into a hard link when its inode is in the archive already."""
        if status.st_nlink < 2 or entry.kind == tarformat.DIR:
            return False
        first = self._links.setdefault((status.st_dev, status.st_ino), entry.name)
        if first == entry.name:
            return False
        entry.kind, entry.link = tarformat.LINK, first
        return True

    def _content(self, path: bytes, size: int) -> None:
        source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if size <= _SMALL:
                self._small(source, size, path)
            else:
                self._flush()
                self._large(source, size, path)
        finally:
            os.close(source)
        self._put(tarformat.padding(size))

    def _small(self, source: int, size: int, path: bytes) -> None:
        data = os.read(source, size)
        if len(data) != size:
            raise _shrunk(path)
        self._put(data)

    def _large(self, source: int, size: int, path: bytes) -> None:
        """Copy the data; holes become holes of the archive file, which read as zeros."""
        start = os.lseek(self._out, 0, os.SEEK_CUR)
        position = 0
        while position < size:
            data, end = _next_data(source, position, size)
            os.lseek(self._out, start + data, os.SEEK_SET)
            position = self._copy(source, data, end, path)
        os.lseek(self._out, start + size, os.SEEK_SET)
        if os.fstat(self._out).st_size < start + size:
            os.ftruncate(self._out, start + size)
        self.size += size

    def _copy(self, source: int, position: int, end: int, path: bytes) -> int:
        while position < end:
            done = os.sendfile(self._out, source, position, min(_CHUNK, end - position))
            if not done:
                raise _shrunk(path)
            position += done
        return position

    def _put(self, data: bytes) -> None:
        self._buffer += data
        self.size += len(data)
        if len(self._buffer) >= _BUFFER:
            self._flush()

    def _flush(self) -> None:
        view = memoryview(self._buffer)
        while view:
            view = view[os.write(self._out, view) :]
        view.release()
        self._buffer = bytearray()


class LayerFigures:
    """What a written layer holds: bytes of the tar, entries, whiteouts among them."""

    __slots__ = ("entries", "size", "whiteouts")

    def __init__(self, size: int, entries: int, whiteouts: int) -> None:
        self.size = size
        self.entries = entries
        self.whiteouts = whiteouts


def write_layer(changes: Iterable[Change], root: bytes, out: int) -> LayerFigures:
    """Write the changes below `root` as a layer to `out`.

    Returns:
        Its figures; `entries` is 0 when nothing changed.

    Raises:
        StageFailure: LayerInvalid, a name that no layer can hold.
        OSError: Reading or writing failed.
    """
    base = root.rstrip(b"/") + b"/"
    tar = TarFile(out)
    whiteouts = 0
    for path, status in with_parents(changes, base):
        parent, slash, name = path.rpartition(b"/")
        if status is None:
            tar.empty(parent + slash + _WHITEOUT + name)
            whiteouts += 1
            continue
        if name.startswith(_WHITEOUT):
            raise _reserved(path)
        tar.add(path or b".", base + path, status)
    tar.close()
    return LayerFigures(tar.size, tar.entries, whiteouts)


def with_parents(changes: Iterable[Change], base: bytes) -> Iterator[Change]:
    """Add the directories on the way to each change, each once, unchanged though they are.

    An unpacker works on the bare layer: Docker Engine gives a directory that it has to make up
    mode 0755, owner root and the present time, and that then hides the real one.
    """
    named: list[bytes] = []
    for path, status in changes:
        while named and not path.startswith(named[-1]):
            named.pop()
        start = len(named[-1]) if named else 0
        while (end := path.find(b"/", start) + 1) > 0:
            yield path[: end - 1], os.lstat(base + path[: end - 1])
            named.append(path[:end])
            start = end
        yield path, status
        if status is not None and stat.S_ISDIR(status.st_mode) and path:
            named.append(path + b"/")


def _next_data(source: int, position: int, size: int) -> tuple[int, int]:
    """The next stretch of data at or after `position`, as (start, end); (size, size) if none."""
    try:
        start = os.lseek(source, position, os.SEEK_DATA)
        return min(start, size), min(os.lseek(source, start, os.SEEK_HOLE), size)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return size, size
        if error.errno == errno.EINVAL:  # a file system that does not know holes
            return position, size
        raise


def _shrunk(path: bytes) -> StageFailure:
    return StageFailure("Internal", f"{_shown(path)} became shorter while it was read")


def _reserved(path: bytes) -> StageFailure:
    return StageFailure(
        "LayerInvalid",
        f"/{_shown(path)}: names that start with .wh. mark deleted files in image layers, "
        "so no image can hold this file; remove or rename it",
    )


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
