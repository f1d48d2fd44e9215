"""POSIX paths as werf reads them from the config: text in, cleaned text or a judgement out (Go: path.Clean)."""

import posixpath


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
