"""Whether a Job builds on what is stored.

In: the plan and a Job. Out: yes or no. A Job of another commit is of no use, though it makes the same stage digest. A
Job of several stages is of use only while every stage before is stored as the very thing that this Job made; when
another was published first, the rest of the run stands on something else and is abandoned.
"""

from itertools import takewhile

from conveyor.jobs.model import ObservedJob
from conveyor.plan.answers import StageDesc
from conveyor.plan.model import BuildPlan, ImageBase, PlannedImage, PlannedStage, StageState


def builds(plan: BuildPlan, image: PlannedImage, index: int, job: ObservedJob) -> bool:
    """Whether the Job builds this stage of the image on its stored parent.

    Args:
        index: Position of the stage in the image; its digest is one of the Job's.
    """
    run = job.digests.index(str(image.stages[index].digest))
    brings = _brings(job, run, image.stages[index])
    return brings and _holds(plan, image, index - run, run, job)


def serves(plan: BuildPlan, image: PlannedImage, job: ObservedJob) -> bool:
    """Whether this image still wants what the Job builds, on what is stored.

    A Job whose later stages are planned no more is of use until its first ones are stored.
    """
    digests = [str(stage.digest) for stage in image.stages]
    if job.digests[0] not in digests:
        return False
    first = digests.index(job.digests[0])
    pairs = zip(digests[first:], job.digests, strict=False)
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    stages = image.stages[first : first + common]
    open_ = [stage for stage in stages if stage.state is not StageState.CACHED]
    wanted = bool(open_) or common == len(job.digests)
    brings = all(_brings(job, job.digests.index(str(stage.digest)), stage) for stage in open_)
    return wanted and brings and _holds(plan, image, first, common, job)


def built_image(plan: BuildPlan, image: PlannedImage, job: ObservedJob) -> bool:
    """Whether the image as it is stored is what the Job made (or may have, while it has not reported)."""
    digests = [str(stage.digest) for stage in image.stages]
    if job.digests[0] not in digests or (job.ended and len(job.result.runs) < len(job.digests)):
        return False
    return _holds(plan, image, digests.index(job.digests[0]), len(job.digests), job)


def _brings(job: ObservedJob, run: int, stage: PlannedStage) -> bool:
    """Whether the Job makes the very content that is planned: the digest of a git stage does not tell the commit."""
    return job.contents[run : run + 1] == (stage.content_digest,)


def _holds(plan: BuildPlan, image: PlannedImage, first: int, runs: int, job: ObservedJob) -> bool:
    """Whether the stored stages from `first` on, `runs` many, are the Job's own."""
    if first < 0:
        return False
    below = _stored_parent(plan, image, first)
    if below is not None and job.parent != below.manifest_digest:
        return False
    made: tuple[str, ...] = ()
    for stage, result in zip(image.stages[first : first + runs], job.result.runs, strict=False):
        if stage.stored is None:
            break
        made += tuple(layer.digest for layer in result.changed)
        if not _is(stage.stored, below, made):
            return False
    return True


def _is(stored: StageDesc, below: StageDesc | None, made: tuple[str, ...]) -> bool:
    """Whether the stored layers are those below plus those made. An external base's layers are not known here."""
    if below is not None:
        return stored.layers == (*below.layers, *made)
    return bool(made) and stored.layers[-len(made) :] == made


def _stored_parent(plan: BuildPlan, image: PlannedImage, index: int) -> StageDesc | None:
    if index:
        return image.stages[index - 1].stored
    base = image.stages[0].base
    return plan.image(base.image).stages[-1].stored if isinstance(base, ImageBase) else None
