"""Dockerfile text to instructions, by BuildKit's own parser (package `dockerfile`).

In: text. Out: `Instruction`s with lines, syntax checked only. The parser knows here-documents,
continuation lines and parser directives, but tells no line for its errors; this module finds it.
"""

import re
from collections.abc import Iterator
from typing import Protocol, cast

import dockerfile as buildkit  # type: ignore[import-not-found]  # compiled, without type hints

from conveyor.api.errors import UserError
from conveyor.config.dockerfile_model import INVALID, Heredoc, Instruction

MAX_BYTES = 1024 * 1024
MAX_INSTRUCTIONS = 5000
_DIRECTIVE = re.compile(r"^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$")
_DIRECTIVES = frozenset({"syntax", "escape", "check"})
# What is right, where the parser says only what is wrong.
_RIGHT = {
    "file with no instructions": "a Dockerfile begins with FROM",
    "must have two arguments": "write NAME=VALUE",
    "unterminated heredoc": "a line that is only its word ends it",
    "dockerfile line greater than": "continue it on a further line",
}
_HEREDOC_WORD = re.compile(r"<<-?\s*[\"']?([A-Za-z_][A-Za-z0-9_]*)")


class _HeredocNode(Protocol):
    name: str
    content: str


class _Command(Protocol):
    """What the package returns for one instruction."""

    cmd: str | None
    value: tuple[str, ...]
    flags: tuple[str, ...]
    json: bool
    original: str | None
    start_line: int
    heredocs: tuple[_HeredocNode, ...]


def parse_instructions(text: str, *, file: str) -> tuple[Instruction, ...]:
    """Return the instructions of the text, syntax checked only. Raises as `parse_dockerfile`."""
    _check_text(text, file)
    try:
        commands = _parse(text)
    except ValueError as problem:
        line = _line_of_syntax_error(text, str(problem))
        raise UserError(
            INVALID, f"{file}:{line}: {problem}{_what_is_right(str(problem))}"
        ) from None
    if len(commands) > MAX_INSTRUCTIONS:
        line = commands[MAX_INSTRUCTIONS].start_line
        raise UserError(INVALID, f"{file}:{line}: more than {MAX_INSTRUCTIONS} instructions")
    return tuple(_instruction(command, file) for command in commands)


def directives(text: str) -> dict[str, tuple[int, str]]:
    """Return the parser directives at the top of the file: line and value by lower-case name.

    They end at the first line that is none (moby/buildkit: parser/directives.go). Of a name given twice the first is
    returned, and the parser refuses the file.
    """
    found: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(text.lstrip("\ufeff").split("\n"), 1):
        directive = _DIRECTIVE.match(line)
        if not directive or directive[1].lower() not in _DIRECTIVES:
            break
        found.setdefault(directive[1].lower(), (number, directive[2]))
    return found


def _what_is_right(problem: str) -> str:
    return next((f"; {right}" for wrong, right in _RIGHT.items() if wrong in problem), "")


def escape_character(text: str) -> str:
    """Return what `# escape=` at the top of the file says, a backslash by default."""
    return directives(text).get("escape", (0, "\\"))[1]


def _parse(text: str) -> tuple[_Command, ...]:
    try:
        return cast("tuple[_Command, ...]", buildkit.parse_string(_known_first(text)))
    except buildkit.GoParseError as problem:
        raise ValueError(str(problem)) from None


def _known_first(text: str) -> str:
    """Return the text with `# check=` behind the other directives: the parser is older and takes it for the first comment."""
    count = len(directives(text))
    lines = text.split("\n")
    if any(map(_is_check, lines[:count])) and any(map(_is_check, lines[count : count + 1])):
        raise ValueError("only one check parser directive can be used")
    return "\n".join([*sorted(lines[:count], key=_is_check), *lines[count:]])


def _is_check(line: str) -> bool:
    directive = _DIRECTIVE.match(line)
    return directive is not None and directive[1].lower() == "check"


def _check_text(text: str, file: str) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise UserError(INVALID, f"{file}: {size} bytes; {MAX_BYTES} are allowed")
    for number, line in enumerate(text.split("\n"), 1):
        if "\0" in line or any("\ud800" <= char <= "\udfff" for char in line):
            raise UserError(INVALID, f"{file}:{number}: the file must be UTF-8 text")


def _instruction(command: _Command, file: str) -> Instruction:
    if command.cmd is None or command.original is None:
        text = "a line continues and nothing follows; remove its last character"
        raise UserError(INVALID, f"{file}:{command.start_line}: {text}")
    keyword = command.cmd.upper()
    heredocs = tuple(Heredoc(name=doc.name, content=doc.content) for doc in command.heredocs)
    original = command.original.split("\n", 1)[0] if heredocs else command.original
    args = tuple(command.value)
    if keyword == "ONBUILD":
        args = _trigger(original, heredocs)
    return Instruction(
        keyword=keyword,
        args=args,
        flags=tuple(command.flags),
        json=command.json,
        original=original.strip(),
        line=command.start_line,
        heredocs=heredocs,
    )


def _trigger(original: str, heredocs: tuple[Heredoc, ...]) -> tuple[str, ...]:
    """Return the text after ONBUILD (moby/buildkit: instructions/parse.go parseOnBuild)."""
    text = re.sub(r"^\s*ONBUILD\s*", "", original, flags=re.IGNORECASE)
    text += "".join(f"\n{doc.content}{doc.name}" for doc in heredocs)
    return (text,) if text else ()


def _line_of_syntax_error(text: str, message: str) -> int:
    """Return the line of a syntax error; the parser tells none.

    The parser stops at the first error, so every beginning of the file that contains the faulty
    instruction fails
    alike: the shortest such beginning is looked for by halving.
    """
    lines = text.split("\n")
    if "heredoc" in message:
        return _unclosed_heredoc(lines)
    low, high = 1, len(lines)
    while low < high:
        middle = (low + high) // 2
        if _fails("\n".join(lines[:middle]), message):
            high = middle
        else:
            low = middle + 1
    return _first_line(lines, high, escape_character(text))


def _fails(text: str, message: str) -> bool:
    try:
        _parse(text)
    except ValueError as problem:
        return str(problem) == message
    return False


def _first_line(lines: list[str], last: int, escape: str) -> int:
    while last > 1 and lines[last - 2].rstrip().endswith(escape):
        last -= 1
    return last


def _unclosed_heredoc(lines: list[str]) -> int:
    last_seen = {line.strip(): number for number, line in enumerate(lines, 1)}
    for number, word in _heredoc_words(lines):
        if last_seen.get(word, 0) <= number:
            return number
    return len(lines)


def _heredoc_words(lines: list[str]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, 1):
        for match in _HEREDOC_WORD.finditer(line):
            yield number, match[1]
