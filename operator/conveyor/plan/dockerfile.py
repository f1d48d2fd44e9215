"""Planning a Dockerfile image: which FROM blocks are built, from what, with which digest and steps.

In: a `DockerfileImage` and `Facts`. Out: a `BlockPlan` for every block that the target needs
(BuildKit: only what is reachable through FROM and COPY --from; legacy: every one up to the target),
in the order of the file, or the questions that are open. Every block has the digest that werf would
give an image with this block as target.
"""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from conveyor.api.dockerfile_mode import DockerfileMode
from conveyor.config.dockerfile import Block, Instruction
from conveyor.config.dockerfile_blocks import source_block, sources_of
from conveyor.config.dockerfile_check import unbuildable_flag
from conveyor.config.dockerfile_model import NOT_SUPPORTED
from conveyor.config.dockerfile_patterns import has_wildcard
from conveyor.config.model import DockerfileImage
from conveyor.plan.answers import Answer
from conveyor.plan.dockerfile_base import base_of, base_scope, bases_asked
from conveyor.plan.dockerfile_digest import BlockDigests, ContextFiles, missing_sources
from conveyor.plan.dockerfile_notes import block_notes
from conveyor.plan.dockerfile_platforms import (
    bound_to,
    is_foreign,
    platform_notes,
    platform_of,
    unhashed_platforms,
)
from conveyor.plan.dockerfile_source import (
    OWN,
    Progress,
    Source,
    check_reference,
    needed_blocks,
    read_source,
    references,
    unhashed_text,
)
from conveyor.plan.dockerfile_steps import BaseUnknownError, Scope, StepMaker, trigger_error
from conveyor.plan.dockerfile_told import with_told
from conveyor.plan.dockerfile_triggers import triggers_of, with_triggers
from conveyor.plan.facts import Facts
from conveyor.plan.model import (
    Base,
    BlockStep,
    Component,
    CopySource,
    DockerfileBlock,
)
from conveyor.plan.questions import (
    AddedFiles,
    BaseImageInfo,
    ContextChecksum,
    Question,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockPlan:
    """One FROM block to be built.

    Attributes:
        name: Planned image name: the image's own for the target, IMAGE/stage/NAME or IMAGE/stageN
            for the others.
        digest_components: Hashed (SHA-256 over their values joined with `:::`) they are werf's
            stageDependencies.
        depends_on: Names of the blocks it starts from or copies from.
        refused: Why this version cannot build it, with file and line, "" when it can.
        asks: What has to be known before it can be built: its outside base, for ONBUILD. The digest needs it only of a block that
            runs on another platform than the image is for, and is not the target.
        notes: What is written in vain or surprises, with file and line.
        unhashed: Stands for what its digest does not tell, "" for nothing: here-documents and platforms of it and of what it is
            built from.
        platform: What its base is for and its commands run on.
    """

    name: str
    digest_components: tuple[Component, ...]
    block: DockerfileBlock
    base: Base
    depends_on: tuple[str, ...]
    refused: str = ""
    asks: tuple[BaseImageInfo, ...] = ()
    notes: tuple[str, ...] = ()
    unhashed: str = ""
    platform: str = "linux/amd64"


def plan_dockerfile(
    image: DockerfileImage,
    facts: Facts,
    *,
    project_dir: str,
    dependency_args: Mapping[str, str | None] | None = None,
    platform: str = "linux/amd64",
) -> tuple[BlockPlan, ...] | frozenset[Question]:
    """Plan the blocks that the image's target needs, or return the open questions.

    Args:
        image: The image.
        facts: `commit`, `dockerfile_mode`, and answers to FileText, ContextChecksum and BaseImageInfo.
        project_dir: Directory of werf.yaml inside the repository, "" for the root.
        dependency_args: Build args that `dependencies` hand over; they win over the image's own. None: nobody knows
            the value yet.
        platform: What is built; a FROM --platform may name another one for its block.

    Raises:
        UserError: InvalidDockerfile or NotSupported with file and line.
        ArgumentUnknownError: The Dockerfile declares an unknown build arg.
    """
    progress = Progress(facts)
    given = {**image.args, **(dependency_args or {})}
    where = f'{image.at}: image "{image.name}"'
    source = read_source(image, progress, where, project_dir, given, platform)
    if source is None:
        return frozenset(progress.questions)
    digests = BlockDigests(source.parsed, source.args, image.add_host)
    maker = StepMaker(source.parsed, source.args)
    in_order = facts.dockerfile_mode is DockerfileMode.LEGACY
    needed = _needed(source, progress, in_order=in_order)
    plans = [
        _plan_block(source, block, digests, maker, progress, in_order=in_order) for block in needed
    ]
    done = tuple(plan for plan in plans if plan is not None)
    return frozenset(progress.questions) if progress.questions else done


def _needed(source: Source, progress: Progress, *, in_order: bool) -> list[Block]:
    """Return the blocks as they are executed, in the order of the file."""
    first = source.parsed.blocks[0 if in_order else source.target.index : source.target.index + 1]

    def executed(block: Block) -> Block:
        return with_triggers(source, block, progress)

    return [*map(executed, needed_blocks(first, lambda it: references(source, executed(it))))]


def _plan_block(
    source: Source,
    block: Block,
    digests: BlockDigests,
    maker: StepMaker,
    progress: Progress,
    *,
    in_order: bool,
) -> BlockPlan | None:
    others = references(source, block)
    below = [progress.unhashed[other.index] for other in others]
    below += unhashed_platforms(source, block, others, progress)
    progress.unhashed[block.index] = unhashed_text(block, below)
    base = base_of(source, block, progress)
    components = _components(source, block, digests, progress)
    bound = bound_to(source, block, others, progress)
    steps = block_steps(source, block, base, maker, progress)
    if components is None or steps is None:
        return None
    steps = (from_step(source, block), *steps)
    names = map(source.name, others)
    return BlockPlan(
        name=source.name(block),
        digest_components=(*components, *bound),
        block=DockerfileBlock(
            steps=with_told(source, block, steps) if in_order else steps,
            context=source.context,
            dockerfile=source.image.dockerfile,
            dockerignore=source.packed_ignore,
            commit=source.commit,
        ),
        base=base,
        depends_on=tuple(dict.fromkeys(names)),
        refused=_refused(source, steps),
        asks=bases_asked(source, block, others, progress),
        notes=(*block_notes(source, block), *platform_notes(source, block, progress)),
        unhashed=progress.unhashed[block.index],
        platform=platform_of(source, block, progress),
    )


def _refused(source: Source, steps: Sequence[BlockStep]) -> str:
    for one in steps:
        if problem := one.refused or unbuildable_flag(one.instruction):
            error = source.parsed.error(one.instruction.line, problem, reason=NOT_SUPPORTED)
            own = not one.instruction.trigger_of
            return (error if own else trigger_error(source.parsed, one.instruction, error)).message
    return ""


def _components(
    source: Source, block: Block, digests: BlockDigests, progress: Progress
) -> tuple[Component, ...] | None:
    components: list[Component] = []
    complete = True
    for item in digests.items(source.parsed.blocks[block.index]):
        if isinstance(item, Component):
            components.append(item)
            continue
        question = _context_question(source, item)
        checksum = progress.answer(question) if item.sources else ""
        added = _added(source, item, progress)
        if not (isinstance(checksum, str) and isinstance(added, str)):
            complete = False
            continue
        if item.sources and not (checksum or added or any(map(_is_open, item.sources))):
            raise missing_sources(source.parsed, item)
        components.append(item.component(checksum, added))
    if source.image.cache_version:
        version = source.image.cache_version
        components.append(Component(label="ImageCacheVersion", value=version))
    return tuple(components) if complete else None


def _added(source: Source, files: ContextFiles, progress: Progress) -> Answer:
    """Return the checksum of the `contextAddFiles` among the files, "" for none; None while nobody has answered."""
    image = source.image
    if not image.context_add_files:
        return ""
    question = AddedFiles(
        repo=OWN,
        commit=source.commit,
        project_dir=source.project_dir,
        context=source.context,
        files=tuple(posixpath.join(image.context, path) for path in image.context_add_files),
        sources=files.sources,
    )
    return progress.answer(question)


def _is_open(path: str) -> bool:
    """Whether a source may match nothing."""
    return path == "." or has_wildcard(path)


def _context_question(source: Source, files: ContextFiles) -> ContextChecksum:
    return ContextChecksum(
        repo=OWN,
        commit=source.commit,
        context=source.context,
        dockerfile=source.image.dockerfile,
        dockerignore=source.dockerignore,
        sources=files.sources,
    )


def from_step(source: Source, block: Block) -> BlockStep:
    """Return FROM as the first step of a block."""
    base, triggers = source.base(block), (one.original for one in triggers_of(block))
    return BlockStep(
        instruction=Instruction(
            keyword="FROM", args=(base, *triggers), original=f"FROM {block.base}", line=block.line
        )
    )


def block_steps(
    source: Source, block: Block, base: Base, maker: StepMaker, progress: Progress
) -> tuple[BlockStep, ...] | None:
    """Return the instructions of a block as they are executed; None while a question is open.

    Args:
        progress: Has the blocks that this one is built from.
    """
    scope = base_scope(source, block, base, progress)
    try:
        steps, after = maker.steps(block, scope, _copy_sources(source, block, progress))
    except BaseUnknownError:
        root, platform = progress.roots[block.index], platform_of(source, block, progress)
        progress.questions.add(BaseImageInfo(reference=root, platform=platform))
        progress.scopes[block.index] = Scope.of_image(None)
        return None
    progress.scopes[block.index] = after
    return steps


def _copy_sources(source: Source, block: Block, progress: Progress) -> dict[str, CopySource]:
    sources: dict[str, CopySource] = {}
    platform = source.platform if is_foreign(source, block, progress) else ""
    for instruction in block.instructions:
        what = "COPY --from" if instruction.keyword == "COPY" else "RUN --mount from"
        for name in sources_of(instruction):
            found = source_block(source.parsed, block, name)
            if found is None:
                check_reference(source, instruction.line, what, name)
                sources[name] = CopySource(image=name, external=True, platform=platform)
            else:
                sources[name] = CopySource(image=source.name(found))
    return sources
