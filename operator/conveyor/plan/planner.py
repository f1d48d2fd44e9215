"""The planner: what has to be built, and what is stored already.

In: `WerfConfig` and `Facts`. Out: a `BuildPlan`, or the questions that have to be answered first. The shell answers
them all, adds the answers to the facts and calls again; the same input always gives the same output.

A question that only building can answer (the checksum of an import whose source is not stored) does not hold up
the rest: the stages that wait for it are planned as Unknown.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from conveyor.api.errors import UserError
from conveyor.config.model import DockerfileImage, Image, StapelImage, WerfConfig
from conveyor.plan.blocks import plan_blocks
from conveyor.plan.chain import Chain
from conveyor.plan.dependencies import SCRATCH
from conveyor.plan.facts import Facts
from conveyor.plan.images import image_sets, needed_images
from conveyor.plan.inquiry import Inquiry, Waiting
from conveyor.plan.mappings import mapping_commits
from conveyor.plan.model import (
    Base,
    BuildPlan,
    ExternalBase,
    ImageBase,
    PlannedImage,
    ScratchBase,
)
from conveyor.plan.questions import Question
from conveyor.plan.staged import plan_staged
from conveyor.plan.targets import Target, targets_of
from conveyor.plan.walk import Surroundings, walk_stages


def plan(
    config: WerfConfig,
    facts: Facts,
    *,
    images: tuple[str, ...] = (),
    keep_entrypoint_with_cmd: bool = False,
    inner: bool = False,
) -> BuildPlan | frozenset[Question]:
    """Plan the images of a config and everything they need.

    Args:
        config: The config.
        facts: What is known so far.
        images: Wanted image names; () for all.
        keep_entrypoint_with_cmd: `spec.compatibility.keepEntrypointWithCmd`.
        inner: Plan inner stages of Dockerfile blocks, too: for building. They change no other stage.

    Returns:
        The plan; or, never empty, the questions to answer before there is one.

    Raises:
        UserError: Somebody has to change the config or the repository.
    """
    sets = image_sets(config, images)
    inquiry = Inquiry(facts)
    planned: dict[str, PlannedImage] = {}
    wanted = (config.image(name) for names in sets for name in names)
    how = _How(keep=keep_entrypoint_with_cmd, inner=inner)
    for target in (target for image in wanted for target in targets_of(image, config)):
        rows = _try(config, target, facts, planned, inquiry, how)
        planned.update((row.name, target.named(row)) for row in rows)
    if inquiry.open:
        return frozenset(inquiry.open)
    return BuildPlan(project=config.meta.project, sets=sets, images=tuple(planned.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _How:
    keep: bool
    inner: bool


def _try(
    config: WerfConfig,
    target: Target,
    facts: Facts,
    planned: dict[str, PlannedImage],
    inquiry: Inquiry,
    how: _How,
) -> Sequence[PlannedImage]:
    """Plan one image as far as the facts go; nothing when a question is open."""
    try:
        return tuple(_plan_image(config, target, facts, planned, inquiry, how))
    except Waiting:
        return ()
    except UserError:
        # What follows from an assumption is not yet the user's mistake; the open question comes first.
        if inquiry.assumed:
            return ()
        raise


def _plan_image(
    config: WerfConfig,
    target: Target,
    facts: Facts,
    planned: dict[str, PlannedImage],
    inquiry: Inquiry,
    how: _How,
) -> Iterator[PlannedImage]:
    image = target.image
    needed = target.needed(config, planned)
    chain = Chain(
        image=target.name,
        config_image=image.name,
        platform=target.platform,
        base=_base(image, needed),
        facts=facts,
        inquiry=inquiry,
        depends_on=tuple(row.name for row in needed.values()),
    )
    if isinstance(image, StapelImage):
        # Ask about the files first: these questions are known even while a needed image is not planned yet.
        chain.mappings = mapping_commits(
            image, inquiry, facts.commit, virtual_merge=facts.virtual_merge
        )
    if not needed.keys() >= set(needed_images(image)):
        raise Waiting
    if isinstance(image, DockerfileImage):
        blocks = replace(image, name=target.name)
        if image.staged:
            yield from plan_staged(blocks, config, chain, needed)
            return
        yield from plan_blocks(blocks, config, chain, needed, inner=how.inner)
        return
    around = Surroundings(
        project=config.meta.project,
        build_cache_version=config.meta.cache_version,
        images=needed,
        inquiry=inquiry,
        keep_entrypoint_with_cmd=how.keep,
    )
    yield PlannedImage(
        name=target.name,
        stages=walk_stages(image, chain, around),
        final=image.final,
        platform=chain.platform,
        depends_on=chain.depends_on,
        entrypoint=chain.entrypoint,
    )


def _base(image: Image, needed: Mapping[str, PlannedImage]) -> Base:
    if not isinstance(image, StapelImage):
        return ScratchBase()
    if image.base_internal:
        found = needed.get(image.base)
        return ImageBase(image=found.name if found else image.base)
    if image.base == SCRATCH:
        return ScratchBase()
    return ExternalBase(reference=image.base)
