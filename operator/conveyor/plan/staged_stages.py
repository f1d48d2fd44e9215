"""The stages of one FROM block of a staged Dockerfile.

In: the block's instructions with their variables replaced, an empty chain, a way to the references of other blocks. Out: the
chain with a stage for every instruction, Unknown from the first one that names a stage which is not stored.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from conveyor.config.dockerfile import Block, Instruction
from conveyor.config.dockerfile_blocks import source_block
from conveyor.config.dockerfile_check import unbuildable_flag
from conveyor.config.dockerfile_heredocs import source_words, unhashed_bodies
from conveyor.config.dockerfile_mounts import RunMount, mount_flags, parse_mount
from conveyor.config.dockerfile_selection import hashed_source
from conveyor.config.dockerignore import context_source
from conveyor.config.remote_source import is_remote
from conveyor.plan.chain import Chain
from conveyor.plan.digest import hashed, sha256_args
from conveyor.plan.dockerfile_digest import (
    ContextFiles,
    heredoc_components,
    missing_sources,
)
from conveyor.plan.dockerfile_source import OWN, Source
from conveyor.plan.model import Component, DockerfileBlock, StageWork
from conveyor.plan.questions import ContextHash, ImageReference, Question
from conveyor.plan.staged_digest import (
    copy_components,
    from_components,
    plain_components,
    run_components,
)
from conveyor.plan.staged_words import StagedInstruction

VERSION_VARIABLE = "WERF_STAGED_DOCKERFILE_VERSION"
_V2 = "v2"


class ReferenceUnknownError(Exception):
    """A stage is named that is not stored yet; never leaves the planner."""

    def __init__(self, question: ImageReference) -> None:
        super().__init__(question.image)
        self.question = question


@dataclass(slots=True, kw_only=True)
class BlockStages:
    """One block.

    Attributes:
        steps: What the block executes: FROM, then every instruction but ARG; FROM alone when it cannot be built.
        refused: Why it cannot.
        work: What all stages have.
        base: The block it starts from, None for an image from outside or scratch.
        base_reference: What FROM says, variables replaced.
        reference: Returns `repo:tag` of another block's last stage, or raises ReferenceUnknownError.
        bound: What the first stage depends on beside its instruction.
        brought: How many of the steps the base's ONBUILD brought; they are part of the first stage.
        question: What instructions wait for because it says which environment they have; None when that is known.
        chain: Takes the stages.
    """

    source: Source
    steps: DockerfileBlock
    refused: str
    work: StageWork
    block: Block
    base: Block | None
    base_reference: str
    reference: Callable[[Block], str]
    bound: tuple[Component, ...] = ()
    brought: int = 0
    question: Question | None = None
    chain: Chain

    def walk(self, instructions: tuple[StagedInstruction, ...]) -> None:
        """Plan FROM, when it is a stage, and every instruction.

        Raises:
            Waiting: A question is open.
            UserError: InvalidDockerfile with the line.
        """
        first = 1
        if self.chain.facts.staged_version == _V2:
            version = self.source.image.cache_version
            outside = "" if self.base else self.base_reference
            part = self._part(slice(1 + self.brought))
            start = replace(self.work, block=part, refused=self.refused or self._problem(part))
            self._add("FROM1", start, lambda: from_components(outside, version))
            first = 2
        self.chain.question = self.chain.question or self.question
        self._ask(instructions)
        for index, staged in enumerate(instructions):
            self._instruction(index, f"{staged.instruction.keyword}{index + first}", staged)
        if not self.chain.stages:
            text = (
                "no instruction after FROM: version v1 of staged Dockerfiles has no stage for it; "
                f"add one, or set {VERSION_VARIABLE}=v2"
            )
            raise self.source.parsed.error(self.block.line, text)

    def _ask(self, instructions: tuple[StagedInstruction, ...]) -> None:
        """Ask about all files of the block at once."""
        copies = (one.instruction for one in instructions)
        questions = (self._copied(one) for one in copies if one.keyword in ("COPY", "ADD"))
        self.chain.inquiry.note(*(question for question in questions if question))

    def _instruction(self, index: int, shown: str, staged: StagedInstruction) -> None:
        one = staged.instruction
        # The steps of FROM go along with the first stage.
        place = index + self.brought + 1
        part = self._part(slice(place if self.chain.stages else 0, place + 1))
        work = replace(self.work, block=part, refused=self.refused or self._problem(part))
        bodies = unhashed_bodies(one) if self.chain.facts.heredocs_differ else ()
        if bodies:
            self.chain.unhashed = sha256_args(self.chain.unhashed, *bodies)

        def components() -> list[Component]:
            if one.keyword == "RUN":
                return self._run(staged)
            return self._copy(one) if one.keyword in ("COPY", "ADD") else plain_components(one)

        self._add(shown, work, components)

    def _part(self, which: slice) -> DockerfileBlock:
        return replace(self.steps, steps=self.steps.steps[which])

    def _problem(self, part: DockerfileBlock) -> str:
        for step in part.steps:
            if problem := step.refused or unbuildable_flag(step.instruction):
                return f"{self.source.parsed.file}:{step.instruction.line}: {problem}"
        return _clash(part, self.source.parsed.file)

    def _add(self, shown: str, work: StageWork, components: Callable[[], list[Component]]) -> None:
        if self.chain.question is not None:
            self.chain.add_unknown(shown, work, self.chain.question, git=False)
            return
        try:
            bound = () if self.chain.stages else self.bound
            depends = hashed("StageDependencies", [*components(), *bound])
            base_image = "" if self.chain.stages else self._bound_to()
        except ReferenceUnknownError as unknown:
            self.chain.add_unknown(shown, work, unknown.question, git=False)
            return
        self.chain.add(shown, depends, work, git=False, base_image=base_image)

    def _bound_to(self) -> str:
        """What the first stage's digest is bound to; in v2 FROM itself has named an outside image."""
        if self.base is not None:
            return self.reference(self.base)
        return "" if self.chain.facts.staged_version == _V2 else self.base_reference

    def _copy(self, instruction: Instruction) -> list[Component]:
        question = self._copied(instruction)
        bodies = heredoc_components(instruction) + _flags(instruction)
        if question is None:
            name = instruction.flag("from")
            return copy_components(instruction, self._named(name), None) + bodies
        return copy_components(instruction, "", self._hash(instruction, question)) + bodies

    def _copied(self, instruction: Instruction) -> ContextHash | None:
        # werf looks at no remote source; with nothing else there is no checksum either.
        sources = tuple(one for one in source_words(instruction) if not is_remote(one))
        if instruction.flag("from") or not sources:
            return None
        if instruction.is_set("parents"):
            sources = tuple(map(hashed_source, sources))
        return self._question(sources, globs=True)

    def _run(self, staged: StagedInstruction) -> list[Component]:
        mounts = [self._mount(staged, flag) for flag in mount_flags(staged.instruction)]
        bound = [mount for mount in mounts if mount.type == "bind"]
        paths = tuple(mount.source for mount in bound if mount.source)
        checksum = None
        # werf hashes the paths of all of them in the context as soon as one is mounted from there.
        if paths and not all(mount.source_image for mount in bound):
            checksum = self._hash(staged.instruction, self._question(paths, globs=False))
        named = [replace(mount, source_image=self._named(mount.source_image)) for mount in mounts]
        return run_components(staged, named, checksum) + heredoc_components(staged.instruction)

    def _mount(self, staged: StagedInstruction, flag: str) -> RunMount:
        try:
            return parse_mount(flag, staged.expand)
        except ValueError as problem:
            raise self.source.parsed.error(staged.instruction.line, str(problem)) from None

    def _named(self, name: str) -> str:
        """Return the reference that `--from` or `from=` stands for, "" for none."""
        found = source_block(self.source.parsed, self.block, name) if name else None
        return name if found is None else self.reference(found)

    def _question(self, sources: tuple[str, ...], *, globs: bool) -> ContextHash:
        return ContextHash(
            repo=OWN,
            commit=self.source.commit,
            context=self.source.context,
            dockerfile=self.source.image.dockerfile,
            dockerignore=self.source.packed_ignore,
            sources=tuple(map(context_source, sources)),
            globs=globs,
        )

    def _hash(self, instruction: Instruction, question: ContextHash) -> str:
        found = self.chain.inquiry.need(question, str)
        if not found:
            files = ContextFiles(
                keyword=instruction.keyword, sources=question.sources, line=instruction.line
            )
            raise missing_sources(self.source.parsed, files)
        return found


def _clash(part: DockerfileBlock, file: str) -> str:
    """Why the steps cannot share the pod of one stage, "" when they can: mounts are volumes of all of it."""
    runs = [step for step in part.steps if step.instruction.keyword == "RUN"]
    if len({step.mounts for step in runs}) < 2:
        return ""
    one = next(step.instruction for step in runs if step.mounts)
    what = f"FROM {one.trigger_of} runs its ONBUILD {one.original!r}" if one.trigger_of else "RUN"
    return (
        f"{file}:{one.line}: {what} with --mount cannot share the stage with another RUN; "
        "write the instructions of ONBUILD into the Dockerfile, or leave `staged` out"
    )


def _flags(instruction: Instruction) -> list[Component]:
    """Return flags that change which files are taken or accepted, and that werf's rule for staged instructions does not see."""
    names = ("parents", "exclude", "unpack", "checksum", "keep-git-dir")
    found = [flag for flag in instruction.flags if flag.removeprefix("--").startswith(names)]
    return [Component(label="flags", value=" ".join(found))] if found else []
