"""What the stages of one FROM block of a staged Dockerfile execute, and what is to be told about it.

In: a Dockerfile's `Source`, a block with the ONBUILD of its base. Out: its steps or why it cannot be built, its notes, what
no digest of it tells.
"""

from conveyor.api.errors import UserError
from conveyor.config.dockerfile import Block
from conveyor.plan.digest import sha256_args
from conveyor.plan.dockerfile import block_steps, from_step
from conveyor.plan.dockerfile_notes import block_notes
from conveyor.plan.dockerfile_platforms import platform_notes, platform_of, unhashed_platforms
from conveyor.plan.dockerfile_source import Progress, Source
from conveyor.plan.dockerfile_steps import Scope, StepMaker
from conveyor.plan.dockerfile_told import with_told
from conveyor.plan.dockerfile_triggers import triggers_of
from conveyor.plan.model import Base, BlockStep, DockerfileBlock


def staged_block(
    source: Source,
    block: Block,
    base: Base,
    maker: StepMaker,
    progress: Progress,
    *,
    in_order: bool,
) -> tuple[DockerfileBlock, str] | None:
    """Return what the block executes and why it cannot be built ("" when it can); None while a question is open."""
    made: tuple[BlockStep, ...] | None = ()
    refused = ""
    try:
        made = block_steps(source, block, base, maker, progress)
    except UserError as error:  # it can be planned nevertheless
        refused = error.message
        progress.scopes[block.index] = Scope.of_image(())
    if made is None:
        return None
    steps = (from_step(source, block), *made)
    if in_order and not refused:
        steps = with_told(source, block, steps)
    whole = DockerfileBlock(
        steps=tuple(one for one in steps if one.instruction.keyword != "ARG"),
        context=source.context,
        dockerfile=source.image.dockerfile,
        dockerignore=source.packed_ignore,
        commit=source.commit,
    )
    return whole, refused or _platform_refused(source, block, progress)


def staged_notes(source: Source, block: Block, progress: Progress) -> tuple[str, ...]:
    """Return what is to be told about the block."""
    return (*block_notes(source, block), *platform_notes(source, block, progress))


def unhashed_base(source: Source, block: Block, progress: Progress) -> str:
    """Return what stands for ONBUILD of the base and for a platform that no digest tells, "" for nothing.

    What other blocks are made of is told by the references to their stages.
    """
    if not progress.facts.heredocs_differ:
        return ""
    texts = [one.original for one in triggers_of(block)]
    texts += unhashed_platforms(source, block, (), progress)
    return sha256_args(*texts) if texts else ""


def _platform_refused(source: Source, block: Block, progress: Progress) -> str:
    """Why the target cannot be built: its last stage would have to say another platform than those before it."""
    platform = platform_of(source, block, progress)
    target = block.index == source.target.index
    if not (target and source.image.platforms) or platform == source.platform:
        return ""
    return (
        f"{source.parsed.file}:{block.line}: FROM --platform={platform} of the target of a staged Dockerfile is not "
        f"supported for an image of {source.platform}; leave --platform out, or `staged`"
    )
