"""Planning a Dockerfile image: its FROM blocks as images of one stage each.

In: a `DockerfileImage` and its `BlockPlan`s. Out: a `PlannedImage` for each block that something has to be built
from, the target last and with the stage `imageSpec` if there is one. A block's digest is exactly that of werf
for an image with this block as target, so blocks are shared between images and with werf itself.
"""

from collections.abc import Sequence
from dataclasses import replace

from conveyor.config.model import DockerfileImage, WerfConfig
from conveyor.plan import labels
from conveyor.plan.chain import Chain
from conveyor.plan.digest import hashed
from conveyor.plan.dockerfile import BlockPlan, plan_dockerfile
from conveyor.plan.image_spec import add_image_spec
from conveyor.plan.inquiry import Waiting
from conveyor.plan.model import PlannedImage, StageState, StageWork

STAGE = "dockerfile"


def plan_blocks(
    image: DockerfileImage, config: WerfConfig, chain: Chain
) -> tuple[PlannedImage, ...]:
    """Plan the blocks that are needed: the target, and what blocks to be built start or copy from.

    Args:
        image: The image.
        config: The config it is from.
        chain: An empty chain for the image; each block gets a copy of it.

    Raises:
        Waiting: A question is open.
    """
    project = config.meta.project
    found = plan_dockerfile(image, chain.facts, project_dir=config.project_dir, project=project)
    if isinstance(found, frozenset):
        chain.inquiry.note(*found)
        raise Waiting
    return _needed(image, found, project, chain)


def _needed(
    image: DockerfileImage, blocks: Sequence[BlockPlan], project: str, chain: Chain
) -> tuple[PlannedImage, ...]:
    target = blocks[-1]
    needed = {target.name}
    rows: list[PlannedImage] = []
    for block in reversed(blocks):
        if block.name not in needed:
            continue
        row = _plan_block(image, block, project, chain, target=block is target)
        rows.append(row if block is target else replace(row, block_of=image.name, final=False))
        # An imageSpec on top needs no other blocks.
        if row.stages[0].state is not StageState.CACHED:
            needed.update(block.depends_on)
    return tuple(reversed(rows))


def _plan_block(
    image: DockerfileImage, block: BlockPlan, project: str, chain: Chain, *, target: bool
) -> PlannedImage:
    own = Chain(
        image=block.name,
        platform=chain.platform,
        base=block.base,
        facts=chain.facts,
        inquiry=chain.inquiry,
    )
    depends = hashed("StageDependencies", block.digest_components)
    work = StageWork(block=block.block, labels={labels.WERF: project})
    own.add(STAGE, depends, work, git=False)
    if target and image.image_spec is not None:
        add_image_spec(own, image.image_spec, project)
    return PlannedImage(
        name=block.name,
        stages=tuple(own.stages),
        final=image.final,
        platform=chain.platform,
        depends_on=block.depends_on,
    )
