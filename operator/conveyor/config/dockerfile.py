"""Dockerfile text to instructions and FROM blocks.

In: text of a Dockerfile and its name for messages. Out: `Dockerfile`: global ARGs and `Block`s of
`Instruction`s, each with its line, every one of them checked (`dockerfile_check`,
`dockerfile_blocks`). No variable is expanded here.
"""

from dataclasses import replace

from conveyor.api.errors import UserError
from conveyor.config.dockerfile_blocks import check_blocks
from conveyor.config.dockerfile_check import check_instruction
from conveyor.config.dockerfile_model import INVALID, Block, Dockerfile, Heredoc, Instruction
from conveyor.config.dockerfile_syntax import directives, escape_character, parse_instructions

MAX_BLOCKS = 500
_NO_EFFECT = {
    "syntax": "Conveyor reads Dockerfiles itself, no frontend image is fetched",
    "check": "nothing is linted",
}
__all__ = ["Block", "Dockerfile", "Heredoc", "Instruction", "parse_dockerfile"]


def parse_dockerfile(text: str, *, file: str) -> Dockerfile:
    """Parse and check a whole Dockerfile.

    Raises:
        UserError: InvalidDockerfile or NotSupported; the message begins with `file:line:` and says
            what would be
            right. Files over 1 MiB or 5000 instructions are refused.
    """
    instructions = parse_instructions(text, file=file)
    for instruction in instructions:
        check_instruction(instruction, file=file)
    parsed = _blocks(instructions, file, escape_character(text))
    check_blocks(parsed)
    return replace(parsed, notes=_notes(text))


def _notes(text: str) -> tuple[tuple[int, str], ...]:
    """Return what the directives say in vain; `# escape=` is obeyed."""
    return tuple(
        (line, f"`# {name}={value[:120]}` has no effect: {_NO_EFFECT[name]}")
        for name, (line, value) in directives(text).items()
        if name in _NO_EFFECT
    )


def _blocks(instructions: tuple[Instruction, ...], file: str, escape: str) -> Dockerfile:
    starts = [at for at, one in enumerate(instructions) if one.keyword == "FROM"]
    leading = instructions[: starts[0] if starts else None]
    for one in leading:
        if one.keyword != "ARG":
            text = f"{one.keyword} before FROM; only ARG may stand before the first FROM"
            raise UserError(INVALID, f"{file}:{one.line}: {text}")
    if not starts:
        raise UserError(INVALID, f"{file}:1: there is no FROM instruction")
    if len(starts) > MAX_BLOCKS:
        line = instructions[starts[MAX_BLOCKS]].line
        raise UserError(INVALID, f"{file}:{line}: more than {MAX_BLOCKS} FROM instructions")
    ends = [*starts[1:], len(instructions)]
    blocks = tuple(
        _block(index, instructions[start:end])
        for index, (start, end) in enumerate(zip(starts, ends, strict=True))
    )
    return Dockerfile(file=file, args=leading, blocks=blocks, escape=escape)


def _block(index: int, instructions: tuple[Instruction, ...]) -> Block:
    start = instructions[0]
    return Block(
        index=index,
        name=start.args[2].lower() if len(start.args) == 3 else "",
        base=start.args[0],
        platform=start.flag("platform"),
        line=start.line,
        instructions=instructions[1:],
    )
