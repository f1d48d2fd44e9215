"""What is wrong in one config file, collected while it is read.

In: problems with their lines. Out: one `UserError` that lists them in the order of the file.
"""

from dataclasses import dataclass, field
from typing import Final

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.config.source_line import SourceLine

MAX_SHOWN: Final = 10
# Where reading stops: looking for near names costs time, and nobody reads so many mistakes.
MAX_COLLECTED: Final = 50
MAX_MESSAGE: Final = 600
_NO_VALUE: Final = "<no value>"
_NO_VALUE_HINT: Final = f"; {_NO_VALUE} is what a template prints for a key that is missing"

INVALID: Final = Reason.INVALID_WERF_CONFIG
NOT_SUPPORTED: Final = Reason.NOT_SUPPORTED


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """One line of the error message."""

    line: int
    message: str


@dataclass(slots=True, kw_only=True)
class Report:
    """Collects what is wrong in one config file.

    Attributes:
        file: Shown in front of every line number.
        invalid: Mistakes of the user.
        unsupported: Correct directives that cannot be built yet.
        notes: What helps with the mistakes, told once after them.
        tasks: Characters of all tasks of ansible so far.
        globs: How many globs were read, with all alternatives of their braces.
    """

    file: str
    invalid: list[Problem] = field(default_factory=list)
    unsupported: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tasks: int = 0
    globs: int = 0

    def error(self, line: int, message: str) -> None:
        """Note a mistake; the 50th is raised at once together with the others."""
        hint = _NO_VALUE_HINT if _NO_VALUE in message else ""
        self.invalid.append(Problem(line=line, message=_one_line(message) + hint))
        if len(self.invalid) >= MAX_COLLECTED:
            self.raise_invalid()

    def note(self, text: str) -> None:
        """Add a line that belongs to several mistakes, such as a list of what is allowed."""
        if text not in self.notes:
            self.notes.append(text)

    def not_supported(self, line: int, message: str) -> None:
        """Note a directive that cannot be built yet."""
        self.unsupported.append(Problem(line=line, message=_one_line(message)))

    def raise_invalid(self) -> None:
        """Raise `UserError("InvalidWerfConfig")` when there are mistakes."""
        if self.invalid:
            raise UserError(INVALID, self._text(self.invalid))

    def raise_any(self) -> None:
        """Raise for mistakes, else `UserError("NotSupported")` for what cannot be built yet."""
        self.raise_invalid()
        if self.unsupported:
            raise UserError(NOT_SUPPORTED, self._text(self.unsupported))

    def _text(self, problems: list[Problem]) -> str:
        ordered = sorted(set(problems))
        lines = [
            f"{SourceLine(file=self.file, line=problem.line)}: {problem.message}"
            for problem in ordered[:MAX_SHOWN]
        ]
        if len(ordered) > MAX_SHOWN:
            lines.append(f"and {len(ordered) - MAX_SHOWN} more")
        lines += self.notes
        return "\n".join(lines)


def _one_line(message: str) -> str:
    printable = "".join(character if character.isprintable() else " " for character in message)
    return printable if len(printable) <= MAX_MESSAGE else printable[:MAX_MESSAGE] + "…"
