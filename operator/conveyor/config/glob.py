"""Doublestar globs against slash-separated paths, in time linear in their product whatever the pattern.

In: a pattern with `*`, `?`, `[a-z]`, `{a,b}` and `**` as a whole segment; a relative path. Out: whether it matches.
No regular expressions: patterns come from users, and backtracking could be made to take forever.
"""

from functools import lru_cache
from typing import Final

MAX_PATTERN: Final = 1000
MAX_ALTERNATIVES: Final = 128


class GlobError(ValueError):
    """The pattern is malformed or too large."""


def matches(pattern: str, path: str) -> bool:
    """Whether the path matches the pattern.

    Raises:
        GlobError: The pattern is malformed or too large.
    """
    return any(_match_segments(segments, path.split("/")) for segments in _segments(pattern))


@lru_cache(maxsize=256)
def _segments(pattern: str) -> tuple[tuple[tuple[str, ...], ...], ...]:
    if len(pattern) > MAX_PATTERN:
        raise GlobError(f"the pattern has more than {MAX_PATTERN} characters")
    return tuple(
        tuple(tuple(_tokens(segment)) for segment in alternative.split("/"))
        for alternative in _expand(pattern)
    )


def _expand(pattern: str) -> list[str]:
    """Write out `{a,b}`, nested ones too."""
    done: list[str] = []
    todo = [pattern]
    while todo:
        text = todo.pop()
        opening = _innermost(text)
        if opening is None:
            done.append(text)
            continue
        start, end = opening
        todo.extend(
            text[:start] + choice + text[end + 1 :] for choice in text[start + 1 : end].split(",")
        )
        if len(todo) + len(done) > MAX_ALTERNATIVES:
            raise GlobError(f"the pattern stands for more than {MAX_ALTERNATIVES} alternatives")
    return done


def _innermost(text: str) -> tuple[int, int] | None:
    end = text.find("}")
    start = text.rfind("{", 0, end) if end >= 0 else text.find("{")
    if end < 0 and start < 0:
        return None
    if end < 0 or start < 0:
        raise GlobError("the pattern has a `{` without its `}` or the other way round")
    return start, end


def _tokens(segment: str) -> list[str]:
    """Cut a segment into `*`, `?`, `[…]`, escaped and single characters."""
    tokens: list[str] = []
    index = 0
    while index < len(segment):
        length = 1
        if segment[index] == "\\" and index + 1 < len(segment):
            length = 2
        elif segment[index] == "[":
            end = segment.find("]", index + 2)
            if end < 0:
                raise GlobError("the pattern has a `[` without its `]`")
            length = end - index + 1
        tokens.append(segment[index : index + length])
        index += length
    return tokens


def _match_segments(pattern: tuple[tuple[str, ...], ...], parts: list[str]) -> bool:
    """Advance through the pattern, keeping all positions in the path that are reachable."""
    reachable = {0}
    for tokens in pattern:
        if tokens == ("*", "*"):
            reachable = set(range(min(reachable), len(parts) + 1)) if reachable else reachable
        else:
            reachable = {
                position + 1
                for position in reachable
                if position < len(parts) and _match_part(tokens, parts[position])
            }
    return len(parts) in reachable


def _match_part(tokens: tuple[str, ...], part: str) -> bool:
    """Match one segment; a mismatch goes back to the last star only, which is enough."""
    current = position = 0
    star, retry = -1, 0
    while position < len(part):
        if current < len(tokens) and tokens[current] == "*":
            star, retry = current, position
            current += 1
        elif current < len(tokens) and _match_one(tokens[current], part[position]):
            current += 1
            position += 1
        elif star >= 0:
            retry += 1
            current, position = star + 1, retry
        else:
            return False
    return all(rest == "*" for rest in tokens[current:])


def _match_one(unit: str, character: str) -> bool:
    if unit == "?":
        return True
    if len(unit) > 1 and unit[0] == "[":
        return _in_class(unit[1:-1], character)
    return unit[-1] == character


def _in_class(text: str, character: str) -> bool:
    negated = text[:1] in ("!", "^")
    body = text[1:] if negated else text
    found = False
    index = 0
    while index < len(body):
        if index + 2 < len(body) and body[index + 1] == "-":
            found = found or body[index] <= character <= body[index + 2]
            index += 3
        else:
            found = found or body[index] == character
            index += 1
    return found != negated
