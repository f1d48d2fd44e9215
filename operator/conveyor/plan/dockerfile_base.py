"""What a FROM block starts from.

In: a Dockerfile's `Source` and what is known of outside images. Out: the base as the plan names it, the question that asks for an
outside one, and the variables that it hands over.
"""

from collections.abc import Iterable

from conveyor.config.dockerfile import Block
from conveyor.config.dockerfile_blocks import base_block
from conveyor.plan.answers import BaseImage
from conveyor.plan.dockerfile_platforms import is_foreign, platform_of
from conveyor.plan.dockerfile_source import Progress, Source, check_reference
from conveyor.plan.dockerfile_steps import SCRATCH, Scope
from conveyor.plan.model import Base, ExternalBase, ImageBase, ScratchBase
from conveyor.plan.questions import BaseImageInfo


def base_of(source: Source, block: Block, progress: Progress) -> Base:
    """Return what a block starts from; UserError when its FROM names nothing."""
    reference = source.base(block)
    found = base_block(source.parsed, block, reference)
    if found is not None:
        return ImageBase(image=source.name(found))
    if reference == SCRATCH:
        return ScratchBase()
    check_reference(source, block.line, "FROM", reference)
    answer = progress.facts.answers.get(_outside(source, block, progress))
    if isinstance(answer, BaseImage) and texts(answer.config.get("OnBuild")):
        # What its ONBUILD says is planned: that very image is then to be built on.
        return ExternalBase(reference=reference, digest=answer.digest)
    return ExternalBase(reference=reference)


def base_question(source: Source, block: Block, progress: Progress) -> BaseImageInfo | None:
    """Return what asks for the outside image that a block starts from, None for a block and for scratch."""
    reference = source.base(block)
    if reference == SCRATCH or base_block(source.parsed, block, reference) is not None:
        return None
    return _outside(source, block, progress)


def bases_asked(
    source: Source, block: Block, others: Iterable[Block], progress: Progress
) -> tuple[BaseImageInfo, ...]:
    """Return the outside bases that are to be looked up.

    Its own; and of a block that runs on another platform than the image is for also those of others like it that it is
    built from: its digest is bound to the image's platform if their ONBUILD asks for that.
    """
    question = base_question(source, block, progress)
    found = {} if question is None or question in progress.facts.answers else {question: None}
    if not is_foreign(source, block, progress):
        progress.asks[block.index] = ()
        return tuple(found)
    for other in others:
        found |= dict.fromkeys(progress.asks[other.index])
    progress.asks[block.index] = tuple(found)
    return tuple(found)


def base_scope(source: Source, block: Block, base: Base, progress: Progress) -> Scope:
    """Return the variables that the base hands over; incomplete while its environment is unknown."""
    if isinstance(base, ScratchBase):
        progress.roots[block.index] = SCRATCH
        return Scope.of_image((), "/")
    found = base_block(source.parsed, block, source.base(block))
    if found is not None:
        progress.roots[block.index] = progress.roots[found.index]
        return progress.scopes[found.index]
    progress.roots[block.index] = source.base(block)
    question = _outside(source, block, progress)
    answer = progress.facts.answers.get(question)
    if question in progress.facts.answers and answer is None:
        # Nobody can tell. Steps are then planned as on an empty environment; the digest does not depend on it.
        return Scope.of_image(())
    if not isinstance(answer, BaseImage):
        return Scope.of_image(None)
    workdir = answer.config.get("WorkingDir")
    return Scope.of_image(texts(answer.config.get("Env")), str(workdir or "/"))


def _outside(source: Source, block: Block, progress: Progress) -> BaseImageInfo:
    platform = platform_of(source, block, progress)
    return BaseImageInfo(reference=source.base(block), platform=platform)


def texts(value: object) -> list[str]:
    """Return a list of an image config as texts, empty for what is no list."""
    return [str(one) for one in value] if isinstance(value, list | tuple) else []
