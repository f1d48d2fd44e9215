"""The Job of a stage: the result of one that is there, or which stages and exports go into the next one.

In: the decision being made and a stage that needs a pod and may be built now. Out: its view; an action that publishes the
stage or starts a Job.
"""

from dataclasses import replace
from itertools import islice
from typing import Final

from conveyor.api.v1alpha1 import StageState as ViewState
from conveyor.jobs import assemblies, exports, lineage
from conveyor.jobs.block_chains import line
from conveyor.jobs.decide_exports import decide_exports, missing_exports
from conveyor.jobs.decision import PublishStage, Situation, StageView, StartJob
from conveyor.jobs.draft import Draft
from conveyor.jobs.model import Export, ObservedJob
from conveyor.jobs.run_mounts import writes_binds
from conveyor.jobs.starting import attempt
from conveyor.jobs.work import has_values, needs_pod
from conveyor.plan.model import BuildPlan, PlannedImage, PlannedStage, StageState

# A Job's task and annotations have limits; what is left over is done by Jobs of its own.
_MAX_ATTACHED: Final = 100
_MAX_STAGES: Final = 500


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
            return draft.publish(_publish(image, index, job, run))
    stages = _chain(situation, image, index)
    held = _held(draft, image, index, stages) if not usable else None
    if held is not None:
        return held
    return attempt(draft, usable, _order(situation, image, stages))


def _order(situation: Situation, image: PlannedImage, stages: tuple[PlannedStage, ...]) -> StartJob:
    plan, last = situation.plan, stages[-1]
    attached = _exports_from(plan, last)
    return StartJob(
        image=image.name,
        stages=stages,
        exports=attached,
        assemblies=assemblies.made_with(plan, last, attached, situation.outlines),
        outline=assemblies.outline_wanted(plan, image, stages),
    )


def _jobs_of(situation: Situation, stage: PlannedStage) -> tuple[ObservedJob, ...]:
    return tuple(job for job in situation.jobs if stage.digest in job.digests and not job.deleting)


def _publish(image: PlannedImage, index: int, job: ObservedJob, run: int) -> PublishStage:
    """A stage that a Job has built; of an inner one also what it has built upon it of the same block."""
    actions: list[PublishStage] = []
    pairs = zip(image.stages[index:], job.digests[run:], job.result.runs[run:], strict=False)
    for number, (stage, digest, result) in enumerate(pairs, run):
        follows = not actions or actions[-1].stage.inner
        if not follows or stage.digest != digest or not has_values(stage):
            break
        if actions and not lineage.brings(job, number, stage):
            break
        actions.append(
            PublishStage(image=image.name, stage=stage, job=job, run=number, result=result)
        )
    return replace(
        actions[0], then=tuple(actions[1:]), continued=_continued(image, index, actions[-1], job)
    )


def _continued(image: PlannedImage, index: int, last: PublishStage, job: ObservedJob) -> bool:
    """Whether the Job is at the next stage of the block."""
    if job.ended or not last.stage.inner:
        return False
    following = image.stages[image.stages.index(last.stage, index) + 1]
    return following.digest in job.digests[last.run + 1 : last.run + 2]


def _chain(situation: Situation, image: PlannedImage, index: int) -> tuple[PlannedStage, ...]:
    """The stages that go into one Job: all that follow and can be built right now, of one block, of blocks that only
    follow each other, or with `fuse`.
    """  # noqa: D205 - one sentence
    stages = [image.stages[index]]
    for stage in islice(line(situation.plan, image, index), 1, _MAX_STAGES):
        together = situation.fuse or stages[-1].inner or stages[-1].image != stage.image
        if not together or not _continues(stages[-1], stage):
            break
        if missing_exports(situation, stage):
            break
        stages.append(stage)
    return tuple(stages)


def _continues(before: PlannedStage, stage: PlannedStage) -> bool:
    """Whether the pod of a stage can build the next one, too."""
    if stage.state is not StageState.TO_BUILD or not has_values(stage):
        return False
    # Nothing is mounted while `from` empties the mount points; volumes are there for the whole life of a pod.
    if before.work.emptied or before.work.run_mounts != stage.work.run_mounts:
        return False
    if writes_binds(before.work.run_mounts):
        return False
    if stage.work.block is not None:
        return True  # every command is told its environment, so what changes the config alone may come along
    # Values of other images are in the environment of the image, which a container gets when it starts.
    return needs_pod(stage) and not before.work.dependencies


def _held(
    draft: Draft, image: PlannedImage, index: int, stages: tuple[PlannedStage, ...]
) -> StageView | None:
    """The view of a block that waits for others before copying a few files: a pod for that alone is not worth it."""
    following = image.stages[index + len(stages) :][:1]  # none where another block goes along
    if not stages[-1].inner or not following or any(map(_runs_commands, stages)):
        return None
    if following[0].state is StageState.UNKNOWN:
        return StageView(state=ViewState.PENDING)
    return decide_exports(draft, following[0])


def _runs_commands(stage: PlannedStage) -> bool:
    block = stage.work.block
    return block is not None and any(step.instruction.keyword == "RUN" for step in block.steps)


def _exports_from(plan: BuildPlan, last: PlannedStage) -> tuple[Export, ...]:
    """What others want of an image, when this stage is its last: exported by the same pod, no further one starts.

    With `mount` of werf.yaml it is not the image that the pod sees; what a RUN mounts is in the way of few files.
    """
    image = plan.image(last.image)
    if last is not image.stages[-1] or last.work.mounts:
        return ()
    wanted = {
        export.key: export
        for _, export in exports.wanted(plan)
        if export.source == image.name and not export.external and not export.stage
    }
    return tuple(wanted.values())[:_MAX_ATTACHED]
