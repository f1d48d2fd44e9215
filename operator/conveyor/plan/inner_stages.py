"""Inner stages: the instructions of a FROM block that has to be built, as stages that can be stored one by one.

In: a `BlockPlan`, the blocks planned so far, an empty chain. Out: the stages before the stage `dockerfile`, from the last one
that is stored. Their digests are ours, werf knows none: they stand for everything that a slice is made from: platform, what the
block's base is now, the instructions as they are executed, the exact files of the context, the stages that files are copied from.
A base that is a block is told by its content digest, which is known before it is built, so that both may be built in one pod; a
stored slice serves only if it is younger than the stored base. What files are copied from is known only when it is stored; until
then a slice that needs it is Unknown.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Final

from conveyor.config.dockerfile_mount_points import bound_path
from conveyor.plan import labels
from conveyor.plan.answers import BaseImage
from conveyor.plan.chain import Chain
from conveyor.plan.digest import OWN_REPOSITORY, hashed, named
from conveyor.plan.dockerfile import BlockPlan
from conveyor.plan.dockerfile_slices import Slice, slices_of
from conveyor.plan.inquiry import Unknowable
from conveyor.plan.model import (
    Base,
    BlockStep,
    Component,
    CopySource,
    DockerfileBlock,
    ExternalBase,
    ImageBase,
    PlannedImage,
    PlannedStage,
    PreviousStage,
    StageWork,
)
from conveyor.plan.questions import BaseImageInfo, ContextListing, ImageReference, Question

_VERSION: Final = "conveyor/inner/1"
# Where an instruction stands and how it is spelled changes nothing about what it does.
_NOT_EXECUTED: Final = ("original", "line", "trigger_of")


@dataclass(frozen=True, slots=True)
class InnerStages:
    """The inner stages of one Dockerfile's blocks.

    Attributes:
        images: The images planned so far, by name; blocks before their block.
    """

    project: str
    images: Mapping[str, PlannedImage]

    def ask(self, block: BlockPlan, chain: Chain) -> None:
        """Ask at once whatever the block's digests need."""
        chain.inquiry.note(*self._questions(block, chain))

    def plan(self, block: BlockPlan, chain: Chain, last: PlannedStage) -> tuple[PlannedStage, ...]:
        """Return the stages of a block of which `last`, the stage `dockerfile`, has to be built.

        Raises:
            Waiting: A question is open.
        """
        slices = slices_of(block.block)
        self._found_on(block.base, chain)
        found = [
            (_pinned_slice(one, chain), self._depends(one, block, chain)) for one in slices[:-1]
        ]
        chain.base = _pinned_base(block.base, chain)
        _add(chain, found, self.project, block.block)
        inner = tuple(replace(stage, inner=True) for stage in chain.stages)
        work = replace(last.work, block=replace(block.block, steps=slices[-1].steps))
        base = PreviousStage() if inner else chain.base
        return (*inner, replace(last, work=work, base=base))

    def _found_on(self, base: Base, chain: Chain) -> None:
        """Have only those stored slices serve that may have been built on the base as it is stored."""
        if not isinstance(base, ImageBase):
            return
        last = self.images[base.image].stages[-1].stored
        if last is None:
            chain.facts = replace(chain.facts, stages={})
        else:
            chain.above = last.id

    def _questions(self, block: BlockPlan, chain: Chain) -> Iterator[Question]:
        slices = slices_of(block.block)[:-1]
        if slices and isinstance(block.base, ExternalBase):
            yield BaseImageInfo(reference=block.base.reference, platform=chain.platform)
        for step in (step for one in slices for step in one.steps):
            for source, paths in _taken(step):
                if not source.image:
                    yield _listing(paths, block.block)
                elif source.external:
                    yield _question(source, chain)

    def _depends(self, one: Slice, block: BlockPlan, chain: Chain) -> Component | Question:
        """Return what a slice is made from, or what it waits for."""
        first = one.steps[0].instruction.keyword == "FROM"
        parts = [named("Version", _VERSION)]
        try:
            if first:
                parts.append(named("Base", self._base(block.base, chain)))
            for step in one.steps:
                parts += self._step(step, block.block, chain)
        except _UnknownError as unknown:
            return unknown.question
        return hashed("StageDependencies", parts)

    def _step(self, step: BlockStep, block: DockerfileBlock, chain: Chain) -> Iterator[Component]:
        keyword = step.instruction.keyword
        if keyword == "FROM":
            return  # what it names is told by what it stands for
        yield named(keyword, _executed(step))
        for source, paths in _taken(step):
            if not source.image:
                yield named("Files", chain.inquiry.need(_listing(paths, block), str))
            elif source.external:
                yield named("From", self._outside(_question(source, chain), chain))
            else:
                yield named("From", self._block(source.image))

    def _base(self, base: Base, chain: Chain) -> str:
        match base:
            case ExternalBase(reference=reference):
                question = BaseImageInfo(reference=reference, platform=chain.platform)
                return self._outside(question, chain)
            case ImageBase(image=image):
                return str(self.images[image].stages[-1].content_digest)
            case _:
                return "scratch"

    def _outside(self, question: BaseImageInfo, chain: Chain) -> str:
        try:
            return chain.inquiry.need(question, BaseImage).digest
        except Unknowable:
            raise _UnknownError(question) from None

    def _block(self, name: str) -> str:
        image = self.images[name]
        last = image.stages[-1].stored
        if not image.ready or last is None:
            raise _UnknownError(ImageReference(image=name))
        return str(last.id)


class _UnknownError(Exception):
    def __init__(self, question: Question) -> None:
        super().__init__(question)
        self.question = question


def _add(
    chain: Chain,
    found: list[tuple[Slice, Component | Question]],
    project: str,
    block: DockerfileBlock,
) -> None:
    """Plan the slices from the last one that is stored, Unknown from the first one that waits."""
    start = _stored(chain, found)
    for index, (one, depends) in enumerate(found):
        steps = replace(block, steps=one.steps)
        work = StageWork(labels={labels.WERF: project}, block=steps)
        if not isinstance(depends, Component) or chain.question is not None:
            question = chain.question or depends
            assert not isinstance(question, Component)  # noqa: S101 - one of the two is a question
            chain.add_unknown(one.name, work, question, git=False)
        elif index < start:
            chain.skip(one.name, depends)
        else:
            chain.add(one.name, depends, work, git=False)


def _stored(chain: Chain, found: list[tuple[Slice, Component | Question]]) -> int:
    """Return which slice is the last one that is stored, 0 for none; those before it are not even looked at."""
    probe = replace(chain, stages=[], carried={})
    digests = []
    for one, depends in found:
        if not isinstance(depends, Component):
            break
        digests.append((one.name, probe.skip(one.name, depends)))
    for index in reversed(range(len(digests))):
        name, digest = digests[index]
        if chain.facts.stages.get(digest) and probe.serving(name, digest):
            return index
    return 0


def _pinned_base(base: Base, chain: Chain) -> Base:
    """Return the very image that digests name: its tag may move before the Job starts."""
    if not isinstance(base, ExternalBase):
        return base
    question = BaseImageInfo(reference=base.reference, platform=chain.platform)
    return replace(base, digest=_known_digest(question, chain) or base.digest)


def _pinned_slice(one: Slice, chain: Chain) -> Slice:
    return replace(one, steps=tuple(_pinned_step(step, chain) for step in one.steps))


def _pinned_step(step: BlockStep, chain: Chain) -> BlockStep:
    mounts = tuple(replace(it, files=_pinned_source(it.files, chain)) for it in step.mounts)
    return replace(step, source=_pinned_source(step.source, chain), mounts=mounts)


def _pinned_source(source: CopySource | None, chain: Chain) -> CopySource | None:
    if source is None or not source.external or "@" in source.image:
        return source
    digest = _known_digest(_question(source, chain), chain)
    return replace(source, image=f"{source.image}@{digest}") if digest else source


def _question(source: CopySource, chain: Chain) -> BaseImageInfo:
    return BaseImageInfo(reference=source.image, platform=source.platform or chain.platform)


def _known_digest(question: BaseImageInfo, chain: Chain) -> str:
    answer = chain.facts.answers.get(question)
    return answer.digest if isinstance(answer, BaseImage) else ""


def _taken(step: BlockStep) -> Iterator[tuple[CopySource, tuple[str, ...]]]:
    """What a COPY or ADD takes, or a RUN mounts, and from where."""
    words = step.instruction.args[:-1]
    local = tuple(word for place, word in enumerate(words) if place not in step.remotes)
    if step.source is not None and (local or not step.remotes):
        yield step.source, local
    for planned in step.mounts:
        if planned.files is not None:
            yield planned.files, (bound_path(planned.mount),)


def _listing(sources: tuple[str, ...], block: DockerfileBlock) -> ContextListing:
    return ContextListing(
        repo=OWN_REPOSITORY,
        commit=block.commit,
        context=block.context,
        dockerignore=block.dockerignore,
        sources=sources,
    )


def _executed(step: BlockStep) -> str:
    """Return everything that a step does as one text; what its `source` and `files` are, the caller knows better."""
    unused = () if step.remotes else ("remotes",)
    parts = (
        _fields(step, "instruction", "source", "told", *unused),
        _fields(step.instruction, *_NOT_EXECUTED),
    )
    return json.dumps(parts, sort_keys=True, default=_plain)


def _plain(value: object) -> object:
    """Return what JSON has no form for as something that it has one for."""
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value) and not isinstance(value, type):
        return _fields(value, "files", "at")
    raise TypeError(value)


def _fields(value: object, *left_out: str) -> dict[str, object]:
    return {
        one.name: getattr(value, one.name)
        for one in fields(value)  # type: ignore[arg-type]  # dataclasses have no common type
        if one.name not in left_out
    }
