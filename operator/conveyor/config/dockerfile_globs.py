"""Shell patterns of `${x#p}`, `${x%p}`, `${x/p/r}`: `*` any text, `?` one character.

In: a pattern and a value. Out: the value with what matches cut off or replaced. A pattern is run as
a set of states kept in one integer, so that time grows with value times pattern and never explodes
as a backtracking match would. `*` and `?` do not match a line feed, as in BuildKit (moby/buildkit:
shell/lex.go convertShellPatternToRegex).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

MAX_VALUE = 4096
MAX_TOKENS = 512
_STAR, _ANY = "*", "?"
_REFERENCE = re.compile(r"\$\$|\$(\w+)|\$\{(\w+)\}")
Token = tuple[bool, str]  # is it a wildcard, and its character


@dataclass(frozen=True, slots=True)
class Glob:
    """A parsed pattern and its states: bit n of each mask stands for token n."""

    tokens: tuple[Token, ...]
    stars: int
    wild: int
    letters: Mapping[str, int]

    @classmethod
    def parse(cls, pattern: str) -> "Glob":
        r"""Parse; `\*`, `\?` and `\\` are literal, `\}` and `\/` lose their backslash.

        Raises:
            ValueError: Any other backslash, or a pattern of more than 512 characters.
        """
        if len(pattern) > MAX_TOKENS:
            raise ValueError(f"a pattern of {len(pattern)} characters; {MAX_TOKENS} are allowed")
        tokens: list[Token] = []
        chars = iter(pattern)
        for char in chars:
            if char != "\\":
                if tokens[-1:] != [(True, _STAR)] or char != _STAR:  # two stars match what one does
                    tokens.append((char in "*?", char))
                continue
            escaped = next(chars, "")
            if not escaped or escaped not in "*?\\}/":
                raise ValueError(f"invalid escape '\\{escaped}' in pattern {pattern!r}")
            tokens.append((False, escaped))
        return _glob(tuple(tokens))

    def cut_prefix(self, value: str, *, longest: bool) -> str:
        """Return the value without the shortest or longest prefix that matches.

        Raises:
            ValueError: The value has more than 4096 characters (of all three methods).
        """
        _check(value)
        ends = self._ends(value, 0)
        return value if not ends else value[ends[-1 if longest else 0] :]

    def cut_suffix(self, value: str, *, longest: bool) -> str:
        """Return the value without the shortest or longest suffix that matches."""
        backwards = _glob(self.tokens[::-1])
        return backwards.cut_prefix(value[::-1], longest=longest)[::-1]

    def replace(self, value: str, replacement: str, *, every: bool) -> str:
        """Return the value with the first or every match (leftmost, longest) replaced.

        With `every` a `$name` that is still in the replacement is empty, `$0` the match and `$$` a dollar, as BuildKit has it.
        """
        _check(value)
        result: list[str] = []
        done = 0  # how much of the value is in the result
        last = -1  # where the last match ended; an empty match right there is none (as in Go)
        for start in self._starts(value):
            if start < done:
                continue
            end = self._ends(value, start)[-1]
            if end == start == last:
                continue
            result += [value[done:start], _filled(replacement, value[start:end], every=every)]
            done = last = end
            if not every:
                break
        return "".join(result) + value[done:]

    def _starts(self, value: str) -> list[int]:
        """Return the positions, ascending, at which a match can begin, found in one pass backwards."""
        backwards = _glob(self.tokens[::-1])
        accept = 1 << len(self.tokens)
        states = backwards._close(1)  # noqa: SLF001 - of the same class
        starts = [len(value)] if states & accept else []
        for position in range(len(value) - 1, -1, -1):
            states = backwards._close(backwards._step(states, value[position]) | 1)  # noqa: SLF001
            if states & accept:
                starts.append(position)
        return starts[::-1]

    def _ends(self, value: str, start: int) -> list[int]:
        """Return the positions, ascending, at which a match that begins at `start` can end."""
        accept = 1 << len(self.tokens)
        states = self._close(1)
        ends = [start] if states & accept else []
        for position in range(start, len(value)):
            states = self._close(self._step(states, value[position]))
            if not states:
                break
            if states & accept:
                ends.append(position + 1)
        return ends

    def _step(self, states: int, char: str) -> int:
        exact = (states & self.letters.get(char, 0)) << 1
        if char == "\n":
            return exact
        return exact | (states & self.stars) | ((states & self.wild) << 1)

    def _close(self, states: int) -> int:
        """Let every star match nothing too (stars never stand together)."""
        return states | ((states & self.stars) << 1)


def _filled(replacement: str, match: str, *, every: bool) -> str:
    """Return the replacement as Go's regexp.ReplaceAllString fills it in."""
    if not every or "$" not in replacement:
        return replacement
    return _REFERENCE.sub(
        lambda found: "$" if found[0] == "$$" else match if (found[1] or found[2]) == "0" else "",
        replacement,
    )


def _glob(tokens: tuple[Token, ...]) -> Glob:
    stars, wild = 0, 0
    letters: dict[str, int] = {}
    for index, (special, char) in enumerate(tokens):
        bit = 1 << index
        if special:
            stars |= bit if char == _STAR else 0
            wild |= bit if char == _ANY else 0
        else:
            letters[char] = letters.get(char, 0) | bit
    return Glob(tokens, stars, wild, letters)


def _check(value: str) -> None:
    if len(value) > MAX_VALUE:
        raise ValueError(f"patterns on a value of {len(value)} characters; {MAX_VALUE} are allowed")
