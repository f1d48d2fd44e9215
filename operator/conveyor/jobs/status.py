"""What an ImageBuild's status says.

In: the build, its run, the plan, the decision, the previous status and the time. Out: `ImageBuildStatus`. It is made anew
each time. Images and stages are made in `status_rows`, conditions and the failure of a planned build in `status_conditions`.
"""

from collections.abc import Mapping
from datetime import datetime

from conveyor.api import conditions
from conveyor.api.names import ConditionType, Reason, short
from conveyor.api.v1alpha1 import (
    ConditionStatus,
    FailureStatus,
    ImageBuild,
    ImageBuildStatus,
    ImagesSet,
    ImageState,
    PlanStatus,
)
from conveyor.jobs.decision import Decision
from conveyor.jobs.run import Run, timestamp
from conveyor.jobs.status_conditions import conditions_of, failure_of
from conveyor.jobs.status_rows import counts_of, image_rows
from conveyor.plan.model import BuildPlan


def progress(
    build: ImageBuild, run: Run, now: datetime, *, reason: Reason, message: str
) -> ImageBuildStatus:
    """Status before there is a plan, or while something outside does not answer."""
    same = build.status.started_at == run.started_at
    known = build.status.conditions
    return _with(
        build.status if same else ImageBuildStatus(),
        run,
        conditions=conditions.in_progress(
            known if same else conditions.remove(known, ConditionType.PLANNED),
            reason=reason,
            message=message,
            generation=run.generation,
            now=timestamp(now),
        ),
    )


def outage(
    build: ImageBuild, run: Run, now: datetime, *, reason: Reason, message: str
) -> ImageBuildStatus:
    """Something outside does not answer; condition Planned says since when, so that no restart forgets it."""
    waiting = progress(build, run, now, reason=reason, message=message)
    unplanned = conditions.not_planned(
        waiting.conditions,
        reason=reason,
        message=message,
        generation=run.generation,
        now=timestamp(now),
    )
    return waiting.model_copy(update={"conditions": unplanned})


def outage_since(build: ImageBuild, run: Run, now: datetime) -> datetime:
    """When the present outage began; now, if there was none until now."""
    known = conditions.find(build.status.conditions, ConditionType.PLANNED)
    if build.status.started_at != run.started_at or known is None:
        return now
    if known.status is not ConditionStatus.FALSE:
        return now
    return datetime.fromisoformat(known.last_transition_time)


def suspended(build: ImageBuild, run: Run, now: datetime) -> ImageBuildStatus:
    """Nothing happens, as the user wishes."""
    return _with(
        build.status,
        run,
        conditions=conditions.suspended(
            build.status.conditions, generation=run.generation, now=timestamp(now)
        ),
    )


def stalled(
    build: ImageBuild, run: Run, now: datetime, *, reason: Reason, message: str
) -> ImageBuildStatus:
    """Final: somebody has to change something."""
    kept = build.status if build.status.started_at == run.started_at else ImageBuildStatus()
    when = timestamp(now)
    return _with(
        kept,
        run,
        conditions=conditions.failed(
            build.status.conditions,
            reason=reason,
            message=message,
            generation=run.generation,
            now=when,
        ),
        completed_at=when,
        failure=kept.failure or FailureStatus(reason=reason.value, message=conditions.cut(message)),
    )


def planned(
    build: ImageBuild,
    run: Run,
    plan: BuildPlan,
    decision: Decision,
    references: Mapping[str, str],
    now: datetime,
) -> ImageBuildStatus:
    """Status of a build that has a plan.

    Args:
        references: Pullable reference by digest of every complete image by its name in the plan, of every index by its tag.
    """
    before = build.status if build.status.started_at == run.started_at else ImageBuildStatus()
    images = image_rows(plan, decision, references, before)
    failure = failure_of(decision)
    counts = counts_of(images)
    done = all(image.state is ImageState.READY for image in images)
    over = done or (failure is not None and decision.settled)
    when = timestamp(now)
    return ImageBuildStatus(
        observed_generation=run.generation,
        last_handled_requested_at=run.requested_at,
        commit=run.commit or None,
        short_commit=short(run.commit) or None,
        remotes=run.remotes,
        started_at=run.started_at,
        completed_at=when if over else None,
        stages=f"{counts.cached + counts.built}/{counts.total}",
        counts=counts,
        plan=PlanStatus(sets=tuple(ImagesSet(images=names) for names in plan.sets)),
        images=images,
        failure=failure,
        conditions=conditions_of(build, run, decision, counts, failure, when, done=done),
    )


def _with(kept: ImageBuildStatus, run: Run, **changes: object) -> ImageBuildStatus:
    return kept.model_copy(
        update={
            "observed_generation": run.generation,
            "last_handled_requested_at": run.requested_at,
            "commit": run.commit or None,
            "short_commit": short(run.commit) or None,
            "remotes": run.remotes,
            "started_at": run.started_at,
            "completed_at": None,
            **changes,
        }
    )
