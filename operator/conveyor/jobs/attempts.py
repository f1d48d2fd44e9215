"""What the Jobs that tried the same work say together.

In: observed Jobs for one stage or export, and the situation. Out: `Attempts`: the one that is under way, or a final verdict,
or how many tries were lost so far.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from conveyor.api.names import Reason
from conveyor.jobs.model import Failure, JobPhase, ObservedJob

# How long a pod may wait for what only a person can give it, in seconds. A node may still come by itself.
_PATIENCE: Final = {
    Reason.STAGE_PULL_FAILED: 60.0,
    Reason.SECRET_NOT_FOUND: 60.0,
    Reason.POD_REJECTED: 60.0,
    Reason.STAGE_UNSCHEDULABLE: 600.0,
    Reason.PLATFORM_NOT_AVAILABLE: 600.0,
}


class RunLimits(Protocol):
    """The part of a situation that attempts are judged by."""

    @property
    def run_id(self) -> str:
        """The present run."""
        ...

    @property
    def owner_uid(self) -> str:
        """The ImageBuild's uid."""
        ...

    @property
    def started_at(self) -> datetime:
        """When the present run began."""
        ...

    @property
    def retry_limit(self) -> int:
        """How many lost attempts are made good."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """Jobs of the same work, judged.

    Attributes:
        active: The Job that is pending or running.
        verdict: Why there will be no further attempt.
        failures: Lost attempts of this run.
        last: The Job that ended last.
    """

    active: ObservedJob | None = None
    verdict: Failure | None = None
    failures: int = 0
    last: ObservedJob | None = None


def attempts_of(jobs: Sequence[ObservedJob], limits: RunLimits) -> Attempts:
    """Judge the attempts. Jobs of an earlier run of the same build do not count against this one."""
    active = [job for job in jobs if not job.ended and not outdated(job, limits)]
    if active:
        return Attempts(active=active[0])
    counted = sorted((job for job in jobs if _counts(job, limits)), key=lambda job: job.attempt)
    if not counted:
        return Attempts()
    last = counted[-1]
    failure = last.result.failure or _vanished()
    if failure.final:
        return Attempts(verdict=failure, failures=len(counted), last=last)
    if len(counted) > limits.retry_limit:
        return Attempts(verdict=_exhausted(failure, len(counted)), failures=len(counted), last=last)
    return Attempts(failures=len(counted), last=last)


def outdated(job: ObservedJob, limits: RunLimits) -> bool:
    """Our own Job of an earlier run that nothing runs of yet: the wish changed, and with it perhaps the pod."""
    mine = job.owner_uid == limits.owner_uid and job.run_id != limits.run_id
    return mine and job.phase is JobPhase.PENDING


def _counts(job: ObservedJob, limits: RunLimits) -> bool:
    """Ours of this run; somebody else's if it was started while we wait for the same stage."""
    if job.owner_uid == limits.owner_uid:
        return job.run_id == limits.run_id
    return bool(job.created_at) and datetime.fromisoformat(job.created_at) >= limits.started_at


def _vanished() -> Failure:
    return Failure(
        reason=Reason.STAGE_EVICTED,
        message="the pod ended without a result",
        final=False,
    )


def _exhausted(failure: Failure, tries: int) -> Failure:
    return Failure(
        reason=failure.reason,
        message=f"gave up after {tries} attempts; the last one: {failure.message}",
        final=True,
        run=failure.run,
        command=failure.command,
        exit_code=failure.exit_code,
        log_tail=failure.log_tail,
    )


def patience_left(job: ObservedJob, now: datetime) -> float | None:
    """Seconds until a waiting Job counts as failed; None when it waits for nothing that is wrong."""
    since = job.started_at or job.created_at  # a node took it, or it still looks for one
    if job.waiting_reason is None or not since:
        return None
    waited = (now - datetime.fromisoformat(since)).total_seconds()
    return _PATIENCE.get(job.waiting_reason, 60.0) - waited


def stuck(job: ObservedJob) -> Failure:
    """The failure of a Job that has waited for too long."""
    return Failure(
        reason=job.waiting_reason or Reason.STAGE_UNSCHEDULABLE, message=job.waiting, final=True
    )
