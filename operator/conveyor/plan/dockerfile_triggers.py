"""ONBUILD: the instructions that a FROM runs because its base says so.

In: a Dockerfile's `Source` and what is known of outside images. Out: a block with those instructions in front of their
own, in the order in which the base has them, and the questions about bases that nobody has looked at. Docker's rules: they run
right after FROM in the variables of the block that starts from the base, once, and are not handed on; a base that is a block has
those of its own instructions, an outside image those of its config. Digests do not come from here: as in werf, the
triggers of a block are in them (`dockerfile_digest`), those of an outside image are not.
"""

from dataclasses import replace

from conveyor.api.errors import UserError
from conveyor.config.dockerfile import Block, Instruction
from conveyor.config.dockerfile_blocks import base_block, check_sources
from conveyor.config.dockerfile_check import TRIGGERS_REFUSED, check_instruction
from conveyor.config.dockerfile_model import INVALID, MAX_TRIGGERS
from conveyor.config.dockerfile_syntax import parse_instructions
from conveyor.plan.answers import BaseImage
from conveyor.plan.dockerfile_base import base_question, texts
from conveyor.plan.dockerfile_source import Progress, Source
from conveyor.plan.dockerfile_steps import trigger_error


def with_triggers(source: Source, block: Block, progress: Progress) -> Block:
    """Return the block as it is executed, as far as its base is known.

    Raises:
        UserError: A trigger is wrong or not supported; the message names the line of the FROM, the base and the trigger.
    """
    found = _texts(source, block, progress)
    if not found:
        return block
    base = source.base(block)
    if len(found) > MAX_TRIGGERS:
        text = (
            f"FROM {base} would run {len(found)} ONBUILD instructions; {MAX_TRIGGERS} are allowed"
        )
        raise source.parsed.error(block.line, text)
    triggers = tuple(_instruction(source, block, base, text) for text in found)
    return replace(block, instructions=(*triggers, *block.instructions))


def triggers_of(block: Block) -> tuple[Instruction, ...]:
    """Return those instructions of a block as it is executed that its base brought."""
    return tuple(one for one in block.instructions if one.trigger_of)


def _texts(source: Source, block: Block, progress: Progress) -> list[str]:
    found = base_block(source.parsed, block, source.base(block))
    if found is not None:
        return [one.args[0] for one in found.instructions if one.keyword == "ONBUILD"]
    question = base_question(source, block, progress)
    answer = progress.facts.answers.get(question) if question else None
    return texts(answer.config.get("OnBuild")) if isinstance(answer, BaseImage) else []


def _instruction(source: Source, block: Block, base: str, text: str) -> Instruction:
    file = source.parsed.file
    written = Instruction(keyword="ONBUILD", original=text, line=block.line, trigger_of=base)
    try:
        parsed = parse_instructions(text, file=file)
        _check_trigger(parsed)
        one = replace(parsed[0], line=block.line, trigger_of=base)
        check_instruction(one, file=file)
        check_sources(source.parsed, block, one)
    except UserError as problem:
        inner = problem.message.removeprefix(f"{file}:1: ")
        raise trigger_error(source.parsed, written, UserError(problem.reason, inner)) from None
    return one


def _check_trigger(parsed: tuple[Instruction, ...]) -> None:
    if len(parsed) != 1 or parsed[0].keyword in TRIGGERS_REFUSED:
        text = "it must be one instruction other than ONBUILD, FROM and MAINTAINER"
        raise UserError(INVALID, text)
