"""Path patterns of ignore files and of COPY sources.

In: a pattern and a slash-separated relative path. Out: whether they match. Two dialects: ignore
patterns, where `**` stands for any number of directories (moby/patternmatcher), and Go's
filepath.Match, where it does not. Both become regular expressions that cannot backtrack without
bound: what stands before a wildcard is matched at its first place only, which loses nothing because
the wildcard can take up the rest.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

MAX_PATTERN = 4096
MAX_LOOSE_DOUBLES = 2
Kind = Literal["char", "any", "star", "double", "tail", "class"]


@dataclass(frozen=True, slots=True)
class _Token:
    """`text`: the character, or the ready regular expression of a class; `**/` has text "/"."""

    kind: Kind
    text: str = ""


@lru_cache(maxsize=4096)
def ignore_regex(pattern: str) -> re.Pattern[str]:
    """Return the expression, for `fullmatch`, of a cleaned ignore pattern without its `!`.

    Raises:
        ValueError: Syntax error in the pattern, or one too long or with too many `**` inside names.
    """
    tokens = _tokens(pattern, doubles=True)
    if tokens and tokens[0] == _Token("double") and all(t.kind == "char" for t in tokens[1:]):
        return re.compile(
            ".*" + _run(tokens[1:]), re.DOTALL
        )  # `**x` matches every path that ends in x
    parts = _split_doubles(tokens)
    if sum(not _ends_name(part) for part in parts[1:-1]) > MAX_LOOSE_DOUBLES:
        raise ValueError(f"more than {MAX_LOOSE_DOUBLES} times ** inside a name")
    text = _run(parts[0])
    for part in parts[1:-1]:
        inner = _run(part)
        text += f"(?>(?:.*?/)??{inner})" if _ends_name(part) else f"(?:.*/)?{inner}"
    if len(parts) > 1:
        text += f"(?:.*/)?{_run(parts[-1])}"
    return re.compile(text, re.DOTALL)


@lru_cache(maxsize=4096)
def name_regex(pattern: str) -> re.Pattern[str]:
    """Return the expression of one path segment in filepath.Match's dialect. Raises ValueError."""
    return re.compile(_run(_tokens(pattern, doubles=False)), re.DOTALL)


def has_wildcard(pattern: str) -> bool:
    """Whether the text has an unescaped `*`, `?` or `[` (else it is a plain path)."""
    return re.search(r"(?:^|[^\\])(?:\\\\)*[*?\[]", pattern) is not None


def _tokens(pattern: str, *, doubles: bool) -> list[_Token]:
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"a pattern of {len(pattern)} characters; {MAX_PATTERN} are allowed")
    tokens: list[_Token] = []
    at = 0
    while at < len(pattern):
        token, at = _token(pattern, at, doubles=doubles)
        if not (token.kind == "star" and tokens[-1:] == [token]):
            tokens.append(token)
    return tokens


def _token(pattern: str, at: int, *, doubles: bool) -> tuple[_Token, int]:
    char = pattern[at]
    if char == "*":
        return _stars(pattern, at) if doubles else (_Token("star"), at + 1)
    if char == "?":
        return _Token("any"), at + 1
    if char == "[":
        return _class(pattern, at + 1)
    if char == "\\":
        if at + 1 == len(pattern):
            raise ValueError("syntax error in pattern: nothing after the backslash")
        return _Token("char", pattern[at + 1]), at + 2
    return _Token("char", char), at + 1


def _stars(pattern: str, at: int) -> tuple[_Token, int]:
    if pattern[at : at + 2] != "**":
        return _Token("star"), at + 1
    slash = pattern[at + 2 : at + 3] == "/"
    end = at + 2 + slash
    if end == len(pattern):
        return _Token("tail"), end
    return _Token("double", "/" if slash else ""), end


def _class(pattern: str, at: int) -> tuple[_Token, int]:
    """Parse `[^a-z]` after its bracket, by filepath.Match's grammar."""
    negated = pattern[at : at + 1] == "^"
    at += negated
    ranges: list[str] = []
    while not (pattern[at : at + 1] == "]" and ranges):
        low, at = _class_char(pattern, at)
        high = low
        if pattern[at : at + 1] == "-":
            high, at = _class_char(pattern, at + 1)
        if low <= high:
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
        else:
            ranges.append("")  # an empty range matches nothing, and is no error
    inner = "".join(ranges)
    if inner:
        return _Token("class", f"[{'^' if negated else ''}{inner}]"), at + 1
    return _Token("class", "." if negated else "(?!)"), at + 1


def _class_char(pattern: str, at: int) -> tuple[str, int]:
    char = pattern[at : at + 1]
    if char == "\\":
        at += 1
        char = pattern[at : at + 1]
    elif char in ("-", "]"):
        char = ""
    if not char:
        raise ValueError("syntax error in pattern: a [ is not closed or empty")
    return char, at + 1


def _split_doubles(tokens: list[_Token]) -> list[list[_Token]]:
    parts: list[list[_Token]] = [[]]
    for token in tokens:
        if token.kind != "double":
            parts[-1].append(token)
        elif parts[-1] or len(parts) == 1:  # `**/**/` is `**/`
            parts.append([])
    return parts


def _ends_name(part: list[_Token]) -> bool:
    return part[-1:] == [_Token("char", "/")]


def _run(tokens: list[_Token]) -> str:
    """Return the expression of tokens without `**`; only the last star of a name may backtrack."""
    text, piece, in_star = "", "", False
    for token in tokens:
        if token.kind == "star":
            text += f"(?>[^/]*?{piece})" if in_star else piece
            piece, in_star = "", True
        elif token == _Token("char", "/"):
            text += (f"[^/]*{piece}" if in_star else piece) + "/"
            piece, in_star = "", False
        else:
            piece += _piece(token)
    return text + (f"[^/]*{piece}" if in_star else piece)


def _piece(token: _Token) -> str:
    if token.kind == "char":
        return re.escape(token.text)
    return {"any": "[^/]", "tail": ".*", "class": token.text}[token.kind]
