"""What a decision is made of and what it says.

In: nothing. Out: `Situation`, the actions, `StageView`, `Decision`. The rules are in `conveyor.jobs.decide`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from conveyor.api.names import Reason
from conveyor.api.v1alpha1 import StageState as ViewState
from conveyor.jobs.model import (
    Assembly,
    Bundle,
    Export,
    ExportResult,
    Failure,
    ObservedJob,
    RunResult,
)
from conveyor.jobs.outline import Outline
from conveyor.plan.model import BuildPlan, PlannedStage
from conveyor.plan.targets import PlannedIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Everything that a decision depends on.

    Attributes:
        jobs: Jobs of this repository in the namespace, whoever owns them.
        bundles: Recorded exports by key; a missing key is not recorded.
        indexes: References by digest of the indexes that are stored, by tag.
        outlines: Recorded outlines by key.
        owner_uid: The ImageBuild's uid. run_id: its current run.
        fuse: Consecutive stages of one image go into one pod (`ImagePerJob`).
        slots: How many more Jobs may be started now.
        started_at: Start of this run; a stage stored later was built, not cached.
    """

    plan: BuildPlan
    jobs: tuple[ObservedJob, ...]
    bundles: Mapping[str, Bundle]
    owner_uid: str
    run_id: str
    fuse: bool
    slots: int
    retry_limit: int
    started_at: datetime
    now: datetime
    indexes: Mapping[str, str] = field(default_factory=dict)
    outlines: Mapping[str, Outline] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishStage:
    """Write config and manifest of a stage and tag it; `run` of `job` built it, None for one without files or of an assembly.

    Attributes:
        then: What the same Job has built upon it of the same block, to be published in the same go.
        continued: The Job builds the next stage upon the last one right now, so that there is nothing new to decide.
    """

    image: str
    stage: PlannedStage
    job: ObservedJob | None = None
    run: int = 0
    result: RunResult | None = None
    then: tuple["PublishStage", ...] = ()
    continued: bool = False

    @property
    def all(self) -> tuple["PublishStage", ...]:
        """This one and what follows, in order."""
        return (self, *self.then)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordExport:
    """Record a pushed bundle."""

    export: Export
    result: ExportResult


@dataclass(frozen=True, slots=True, kw_only=True)
class StartJob:
    """Create a Job that builds `stages` (consecutive, of one image or of FROM blocks on each other) and then exports.

    Attributes:
        image: The image of the first one, "" for exports alone.
        assemblies: What it makes of the exports.
        outline: Key of the outline that it should tell, "" for none.
    """

    image: str
    stages: tuple[PlannedStage, ...]
    exports: tuple[Export, ...]
    attempt: int = 0
    assemblies: tuple[Assembly, ...] = ()
    outline: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishIndex:
    """Join the stored images of several platforms to one index, and tag it."""

    index: PlannedIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class StopJob:
    """Delete a Job whose result can no longer be used."""

    job: ObservedJob
    why: str


Action = PublishStage | PublishIndex | RecordExport | StartJob | StopJob


@dataclass(frozen=True, slots=True, kw_only=True)
class StageView:
    """One stage as a person should see it now."""

    state: ViewState
    job: ObservedJob | None = None
    failure: Failure | None = None
    waiting: str = ""
    waiting_reason: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Actions in order, a view for each (image, stage name), and when to look again without an event (seconds)."""

    actions: tuple[Action, ...]
    views: Mapping[tuple[str, str], StageView]
    look_again: float | None = None

    @property
    def failures(self) -> tuple[tuple[str, str, Failure], ...]:
        """(image, stage name, failure) of every failed stage, in plan order."""
        return tuple(
            (image, name, view.failure)
            for (image, name), view in self.views.items()
            if view.failure is not None
        )

    @property
    def settled(self) -> bool:
        """Nothing is going on and nothing is left to start."""
        open_states = (ViewState.PENDING, ViewState.BUILDING)
        return not self.actions and all(v.state not in open_states for v in self.views.values())
