"""Planning a Dockerfile image: its FROM blocks as images of one stage each.

In: a `DockerfileImage`, its `BlockPlan`s, the images planned so far. Out: a `PlannedImage` for each block that something
has to be built from, the target last and with the stage `imageSpec` if there is one. A block's digest is exactly that of
werf for an image with this block as target, so blocks are shared between images and with werf itself. A block that has to be
built has inner stages before the stage `dockerfile`, where they are wanted (`conveyor.plan.inner_stages`). While a build arg
that the Dockerfile declares waits for another image (`dependencies`), nothing of it is known but that it is Unknown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from conveyor.api.dockerfile_mode import DockerfileMode
from conveyor.config.model import DockerfileImage, WerfConfig
from conveyor.plan import labels
from conveyor.plan.chain import Chain
from conveyor.plan.dependency_values import FoundValues, find_values
from conveyor.plan.digest import hashed
from conveyor.plan.dockerfile import BlockPlan, plan_dockerfile
from conveyor.plan.dockerfile_source import ArgumentUnknownError
from conveyor.plan.image_spec import add_image_spec
from conveyor.plan.in_order import one_by_one
from conveyor.plan.inner_stages import InnerStages
from conveyor.plan.inquiry import Waiting
from conveyor.plan.model import PlannedImage, StageState, StageWork

STAGE = "dockerfile"


def plan_blocks(
    image: DockerfileImage,
    config: WerfConfig,
    chain: Chain,
    images: Mapping[str, PlannedImage],
    *,
    inner: bool = False,
) -> tuple[PlannedImage, ...]:
    """Plan the blocks that are needed: the target, and what blocks to be built start or copy from.

    Args:
        image: The image.
        config: The config it is from.
        chain: An empty chain for the image; each block gets a copy of it.
        images: Images planned so far, among them all that `dependencies` name.
        inner: Plan what blocks are built from as stages of their own.

    Raises:
        Waiting: A question is open.
    """
    values = find_values(image.dependencies, images, chain.facts)
    try:
        found = plan_dockerfile(
            image,
            chain.facts,
            project_dir=config.project_dir,
            dependency_args=values.by_target,
            platform=chain.platform,
        )
    except ArgumentUnknownError:
        return (unknown_image(image, values, config.meta.project, chain),)
    if isinstance(found, frozenset):
        chain.inquiry.note(*found)
        raise Waiting
    added = {labels.WERF: config.meta.project, **values.labels}
    # The target's row is there whatever is stored; those of other blocks are not.
    notes = tuple(note for block in found for note in block.notes)
    work = StageWork(dependencies=values.dependencies, labels=added, notes=notes)
    rows = _needed(image, found, work, chain)
    return _with_inner(rows, chain, config.meta.project) if inner else _images(rows)


def unknown_image(
    image: DockerfileImage, values: FoundValues, project: str, chain: Chain
) -> PlannedImage:
    """Plan the image while it is not even known what its blocks start from."""
    if values.question is None:
        raise AssertionError(f"a build arg of {image.name!r} is unknown and waits for nothing")
    chain.add_unknown(
        STAGE, StageWork(dependencies=values.dependencies), values.question, git=False
    )
    if image.image_spec is not None:
        add_image_spec(chain, image.image_spec, project)
    return _image(image, image.name, chain, chain.depends_on)


@dataclass(frozen=True, slots=True)
class _Row:
    """A block and how it is planned; its first stage is `dockerfile`."""

    block: BlockPlan
    image: PlannedImage

    @property
    def stored(self) -> bool:
        return self.image.stages[0].state is StageState.CACHED


def _needed(
    image: DockerfileImage, blocks: Sequence[BlockPlan], work: StageWork, chain: Chain
) -> list[_Row]:
    target = blocks[-1]
    needed = {target.name}
    rows: list[_Row] = []
    in_order = chain.facts.dockerfile_mode is DockerfileMode.LEGACY
    waiting = False
    for block in reversed(blocks):
        if block.name not in needed:
            continue
        planned = _plan_block(image, block, work, chain, target=block is target)
        if block is not target:
            planned = replace(planned, block_of=image.name, final=False)
        rows.append(_Row(block, planned))
        # An imageSpec on top needs no other blocks.
        if not rows[-1].stored:
            needed.update([one.name for one in blocks] if in_order else block.depends_on)
        if not rows[-1].stored or planned.platform != chain.platform:
            waiting |= not all(map(chain.inquiry.has, block.asks))
            chain.inquiry.note(*block.asks)
    if waiting:
        raise Waiting
    return _ordered(rows[::-1]) if in_order else rows[::-1]


def _ordered(rows: Sequence[_Row]) -> list[_Row]:
    images = one_by_one(row.image for row in rows)
    return [_Row(row.block, image) for row, image in zip(rows, images, strict=True)]


def _images(rows: Sequence[_Row]) -> tuple[PlannedImage, ...]:
    return tuple(row.image for row in rows)


def _with_inner(rows: Sequence[_Row], chain: Chain, project: str) -> tuple[PlannedImage, ...]:
    """Plan the inner stages of the blocks to be built, each after those that it is built from."""
    planned: dict[str, PlannedImage] = {}
    inner = InnerStages(project, planned)
    for row in rows:
        if not row.stored:
            inner.ask(row.block, _empty(row.block, chain))
    for row in rows:
        stages = row.image.stages
        if not row.stored:
            stages = (*inner.plan(row.block, _empty(row.block, chain), stages[0]), *stages[1:])
        planned[row.image.name] = replace(row.image, stages=stages)
    return tuple(planned.values())


def _plan_block(
    image: DockerfileImage, block: BlockPlan, work: StageWork, chain: Chain, *, target: bool
) -> PlannedImage:
    own = _empty(block, chain)
    if target:
        own.platform = chain.platform
    own.unhashed = block.unhashed if chain.facts.heredocs_differ else ""
    depends = hashed("StageDependencies", block.digest_components)
    notes = work.notes if target else ()
    work = replace(work, block=block.block, refused=block.refused, notes=notes)
    if target and image.platforms and block.platform != chain.platform:
        work = replace(work, image_platform=chain.platform)
    own.add(STAGE, depends, work, git=False)
    if target and image.image_spec is not None:
        add_image_spec(own, image.image_spec, work.labels[labels.WERF])
    return _image(image, block.name, own, (*block.depends_on, *chain.depends_on))


def _empty(block: BlockPlan, chain: Chain) -> Chain:
    """Return the empty chain of a block; a digest names the platform of the block, but that of a target the image's."""
    return Chain(
        image=block.name,
        config_image=chain.config_image,
        platform=block.platform,
        runs_on=block.platform,
        base=block.base,
        facts=chain.facts,
        inquiry=chain.inquiry,
    )


def _image(
    image: DockerfileImage, name: str, chain: Chain, depends_on: tuple[str, ...]
) -> PlannedImage:
    return PlannedImage(
        name=name,
        stages=tuple(chain.stages),
        final=image.final,
        platform=chain.platform,
        depends_on=depends_on,
    )
