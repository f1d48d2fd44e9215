"""Whether a Job builds on what is stored.

In: the plan and a Job. Out: yes or no. A Job of another commit is of no use, though it makes the same stage digest. A
Job of several stages is of use only while every stage before is stored as the very thing that this Job made; when
another was published first, the rest of the run stands on something else and is abandoned.

Of a FROM block only the last stored stage is planned, and what follows it: a Job's first stages may lie below that. Their digests
tell all that they are made from, so what is stored is the Job's own if it has the layers of all its runs on top. And a Job may
have built the block below first (`conveyor.jobs.block_chains`): then that has to be the Job's own, too.
"""

from collections.abc import Iterable
from itertools import takewhile

from conveyor.jobs.model import ObservedJob, RunResult
from conveyor.plan.answers import StageDesc
from conveyor.plan.model import (
    BuildPlan,
    ExternalBase,
    ImageBase,
    PlannedImage,
    PlannedStage,
    StageState,
)


def builds(plan: BuildPlan, image: PlannedImage, index: int, job: ObservedJob) -> bool:
    """Whether the Job builds this stage of the image on its stored parent.

    Args:
        index: Position of the stage in the image; its digest is one of the Job's.
    """
    run = job.digests.index(str(image.stages[index].digest))
    brings_it = brings(job, run, image.stages[index])
    return brings_it and _holds(plan, image, index - run, run, job)


def serves(plan: BuildPlan, image: PlannedImage, job: ObservedJob) -> bool:
    """Whether this image still wants what the Job builds, on what is stored.

    A Job whose later stages are planned no more is of use until its first ones are stored.
    """
    first = _first(image, job)
    if first is None:
        return False
    below = max(0, -first)
    pairs = zip(image.stages[max(0, first) :], job.digests[below:], strict=False)
    common = [stage for stage, digest in takewhile(lambda pair: pair[0].digest == pair[1], pairs)]
    open_ = [stage for stage in common if stage.state is not StageState.CACHED]
    runs = below + len(common)
    wanted = bool(open_) or runs == len(job.digests)
    all_brought = all(brings(job, job.digests.index(str(stage.digest)), stage) for stage in open_)
    return wanted and all_brought and _holds(plan, image, first, runs, job)


def built_image(plan: BuildPlan, image: PlannedImage, job: ObservedJob) -> bool:
    """Whether the image as it is stored is what the Job made (or may have, while it has not reported)."""
    first = _first(image, job)
    if first is None or (job.ended and len(job.result.runs) < len(job.digests)):
        return False
    return _holds(plan, image, first, len(job.digests), job)


def _first(image: PlannedImage, job: ObservedJob) -> int | None:
    """Where the Job's first run stands among the image's stages: negative for below the first planned one."""
    for index, stage in enumerate(image.stages):
        if stage.digest in job.digests:
            return index - job.digests.index(str(stage.digest))
    return None


def brings(job: ObservedJob, run: int, stage: PlannedStage) -> bool:
    """Whether the Job makes the very content that is planned: the digest of a git stage does not tell the commit."""
    return job.contents[run : run + 1] == (stage.content_digest,)


def _holds(plan: BuildPlan, image: PlannedImage, first: int, runs: int, job: ObservedJob) -> bool:
    """Whether the stored stages from `first` on, `runs` many, are the Job's own."""
    skipped = max(0, -first)
    hidden = first <= 0 and _hides(image)
    if skipped and not hidden and not _built_base(plan, image, skipped, job):
        return False
    below = None if hidden else _stored_parent(plan, image, max(0, first))
    wanted = below.manifest_digest if below else _pinned(image, first)
    if wanted and not skipped and job.parent != wanted:
        return False
    made = _layers(job.result.runs[:skipped]) if hidden else ()
    own = zip(image.stages[max(0, first) : first + runs], job.digests[skipped:], strict=False)
    results = job.result.runs[skipped:]
    for (stage, digest), result in zip(own, results, strict=False):
        if stage.digest != digest:
            return False
        if stage.stored is None:
            break
        made += _layers((result,))
        if not _is(stage.stored, below, made, job):
            return False
    return True


def _built_base(plan: BuildPlan, image: PlannedImage, runs: int, job: ObservedJob) -> bool:
    """Whether the image starts from a block that the Job's first `runs` runs have made, or are to make."""
    base = image.stages[0].base
    if not isinstance(base, ImageBase):
        return False
    block = plan.image(base.image)
    ends_there = block.stages[-1].digest == job.digests[runs - 1]
    return ends_there and _holds(plan, block, len(block.stages) - runs, runs, job)


def _hides(image: PlannedImage) -> bool:
    """Whether stages may lie below the first planned one."""
    first = image.stages[0]
    return first.stored is not None and first.work.block is not None


def _layers(runs: Iterable[RunResult]) -> tuple[str, ...]:
    return tuple(layer.digest for run in runs for layer in run.changed)


def _is(
    stored: StageDesc, below: StageDesc | None, made: tuple[str, ...], job: ObservedJob
) -> bool:
    """Whether the stored layers are those below plus those made. An external base's layers are not known here."""
    if below is not None:
        return stored.layers == (*below.layers, *made)
    if job.parent_layers is None:
        return bool(made) and stored.layers[-len(made) :] == made
    return stored.layers[job.parent_layers :] == made


def _pinned(image: PlannedImage, index: int) -> str:
    """The manifest digest of the outside image that has to be built on, "" where any will do: with its ONBUILD a plan changes."""
    base = image.stages[0].base
    if index or _hides(image) or not isinstance(base, ExternalBase):
        return ""
    return base.digest


def _stored_parent(plan: BuildPlan, image: PlannedImage, index: int) -> StageDesc | None:
    if index:
        return image.stages[index - 1].stored
    base = image.stages[0].base
    return plan.image(base.image).stages[-1].stored if isinstance(base, ImageBase) else None
