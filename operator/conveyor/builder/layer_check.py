"""Is this tar a layer that a node may unpack? Checked while it passes by, never extracted.

In: the bytes of a tar in pieces of any size, as written by a container in which hostile code ran. Out: its
figures, or `LayerInvalid`. Memory: one header at a time, and eight bytes for each name that a hard link
may point at. What is checked are exactly the bytes that are uploaded: there is no second reading.

Refused: absolute names and `..`; names or archives over the limits; unknown entry and pax record types;
hard links to anything but an earlier entry of the same layer; whiteouts with content or with a name that
no runtime understands; overlay attributes, by which a layer could reach around the ones below; the tools
directory; bytes after the end.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from conveyor.builder import courier_tar, tarformat
from conveyor.builder.courier_task import Limits

_BLOCK: Final = 512
_MAX_EXTENSION: Final = 16 << 20
_MAX_TRAILER: Final = 1 << 20
_MAX_NAME: Final = 4096
_MAX_PART: Final = 255
_ZEROS: Final = bytes(_BLOCK)
_WHITEOUT: Final = b".wh."
_OPAQUE: Final = b".wh..wh..opq"
_TOOLS: Final = b".conveyor"
_ENTRY_TYPES: Final = b"\x000123456"
_DATA_TYPES: Final = b"\x000"
_EXTENSIONS: Final = b"xLK"
_RECORDS: Final = frozenset(
    b"path linkpath size uid gid uname gname mtime atime ctime comment hdrcharset".split()
)
_FORBIDDEN_XATTRS: Final = (b"trusted.overlay.", b"user.overlay.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TarFigures:
    """Bytes of the tar, its entries (whiteouts too), the whiteouts among them."""

    size: int
    entries: int
    whiteouts: int


class LayerCheck:
    """Follows the structure of a tar; `feed` every byte, then `finish`."""

    def __init__(self, limits: Limits, *, bundle: bool = False) -> None:
        self._limits = limits
        self._bundle = bundle
        self._buffer = bytearray()
        self._want = _BLOCK
        self._take: Callable[[bytes], None] = self._header
        self._skip = 0
        self._kind = b""
        self._extra: dict[bytes, bytes] = {}
        self._names: set[int] = set()
        self._ended = False
        self._trailer = 0
        self._content = 0
        self.size = 0
        self.entries = 0
        self.whiteouts = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            CourierError: LayerInvalid.
        """
        self.size += len(data)
        at, end = 0, len(data)
        while at < end:
            if self._skip:
                step = min(self._skip, end - at)
                self._skip -= step
                at += step
                continue
            step = min(self._want - len(self._buffer), end - at)
            self._buffer += data[at : at + step]
            at += step
            if len(self._buffer) == self._want:
                block = bytes(self._buffer)
                self._buffer.clear()
                self._take(block)

    def finish(self) -> TarFigures:
        """Say that there is no more.

        Raises:
            CourierError: LayerInvalid, the archive is cut short.
        """
        if not self._ended or self._buffer or self._trailer < _BLOCK:
            raise courier_tar.invalid("it is cut short")
        return TarFigures(size=self.size, entries=self.entries, whiteouts=self.whiteouts)

    def _header(self, block: bytes) -> None:
        if block == _ZEROS:
            if self._extra:
                raise courier_tar.invalid("an extended header without an entry")
            self._ended, self._take = True, self._end
            return
        if (
            courier_tar.number(block[148:156], "checksum")
            != sum(block) - sum(block[148:156]) + 8 * 32
        ):
            raise courier_tar.invalid("a header has a wrong checksum")
        kind, size = block[156:157], courier_tar.number(block[124:136], "size")
        if kind in _EXTENSIONS:
            self._extension_header(kind, size)
        elif kind in _ENTRY_TYPES:
            self._entry(block, kind, size)
        else:
            raise courier_tar.invalid(f"an entry of the unknown type {kind!r}")

    def _end(self, block: bytes) -> None:
        self._trailer += _BLOCK
        if block != _ZEROS or self._trailer > _MAX_TRAILER:
            raise courier_tar.invalid("there is something after its end")

    def _extension_header(self, kind: bytes, size: int) -> None:
        if not 0 < size <= _MAX_EXTENSION:
            raise courier_tar.invalid(f"an extended header of {size} bytes")
        self._kind, self._want = kind, size + -size % _BLOCK
        self._take = lambda data: self._extension(data[:size])

    def _extension(self, data: bytes) -> None:
        self._want, self._take = _BLOCK, self._header
        records = courier_tar.records(self._kind, data)
        for key, value in records.items():
            if not (self._bundle and key == tarformat.NOTE and value == tarformat.IMPLIED):
                _check_record(key)
        if len(self._extra) + len(records) > 4096:
            raise courier_tar.invalid("too many extended header records before one entry")
        self._extra.update(records)

    def _entry(self, block: bytes, kind: bytes, size: int) -> None:
        extra, self._extra = self._extra, {}
        if b"size" in extra:
            size = courier_tar.decimal(extra[b"size"])
        if size < 0 or (size and kind not in _DATA_TYPES):
            raise courier_tar.invalid(f"an entry of type {kind!r} with {size} bytes of content")
        name = extra.get(b"path", courier_tar.name(block))
        self._count(size)
        parts = _parts(name, "name")
        if kind == b"1":
            self._check_link(extra.get(b"linkpath", courier_tar.text(block[157:257])), name)
        self._check_whiteout(parts, kind, size)
        self._check_tools(parts)
        if kind != b"5":
            self._names.add(hash(b"/".join(parts)))
        self._skip = size + -size % _BLOCK

    def _count(self, size: int) -> None:
        self.entries += 1
        self._content += size
        if self.entries > self._limits.entries:
            raise courier_tar.invalid(f"it has more than {self._limits.entries} entries")
        if self._content > self._limits.layer_bytes:
            raise courier_tar.invalid(f"its files have more than {self._limits.layer_bytes} bytes")

    def _check_link(self, target: bytes, name: bytes) -> None:
        if hash(b"/".join(_parts(target, "hard link target"))) not in self._names:
            raise courier_tar.invalid(
                f"{courier_tar.shown(name)} is a hard link to {courier_tar.shown(target)}, no earlier entry"
            )

    def _check_whiteout(self, parts: list[bytes], kind: bytes, size: int) -> None:
        if self._bundle or not any(part.startswith(_WHITEOUT) for part in parts):
            return
        last = parts[-1]
        hidden = last[len(_WHITEOUT) :]
        sane = hidden not in {b"", b".", b".."} and not hidden.startswith(_WHITEOUT)
        opaque = last == _OPAQUE and len(parts) > 1  # at the top it would hide the tools
        above = any(part.startswith(_WHITEOUT) for part in parts[:-1])
        if above or not (sane or opaque) or size or kind not in _DATA_TYPES:
            raise courier_tar.invalid(
                f"{courier_tar.shown(b'/'.join(parts))} is not a proper whiteout"
            )
        self.whiteouts += 1

    def _check_tools(self, parts: list[bytes]) -> None:
        top = parts[0].removeprefix(_WHITEOUT) if parts else b""
        if not self._bundle and (top == _TOOLS or top.startswith(_TOOLS + b"-")):
            raise courier_tar.invalid(
                f"/{courier_tar.shown(top)} belongs to Conveyor and cannot be part of an image"
            )


def check_figures(found: TarFigures, claimed: Mapping[str, object]) -> None:
    """Compare what the stage program said of a tar with what it is.

    Raises:
        CourierError: LayerInvalid, they differ: somebody wrote to the file in between.
    """
    for name in ("size", "entries", "whiteouts"):
        if name in claimed and claimed[name] != getattr(found, name):
            raise courier_tar.invalid(
                f"the layer has {getattr(found, name)} {name}, {claimed[name]!r} were announced"
            )


def _parts(name: bytes, what: str) -> list[bytes]:
    """The components of a relative name; none for the root itself."""
    if not name or len(name) > _MAX_NAME or b"\0" in name or name.startswith(b"/"):
        raise courier_tar.invalid(
            f"the {what} {courier_tar.shown(name)!r} is empty, absolute or too long"
        )
    parts = [part for part in name.split(b"/") if part not in {b"", b"."}]
    if b".." in parts or any(len(part) > _MAX_PART for part in parts):
        raise courier_tar.invalid(
            f"the {what} {courier_tar.shown(name)!r} leads elsewhere or is too long"
        )
    return parts


def _check_record(key: bytes) -> None:
    if key.startswith(tarformat.XATTR):
        attribute = key[len(tarformat.XATTR) :]
        if attribute.startswith(_FORBIDDEN_XATTRS) or b"\0" in attribute:
            raise courier_tar.invalid(
                f"the attribute {courier_tar.shown(attribute)!r} is not allowed in a layer"
            )
    elif key not in _RECORDS:
        raise courier_tar.invalid(
            f"an extended header record {courier_tar.shown(key)!r} that is not known"
        )
