r"""Words that begin a here-document, and what its body becomes.

In: a word of an instruction, `<<EOF`, `<<-EOF`, `<<"EOF"`, and the bodies that the parser found. Out: the name, whether
variables are replaced in the body, whether leading tabs are cut off (moby/buildkit: parser.ParseHeredoc,
instructions.parseSourcesAndDest).
"""

import re
from dataclasses import dataclass

from conveyor.config.dockerfile_model import Heredoc, Instruction
from conveyor.config.dockerfile_words import ExpansionError, expand_words

MAX_HEREDOC = 256 * 1024
_WORD = re.compile(r"(\d*)<<(-?)\s*([^<]*)", re.DOTALL)
_TABS = re.compile(r"^\t+", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeredocWord:
    """A word that begins a here-document.

    Attributes:
        expand: Variables of the body are replaced: no part of the name is quoted.
        chomp: Written `<<-`: tabs at the beginning of each line are cut off.
    """

    name: str
    expand: bool
    chomp: bool

    def text(self, body: str) -> str:
        """Return the body without what `<<-` cuts off."""
        return _TABS.sub("", body) if self.chomp else body


def heredoc_word(text: str) -> HeredocWord | None:
    """Return what the text begins, None when it is not one word that begins a here-document."""
    match = _WORD.fullmatch(text)
    if match is None or not match[3]:
        return None
    rest = match[3]
    try:
        words = expand_words(rest, {}, keep_unset=True)
    except ExpansionError:
        return None
    if len(words) != 1:
        return None
    return HeredocWord(
        name=words[0], expand=_quotes(words[0]) == _quotes(rest), chomp=bool(match[2])
    )


def source_words(instruction: Instruction) -> tuple[str, ...]:
    """Return the sources of a COPY or ADD that are paths."""
    return tuple(word for word in instruction.args[:-1] if heredoc_word(word) is None)


def source_bodies(instruction: Instruction) -> list[tuple[HeredocWord, str]]:
    """Return the here-documents among the sources of a COPY or ADD with their bodies; the last one of a name counts."""
    bodies = {doc.name: doc.content for doc in instruction.heredocs}
    found = (heredoc_word(word) for word in instruction.args[:-1])
    return [(word, word.text(bodies.get(word.name, ""))) for word in found if word is not None]


def script_body(instruction: Instruction) -> str | None:
    """Return the body of a RUN that is nothing but one here-document, None for any other RUN."""
    if not instruction.heredocs or instruction.json:
        return None
    word = heredoc_word(instruction.args[0])
    return None if word is None else word.text(instruction.heredocs[0].content)


def hashed_bodies(instruction: Instruction) -> tuple[str, ...]:
    """Return the bodies that a digest has to tell apart, each behind its name; () where werf's digest stays as it is.

    werf hashes an instruction's first line. A RUN whose here-documents are text for its shell keeps that digest; what is new
    to werf's builder, a `#!` script and files of COPY and ADD, does not.
    """
    if instruction.keyword in ("COPY", "ADD"):
        return tuple(
            part for word, body in source_bodies(instruction) for part in (word.name, body)
        )
    body = script_body(instruction) if instruction.keyword == "RUN" else None
    return (
        (instruction.heredocs[0].name, body) if body is not None and body.startswith("#!") else ()
    )


def unhashed_bodies(instruction: Instruction) -> tuple[str, ...]:
    """Return the bodies that no digest tells apart: text that a RUN hands to its shell."""
    if instruction.keyword != "RUN" or hashed_bodies(instruction):
        return ()
    return tuple(part for doc in instruction.heredocs for part in (doc.name, doc.content))


def problem_of(heredoc: Heredoc) -> str:
    """Return why the here-document cannot be used, "" when it can."""
    if "/" in heredoc.name or heredoc.name in (".", ".."):
        return f"a here-document named {heredoc.name!r}: the name becomes a file name; choose one without a slash"
    size = len(heredoc.content.encode("utf-8", "surrogateescape"))
    if size > MAX_HEREDOC:
        return (
            f"here-document {heredoc.name}: {size} bytes; {MAX_HEREDOC} are allowed: put the text into a file of the "
            "context"
        )
    return ""


def _quotes(text: str) -> int:
    return text.count("'") + text.count('"')
