"""A FROM block cut into slices, each of which is a stage that can be stored.

In: the block's steps. Out: slices in order: a RUN, COPY or ADD ends one and takes along what stands before it. WORKDIR does not:
a directory is made faster than a stage is stored; only where a RUN with mounts follows it has a slice of its own, for a pod
with the mounts may not see the directory. What follows the last of them changes no files unless it has a WORKDIR, so a
new CMD or LABEL at the end is written without a pod.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from conveyor.plan.model import BlockStep, DockerfileBlock

ENDING: Final = frozenset({"RUN", "COPY", "ADD"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Consecutive instructions; `name` is that of the last one with its number after FROM, as `RUN3`."""

    name: str
    steps: tuple[BlockStep, ...]


def slices_of(block: DockerfileBlock) -> tuple[Slice, ...]:
    """Return the slices of a block, at least one; the last one is the stage `dockerfile` itself."""
    return tuple(_slices(block.steps))


def _slices(steps: tuple[BlockStep, ...]) -> Iterator[Slice]:
    start = 0
    for number, step in enumerate(steps):
        last = number == len(steps) - 1
        if last or step.instruction.keyword in ENDING or _before_mounts(steps, start, number):
            yield Slice(name=f"{step.instruction.keyword}{number}", steps=steps[start : number + 1])
            start = number + 1


def _before_mounts(steps: tuple[BlockStep, ...], start: int, number: int) -> bool:
    """Whether a RUN with mounts follows the step, and a WORKDIR of its slice would be made in the same pod."""
    made = any(step.instruction.keyword == "WORKDIR" for step in steps[start : number + 1])
    return made and bool(steps[number + 1].mounts)
