"""POSIX paths as werf reads them from the config: text in, cleaned text or a judgement out (Go: path.Clean)."""

import posixpath
from typing import Final

MAX_LENGTH: Final = 1024
MAX_DEPTH: Final = 100
TOO_LONG: Final = f"is longer than {MAX_LENGTH} characters or {MAX_DEPTH} levels"


def clean(path: str) -> str:
    """Return the shortest equal path as Go's `path.Clean` does; "" becomes ".", `//a` becomes `/a`."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def is_absolute(path: str) -> bool:
    """Whether the path starts at the root."""
    return path.startswith("/")


def stays_inside(path: str) -> bool:
    """Whether a path is relative and does not lead out of the directory it is relative to."""
    cleaned = clean(path)
    return not is_absolute(path) and cleaned != ".." and not cleaned.startswith("../")


def climbs_out(path: str) -> bool:
    """Whether `..` leads above the directory that the path starts from, the root or another one."""
    depth = 0
    for part in path.split("/"):
        if part == "..":
            depth -= 1
        elif part not in ("", "."):
            depth += 1
        if depth < 0:
            return True
    return False


def is_too_long(path: str) -> bool:
    """Whether the path has more characters or levels than are worth the work they make."""
    return len(path) > MAX_LENGTH or path.count("/") > MAX_DEPTH
