"""What an ImageBuild's status says.

In: the build, the plan, the decision, the previous status and the time. Out: `ImageBuildStatus`. It is made anew each time;
of the previous status only times are kept, which the cluster forgets when a Job is gone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypedDict

from conveyor.api import conditions
from conveyor.api.names import ConditionType, Reason, short
from conveyor.api.status import MAX_LOG_TAIL
from conveyor.api.v1alpha1 import (
    Condition,
    ConditionStatus,
    Counts,
    FailureStatus,
    ImageBuild,
    ImageBuildStatus,
    ImagesSet,
    ImageState,
    ImageStatus,
    PlanStatus,
    RemoteStatus,
    StageState,
    StageStatus,
)
from conveyor.jobs.decision import Decision, StageView
from conveyor.jobs.model import Failure
from conveyor.plan.model import BuildPlan, PlannedImage, PlannedStage

_DIGEST_SHOWN = 16
_MAX_COMMAND = 1024
_THERE = (StageState.CACHED, StageState.BUILT)


class Moment(TypedDict):
    """What every condition is stamped with."""

    generation: int
    now: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The present run of a build: the wish it answers, when it began (RFC 3339), and the commits it is about."""

    generation: int
    requested_at: str | None
    started_at: str
    commit: str = ""
    remotes: tuple[RemoteStatus, ...] = ()

    @property
    def started(self) -> datetime:
        """`started_at` as a time."""
        return datetime.fromisoformat(self.started_at)


def timestamp(now: datetime) -> str:
    """RFC 3339 in UTC, seconds."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _precise(now: datetime) -> str:
    """Milliseconds too: whether a stage was stored before or after this moment decides between Cached and Built."""
    return now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def run_of(build: ImageBuild, now: datetime) -> Run:
    """Continue the recorded run, or begin one when the spec changed or a new try is requested."""
    status = build.status
    same = (
        status.observed_generation == build.metadata.generation
        and status.last_handled_requested_at == build.requested_at
        and status.started_at is not None
    )
    return Run(
        generation=build.metadata.generation,
        requested_at=build.requested_at,
        started_at=status.started_at if same and status.started_at else _precise(now),
        commit=(status.commit or "") if same else "",
        remotes=status.remotes if same else (),
    )


def finished(build: ImageBuild) -> bool:
    """Whether this run came to its end; a finished run is never looked at again (a result does not flip)."""
    status = build.status
    return (
        status.completed_at is not None
        and status.observed_generation == build.metadata.generation
        and status.last_handled_requested_at == build.requested_at
    )


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
        references: Pullable reference by digest of every complete image, by name.
    """
    times = _times(build.status) if build.status.started_at == run.started_at else {}
    images = tuple(
        _image(image, plan, decision, references, times)
        for image in plan.images
        if not image.block_of
    )
    failure = _failure(decision)
    counts = _counts(images)
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
        conditions=_conditions(build, run, decision, counts, failure, when, done=done),
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


def _conditions(  # noqa: PLR0913 - a summary of all there is
    build: ImageBuild,
    run: Run,
    decision: Decision,
    counts: Counts,
    failure: FailureStatus | None,
    now: str,
    *,
    done: bool,
) -> tuple[Condition, ...]:
    when: Moment = {"generation": run.generation, "now": now}
    plan = f"{counts.total} stages, {counts.cached} cached"
    known = conditions.planned(build.status.conditions, message=plan, **when)
    if done:
        message = f"{counts.total} stages: {counts.cached} cached, {counts.built} built"
        return conditions.succeeded(known, message=message, **when)
    if failure is not None and decision.settled:
        where = f"image {failure.image}, stage {failure.stage}: {failure.message}"
        return conditions.failed(known, reason=Reason(failure.reason), message=where, **when)
    reason, message = _present(decision, counts, failure)
    return conditions.in_progress(known, reason=reason, message=message, **when)


def _present(
    decision: Decision, counts: Counts, failure: FailureStatus | None
) -> tuple[Reason, str]:
    """What is going on, in one sentence; what keeps a stage waiting comes first."""
    for (image, stage), view in decision.views.items():
        if view.waiting_reason is not None:
            return view.waiting_reason, f"image {image}, stage {stage}: {view.waiting}"
    message = f"{counts.cached + counts.built} of {counts.total} stages, {counts.building} building"
    if failure is not None:
        message += f"; image {failure.image} failed, independent images go on"
    return Reason.PROGRESSING, message


def _failure(decision: Decision) -> FailureStatus | None:
    for image, stage, failure in decision.failures:
        view = decision.views[image, stage]
        return FailureStatus(
            image=image,
            stage=stage,
            job=view.job.name if view.job else None,
            reason=failure.reason.value,
            message=conditions.cut(_sentence(failure)),
            command=failure.command[:_MAX_COMMAND] or None,
            exit_code=failure.exit_code,
            log_tail=failure.log_tail[-MAX_LOG_TAIL:] or None,
        )
    return None


def _sentence(failure: Failure) -> str:
    if failure.exit_code is None or str(failure.exit_code) in failure.message:
        return failure.message
    return f"{failure.message} (exit code {failure.exit_code})"


def _times(status: ImageBuildStatus) -> dict[tuple[str, str], StageStatus]:
    return {(image.name, stage.name): stage for image in status.images for stage in image.stages}


def _image(
    image: PlannedImage,
    plan: BuildPlan,
    decision: Decision,
    references: Mapping[str, str],
    times: Mapping[tuple[str, str], StageStatus],
) -> ImageStatus:
    blocks = [block for block in plan.images if block.block_of == image.name]
    rows = [
        _stage(
            image.name, _row_name(part, stage), stage, decision.views[part.name, stage.name], times
        )
        for part in (*blocks, image)
        for stage in part.stages
    ]
    rows = _finished_blocks(image.name, rows, times) + rows
    last = image.stages[-1].stored
    ready = image.ready
    return ImageStatus(
        name=image.name,
        final=image.final,
        state=ImageState.READY if ready else _image_state(rows),
        ref=references.get(image.name) if ready else None,
        tag=str(last.id) if ready and last else None,
        stages=tuple(rows),
    )


def _finished_blocks(
    image: str, rows: list[StageStatus], times: Mapping[tuple[str, str], StageStatus]
) -> list[StageStatus]:
    """FROM blocks of this run that the plan names no more, since what needed them is built."""
    shown = {row.name for row in rows}
    return [
        row
        for (name, stage), row in times.items()
        if name == image and stage not in shown and row.state in _THERE and stage.endswith(")")
    ]


def _row_name(part: PlannedImage, stage: PlannedStage) -> str:
    """A FROM block is shown below its image, by its own name: `dockerfile (builder)`."""
    return f"{stage.name} ({part.name.rpartition('/')[2]})" if part.block_of else stage.name


def _image_state(rows: Iterable[StageStatus]) -> ImageState:
    states = {row.state for row in rows}
    for state in (StageState.FAILED, StageState.SKIPPED, StageState.BUILDING):
        if state in states:
            return ImageState(state.value)
    return ImageState.PENDING if StageState.BUILT not in states else ImageState.BUILDING


def _stage(
    image: str,
    name: str,
    stage: PlannedStage,
    view: StageView,
    times: Mapping[tuple[str, str], StageStatus],
) -> StageStatus:
    digest = str(stage.digest)[:_DIGEST_SHOWN] if stage.digest else None
    before = times.get((image, name))
    if before is not None and (before.digest != digest or view.state is StageState.CACHED):
        before = None
    return StageStatus(
        name=name,
        digest=digest,
        state=view.state,
        job=view.job.name if view.job else before.job if before else None,
        started_at=_started(view) or (before.started_at if before else None),
        finished_at=_finished(stage, view),
        reason=_reason(view),
    )


def _reason(view: StageView) -> str | None:
    if view.failure is not None:
        return view.failure.reason.value
    return Reason.DEPENDENCY_FAILED.value if view.state is StageState.SKIPPED else None


def _started(view: StageView) -> str | None:
    return (view.job.started_at or view.job.created_at) if view.job else None


def _finished(stage: PlannedStage, view: StageView) -> str | None:
    if view.state is StageState.BUILT and stage.stored is not None:
        return timestamp(datetime.fromtimestamp(stage.stored.id.timestamp / 1000, UTC))
    if view.state is StageState.FAILED and view.job is not None:
        return view.job.finished_at or None
    return None


def _counts(images: Iterable[ImageStatus]) -> Counts:
    states = [stage.state for image in images for stage in image.stages]
    return Counts(
        total=len(states),
        cached=states.count(StageState.CACHED),
        built=states.count(StageState.BUILT),
        building=states.count(StageState.BUILDING),
        failed=states.count(StageState.FAILED),
    )
