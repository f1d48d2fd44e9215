"""The tar format, both ways, exact to the byte.

In: an `Entry` and bytes for its header; or a stream and entries out of it. Written is POSIX pax
(ustar headers, pax records only where ustar cannot hold a value): what Docker Engine, containerd
and every tar read. Read is ustar, pax and GNU long names. Names, links and attribute values are
bytes throughout.

The standard library's tarfile is not used: it costs 15 ms to import, decodes names, and keeps
every member in memory.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    class Readable(Protocol):
        """What an archive is read from: fewer bytes than asked for mean the end."""

        def read(self, most: int, /) -> bytes:
            """The next bytes."""
            ...


BLOCK = 512
FILE, LINK, SYMLINK, CHAR, BLOCKDEV, DIR, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
END = bytes(2 * BLOCK)
XATTR = b"SCHILY.xattr."
NOTE = b"CONVEYOR.note"
IMPLIED, ARCHIVE = b"implied", b"archive "

_MAX_OCTAL_7 = 0o7777777
_MAX_OCTAL_11 = 0o77777777777
_MAX_PAX = 16 << 20  # bytes of pax records before one entry; xattrs are at most 64 KiB each
_KNOWN = frozenset((FILE, LINK, SYMLINK, CHAR, BLOCKDEV, DIR, FIFO))


class TarError(Exception):
    """The bytes are not a tar archive that can be trusted; the message says why."""


class Entry:
    """One member of an archive.

    Attributes:
        name: Path without trailing slash.
        kind: One of FILE, LINK, SYMLINK, CHAR, BLOCKDEV, DIR, FIFO.
        mode: Permission bits with set-id and sticky, without the type.
        uid: Numeric owner.
        gid: Numeric group.
        size: Bytes of content that follow (0 unless FILE).
        mtime: Seconds since 1970, rounded down.
        link: Target of LINK and SYMLINK.
        device: `(major, minor)` of CHAR and BLOCKDEV.
        xattrs: `(name, value)` pairs.
        note: In a bundle: IMPLIED, a directory that is only on the way to something taken; ARCHIVE and a number,
            what the archive of that number holds. b"" elsewhere.
    """

    __slots__ = (
        "device", "gid", "kind", "link", "mode", "mtime", "name", "note", "size", "uid", "xattrs"
    )  # fmt: skip

    def __init__(self, name: bytes, kind: bytes, mode: int = 0o644) -> None:
        self.name = name
        self.kind = kind
        self.mode = mode
        self.uid = 0
        self.gid = 0
        self.size = 0
        self.mtime = 0
        self.link = b""
        self.device = (0, 0)
        self.xattrs: tuple[tuple[bytes, bytes], ...] = ()
        self.note = b""


def header(entry: Entry) -> bytes:
    """The header blocks of an entry, pax records included; its content is not."""
    name = entry.name + b"/" if entry.kind == DIR else entry.name
    records = [(XATTR + key, value) for key, value in entry.xattrs]
    if entry.note:
        records.append((NOTE, entry.note))
    short_name = _fit(name, b"path", records)
    link = _fit(entry.link, b"linkpath", records)
    uid = _limit(entry.uid, _MAX_OCTAL_7, b"uid", records)
    gid = _limit(entry.gid, _MAX_OCTAL_7, b"gid", records)
    size = _limit(entry.size, _MAX_OCTAL_11, b"size", records)
    mtime = _limit(entry.mtime, _MAX_OCTAL_11, b"mtime", records)
    block = _block(short_name, entry.kind, (entry.mode, uid, gid, size, mtime), link, entry.device)
    return _pax(records) + block if records else block


def padding(size: int) -> bytes:
    """The zeros that follow content of `size` bytes."""
    return bytes(-size % BLOCK)


def _fit(value: bytes, key: bytes, records: list[tuple[bytes, bytes]]) -> bytes:
    if len(value) <= 100 and value.isascii():
        return value
    records.append((key, value))
    return value[:100].rstrip(b"/") if key == b"path" else value[:100]


def _limit(value: int, most: int, key: bytes, records: list[tuple[bytes, bytes]]) -> int:
    if 0 <= value <= most:
        return value
    records.append((key, b"%d" % value))
    return 0


def _block(
    name: bytes,
    kind: bytes,
    numbers: tuple[int, int, int, int, int],
    link: bytes,
    device: tuple[int, int],
) -> bytes:
    raw = b"%b%b        %b%bustar\x0000%b%b%b" % (
        name.ljust(100, b"\0"),
        b"%07o\0%07o\0%07o\0%011o\0%011o\0" % numbers,
        kind,
        link.ljust(100, b"\0"),
        bytes(64),
        b"%07o\0%07o\0" % device,
        bytes(167),
    )
    return b"%b%06o\0 %b" % (raw[:148], sum(raw), raw[156:])


def _pax(records: list[tuple[bytes, bytes]]) -> bytes:
    data = b"".join(_record(key, value) for key, value in records)
    numbers = (0o644, 0, 0, len(data), 0)
    return _block(b"PaxHeaders/entry", b"x", numbers, b"", (0, 0)) + data + padding(len(data))


def _record(key: bytes, value: bytes) -> bytes:
    body = b" %b=%b\n" % (key, value)
    length = len(body)
    while len(b"%d" % length) + len(body) != length:
        length = len(b"%d" % length) + len(body)
    return b"%d%b" % (length, body)


def is_header(block: bytes) -> bool:
    """Whether the first 512 bytes of something are a member's header: its checksum is right."""
    try:
        return len(block) == BLOCK and any(block) and _checksum_fits(block)
    except TarError:
        return False


class Reader:
    """Entries of an archive in order; content is read between two entries, or skipped."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._left = 0
        self._pad = 0

    def __iter__(self) -> Iterator[Entry]:
        """Yield each entry.

        Raises:
            TarError: Cut short, wrong checksum, or an entry type that is not known.
        """
        extra: dict[bytes, bytes] = {}
        while (block := self._next_block()) is not None:
            kind, size = block[156:157], _number(block[124:136])
            if kind in (b"x", b"g", b"L", b"K"):
                data = self._extension(size)
                if kind != b"g":  # global records of `git archive` hold only the commit id
                    extra.update(_extension_records(kind, data))
                continue
            entry = _entry(block, extra)
            extra = {}
            self._left, self._pad = entry.size, -entry.size % BLOCK
            yield entry
            self._skip()

    def read(self, most: int = 1 << 20) -> bytes:
        """The next bytes of the present entry's content; empty at its end."""
        data = self._stream.read(min(most, self._left))
        if not data and self._left:
            raise TarError("the archive ends in the middle of a file")
        self._left -= len(data)
        return data

    def _skip(self) -> None:
        while self._left:
            self.read()
        if self._pad and len(self._stream.read(self._pad)) != self._pad:
            raise TarError("the archive ends in the middle of a file")

    def _next_block(self) -> bytes | None:
        block = self._stream.read(BLOCK)
        if not block or not block.strip(b"\0"):
            return None
        if len(block) != BLOCK:
            raise TarError("the archive ends in the middle of a header")
        if not _checksum_fits(block):
            raise TarError("a header has a wrong checksum")
        return block

    def _extension(self, size: int) -> bytes:
        if size > _MAX_PAX:
            raise TarError(f"an extended header of {size} bytes is too long")
        data = self._stream.read(size + -size % BLOCK)
        if len(data) != size + -size % BLOCK:
            raise TarError("the archive ends in the middle of a header")
        return data[:size]


def _checksum_fits(block: bytes) -> bool:
    return _number(block[148:156]) == sum(block) - sum(block[148:156]) + 8 * 32


def _number(field: bytes) -> int:
    if field[0] & 0x80:  # GNU base-256
        value = int.from_bytes(field, "big", signed=False) & ((1 << (8 * len(field) - 1)) - 1)
        return value - (1 << (8 * len(field) - 1)) if field[0] & 0x40 else value
    text = field.strip(b" \0")
    try:
        return int(text, 8) if text else 0
    except ValueError:
        raise TarError(f"a header field is not a number: {text!r}") from None


def _extension_records(kind: bytes, data: bytes) -> dict[bytes, bytes]:
    if kind == b"L":
        return {b"path": data.rstrip(b"\0")}
    if kind == b"K":
        return {b"linkpath": data.rstrip(b"\0")}
    records = {}
    while data:
        length, blank, _ = data.partition(b" ")
        end = int(length) if blank and length.isdigit() and len(length) < 10 else 0
        key, equals, value = data[len(length) + 1 : end].partition(b"=")
        if not equals or not value.endswith(b"\n"):
            raise TarError("an extended header is malformed")
        records[key] = value[:-1]
        data = data[end:]
    return records


def _entry(block: bytes, extra: dict[bytes, bytes]) -> Entry:
    name, prefix = _text(block[:100]), b""
    if block[257:263] == b"ustar\0":
        prefix = _text(block[345:500])
    name = extra.get(b"path", prefix + b"/" + name if prefix else name)
    kind = FILE if block[156:157] in (b"\0", b"7") else block[156:157]
    if kind == FILE and name.endswith(b"/"):
        kind = DIR
    if kind not in _KNOWN:
        raise TarError(f"entry {name!r} is of a type that cannot be unpacked: {kind!r}")
    entry = Entry(name.rstrip(b"/"), kind, _number(block[100:108]) & 0o7777)
    entry.uid = _decimal(extra[b"uid"]) if b"uid" in extra else _number(block[108:116])
    entry.gid = _decimal(extra[b"gid"]) if b"gid" in extra else _number(block[116:124])
    if kind == FILE:
        entry.size = _decimal(extra[b"size"]) if b"size" in extra else _number(block[124:136])
    entry.mtime = _seconds(extra[b"mtime"]) if b"mtime" in extra else _number(block[136:148])
    entry.link = extra.get(b"linkpath", _text(block[157:257]))
    if kind in (CHAR, BLOCKDEV):
        entry.device = (_number(block[329:337]), _number(block[337:345]))
    entry.xattrs = tuple(
        (key[len(XATTR) :], value) for key, value in extra.items() if key.startswith(XATTR)
    )
    entry.note = extra.get(NOTE, b"")
    if entry.size < 0 or b"\0" in entry.name:
        raise TarError(f"entry {name!r} has an impossible size or name")
    return entry


def _decimal(text: bytes) -> int:
    try:
        return int(text)
    except ValueError:
        raise TarError(f"an extended header has no number: {text[:20]!r}") from None


def _text(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]


def _seconds(text: bytes) -> int:
    whole, _, fraction = text.partition(b".")
    value = _decimal(whole)
    return value - 1 if text.startswith(b"-") and fraction.strip(b"0") else value
