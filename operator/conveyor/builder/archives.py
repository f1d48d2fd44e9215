"""Archives in a build context: found by what they hold, unpacked into plain tars.

In: the bytes of a file. Out: whether it is a tar, packed or not, and the tar itself, checked and within limits. Known are
gzip, bzip2, xz and zstd, as to Docker (moby/go-archive: compression); what is packed but no tar is a file like others.
"""

import bz2
import itertools
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final, Protocol

from conveyor.builder import tarformat, zstd
from conveyor.builder.courier_errors import CourierError
from conveyor.builder.courier_task import Limits
from conveyor.builder.failure import StageFailure
from conveyor.builder.tarformat import Entry, Reader, TarError
from conveyor.builder.untar import inside

MAX_RATIO: Final = 1000
RATIO_FROM: Final = 256 << 20
MAX_OWNER: Final = (1 << 32) - 2
_PIECE: Final = 1 << 20
_XZ_MEMORY: Final = 192 << 20
_LONGEST_MAGIC: Final = 6
_BROKEN: Final = (zlib.error, OSError, EOFError, lzma.LZMAError, zstd.ZstdError)


class _Decompressor(Protocol):
    """What bz2 and lzma of the standard library have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ...) -> bytes: ...


class _Gzip:
    """zlib's decompressor, behaving as those of bz2 and lzma."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(31)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


_FORMATS: Final[tuple[tuple[bytes, str, Callable[[], _Decompressor]], ...]] = (
    (b"\x1f\x8b\x08", "gzip", _Gzip),
    (b"BZh", "bzip2", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\x00", "xz", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)),
    (b"\x28\xb5\x2f\xfd", "zstd", zstd.Decompressor),
)


class Archive:
    """A file that may be an archive, read from its beginning.

    Attributes:
        kind: How it is packed, "tar" when it is not.
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        first = b""
        while len(first) < _LONGEST_MAGIC and (chunk := next(chunks, b"")):
            first += chunk
        self._chunks = itertools.chain([first], chunks)
        found = next((one for one in _FORMATS if first.startswith(one[0])), None)
        self.kind = found[1] if found else "tar"
        self._make = found[2] if found else None
        self._unpacking = self._make() if self._make else None
        self._ahead = b""
        self.packed = self.size = 0

    def is_tar(self) -> bool:
        """Whether a tar's first header is at its beginning; nothing of it is lost by asking."""
        try:
            first = self.read(tarformat.BLOCK)
        except TarError:
            return False
        self._ahead, self.size = first + self._ahead, 0
        return tarformat.is_header(first)

    def read(self, most: int) -> bytes:
        """The next bytes, unpacked: fewer than asked for only at the end.

        Raises:
            TarError: What packs it is broken.
        """
        parts, left = [], most
        while left:
            piece, self._ahead = self._ahead[:left], self._ahead[left:]
            if not piece:
                self._ahead = self._more()
                if not self._ahead:
                    break
                continue
            parts.append(piece)
            left -= len(piece)
        data = b"".join(parts)
        self.size += len(data)
        return data

    def _more(self) -> bytes:
        if self._unpacking is None:
            return self._chunk()
        try:
            return self._unpacked(self._unpacking)
        except _BROKEN as error:
            if "memory" in str(error).lower():  # not broken: it asks for more than we give
                text = f"a file is packed with {self.kind} so that unpacking takes too much memory"
                raise CourierError("InputTooLarge", text) from None
            raise TarError(f"it is not whole {self.kind} data: {error}") from None

    def _unpacked(self, unpacking: _Decompressor) -> bytes:
        while True:
            if unpacking.eof:
                rest = unpacking.unused_data or self._chunk()
                if not rest or self._make is None:
                    return b""
                self._unpacking = unpacking = self._make()  # several streams, one behind the other
                data = unpacking.decompress(rest, _PIECE)
            elif unpacking.needs_input:
                chunk = self._chunk()
                if not chunk:
                    raise EOFError("it ends early")
                data = unpacking.decompress(chunk, _PIECE)
            else:
                data = unpacking.decompress(b"", _PIECE)
            if data:
                return data

    def _chunk(self) -> bytes:
        chunk = next(self._chunks, b"")
        self.packed += len(chunk)
        return chunk


class _Copying:
    """Reads an archive and writes what was read, within limits."""

    def __init__(self, archive: Archive, out: BinaryIO, most: int) -> None:
        self._archive = archive
        self._out = out
        self._most = most

    def read(self, most: int) -> bytes:
        data = self._archive.read(most)
        size = self._archive.size
        if size > self._most:
            raise CourierError("InputTooLarge", f"it has more than {self._most} bytes unpacked")
        if size > max(RATIO_FROM, self._archive.packed * MAX_RATIO):
            text = f"it is over {MAX_RATIO} times as large unpacked as it is packed"
            raise CourierError("InputTooLarge", text)
        self._out.write(data)
        return data


def write_tar(archive: Archive, out: BinaryIO, limits: Limits, name: str) -> int:
    """Write the tar that an archive holds up to its end, every entry checked.

    Returns:
        Its size.

    Raises:
        CourierError: StepInvalid, the archive is broken or has an entry that leads out of it; InputTooLarge.
    """
    try:
        _check_entries(_Copying(archive, out, limits.input_bytes), limits.entries)
    except CourierError as error:
        raise CourierError(
            error.reason, f"ADD {name}: the archive is refused: {error.message}"
        ) from None
    except (TarError, StageFailure) as error:
        raise CourierError(
            "StepInvalid", f"ADD {name}: the archive is broken or hostile: {error}"
        ) from None
    out.write(tarformat.END)
    return archive.size


def _check_entries(source: _Copying, most: int) -> None:
    for number, entry in enumerate(Reader(source), 1):
        if number > most:
            raise CourierError("InputTooLarge", f"it has more than {most} entries")
        _check(entry)


def _check(entry: Entry) -> None:
    inside(entry.name, entry)
    if entry.kind == tarformat.LINK:
        inside(entry.link, entry)
    if not (0 <= entry.uid <= MAX_OWNER and 0 <= entry.gid <= MAX_OWNER):
        raise TarError(f"entry {entry.name!r} has an impossible owner")
