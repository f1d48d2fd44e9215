"""The Job of a stage: the result of one that is there, or which stages and exports go into the next one.

In: the decision being made and a stage that needs a pod and may be built now. Out: its view; an action that publishes the
stage or starts a Job.
"""

from typing import Final

from conveyor.jobs import exports, lineage
from conveyor.jobs.decide_exports import missing_exports
from conveyor.jobs.decision import PublishStage, Situation, StageView, StartJob
from conveyor.jobs.draft import Draft
from conveyor.jobs.model import Export, ObservedJob
from conveyor.jobs.starting import attempt
from conveyor.jobs.work import needs_pod
from conveyor.plan.model import BuildPlan, PlannedImage, PlannedStage, StageState

# A Job's task and annotations have limits; what is left over is exported by Jobs of its own.
_MAX_ATTACHED: Final = 100


def decide_job(draft: Draft, image: PlannedImage, index: int) -> StageView:
    """Publish what a Job has built, else wait for it or start one."""
    situation, stage = draft.situation, image.stages[index]
    usable = tuple(
        job
        for job in _jobs_of(situation, stage)
        if lineage.builds(situation.plan, image, index, job)
    )
    for job in usable:
        run = job.digests.index(str(stage.digest))
        if run < len(job.result.runs):
            return draft.publish(
                PublishStage(
                    image=image.name, stage=stage, job=job, run=run, result=job.result.runs[run]
                ),
            )
    stages = _chain(situation, image, index)
    attached = _exports_from(situation.plan, image, stages[-1])
    order = StartJob(image=image.name, stages=stages, exports=attached, attempt=0)
    return attempt(draft, usable, order)


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
        if missing_exports(situation, stage):
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
