"""Outlines as they are reported and recorded: what is known of an image's tree.

In: JSON out of a pod or of a record. Out: an `Outline`: `[path, "d", mode, uid, gid, mtime, listed]`, `[path, "l", target]` or
`[path, "f"]`, parents first, the root as the first; `listed` is 1 for a directory of which everything is named. () for none.
"""

from typing import Final

Outline = tuple[tuple[str | int, ...], ...]

EMPTY: Final[Outline] = (("", "d", 0o755, 0, 0, 0, 1),)
"""Of `scratch`."""
_MOST_ENTRIES: Final = 1001
_MOST_TEXT: Final = 4096
_MOST_NUMBER: Final = 1 << 40
_LENGTHS: Final = {"d": 7, "l": 3, "f": 2}


def outline_of(value: object) -> Outline:
    """Read one; () for anything that is not exactly one. Whether each entry has a place is seen when it is laid out."""
    if not isinstance(value, list) or not 0 < len(value) <= _MOST_ENTRIES:
        return ()
    if not all(_is_entry(entry) for entry in value) or value[0][:2] != ["", "d"]:
        return ()
    return tuple(map(tuple, value))


def _is_entry(entry: object) -> bool:
    if not isinstance(entry, list) or len(entry) < 2 or not isinstance(entry[1], str):
        return False
    texts, numbers = (entry[:2], entry[2:]) if entry[1] == "d" else (entry, [])
    if len(entry) != _LENGTHS.get(entry[1]):
        return False
    return all(isinstance(it, str) and len(it) <= _MOST_TEXT for it in texts) and all(
        type(it) is int and abs(it) < _MOST_NUMBER for it in numbers
    )
