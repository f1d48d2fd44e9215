"""The patch text that werf hashes, made from the output of `git diff`.

In: lines of `git diff` as bytes come in, a matcher, the mapping's directory and, for a single-file mapping, its new
name. Out: the same patch cut to the matching files, with paths relative to the mapping; and what was seen. The
quirks are werf's (pkg/true_git/diff_parser.go) and belong to the digest: index ids of 8 characters, the full path in
"Binary files" lines, names that git quotes come out mangled. Nothing here runs git.
"""

import posixpath
import re
from dataclasses import dataclass, field

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.plan.paths import Matcher

SHORT_ID = 8
_INDEX = re.compile(r"index ([0-9a-f]+)\.\.([0-9a-f]+)(.*)", re.DOTALL)
_SUBMODULE = re.compile(r" (?:contains .*|[0-9a-f]+\.{2,3}[0-9a-f]+.*)$")
_ESCAPE = re.compile(r'\\([0-7]{3}|["\\abfnrtv])')
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_QUOTED = {text: f"\\{char}" for char, text in _ESCAPED.items()} | {'"': '\\"', "\\": "\\\\"}


@dataclass(slots=True, kw_only=True)
class DiffFilter:
    """Takes the output of one `git diff`, keeps what belongs to a mapping.

    Attributes:
        matcher: Says which paths belong to it.
        scope: `add`; paths become relative to it.
        renamed: New name of the one file of a single-file mapping, else "".
        limit: Bytes of text to keep; beyond it only the size is counted.
        size: Bytes of the whole resulting patch.
        paths: Whether any changed path belongs to the mapping.
    """

    matcher: Matcher
    scope: str
    renamed: str = ""
    limit: int
    size: int = 0
    paths: bool = False
    _state: str = "before"
    _kept: list[bytes] = field(default_factory=list)
    _rest: bytes = b""

    @property
    def truncated(self) -> bool:
        """Whether the text was too long to keep."""
        return self.size > self.limit

    @property
    def text(self) -> str:
        """The patch; bytes that are no UTF-8 are surrogate-escaped."""
        return b"".join(self._kept).decode("utf-8", "surrogateescape")

    def feed(self, data: bytes) -> None:
        """Take the next piece of output."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            self._line(line)

    def _line(self, line: bytes) -> None:
        if line.startswith(b"diff --git "):
            self._begin(_text(line))
        elif line.startswith(b"Submodule "):
            self._submodule(_text(line))
        elif self._state == "body":
            self._keep(line)
        elif self._state == "head":
            self._head(_text(line))

    def _submodule(self, line: str) -> None:
        """One that no mapping takes is nobody's business; its file-by-file change is not in this repository."""
        self._state = "skip"
        path = _unquote(_SUBMODULE.sub("", line.removeprefix("Submodule ")))
        if self.matcher.matches(path):
            raise UserError(
                Reason.NOT_SUPPORTED,
                f"git submodules are not supported, and {path} changed; name it in excludePaths",
            )

    def _head(self, line: str) -> None:
        if line.startswith(("--- a/", "--- /dev/null", '--- "')):
            self._keep_text(self._path_line(line, "--- a/"))
        elif line.startswith(("+++ b/", "+++ /dev/null", '+++ "')):
            self._keep_text(self._path_line(line, "+++ b/"))
            self._state = "body"
        elif line.startswith("index "):
            self._keep_text(_short_index(line))
        elif line.startswith("Binary files"):
            self._keep_text(line)
            self._state = "skip"
        else:
            self._keep_text(line)
            self._state = "body" if line.startswith("GIT binary patch") else "head"

    def _begin(self, line: str) -> None:
        mark = ' "' if ' "a/' in line else " "
        names = line.partition(f"{mark}a/")[2].partition(f"{mark}b/")
        old, new = f"{mark[1:]}a/{names[0]}", f"{mark[1:]}b/{names[2]}"
        heads: list[str] = []
        for name, prefix in ((old, "a/"), (new, "b/")):
            path = _unquote(name).removeprefix(prefix)
            if not self.matcher.matches(path):
                self._state = "skip"
                return
            self.paths = True
            relative = prefix + self._relative(path)
            heads.append(_quote(relative) if name.startswith('"') else relative)
        self._state = "head"
        self._keep_text(f"diff --git {heads[0]} {heads[1]}")

    def _path_line(self, line: str, prefix: str) -> str:
        # For a quoted name the prefix is not there: the whole line is taken for a path, as in werf.
        if line in ("--- /dev/null", "+++ /dev/null"):
            return line
        return prefix + self._relative(line.removeprefix(prefix)).rstrip("\t")

    def _relative(self, path: str) -> str:
        if self.renamed and path.rstrip("\t") == self.scope:
            return self.renamed
        return posixpath.relpath(path, self.scope) if self.scope else path

    def _keep_text(self, line: str) -> None:
        self._keep(line.encode("utf-8", "surrogateescape"))

    def _keep(self, line: bytes) -> None:
        self.size += len(line) + 1
        if self.truncated:
            self._kept.clear()
        else:
            self._kept += [line, b"\n"]


def _text(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


def _short_index(line: str) -> str:
    match = _INDEX.fullmatch(line)
    if match is None:
        return line
    return f"index {match[1][:SHORT_ID]}..{match[2][:SHORT_ID]}{match[3]}"


def _unquote(name: str) -> str:
    """Undo git's C-style quoting; octal escapes are bytes."""
    if not (name.startswith('"') and name.endswith('"')):
        return name

    def plain(match: re.Match[str]) -> str:
        code = match[1]
        if code[0].isdigit():
            return bytes([int(code, 8) & 0xFF]).decode("utf-8", "surrogateescape")
        return _ESCAPED.get(code, code)

    text = _ESCAPE.sub(plain, name[1:-1])
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def _quote(name: str) -> str:
    """Quote as Go's strconv.Quote does."""
    return '"' + "".join(_quote_char(char) for char in name) + '"'


def _quote_char(char: str) -> str:
    if char in _QUOTED:
        return _QUOTED[char]
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if char == " " or char.isprintable():
        return char
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
