"""Docker's variable expansion and word splitting.

In: a word as written in a Dockerfile and the variables in force. Out: its text, or the words it
splits into. The rules are those of BuildKit's shell lexer (moby/buildkit:
frontend/dockerfile/shell/lex.go): quotes and escapes are removed, `$x ${x} ${x:-y} ${x-y} ${x:+y}
${x+y} ${x:?m} ${x?m} ${x#p} ${x##p} ${x%p} ${x%%p} ${x/p/r} ${x//p/r}` are replaced, an unknown
variable is empty. Nothing here knows instructions or files.
"""

import unicodedata
from collections.abc import Callable, Mapping
from typing import TypeVar

from conveyor.config.dockerfile_globs import Glob
from conveyor.config.dockerfile_word_list import Words

T = TypeVar("T")
MAX_WORD = 64 * 1024
MAX_DEPTH = 32
_SPECIAL_PARAMETERS = frozenset("@*#?-$!0")


class ExpansionError(ValueError):
    """The word cannot be expanded; the text says why, without a place."""


def expand_word(
    word: str, env: Mapping[str, str], *, escape: str = "\\", keep_unset: bool = False
) -> str:
    """Return the word with variables replaced and quotes removed.

    `keep_unset` leaves substitutions of unknown variables as they are (BuildKit: SkipUnsetEnv).

    Raises:
        ExpansionError: Bad substitution, unmatched quote, `${x?}` of an unset x, or a result over
            64 KiB.
    """
    return _Lexer(word, env, escape, keep_unset=keep_unset).run()[0]


def expand_words(
    word: str, env: Mapping[str, str], *, escape: str = "\\", keep_unset: bool = False
) -> tuple[str, ...]:
    """Return the words of the expanded text, split at unquoted blanks; raises as `expand_word`."""
    return _Lexer(word, env, escape, keep_unset=keep_unset).run()[1]


def expand_text_seen(text: str, env: Mapping[str, str], *, most: int) -> tuple[str, frozenset[str]]:
    """Return the text of a here-document with variables replaced, and the names asked for that `env` does not have.

    Quotes are characters like others, the escape character is always a backslash (moby/buildkit: SkipProcessQuotes).

    Raises:
        ExpansionError: As of `expand_word`, over `most` characters instead of 64 Ki.
    """
    lexer = _Lexer(text, env, "\\", quotes=False, most=most)
    return lexer.run()[0], frozenset(lexer.missing)


def expand_word_seen(
    word: str, env: Mapping[str, str], *, escape: str = "\\"
) -> tuple[str, frozenset[str]]:
    """Return the expanded word and the names it asked for that `env` does not have."""
    lexer = _Lexer(word, env, escape)
    return lexer.run()[0], frozenset(lexer.missing)


class _Lexer:
    """One pass over one word; a cursor, the variables, and the names that were missing."""

    def __init__(
        self,
        text: str,
        env: Mapping[str, str],
        escape: str,
        *,
        keep_unset: bool = False,
        quotes: bool = True,
        most: int = MAX_WORD,
    ) -> None:
        self._text = text
        self._at = 0
        self._env = env
        self._escape = escape
        self._keep_unset = keep_unset
        self._quotes = "'\"" if quotes else ""
        self._most = most
        self._raw_escapes = False
        self._depth = 0
        self._size = 0
        self.missing: set[str] = set()

    def run(self) -> tuple[str, tuple[str, ...]]:
        if len(self._text) > self._most:
            raise ExpansionError(
                f"a word of {len(self._text)} characters; {self._most} are allowed"
            )
        return self._until("", raw_escapes=False)

    def _peek(self) -> str:
        return self._text[self._at] if self._at < len(self._text) else ""

    def _next(self) -> str:
        char = self._peek()
        self._at += len(char)
        return char

    def _until(self, stop: str, *, raw_escapes: bool) -> tuple[str, tuple[str, ...]]:
        before, self._raw_escapes = self._raw_escapes, raw_escapes
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpansionError(f"substitutions nested deeper than {MAX_DEPTH}")
        result: list[str] = []
        words = Words()
        while char := self._peek():
            if char == stop:
                self._next()
                break
            self._one(char, result, words)
        else:
            if stop:
                raise _Unfinished(stop)
        self._depth -= 1
        self._raw_escapes = before
        return "".join(result), words.finish()

    def _one(self, char: str, result: list[str], words: Words) -> None:
        if char == "$":
            text = self._dollar()
            result.append(text)
            words.add(text)
        elif char in self._quotes:
            text = self._single_quoted() if char == "'" else self._double_quoted()
            result.append(text)
            words.add_raw(text)
        else:
            self._plain(result, words)

    def _plain(self, result: list[str], words: Words) -> None:
        char = self._next()
        if char != self._escape:
            result.append(char)
            words.add(char)
            return
        if self._raw_escapes:
            result.append(char)
            words.add_raw(char)
        if char := self._next():
            result.append(char)
            words.add_raw(char)

    def _single_quoted(self) -> str:
        self._next()
        end = self._text.find("'", self._at)
        if end < 0:
            raise ExpansionError("a single quote (') is not closed")
        text, self._at = self._text[self._at : end], end + 1
        return text

    def _double_quoted(self) -> str:
        self._next()
        result: list[str] = []
        while char := self._peek():
            if char == '"':
                self._next()
                return "".join(result)
            result.append(self._dollar() if char == "$" else self._quoted_char())
        raise ExpansionError('a double quote (") is not closed')

    def _quoted_char(self) -> str:
        char = self._next()
        if char != self._escape:
            return char
        kept = char if self._raw_escapes else ""
        following = self._peek()
        if not following:
            return kept  # an escape at the end of the word is dropped, the quote is then unmatched
        if following in ('"', "$", self._escape):
            return kept + self._next()
        return kept + char

    def _dollar(self) -> str:
        self._next()
        if self._peek() != "{":
            name = self._name()
            return self._plain_value(name, f"${name}") if name else "$"
        self._next()
        if not self._peek():
            raise ExpansionError("missing '}' after '${'")
        if self._peek() in "{}:":
            raise ExpansionError("bad substitution: '${' must be followed by a variable name")
        return self._sized(self._braced(self._name()))

    def _braced(self, name: str) -> str:
        modifier = self._next()
        if modifier == "}":
            return self._plain_value(name, f"${{{name}}}")
        if modifier == "/":
            return self._replace(name)
        colon = modifier == ":"
        kind = self._next() if colon else modifier
        if not kind:
            raise ExpansionError(f"missing '}}' after '${{{name}'")
        if kind not in ("+-?" if colon else "+-?#%"):
            raise ExpansionError(
                f"unsupported modifier {':' if colon else ''}{kind} in ${{{name}…}}"
            )
        word = self._operand("}", raw_escapes=kind in "#%")
        return self._modify(name, kind, word, null_is_unset=colon)

    def _modify(self, name: str, kind: str, word: str, *, null_is_unset: bool) -> str:
        value, known = self._value(name)
        if not known and self._keep_unset:
            return f"${{{name}{':' if null_is_unset else ''}{kind}{word}}}"
        present = known and not (null_is_unset and not value)
        if kind == "-":
            return value if present else word
        if kind == "+":
            return word if present else ""
        if kind == "?":
            if not present:
                raise ExpansionError(f"{name}: {word or 'must be set and not empty'}")
            return value
        longest = word.startswith(kind)
        glob = _glob(word[1:] if longest else word)
        cut = glob.cut_prefix if kind == "#" else glob.cut_suffix
        return _limited(lambda: cut(value, longest=longest))

    def _replace(self, name: str) -> str:
        every = self._peek() == "/"
        if every:
            self._next()
        pattern = self._operand("/", raw_escapes=True)
        replacement = self._operand("}", raw_escapes=True)
        value, known = self._value(name)
        if not known and self._keep_unset:
            return f"${{{name}/{pattern}/{replacement}}}"
        return _limited(lambda: _glob(pattern).replace(value, replacement, every=every))

    def _operand(self, stop: str, *, raw_escapes: bool) -> str:
        try:
            return self._until(stop, raw_escapes=raw_escapes)[0]
        except _Unfinished as unfinished:
            raise ExpansionError(f"missing '{unfinished.stop}' in '${{…}}'") from None

    def _name(self) -> str:
        first = self._peek()
        if not first:
            return ""
        if _is_digit(first):
            return self._take(_is_digit)
        if first in _SPECIAL_PARAMETERS:
            return self._next()
        return self._take(lambda char: char == "_" or char.isalpha() or _is_digit(char))

    def _take(self, wanted: Callable[[str], bool]) -> str:
        start = self._at
        while self._peek() and wanted(self._peek()):
            self._at += 1
        return self._text[start : self._at]

    def _plain_value(self, name: str, written: str) -> str:
        value, known = self._value(name)
        return value if known or not self._keep_unset else written

    def _value(self, name: str) -> tuple[str, bool]:
        if name in self._env:
            return self._sized(self._env[name]), True
        self.missing.add(name)
        return "", False

    def _sized(self, text: str) -> str:
        """Count what expansion adds, so that `ENV A=$A$A…` cannot double without end."""
        self._size += len(text)
        if self._size > self._most:
            raise ExpansionError(f"expands to more than {self._most} characters")
        return text


class _Unfinished(Exception):  # noqa: N818 - internal signal, always turned into ExpansionError
    def __init__(self, stop: str) -> None:
        super().__init__(stop)
        self.stop = stop


def _is_digit(char: str) -> bool:
    return unicodedata.category(char) == "Nd"


def _glob(pattern: str) -> Glob:
    return _limited(lambda: Glob.parse(pattern))


def _limited(make: Callable[[], T]) -> T:
    try:
        return make()
    except ValueError as problem:
        raise ExpansionError(str(problem)) from None
