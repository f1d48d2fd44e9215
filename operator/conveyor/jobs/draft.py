"""A decision while it is being made.

In: a `Situation`, then views and actions one by one. Out: what is seen, wanted and claimed so far.
"""

from dataclasses import dataclass, field

from conveyor.api.v1alpha1 import StageState as ViewState
from conveyor.jobs.decision import Action, PublishStage, Situation, StageView, StartJob
from conveyor.plan.model import PlannedStage


@dataclass(slots=True)
class Draft:
    """A decision being made; lives for one call of `decide`.

    Attributes:
        claimed: Stage digests and export keys that an action is about.
        failed: Images of which a stage failed or is skipped.
    """

    situation: Situation
    actions: list[Action] = field(default_factory=list)
    views: dict[tuple[str, str], StageView] = field(default_factory=dict)
    claimed: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    look_again: float | None = None

    def free_slots(self) -> int:
        """How many more Jobs may be started."""
        started = sum(isinstance(action, StartJob) for action in self.actions)
        return self.situation.slots - started

    def see(self, stage: PlannedStage, view: StageView) -> None:
        """Say how a stage stands."""
        self.views[stage.image, stage.name] = view

    def again(self, seconds: float) -> None:
        """Look again after so long, at the latest."""
        self.look_again = min(seconds, self.look_again or seconds)

    def publish(self, action: PublishStage) -> StageView:
        """Have a stage published; two images may have the same one."""
        digest = str(action.stage.digest)
        if digest not in self.claimed:
            self.claimed.update(str(one.stage.digest) for one in action.all)
            self.actions.append(action)
        return StageView(state=ViewState.BUILDING, job=action.job)
