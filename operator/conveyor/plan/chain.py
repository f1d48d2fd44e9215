"""The chain of stages of one image while it is being planned.

In: one stage after the other, with its dependencies and work. Out: `PlannedStage`s: digest computed, stored
stage looked up, state decided. Knows nothing about what kinds of stages there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from conveyor.plan import labels
from conveyor.plan.answers import (
    ContentDigest,
    StageDesc,
    StageDigest,
    StageID,
)
from conveyor.plan.dependencies import next_dependencies
from conveyor.plan.digest import (
    content_digest,
    hashed_name,
    sha256_args,
    stage_components,
    stage_digest,
)
from conveyor.plan.facts import Facts
from conveyor.plan.inquiry import Inquiry
from conveyor.plan.mappings import MappingCommit
from conveyor.plan.model import (
    Base,
    Component,
    PlannedStage,
    PreviousStage,
    StageState,
    StageWork,
)
from conveyor.plan.questions import Question
from conveyor.plan.selection import Wanted, select_stage, stage_ids


@dataclass(frozen=True, slots=True)
class Previous:
    """The previous non-empty stage: what it hands on, and which stored stage it is, if any."""

    digest: StageDigest
    next_dependencies: str
    stored: StageID | None


@dataclass(slots=True, kw_only=True)
class Chain:
    """Stages planned so far.

    Attributes:
        config_image: Name in werf.yaml where `image` has the platform in it.
        platform: What digests name.
        runs_on: Platform that the stages run on, "" for the same.
        depends_on: Planned images that the image needs.
        base: What the first stage starts from.
        mappings: The image's git mappings; () for a Dockerfile block.
        carried: Commit that the last stage carries, by paramshash.
        question: What the last stage waits for; all that follow wait with it.
        entrypoint: ENTRYPOINT that stored stages have to have from here on, None when digests say enough.
        above: Stored stages that are older than this one do not serve: what they were built on is not what is stored.
        unhashed: Stands for what the stages from here on are made of and no digest of werf's tells, "" for nothing: their
            content digests tell it, and a stored stage has to have that one.
    """

    image: str
    platform: str
    base: Base
    facts: Facts
    inquiry: Inquiry
    mappings: tuple[MappingCommit, ...] = ()
    stages: list[PlannedStage] = field(default_factory=list)
    carried: dict[str, str] = field(default_factory=dict)
    previous: Previous | None = None
    question: Question | None = None
    entrypoint: tuple[str, ...] | None = None
    above: StageID | None = None
    unhashed: str = ""
    config_image: str | None = None
    depends_on: tuple[str, ...] = ()
    runs_on: str = ""

    def add(
        self,
        name: str,
        dependencies: Component,
        work: StageWork,
        *,
        git: bool,
        wanted_labels: Mapping[str, str] | None = None,
        base_image: str = "",
    ) -> None:
        """Plan the next stage; `git` stages carry every mapping's commit.

        Args:
            wanted_labels: Labels that a stored stage has to have.
            base_image: Reference that the digest is bound to.
        """
        components = self._components(name, dependencies, base_image)
        digest = stage_digest(components)
        stored = self._select(name, digest, wanted_labels or {}, git=git)
        self._carry(stored.labels if stored else None, git=git)
        handed_on = next_dependencies(name, self.carried.values())
        built = self._content(name, digest, handed_on)
        self.previous = Previous(digest, handed_on, stored.id if stored else None)
        self._append(
            PlannedStage(
                image=self.image,
                name=name,
                state=StageState.CACHED if stored else StageState.TO_BUILD,
                base=self._base(),
                work=work,
                digest=digest,
                content_digest=_labelled(stored) if stored else built,
                stored=stored,
                components=components,
                platform=self.runs_on or self.platform,
            )
        )

    def skip(self, name: str, dependencies: Component) -> StageDigest:
        """Take a stage into the digests of those that follow without planning it; return its digest."""
        digest = stage_digest(self._components(name, dependencies))
        self.previous = Previous(digest, next_dependencies(name, self.carried.values()), None)
        return digest

    def serving(self, name: str, digest: StageDigest) -> StageDesc | None:
        """Return the stored stage that serves as the first one of the chain."""
        return self._select(name, digest, {}, git=False)

    def add_unknown(
        self,
        name: str,
        work: StageWork,
        question: Question,
        *,
        git: bool,
        known: Component | None = None,
    ) -> None:
        """Plan a stage whose digest waits for an answer that only building brings; `known` is what it has to hash."""
        self.question = question
        self._carry(None, git=git)
        self._append(
            PlannedStage(
                image=self.image,
                name=name,
                state=StageState.UNKNOWN,
                base=self._base(),
                work=work,
                question=question,
                components=(known,) if known else (),
                platform=self.runs_on or self.platform,
            )
        )

    def _components(
        self, name: str, dependencies: Component, base_image: str = ""
    ) -> tuple[Component, ...]:
        previous = self.previous
        return stage_components(
            stage=hashed_name(name),
            dependencies=dependencies,
            previous=(previous.digest, previous.next_dependencies) if previous else None,
            platform=self.platform,
            base_image=base_image,
        )

    def _select(
        self, name: str, digest: StageDigest, wanted_labels: Mapping[str, str], *, git: bool
    ) -> StageDesc | None:
        timestamps: Sequence[int] = self.facts.stages.get(digest, ())
        if not timestamps:
            return None
        commits = [item.commit for item in self.mappings]
        content = self._content(name, digest, next_dependencies(name, commits))
        if self.unhashed:
            wanted_labels = {**wanted_labels, labels.CONTENT_DIGEST: content}
        wanted = Wanted(
            content=content,
            parent=(self.previous.stored if self.previous else None) or self.above,
            mappings=self.mappings if git else (),
            entrypoint=self.entrypoint,
            labels=wanted_labels,
        )
        return select_stage(self.inquiry, stage_ids(digest, timestamps), wanted)

    def _carry(self, stored: Mapping[str, str] | None, *, git: bool) -> None:
        """A stored stage carries what its labels say; one to be built is brought to the wanted commits."""
        for item in self.mappings:
            if stored is not None:
                commit = labels.commit_of(stored, item.paramshash)
                if commit:
                    self.carried[item.paramshash] = commit
            elif git:
                self.carried[item.paramshash] = item.commit

    def _content(self, name: str, digest: StageDigest, handed_on: str) -> ContentDigest:
        return content_digest(
            stage=hashed_name(name),
            digest=digest,
            next_dependencies=sha256_args(handed_on, self.unhashed) if self.unhashed else handed_on,
            platform=self.platform,
        )

    def _base(self) -> Base:
        return PreviousStage() if self.stages else self.base

    def _append(self, stage: PlannedStage) -> None:
        self.stages.append(stage)


def _labelled(stored: StageDesc) -> ContentDigest:
    # Computing it would be wrong: the stored stage may carry an older commit.
    return ContentDigest(stored.labels[labels.CONTENT_DIGEST])
