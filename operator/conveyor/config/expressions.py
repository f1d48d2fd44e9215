"""Regular expressions of users, matched in bounded time.

In: an expression as Go reads it (RE2), as far as Python has the same words for it, and a text. Out: whether it is found. Python's
own matcher would try for ever where expressions are made for that (`(a+)+$`); this one goes through the expression once with
all places of the text where a match can be by then, as bits of a number. What still repeats too often is an error.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from re import _constants as words  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final

MAX_EXPRESSION: Final = 256
MAX_TEXT: Final = 512
MAX_EFFORT: Final = 200_000
"""Parts of expressions that are looked at, about 0.2 s; a usual expression needs one for every few characters."""
_MAX_REPEAT: Final = 100
_FLAGS: Final = re.compile(r"\(\?[a-zA-Z]*-?[a-zA-Z]+[:)]")
_CLASSES: Final = {
    words.CATEGORY_DIGIT: r"\d",
    words.CATEGORY_NOT_DIGIT: r"\D",
    words.CATEGORY_SPACE: r"\s",
    words.CATEGORY_NOT_SPACE: r"\S",
    words.CATEGORY_WORD: r"\w",
    words.CATEGORY_NOT_WORD: r"\W",
}


class ExpressionError(ValueError):
    """The expression cannot be used; the text says why."""


@dataclass(slots=True)
class Effort:
    """What is left to be spent on one question to several expressions."""

    left: int = MAX_EFFORT

    def spend(self, parts: int) -> None:
        """Count.

        Raises:
            ExpressionError: Nothing is left.
        """
        self.left -= parts
        if self.left < 0:
            raise ExpressionError("it takes too long; write fewer repetitions within repetitions")


class Expression:
    """An expression that is ready to be looked for."""

    __slots__ = ("_items",)

    def __init__(self, text: str) -> None:
        """Read the expression.

        Raises:
            ExpressionError: It is wrong, too long, or says what Go has no words for.
        """
        if len(text) > MAX_EXPRESSION:
            raise ExpressionError(f"it is longer than {MAX_EXPRESSION} characters")
        if "[[:" in text:
            raise ExpressionError("classes such as [[:alpha:]] are not known here; write [a-zA-Z]")
        if _FLAGS.search(text):
            raise ExpressionError("flags such as (?i) are not known here")
        try:
            parsed = parser.parse(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise ExpressionError(str(error)) from None
        self._items = tuple(parsed)
        _check(self._items, 1)

    def found_in(self, text: str, effort: Effort | None = None) -> bool:
        """Whether some part of the text matches; a text over 512 characters never does.

        Raises:
            ExpressionError: It takes more than the effort that is left.
        """
        if len(text) > MAX_TEXT:
            return False
        anywhere = (1 << (len(text) + 1)) - 1
        return bool(_Match(text, effort or Effort()).sequence(self._items, anywhere))


def _check(items: tuple[Any, ...], times: int) -> None:
    """Refuse what cannot be matched in bounded time, or means another thing in Go."""
    for operator, value in items:
        if operator in (words.MAX_REPEAT, words.MIN_REPEAT):
            low, high, inner = value
            bound = low if high is words.MAXREPEAT else high
            if times * max(bound, 1) > _MAX_REPEAT:
                raise ExpressionError(f"it repeats more than {_MAX_REPEAT} times")
            _check(tuple(inner), times * max(bound, 1))
        elif operator is words.SUBPATTERN:
            _check(tuple(value[3]), times)
        elif operator is words.BRANCH:
            for branch in value[1]:
                _check(tuple(branch), times)
        elif operator not in _PLAIN:
            raise ExpressionError("look-around and references to groups are not known here")


_PLAIN: Final = (words.LITERAL, words.NOT_LITERAL, words.ANY, words.IN, words.AT)


@dataclass(slots=True)
class _Match:
    """One text. Places in it are bits: bit n is before the character n. `known`: where a character or an anchor fits."""

    text: str
    effort: Effort
    known: dict[int, int] = field(default_factory=dict)

    def sequence(self, items: Iterable[Any], starts: int) -> int:
        """Return where items one after the other can end."""
        ends = starts
        for item in items:
            if not ends:
                break
            self.effort.spend(1)
            ends = self._item(item, ends)
        return ends

    def _item(self, item: Any, starts: int) -> int:
        operator, value = item
        if operator in (words.MAX_REPEAT, words.MIN_REPEAT):
            low, high, inner = value
            return self._repeated(low, high, inner, starts)
        if operator is words.SUBPATTERN:
            return self.sequence(value[3], starts)
        if operator is words.BRANCH:
            return reduce(or_, (self.sequence(branch, starts) for branch in value[1]))
        if id(item) not in self.known:
            self.known[id(item)] = self._places(operator, value)
        fits = starts & self.known[id(item)]
        return fits if operator is words.AT else fits << 1

    def _places(self, operator: Any, value: Any) -> int:
        """Return where an anchor holds, or in front of which characters one fits."""
        self.effort.spend(len(self.text))
        if operator is words.AT:
            return sum(1 << at for at in range(len(self.text) + 1) if self._at(value, at))
        return sum(1 << at for at, char in enumerate(self.text) if _is(operator, value, char))

    def _repeated(self, low: int, high: Any, items: Any, starts: int) -> int:
        now = starts
        for _ in range(low):
            now = self.sequence(items, now)
        done = now
        left = len(self.text) + 1 if high is words.MAXREPEAT else high - low
        while now and left:
            # An end that was reached with fewer repetitions can do all that the later one can.
            now = self.sequence(items, now) & ~done
            done |= now
            left -= 1
        return done

    def _at(self, place: Any, start: int) -> bool:
        if place in (words.AT_BEGINNING, words.AT_BEGINNING_STRING):
            return start == 0
        if place in (words.AT_END, words.AT_END_STRING):
            return start == len(self.text)
        before = start > 0 and _is_word(self.text[start - 1])
        after = start < len(self.text) and _is_word(self.text[start])
        return (before != after) == (place is words.AT_BOUNDARY)


def _is(operator: Any, value: Any, char: str) -> bool:
    if operator is words.ANY:
        return char != "\n"
    if operator is words.LITERAL:
        return bool(ord(char) == value)
    if operator is words.NOT_LITERAL:
        return bool(ord(char) != value)
    negated = value[0][0] is words.NEGATE
    found = any(_in(kind, what, char) for kind, what in value[negated:])
    return bool(found != negated)


def _in(kind: Any, what: Any, char: str) -> bool:
    if kind is words.RANGE:
        return bool(what[0] <= ord(char) <= what[1])
    if kind is words.CATEGORY:
        return re.match(_CLASSES[what], char, re.ASCII) is not None
    return bool(ord(char) == what)


def _is_word(char: str) -> bool:
    return char.isascii() and (char.isalnum() or char == "_")
