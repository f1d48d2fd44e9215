"""Planning a staged Dockerfile: every instruction is a stage.

In: a `DockerfileImage` with `staged`, and facts. Out: a `PlannedImage` for each FROM block that the target needs, the target
last, with the stages and digests of werf 2.x (werf-semantics 4.9, 14.3). What names another block's stage hashes its whole
reference, creation time included: such stages are Unknown until that one is stored. What each stage executes is planned as for
Dockerfiles that are built as a whole, by Docker's rules: variables are replaced once more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from conveyor.api.dockerfile_mode import DockerfileMode
from conveyor.api.errors import UserError
from conveyor.config.dockerfile import Block
from conveyor.config.dockerfile_blocks import base_block, source_block, sources_of
from conveyor.config.dockerfile_model import INVALID
from conveyor.config.model import DockerfileImage, WerfConfig
from conveyor.plan import labels
from conveyor.plan.answers import BaseImage, StoredImage
from conveyor.plan.blocks import unknown_image
from conveyor.plan.chain import Chain
from conveyor.plan.dependency_values import find_values
from conveyor.plan.dockerfile_platforms import bound_to, platform_of
from conveyor.plan.dockerfile_source import (
    ArgumentUnknownError,
    Progress,
    Source,
    check_reference,
    needed_blocks,
    read_source,
)
from conveyor.plan.dockerfile_steps import StepMaker
from conveyor.plan.dockerfile_triggers import triggers_of, with_triggers
from conveyor.plan.image_spec import add_image_spec
from conveyor.plan.in_order import one_by_one
from conveyor.plan.inquiry import Unknowable, Waiting
from conveyor.plan.model import (
    Base,
    DockerfileBlock,
    ExternalBase,
    ImageBase,
    PlannedImage,
    ScratchBase,
    StageWork,
)
from conveyor.plan.questions import BaseImageInfo, ImageReference, Question
from conveyor.plan.staged_block import staged_block, staged_notes, unhashed_base
from conveyor.plan.staged_stages import VERSION_VARIABLE, BlockStages, ReferenceUnknownError
from conveyor.plan.staged_words import StagedWords

SCRATCH = "scratch"
VERSIONS = ("v1", "v2")


def staged_version(environment: Mapping[str, str]) -> str:
    """Return the version that the environment asks for, "v1" by default.

    Raises:
        UserError: There is no such version.
    """
    version = environment.get(VERSION_VARIABLE, "") or VERSIONS[0]
    if version not in VERSIONS:
        raise UserError(INVALID, f"{VERSION_VARIABLE}={version} is unknown; known are v1 and v2")
    return version


def plan_staged(
    image: DockerfileImage,
    config: WerfConfig,
    chain: Chain,
    images: Mapping[str, PlannedImage] | None = None,
) -> tuple[PlannedImage, ...]:
    """Plan the image's target and every block that it needs, last what `imageSpec` makes of it.

    Args:
        image: The image.
        config: The config it is from.
        chain: An empty one for the image.
        images: Images planned so far, among them all that `dependencies` name.

    Raises:
        Waiting: A question is open.
        UserError: InvalidDockerfile or NotSupported with file and line.
    """
    values = find_values(image.dependencies, images or {}, chain.facts)
    given = {**image.args, **values.by_target}
    work = StageWork(
        dependencies=values.dependencies,
        labels={labels.WERF: config.meta.project, **values.labels},
    )
    progress = Progress(chain.facts)
    where = f"{config.meta.project}: image {image.name!r}"
    try:
        source = read_source(image, progress, where, config.project_dir, given, chain.platform)
    except ArgumentUnknownError:
        return (unknown_image(image, values, config.meta.project, chain),)
    if source is None:
        chain.inquiry.note(*progress.questions)
        raise Waiting
    known = {name: value for name, value in given.items() if value is not None}
    words = StagedWords(source.parsed, known, chain.platform, source.build_platform)
    maker = StepMaker(source.parsed, source.args)
    return tuple(_Blocks(source, words, work, chain, maker, progress).rows())


@dataclass(slots=True)
class _Blocks:
    source: Source
    words: StagedWords
    work: StageWork
    around: Chain
    maker: StepMaker
    progress: Progress
    planned: dict[int, PlannedImage] = field(default_factory=dict)
    envs: dict[int, dict[str, str]] = field(default_factory=dict)
    # Blocks of whose base's environment nobody can tell; they are planned as on an empty one, and Unknown.
    unknown: dict[int, Question] = field(default_factory=dict)

    def rows(self) -> list[PlannedImage]:
        """Plan the needed blocks in the order of the file; each may only refer to earlier ones."""
        needed = needed_blocks([self.source.target], self._references)
        self._ask_bases(needed)
        for block in needed:
            self.planned[block.index] = self._plan(block)
        if not self.in_order:
            return list(self.planned.values())
        if not self.planned[self.source.target.index].ready:
            self._plan_others()
        return list(one_by_one(self.planned[index] for index in sorted(self.planned)))

    @property
    def in_order(self) -> bool:
        """Whether every block up to the target is built, one after the other."""
        return self.around.facts.dockerfile_mode is DockerfileMode.LEGACY

    def _plan_others(self) -> None:
        """Plan the blocks before the target that it does not need."""
        before = self.source.parsed.blocks[: self.source.target.index]
        others = [block for block in before if block.index not in self.planned]
        self._ask_bases(others)
        for block in others:
            self.planned[block.index] = self._plan(block)

    def _references(self, block: Block) -> list[Block]:
        parsed = self.source.parsed
        executed = with_triggers(self.source, block, self.progress)
        names = (name for one in executed.instructions for name in sources_of(one))
        others = [self._base_block(block), *(source_block(parsed, block, name) for name in names)]
        return [other for other in others if other is not None]

    def _base_block(self, block: Block) -> Block | None:
        return base_block(self.source.parsed, block, self.words.base(block))

    def _ask_bases(self, blocks: list[Block]) -> None:
        self.around.inquiry.note(
            *(self._base_question(b) for b in blocks if isinstance(self._base(b), ExternalBase))
        )

    def _base_question(self, block: Block) -> BaseImageInfo:
        platform = self._platform(block)
        return BaseImageInfo(reference=self.words.base(block), platform=platform)

    def _platform(self, block: Block) -> str:
        return platform_of(self.source, block, self.progress)

    def _base(self, block: Block) -> Base:
        found = self._base_block(block)
        if found is not None:
            return ImageBase(image=self.source.name(found))
        reference = self.words.base(block)
        if reference == SCRATCH:
            return ScratchBase()
        check_reference(self.source, block.line, "FROM", reference)
        return ExternalBase(reference=reference)

    def _plan(self, block: Block) -> PlannedImage:
        base = self._base(block)
        instructions, self.envs[block.index] = self.words.instructions(
            block, self._base_env(block, base)
        )
        target = block is self.source.target
        executed = with_triggers(self.source, block, self.progress)
        others = self._references(block)
        own = self._chain(executed, base)
        steps, refused = self._steps(executed, base)
        BlockStages(
            source=self.source,
            steps=steps,
            refused=refused,
            work=replace(self.work, notes=staged_notes(self.source, executed, self.progress)),
            block=block,
            base=self._base_block(block),
            base_reference=self.words.base(block),
            reference=self._reference,
            question=self.unknown.get(block.index),
            bound=bound_to(self.source, executed, others, self.progress),
            brought=sum(one.keyword != "ARG" for one in triggers_of(executed)),
            chain=own,
        ).walk(instructions)
        image = self.source.image
        if target and image.image_spec is not None:
            add_image_spec(own, image.image_spec, self.work.labels[labels.WERF])
        return PlannedImage(
            name=own.image,
            stages=tuple(own.stages),
            final=image.final and target,
            block_of="" if target else image.name,
            platform=own.platform,
            depends_on=(*dict.fromkeys(map(self.source.name, others)), *self.around.depends_on),
        )

    def _chain(self, block: Block, base: Base) -> Chain:
        """Return the block's empty chain; digests name the platform of the block, but those of a target the image's."""
        platform = self._platform(block)
        return replace(
            self.around,
            image=self.source.name(block),
            base=base,
            platform=self.around.platform if block.index == self.source.target.index else platform,
            runs_on=platform,
            stages=[],
            carried={},
            unhashed=unhashed_base(self.source, block, self.progress),
        )

    def _steps(self, block: Block, base: Base) -> tuple[DockerfileBlock, str]:
        """What the block's stages execute, or why it cannot be built."""
        found = staged_block(
            self.source, block, base, self.maker, self.progress, in_order=self.in_order
        )
        if found is None:
            self.around.inquiry.note(*self.progress.questions)
            raise Waiting
        return found

    def _base_env(self, block: Block, base: Base) -> dict[str, str]:
        found = self._base_block(block)
        if found is not None:
            if found.index in self.unknown:
                self.unknown[block.index] = self.unknown[found.index]
            return self.envs[found.index]
        if isinstance(base, ScratchBase):
            return {}
        try:
            known = self.around.inquiry.need(self._base_question(block), BaseImage)
        except Unknowable as unknowable:
            self.unknown[block.index] = unknowable.question
            return {}
        entries = known.config.get("Env")
        pairs = (
            (str(e).partition("=") for e in entries) if isinstance(entries, list | tuple) else ()
        )
        return {name: value for name, _, value in pairs}

    def _reference(self, block: Block) -> str:
        """Return `repo:tag` of a block's last stage, which must be stored."""
        image = self.planned[block.index]
        last = image.stages[-1].stored
        if image.ready and last is not None and self.around.facts.repo:
            return f"{self.around.facts.repo}:{last.id}"
        question = ImageReference(image=image.name)
        answer = self.around.facts.answers.get(question)
        if not isinstance(answer, StoredImage):
            raise ReferenceUnknownError(question)
        return answer.reference
