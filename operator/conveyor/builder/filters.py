"""Which files an import takes, and what a COPY source pattern names.

In: werf's `includePaths`/`excludePaths`, or a pattern of Go's filepath.Match. Out: yes or no for
a path, or the paths that match. Knows the rules of rsync's filters as werf writes them (werf:
pkg/build/import_server, rsync filter rules), first matching rule decides.
"""
# Names are bytes that need not be UTF-8, and pathlib has no bytes paths.
# ruff: noqa: PTH114, PTH208

from __future__ import annotations

import os
import re

from conveyor.builder.failure import StageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_META = re.compile(rb"[*?\[\\]")
_MAX_PATTERN = 4096
_MAX_DOUBLESTARS = 8


class ImportFilter:
    """The filter rules of one `import` entry.

    With `includePaths`: excludes first, then every include with the directories that lead to it and
    everything below it, then nothing else below `add`. Without: all but the excludes. A `**` segment
    also stands for no directory at all. (werf's own rules lose an exclude that ends in `/**`; here it
    excludes what it says.)
    """

    def __init__(self, add: bytes, includes: Sequence[bytes], excludes: Sequence[bytes]) -> None:
        base = add.strip(b"/").split(b"/") if add.strip(b"/") else []
        rules = [(False, False, glob) for path in excludes for glob in _variants(base, path)]
        for include in includes:
            rules += _include_rules(base, include)
        self._rules = [
            (take, dirs, re.compile(translate(glob), re.DOTALL)) for take, dirs, glob in rules
        ]
        self._otherwise = not includes

    def takes(self, path: bytes, *, is_dir: bool) -> bool:
        """Whether the absolute `path` is taken; a directory that is not is not entered."""
        for take, only_dirs, pattern in self._rules:
            if (is_dir or not only_dirs) and pattern.fullmatch(path):
                return take
        return self._otherwise


def translate(glob: bytes, *, doublestar: bool = True) -> bytes:
    """A shell pattern as a regular expression: `*` and `?` stop at `/`, `**` does not.

    Raises:
        StageFailure: StepInvalid, an unfinished class or escape, or a pattern over 4096 bytes.
    """
    if len(glob) > _MAX_PATTERN:
        raise StageFailure("StepInvalid", f"a pattern of {len(glob)} bytes is too long")
    out, at = [], 0
    while at < len(glob):
        char = glob[at : at + 1]
        if char == b"[":
            piece, at = _bracket(glob, at)
            out.append(piece)
            continue
        if char == b"\\":
            at += 1
            if at == len(glob):
                raise _malformed(glob)
            out.append(re.escape(glob[at : at + 1]))
        elif char == b"*":
            stars = len(glob[at:]) - len(glob[at:].lstrip(b"*"))
            out.append(b".*" if doublestar and stars > 1 else b"[^/]*")
            at += stars - 1
        else:
            out.append(b"[^/]" if char == b"?" else re.escape(char))
        at += 1
    return b"".join(out)


def matches(root: bytes, pattern: bytes, is_hidden: Hidden) -> list[bytes]:
    """Paths below `root` that the pattern names, component by component, in byte order; no symlink is followed.

    Args:
        root: Directory, with a trailing slash.
        pattern: As in Go's filepath.Match; a leading `/` means `root`.
        is_hidden: Says of a path relative to `root` whether it is not part of the image.

    Returns:
        Paths relative to `root`.
    """
    found = [b""]
    for part in [part for part in pattern.split(b"/") if part not in (b"", b".")]:
        wanted = go_pattern(part)
        found = [
            path
            for base in found
            for name in _names(root + base)
            if wanted.fullmatch(name) and not is_hidden(path := _join(base, name))
        ]
    return sorted(found)


def go_pattern(pattern: bytes) -> re.Pattern[bytes]:
    """A pattern of Go's filepath.Match, which knows `[^a]` but not `[!a]`.

    Raises:
        StageFailure: StepInvalid, as of `translate`.
    """
    return re.compile(translate(pattern.replace(b"[!", rb"[\!"), doublestar=False), re.DOTALL)


def split_wildcards(path: bytes) -> tuple[bytes, bytes]:
    """A pattern's part before the first name with a wildcard, and the rest; both without slashes at their ends."""
    names = [name for name in path.split(b"/") if name not in (b"", b".")]
    plain = next((at for at, name in enumerate(names) if has_wildcard(name)), len(names))
    return b"/".join(names[:plain]), b"/".join(names[plain:])


def has_wildcard(pattern: bytes) -> bool:
    """Whether a pattern is more than a plain path."""
    return _META.search(pattern) is not None


if TYPE_CHECKING:
    from collections.abc import Callable

    Hidden = Callable[[bytes], bool]


def _include_rules(base: list[bytes], include: bytes) -> list[tuple[bool, bool, bytes]]:
    """Rules of one include: (take, directories only, pattern)."""
    whole = b"/" + b"/".join([*base, *_segments(include)])
    rules = [(True, False, whole), (True, False, whole.rstrip(b"/") + b"/**")]
    for variant in _variants(base, include):
        rules.append((True, False, variant))
        parts = variant[1:].split(b"/")
        rules += [(True, True, b"/" + b"/".join(parts[:n])) for n in range(1, len(parts))]
    return rules


def _variants(base: list[bytes], path: bytes) -> list[bytes]:
    """The pattern below `base`, with and without each of its `**` segments but the last.

    Raises:
        StageFailure: StepInvalid, more than eight `**` segments.
    """
    segments = _segments(path)
    if segments.count(b"**") > _MAX_DOUBLESTARS:
        raise StageFailure(
            "StepInvalid", f"pattern {path.decode('utf-8', 'replace')!r} has too many **"
        )
    variants = [base]
    for index, segment in enumerate(segments):
        kept = [[*variant, segment] for variant in variants]
        inner = segment == b"**" and index < len(segments) - 1
        variants = kept + variants if inner else kept
    return [b"/" + b"/".join(variant) for variant in variants]


def _segments(path: bytes) -> list[bytes]:
    return [part for part in path.split(b"/") if part not in (b"", b".")]


def _bracket(glob: bytes, start: int) -> tuple[bytes, int]:
    """A `[...]` class: its regular expression and where it ends."""
    at = start + 1
    negated = glob[at : at + 1] in (b"^", b"!")
    at += negated
    body, first = [], at
    while at < len(glob) and (glob[at : at + 1] != b"]" or at == first):
        if glob[at : at + 1] == b"\\":
            at += 1
        char = glob[at : at + 1]
        body.append(b"-" if char == b"-" and at != first else re.escape(char))
        at += 1
    if at >= len(glob):
        raise _malformed(glob)
    if body and body[-1] == b"-":
        body[-1] = rb"\-"
    text = b"[" + (b"^/" if negated else b"") + b"".join(body) + b"]"
    try:
        re.compile(text)
    except re.error:
        raise _malformed(glob) from None
    return text, at + 1


def _malformed(glob: bytes) -> StageFailure:
    return StageFailure("StepInvalid", f"pattern {glob.decode('utf-8', 'replace')!r} is malformed")


def _names(directory: bytes) -> list[bytes]:
    try:
        return [] if os.path.islink(directory) else os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _join(base: bytes, name: bytes) -> bytes:
    return base + b"/" + name if base else name
