"""Files that an instruction names or brings itself: sources of COPY and ADD, here-documents of these and of RUN.

In: the instruction, and how to replace variables. Out: the instruction as a builder executes it.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from conveyor.config.dockerfile_check import check_context_source
from conveyor.config.dockerfile_heredocs import (
    heredoc_word,
    problem_of,
    script_body,
    source_bodies,
)
from conveyor.config.dockerfile_model import Dockerfile, Heredoc, Instruction
from conveyor.config.dockerfile_modes import octal_mode
from conveyor.config.dockerfile_patterns import has_wildcard, name_regex
from conveyor.config.dockerfile_selection import parents_source
from conveyor.config.remote_source import is_remote

SCRIPTS = "/dev/pipes"
_KEPT_FLAGS = ("link", "parents", "unpack", "exclude")

Replace = Callable[[str], str]
"""Replaces the variables of a text."""


def run_script(instruction: Instruction) -> Instruction:
    """Return a RUN whose here-documents are part of its text (moby/buildkit: dispatchRun).

    One that begins with `#!` stays: it becomes the file in `SCRIPTS` that the text then names.
    """
    if not instruction.heredocs:
        return instruction
    docs, body = instruction.heredocs, script_body(instruction)
    if body is None:
        text = instruction.args[0] + "".join(f"\n{doc.content}{doc.name}" for doc in docs)
        return replace(instruction, args=(text,), heredocs=())
    if not body.startswith("#!"):
        return replace(instruction, args=(body,), heredocs=())
    script = Heredoc(name=docs[0].name, content=body)
    return replace(instruction, args=(f"{SCRIPTS}/{script.name}",), heredocs=(script,))


def copied(
    parsed: Dockerfile, instruction: Instruction, word: Replace, text: Replace
) -> Instruction:
    """Return a COPY or ADD with its here-documents apart from its paths.

    Args:
        parsed: The Dockerfile it is from.
        instruction: The COPY or ADD.
        word: For its paths and flags.
        text: For the bodies of its here-documents.

    Raises:
        UserError: InvalidDockerfile or NotSupported with the line; and what `word` and `text` raise.
    """
    docs = tuple(_bodies(parsed, instruction, text))
    paths = [path for path in instruction.args if heredoc_word(path) is None]
    words = tuple(word(path) for path in paths)
    if not all(words):
        why = f"{instruction.keyword} has an empty source or destination after expansion"
        raise parsed.error(instruction.line, why)
    flags = [flag for flag in instruction.flags if _flag_name(flag) in _KEPT_FLAGS]
    for name in ("chown", "chmod"):
        value = word(instruction.flag(name))
        if value:
            flags.append(f"--{name}={value}")
        if value and name == "chmod":
            checked(parsed, instruction.line, octal_mode, value)
    for source in words[:-1]:
        _check_source(parsed, instruction, source)
    return replace(instruction, args=words, flags=tuple(flags), heredocs=docs)


def checked(parsed: Dockerfile, line: int, check: Callable[[str], object], value: str) -> None:
    """Let a check raise its ValueError as the UserError that names the line."""
    try:
        check(value)
    except ValueError as problem:
        raise parsed.error(line, str(problem)) from None


def _bodies(parsed: Dockerfile, instruction: Instruction, text: Replace) -> Iterator[Heredoc]:
    for word, body in source_bodies(instruction):
        heredoc = Heredoc(name=word.name, content=text(body) if word.expand else body)
        if problem := problem_of(heredoc):
            raise parsed.error(instruction.line, problem)
        yield heredoc


def _check_source(parsed: Dockerfile, instruction: Instruction, source: str) -> None:
    if is_remote(source):
        return  # looked at by itself
    keyword, line = instruction.keyword, instruction.line
    if not instruction.flag("from") and (why := check_context_source(keyword, source)):
        raise parsed.error(line, why)
    if instruction.is_set("parents"):
        checked(parsed, line, parents_source, source)
    elif has_wildcard(source):
        for part in source.split("/"):
            checked(parsed, line, name_regex, part)


def _flag_name(flag: str) -> str:
    return flag.removeprefix("--").partition("=")[0]
