"""The rendered text of werf.yaml → its documents, each with the line it starts at.

In: text. Out: `Document`s in order; documents without anything but blanks and comments are left out.
A separator is a line `---` with nothing after it but blanks and a comment (werf: pkg/config/parser.go splitContent).
"""

import re
from dataclasses import dataclass
from typing import Final

_SEPARATOR: Final = re.compile(r"---[ \t\r]*(#.*)?\Z")
_NOTHING: Final = re.compile(r"[ \t\r]*(#.*)?\Z", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One part of a config: `line` is the 1-based line of its first character."""

    line: int
    text: str


def split(text: str) -> tuple[Document, ...]:
    """Split at the separator lines and drop what is empty."""
    documents: list[Document] = []
    part: list[str] = []
    start = 1
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        if _SEPARATOR.match(line):
            documents.append(Document(line=start, text="\n".join(part)))
            part, start = [], number + 1
        else:
            part.append(line)
    documents.append(Document(line=start, text="\n".join(part)))
    return tuple(document for document in documents if not _is_empty(document.text))


def _is_empty(text: str) -> bool:
    return all(_NOTHING.match(line) for line in text.split("\n"))
