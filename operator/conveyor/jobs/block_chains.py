"""Which FROM blocks are built in one pod, one after the other.

In: a plan. Out: the stages that follow one, beyond its block. Where others need a block only to start from it, the first of them
goes on in its pod, and the rest start from the block as it is stored meanwhile. All blocks are stages as ever, stored one by one.

Not so in legacy mode, whose log names the stored image that a block starts from; nor with `staged: true`, whose digests name the
stored stage below, which is not there yet.
"""

from collections.abc import Iterator
from typing import Final

from conveyor.plan.model import (
    BlockStep,
    BuildPlan,
    DockerfileBlock,
    ImageBase,
    PlannedImage,
    PlannedStage,
)

_MAX_TEXT: Final = 48 * 1024
"""Characters in the tasks of one Job: blocks that fit into a task one by one must fit together."""


def line(plan: BuildPlan, image: PlannedImage, index: int) -> Iterator[PlannedStage]:
    """Return an image's stages from that position on, and those of the blocks that may follow in the same pod."""
    stages = image.stages[index:]
    length = 0
    while stages:
        yield from stages
        length += _length(stages)
        following = next_block(plan, image)
        if following is None or length + _length(following.stages) > _MAX_TEXT:
            return
        image, stages = following, following.stages


def next_block(plan: BuildPlan, image: PlannedImage) -> PlannedImage | None:
    """Return the block or image of the Dockerfile that goes on where this block ends, None when nobody only starts from it."""
    if not image.block_of or image.in_order or _is_twice(plan, image):
        return None
    users = [one for one in plan.images if image.name in one.depends_on and not one.ready]
    if any(_takes_files(one, image) for one in users):  # which are exported when a Job is over
        return None
    if len(users) > 1:  # nobody else is kept waiting by one that has all it needs
        users = [one for one in users if set(one.depends_on) == {image.name}]
    return next((one for one in users if _may_go_on(one, image)), None)


def _may_go_on(image: PlannedImage, block: PlannedImage) -> bool:
    base = image.stages[0].base
    starts_from = isinstance(base, ImageBase) and base.image == block.name
    return starts_from and image.platform == block.platform and not _keeps_private(image)


def _takes_files(image: PlannedImage, block: PlannedImage) -> bool:
    return any(source == block.name for stage in image.stages for source in _sources(stage))


def _sources(stage: PlannedStage) -> Iterator[str]:
    """The images that a stage's instructions take files from."""
    for step in stage.work.block.steps if stage.work.block else ():
        yield step.source.image if step.source else ""
        yield from (it.files.image for it in step.mounts if it.files)


def _keeps_private(image: PlannedImage) -> bool:
    """Whether a RUN has a cache that is its image's alone: of a pod only the first image is known."""
    mounts = (it.mount for stage in image.stages for it in stage.work.run_mounts)
    return any(mount.sharing == "private" for mount in mounts)


def _is_twice(plan: BuildPlan, block: PlannedImage) -> bool:
    """Whether another image of the plan has the very stage, as a target or to start from."""
    digest = block.stages[-1].digest
    others = (one for one in plan.images if one is not block)
    return any(stage.digest == digest for one in others for stage in one.stages)


def _length(stages: tuple[PlannedStage, ...]) -> int:
    blocks = (stage.work.block for stage in stages if stage.work.block)
    return sum(_step_length(step, block) for block in blocks for step in block.steps)


def _step_length(step: BlockStep, block: DockerfileBlock) -> int:
    """About how many characters of a task stand for the instruction, before they are packed."""
    one = step.instruction
    ignored = block.dockerignore if one.keyword in ("COPY", "ADD") else ""
    texts = (*one.args, *step.env.values(), *(doc.content for doc in one.heredocs), ignored)
    return sum(map(len, texts))
