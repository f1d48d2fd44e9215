"""A block that the pod of its files has made along: published once that pod's own image is stored.

In: the decision being made and an image. Out: its view and an action that publishes all of it; None where it has to be built.
"""

from dataclasses import replace
from itertools import chain

from conveyor.jobs import lineage
from conveyor.jobs.assemblies import PREFIX, assembly_of
from conveyor.jobs.decide_exports import result_of
from conveyor.jobs.decision import PublishStage, StageView
from conveyor.jobs.draft import Draft
from conveyor.jobs.model import Assembly, AssemblyResult
from conveyor.jobs.work import has_values
from conveyor.plan.model import PlannedImage, PlannedStage, StageState


def decide_assembly(draft: Draft, image: PlannedImage) -> StageView | None:
    """Publish what is left of an image's block, if a Job has made it of files of the very image that is stored."""
    plan = draft.situation.plan
    if not any(key.startswith(PREFIX) for key in _keys(draft)):
        return None  # most builds have none, and which blocks could be one takes long to say
    wanted = assembly_of(plan, image)
    if wanted is None or not all(map(_is_planned, wanted.stages)):
        return None
    source = plan.image(wanted.source)
    for job in draft.situation.jobs:
        result = result_of(job, wanted.key)
        if not isinstance(result, AssemblyResult) or len(result.runs) != len(wanted.stages):
            continue
        if source.ready and not job.deleting and lineage.built_image(plan, source, job):
            view = draft.publish(_publish(wanted, result))
            return replace(view, job=job)
    return None


def _keys(draft: Draft) -> chain[str]:
    return chain.from_iterable(job.exports.values() for job in draft.situation.jobs)


def _is_planned(stage: PlannedStage) -> bool:
    return stage.state is StageState.TO_BUILD and has_values(stage)


def _publish(wanted: Assembly, result: AssemblyResult) -> PublishStage:
    first, *then = (
        PublishStage(image=wanted.image, stage=stage, result=run)
        for stage, run in zip(wanted.stages, result.runs, strict=True)
    )
    return replace(first, then=tuple(then))
