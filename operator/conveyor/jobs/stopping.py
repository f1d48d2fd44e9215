"""Which Jobs are stopped.

In: a `Situation`. Out: `StopJob` actions.
"""

from collections.abc import Iterator

from conveyor.jobs import lineage
from conveyor.jobs.attempts import outdated
from conveyor.jobs.decision import Situation, StopJob
from conveyor.jobs.model import ObservedJob
from conveyor.plan.model import BuildPlan


def abandoned(situation: Situation) -> Iterator[StopJob]:
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
