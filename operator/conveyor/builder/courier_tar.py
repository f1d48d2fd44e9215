"""Fields of tar headers as hostile hands may have written them: strict, bounded, without tarfile.

In: bytes of a header or of an extended header. Out: numbers, names, records, or LayerInvalid.
"""

from typing import Final

from conveyor.builder.courier_errors import CourierError

_OCTAL: Final = frozenset(b"01234567")
_MAX_LENGTH_DIGITS: Final = 9


def number(field: bytes, what: str) -> int:
    """A number in octal or, as GNU tar writes large ones, in base 256."""
    if field[0] & 0x80:
        if field[0] & 0x40:
            raise invalid(f"a negative {what}")
        return int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
    digits = field.strip(b" \0")
    if not set(digits) <= _OCTAL:
        raise invalid(f"the {what} {shown(digits)!r} is not a number")
    return int(digits, 8) if digits else 0


def decimal(field: bytes) -> int:
    """The number of a pax record `size`."""
    if not field.isdigit() or len(field) > 18:
        raise invalid(f"the size {shown(field)!r} is not a number")
    return int(field)


def name(block: bytes) -> bytes:
    """The name in a header, with ustar's prefix."""
    short = text(block[:100])
    prefix = text(block[345:500]) if block[257:263] == b"ustar\0" else b""
    return prefix + b"/" + short if prefix else short


def text(field: bytes) -> bytes:
    """A field up to its first NUL."""
    return field.split(b"\0", 1)[0]


def records(kind: bytes, data: bytes) -> dict[bytes, bytes]:
    """The records of an extended header: pax (`x`) or GNU long name (`L`) and link (`K`)."""
    if kind != b"x":
        return {b"path" if kind == b"L" else b"linkpath": data.rstrip(b"\0")}
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        blank = data.find(b" ", at, at + _MAX_LENGTH_DIGITS + 1)
        digits = data[at:blank] if blank > at else b""
        end = at + int(digits) if digits.isdigit() else 0
        key, equals, value = data[blank + 1 : end].partition(b"=")
        if not equals or not value.endswith(b"\n") or end > len(data):
            raise invalid("a malformed extended header")
        found[key] = value[:-1]
        at = end
    return found


def shown(data: bytes) -> str:
    """Bytes for a message."""
    return data[:120].decode("utf-8", "backslashreplace")


def invalid(why: str) -> CourierError:
    """The error for a tar that is not acceptable."""
    return CourierError("LayerInvalid", f"the layer cannot be used: {why}")
