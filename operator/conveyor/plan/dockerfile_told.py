"""What the logs of a build in the order of the file say before each instruction: `Step 3/7 : RUN make`.

In: a block's steps and the Dockerfile they are from. Out: the steps with that text, numbered through the whole file up to the
target, global ARGs and FROMs counted. What a base's ONBUILD brings is no step of the file and has no number.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from conveyor.config.dockerfile import Block, Instruction
from conveyor.plan.dockerfile_source import Source
from conveyor.plan.model import BlockStep

MAX_SHOWN = 500


def with_told(source: Source, block: Block, steps: Sequence[BlockStep]) -> tuple[BlockStep, ...]:
    """Return the steps, FROM first, with the text that is shown before each."""
    parsed, counted = source.parsed, _count(source.parsed.args)
    counted += sum(1 + _count(one.instructions) for one in parsed.blocks[: block.index])
    total = counted + sum(
        1 + _count(one.instructions) for one in parsed.blocks[block.index : source.target.index + 1]
    )
    texts = _texts(steps, counted, total)
    if block.index == 0:
        before = "".join(
            f"Step {number}/{total} : {_shown(one.original)}\n"
            for number, one in enumerate(parsed.args, 1)
        )
        texts = (before + text if at == 0 else text for at, text in enumerate(texts))
    return tuple(replace(step, told=text) for step, text in zip(steps, texts, strict=True))


def _count(instructions: Sequence[Instruction]) -> int:
    return sum(not one.trigger_of for one in instructions)


def _texts(steps: Sequence[BlockStep], before: int, total: int) -> Iterator[str]:
    number = before
    for step in steps:
        one = step.instruction
        if one.trigger_of:
            yield f"Trigger of {one.trigger_of} : {_shown(one.original)}"
            continue
        number += 1
        yield f"Step {number}/{total} : {_shown(one.original)}"


def _shown(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
