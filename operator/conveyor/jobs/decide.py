"""What to do next.

In: a `Situation`: the plan, the Jobs as observed, the recorded bundles, limits and the time. Out: a `Decision`: actions
for the shell and one `StageView` a stage for the status. Pure: the same situation gives the same decision, and when all
actions are done nothing more is decided until something changes.

Rules (architecture: who decides what): a stage is looked at when its parent is stored; a Job's result counts only when it
was built on the very parent that is stored; user failures are final, others are tried again, bounded and backed off;
images that do not depend on a failed one go on.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from conveyor.api.v1alpha1 import StageState as ViewState
from conveyor.jobs import exports, lineage
from conveyor.jobs.attempts import Attempts, attempts_of, outdated, patience_left, stuck
from conveyor.jobs.decision import (
    Action,
    Decision,
    PublishStage,
    RecordExport,
    Situation,
    StageView,
    StartJob,
    StopJob,
)
from conveyor.jobs.model import Export, ExportResult, ObservedJob
from conveyor.jobs.work import needs_pod
from conveyor.plan.model import BuildPlan, ImageBase, PlannedImage, PlannedStage, StageState

# A Job's task and annotations have limits; what is left over is exported by Jobs of its own.
_MAX_ATTACHED: Final = 100


@dataclass(slots=True)
class _Draft:
    """A decision being made; lives for one call of `decide`."""

    situation: Situation
    actions: list[Action] = field(default_factory=list)
    views: dict[tuple[str, str], StageView] = field(default_factory=dict)
    claimed: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    look_again: float | None = None

    def free_slots(self) -> int:
        started = sum(isinstance(action, StartJob) for action in self.actions)
        return self.situation.slots - started

    def see(self, stage: PlannedStage, view: StageView) -> None:
        self.views[stage.image, stage.name] = view

    def again(self, seconds: float) -> None:
        self.look_again = min(seconds, self.look_again or seconds)


def decide(situation: Situation) -> Decision:
    """Return what to do now and how every stage stands."""
    draft = _Draft(situation)
    for image in _in_set_order(situation.plan):
        _decide_image(draft, image)
    draft.actions.extend(_abandoned(situation))
    order = [(i.name, s.name) for i in situation.plan.images for s in i.stages]
    views = {key: draft.views[key] for key in order}
    return Decision(actions=tuple(draft.actions), views=views, look_again=draft.look_again)


def _in_set_order(plan: BuildPlan) -> Iterator[PlannedImage]:
    """Images of the first set first, each after its own Dockerfile blocks, so that slots go to them first."""
    ranks = {name: rank for rank, names in enumerate(plan.sets) for name in names}
    yield from sorted(plan.images, key=lambda image: ranks.get(image.block_of or image.name, 0))


def _decide_image(draft: _Draft, image: PlannedImage) -> None:
    for index, stage in enumerate(image.stages):
        if stage.state is StageState.CACHED:
            draft.see(stage, StageView(state=_stored_state(draft.situation, stage)))
            continue
        view = _decide_frontier(draft, image, index)
        draft.see(stage, view)
        _decide_rest(draft, image, index, view)
        if view.state in (ViewState.FAILED, ViewState.SKIPPED):
            draft.failed.add(image.name)
        return


def _stored_state(situation: Situation, stage: PlannedStage) -> ViewState:
    if stage.stored is None:
        return ViewState.CACHED
    started = situation.started_at.timestamp() * 1000
    return ViewState.BUILT if stage.stored.id.timestamp >= started else ViewState.CACHED


def _decide_rest(draft: _Draft, image: PlannedImage, index: int, view: StageView) -> None:
    """Stages after the frontier: in the same Job they are under way too, behind a failure they will not be built."""
    lost = view.state in (ViewState.FAILED, ViewState.SKIPPED)
    together = view.job.digests if view.job and view.state is ViewState.BUILDING else ()
    for stage in image.stages[index + 1 :]:
        if lost:
            draft.see(stage, StageView(state=ViewState.SKIPPED))
        elif stage.digest in together:
            draft.see(stage, StageView(state=ViewState.PENDING, job=view.job))
        else:
            draft.see(stage, StageView(state=ViewState.PENDING))


def _decide_frontier(draft: _Draft, image: PlannedImage, index: int) -> StageView:
    stage = image.stages[index]
    if any(name in draft.failed for name in image.depends_on):
        return StageView(state=ViewState.SKIPPED)
    if not _parent_stored(draft.situation.plan, image, index):
        return StageView(state=ViewState.PENDING)
    blocked = _decide_exports(draft, stage)
    if blocked is not None:
        return blocked
    if stage.state is StageState.UNKNOWN or not _has_values(stage):
        return StageView(state=ViewState.PENDING)
    if not needs_pod(stage):
        return _publish(draft, PublishStage(image=image.name, stage=stage))
    return _decide_job(draft, image, index)


def _has_values(stage: PlannedStage) -> bool:
    """Whether the images whose values the stage takes are stored; its digest may be known before."""
    return all(dependency.known for dependency in stage.work.dependencies)


def _parent_stored(plan: BuildPlan, image: PlannedImage, index: int) -> bool:
    if index:
        return image.stages[index - 1].state is StageState.CACHED
    base = image.stages[0].base
    return not isinstance(base, ImageBase) or plan.image(base.image).ready


def _publish(draft: _Draft, action: PublishStage) -> StageView:
    digest = str(action.stage.digest)
    if digest not in draft.claimed:
        draft.claimed.add(digest)
        draft.actions.append(action)
    return StageView(state=ViewState.BUILDING, job=action.job)


# --- exports ----------------------------------------------------------------------------------------------------------


def _missing_exports(situation: Situation, stage: PlannedStage) -> tuple[Export, ...]:
    return tuple(
        export
        for export in exports.exports_of(stage, situation.plan)
        if not _recorded(situation, export)
    )


def _recorded(situation: Situation, export: Export) -> bool:
    bundle = situation.bundles.get(export.key)
    return bundle is not None and exports.fits(bundle, export, situation.plan)


def _decide_exports(draft: _Draft, stage: PlannedStage) -> StageView | None:
    """Get the files that the stage needs from other images; None when all are there."""
    missing = _missing_exports(draft.situation, stage)
    if not missing:
        return None
    views = [_decide_export(draft, export) for export in missing]
    failed = [view for view in views if view.state is ViewState.FAILED]
    return (failed or views)[0]


def _decide_export(draft: _Draft, export: Export) -> StageView:
    situation = draft.situation
    if not exports.source_ready(export, situation.plan):
        return StageView(state=ViewState.PENDING)
    jobs = _exporting_jobs(situation, export)
    for job in jobs:
        result = _export_result(job, export)
        if result is not None:
            if export.key not in draft.claimed:
                draft.claimed.add(export.key)
                draft.actions.append(RecordExport(export=export, result=result))
            return StageView(state=ViewState.PENDING, job=job)
    return _attempt(draft, jobs, StartJob(image="", stages=(), exports=(export,), attempt=0))


def _exporting_jobs(situation: Situation, export: Export) -> tuple[ObservedJob, ...]:
    jobs = [
        job for job in situation.jobs if export.key in job.exports.values() and not job.deleting
    ]
    if export.external:
        return tuple(job for job in jobs if not job.digests)
    stored = exports.source_stage(export, situation.plan).stored
    image = situation.plan.image(export.source)
    return tuple(
        job
        for job in jobs
        if (
            lineage.built_image(situation.plan, image, job)
            if job.digests
            else stored is not None and job.parent == stored.manifest_digest
        )
    )


def _export_result(job: ObservedJob, export: Export) -> ExportResult | None:
    for local, key in job.exports.items():
        if key == export.key:
            return job.result.exports.get(local)
    return None


# --- stage Jobs -------------------------------------------------------------------------------------------------------


def _decide_job(draft: _Draft, image: PlannedImage, index: int) -> StageView:
    situation, stage = draft.situation, image.stages[index]
    usable = tuple(
        job
        for job in _jobs_of(situation, stage)
        if lineage.builds(situation.plan, image, index, job)
    )
    for job in usable:
        run = job.digests.index(str(stage.digest))
        if run < len(job.result.runs):
            return _publish(
                draft,
                PublishStage(
                    image=image.name, stage=stage, job=job, run=run, result=job.result.runs[run]
                ),
            )
    stages = _chain(situation, image, index)
    attached = _exports_from(situation.plan, image, stages[-1])
    order = StartJob(image=image.name, stages=stages, exports=attached, attempt=0)
    return _attempt(draft, usable, order)


def _jobs_of(situation: Situation, stage: PlannedStage) -> tuple[ObservedJob, ...]:
    return tuple(job for job in situation.jobs if stage.digest in job.digests and not job.deleting)


def _chain(situation: Situation, image: PlannedImage, index: int) -> tuple[PlannedStage, ...]:
    """The stages that go into one Job: one, or with `fuse` all that follow and can be built right now."""
    stages = [image.stages[index]]
    # Nothing is mounted while `from` empties the mount points; the other stages of an image have the same mounts.
    fuse = situation.fuse and not stages[0].work.emptied
    for stage in image.stages[index + 1 :] if fuse else ():
        if stage.state is not StageState.TO_BUILD or not needs_pod(stage):
            break
        if stages[-1].work.dependencies:
            break  # they are in the environment of the image, which a container gets when it starts
        if _missing_exports(situation, stage):
            break
        stages.append(stage)
    return tuple(stages)


def _exports_from(plan: BuildPlan, image: PlannedImage, last: PlannedStage) -> tuple[Export, ...]:
    """What others want of this image, when this stage is its last: exported by the same pod, no further one starts.

    With mounts it is not the image that the pod sees.
    """
    if last is not image.stages[-1] or last.work.mounts:
        return ()
    wanted = {
        export.key: export
        for other in plan.images
        for stage in other.stages
        if stage.state is not StageState.CACHED
        for export in exports.exports_of(stage, plan)
        if export.source == image.name and not export.external and not export.stage
    }
    return tuple(wanted.values())[:_MAX_ATTACHED]


def _attempt(draft: _Draft, jobs: tuple[ObservedJob, ...], order: StartJob) -> StageView:
    """Wait for the running Job, start the next attempt, or give up."""
    situation = draft.situation
    attempts = attempts_of(jobs, situation)
    if attempts.active is not None:
        return _active_view(draft, attempts.active)
    if attempts.verdict is not None:
        return StageView(state=ViewState.FAILED, job=attempts.last, failure=attempts.verdict)
    wait = _backoff(attempts, situation.now)
    if wait > 0:
        draft.again(wait)
        return StageView(state=ViewState.PENDING, job=attempts.last)
    return _start(draft, order)


def _active_view(draft: _Draft, job: ObservedJob) -> StageView:
    patience = patience_left(job, draft.situation.now)
    if patience is not None and patience <= 0:
        return StageView(state=ViewState.FAILED, job=job, failure=stuck(job))
    if patience is not None:
        draft.again(patience)
    return StageView(
        state=ViewState.BUILDING, job=job, waiting=job.waiting, waiting_reason=job.waiting_reason
    )


def _start(draft: _Draft, order: StartJob) -> StageView:
    claim = str(order.stages[0].digest) if order.stages else order.exports[0].key
    if claim in draft.claimed or draft.free_slots() <= 0:
        return StageView(state=ViewState.PENDING)
    draft.claimed.add(claim)
    number = _next_attempt(draft.situation, claim)
    draft.actions.append(
        StartJob(image=order.image, stages=order.stages, exports=order.exports, attempt=number)
    )
    return StageView(state=ViewState.PENDING)


def _next_attempt(situation: Situation, claim: str) -> int:
    """One more than any Job that was ever named after this digest or export key and still exists."""
    taken = [
        job.attempt
        for job in situation.jobs
        if claim in job.digests[:1] or (not job.digests and claim in job.exports.values())
    ]
    return max(taken, default=-1) + 1


def _backoff(attempts: Attempts, now: datetime) -> float:
    """Seconds to wait before the next attempt: 2, 4, 8 … at most 60 after the last failure."""
    if not attempts.failures or attempts.last is None or not attempts.last.finished_at:
        return 0.0
    delay = timedelta(seconds=min(60, 2**attempts.failures))
    return (datetime.fromisoformat(attempts.last.finished_at) + delay - now).total_seconds()


def _abandoned(situation: Situation) -> Iterator[StopJob]:
    """Our own Jobs that build nothing of the plan any more (spec changed, intermediate stage discarded).

    One that has delivered everything is left to end by itself: its log is still of use.
    """
    for job in situation.jobs:
        mine = job.owner_uid == situation.owner_uid and not job.deleting
        live = not job.ended and not job.delivered
        if mine and live and outdated(job, situation):
            yield StopJob(job=job, why="a new run of the build has begun")
        elif mine and live and job.digests and not _serves(situation.plan, job):
            yield StopJob(job=job, why="the plan has changed")


def _serves(plan: BuildPlan, job: ObservedJob) -> bool:
    return any(lineage.serves(plan, image, job) for image in plan.images)
