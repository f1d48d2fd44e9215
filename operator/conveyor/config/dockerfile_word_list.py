"""Words as Docker's shell lexer collects them: split at blanks that no quote protects.

In: text in pieces, told apart by whether a blank in it ends a word. Out: the words.
"""

from dataclasses import dataclass, field

_SPACES = frozenset("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | {
    chr(code) for code in range(0x2000, 0x200B)
}


@dataclass(slots=True)
class Words:
    """Words being collected; only unquoted blanks end a word."""

    done: list[str] = field(default_factory=list)
    current: list[str] = field(default_factory=list)
    in_word: bool = False

    def add(self, text: str) -> None:
        """Take text whose blanks end words."""
        for char in text:
            if char not in _SPACES:
                self.add_raw(char)
            elif self.in_word and any(self.current):
                self._end()

    def add_raw(self, text: str) -> None:
        """Take text that belongs to the current word as it is."""
        self.current.append(text)
        self.in_word = True

    def finish(self) -> tuple[str, ...]:
        """Return the words."""
        if any(self.current):
            self._end()
        return tuple(self.done)

    def _end(self) -> None:
        self.done.append("".join(self.current))
        self.current.clear()
        self.in_word = False
