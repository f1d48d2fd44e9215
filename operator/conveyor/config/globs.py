r"""Globs with the meaning of Go's doublestar v4, safe on hostile patterns.

In: a glob as written in werf.yaml. Out: `Glob`, which matches slash-separated relative paths. `*` and `?` stay
inside a segment, `**` as a whole segment stands for any number of segments, `[a-z]`, `[^a]`, `{a,b}` and
`\` escapes work. Matching takes time linear in pattern times path: no regular expression backtracks.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NoReturn

from conveyor.api.errors import UserError
from conveyor.api.names import Reason

MAX_PATTERN_LENGTH = 4096
MAX_ALTERNATIVES = 1024

Segment = re.Pattern[str] | str
_ANY = "[^/]*?"


@dataclass(frozen=True, slots=True)
class Glob:
    """One brace-free glob, split into segments; `**` is kept as the text `**`.

    Attributes:
        text: The glob as written, braces expanded.
        parts: Its segments as written.
        segments: The same, ready to match.
    """

    text: str
    parts: tuple[str, ...]
    segments: tuple[Segment, ...]

    def matches(self, path: tuple[str, ...]) -> bool:
        """Whether the segments of a path match; the empty path has no segments."""
        return _match_segments(self.segments, path)

    def tail(self) -> "Glob":
        """Return the glob without its first segment."""
        return Glob(text="/".join(self.parts[1:]), parts=self.parts[1:], segments=self.segments[1:])

    @property
    def deep(self) -> bool:
        """Whether the first segment contains `**`, alone or not: werf then never uses it up."""
        return "**" in self.parts[0]

    def first_matches(self, name: str) -> bool:
        """Whether one name of a path matches the first segment."""
        return _match_segment(self.segments[0], name)


@lru_cache(maxsize=4096)
def compile_glob(pattern: str) -> tuple[Glob, ...]:
    """Compile a glob into one `Glob` for each alternative of its braces.

    Raises:
        UserError: The pattern is malformed, too long or has too many alternatives.
    """
    if len(pattern) > MAX_PATTERN_LENGTH:
        _bad(pattern[:60] + "…", f"it is longer than {MAX_PATTERN_LENGTH} characters")
    return tuple(_compile(text, pattern) for text in _expand_braces(pattern))


def matches(pattern: str, path: str) -> bool:
    """Whether a slash-separated relative path matches the pattern; errors as for `compile_glob`."""
    names = tuple(path.split("/"))
    return any(glob.matches(names) for glob in compile_glob(pattern))


def _compile(text: str, pattern: str) -> Glob:
    parts = tuple(part for part in text.split("/") if part)
    segments = tuple(_compile_segment(part, pattern) for part in parts)
    return Glob(text="/".join(parts), parts=parts, segments=segments)


def _match_segments(segments: tuple[Segment, ...], path: tuple[str, ...]) -> bool:
    """Match with one point to go back to: the last `**`, as for `*` in a one-level glob."""
    position = index = 0
    retry: tuple[int, int] | None = None
    while True:
        if index < len(segments) and segments[index] == "**":
            retry = (index + 1, position)
            index += 1
            continue
        if position == len(path):
            return all(segment == "**" for segment in segments[index:])
        if index < len(segments) and _match_segment(segments[index], path[position]):
            index, position = index + 1, position + 1
        elif retry is None:
            return False
        else:
            retry = (retry[0], retry[1] + 1)
            index, position = retry


def _match_segment(segment: Segment, name: str) -> bool:
    if isinstance(segment, str):
        return segment in ("**", name)
    return segment.fullmatch(name) is not None


def _compile_segment(part: str, pattern: str) -> Segment:
    """A literal, `**`, or a regex whose stars are atomic: the leftmost fit of a chunk is always good."""
    if part == "**" or not any(char in part for char in "*?[\\"):
        return part
    chunks = _chunks(part, pattern)
    if len(chunks) == 1:
        return re.compile(chunks[0], re.DOTALL)
    middle = "".join(f"(?>{_ANY}{chunk})" for chunk in chunks[1:-1])
    return re.compile(f"{chunks[0]}{middle}[^/]*{chunks[-1]}", re.DOTALL)


def _chunks(part: str, pattern: str) -> list[str]:
    """Translate the text between stars; every item of a chunk stands for exactly one character."""
    chunks = [""]
    index = 0
    while index < len(part):
        char = part[index]
        if char == "*":
            chunks.append("")
            index += 1
            continue
        item, index = _item(part, index, pattern)
        chunks[-1] += item
    return chunks


def _item(part: str, index: int, pattern: str) -> tuple[str, int]:
    char = part[index]
    if char == "?":
        return "[^/]", index + 1
    if char == "[":
        return _char_class(part, index + 1, pattern)
    if char == "\\":
        if index + 1 == len(part):
            _bad(pattern, "it ends with a backslash")
        return re.escape(part[index + 1]), index + 2
    return re.escape(char), index + 1


def _char_class(part: str, index: int, pattern: str) -> tuple[str, int]:
    negated = part[index : index + 1] in ("^", "!")
    index += negated
    ranges: list[str] = []
    while index < len(part) and part[index] != "]":
        low, index = _class_char(part, index, pattern)
        high = low
        if part[index : index + 1] == "-":
            high, index = _class_char(part, index + 1, pattern)
        if low <= high:
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    if index >= len(part):
        _bad(pattern, "a '[' is not closed")
    return f"[{'^' if negated else ''}{''.join(ranges) or '/'}]", index + 1


def _class_char(part: str, index: int, pattern: str) -> tuple[str, int]:
    if part[index : index + 1] == "\\":
        index += 1
    if index >= len(part) or part[index] == "-":
        _bad(pattern, "a character class is malformed")
    return part[index], index + 1


def _expand_braces(pattern: str) -> list[str]:
    """Expand `{a,b}`, nested too; escapes and character classes protect braces."""
    done: list[str] = []
    waiting = [pattern]
    while waiting:
        text = waiting.pop()
        span = _first_brace(text, pattern)
        if span is None:
            done.append(text)
        else:
            start, end, choices = span
            waiting += [text[:start] + choice + text[end + 1 :] for choice in reversed(choices)]
        if len(done) + len(waiting) > MAX_ALTERNATIVES:
            _bad(pattern, f"its braces stand for more than {MAX_ALTERNATIVES} globs")
    return done


def _first_brace(text: str, pattern: str) -> tuple[int, int, list[str]] | None:
    """Return start, end and the choices of the first brace group at the top level."""
    depth, start = 0, 0
    marks: list[int] = []
    for index, char in _plain_chars(text):
        if char == "{":
            depth += 1
            if depth == 1:
                start, marks = index, [index]
        elif char == "," and depth == 1:
            marks.append(index)
        elif char == "}" and depth:
            depth -= 1
            if depth == 0:
                marks.append(index)
                return start, index, [text[a + 1 : b] for a, b in pairwise(marks)]
    if depth:
        _bad(pattern, "a '{' is not closed")
    return None


def _plain_chars(text: str) -> Iterator[tuple[int, str]]:
    """Yield the characters that are neither escaped nor inside a character class."""
    index = 0
    while index < len(text):
        char = text[index]
        if char == "\\":
            index += 1
        elif char == "[":
            index = _class_end(text, index)
        else:
            yield index, char
        index += 1


def _class_end(text: str, index: int) -> int:
    """Return the index of the `]` that closes the class at `index`, or the last one of the text."""
    index += 1
    while index < len(text) and text[index] != "]":
        index += 2 if text[index] == "\\" else 1
    return index


def _bad(pattern: str, why: str) -> NoReturn:
    raise UserError(
        Reason.INVALID_WERF_CONFIG,
        f'the glob "{pattern}" is wrong: {why}; special characters ?*[{{ are escaped with a backslash',
    )
