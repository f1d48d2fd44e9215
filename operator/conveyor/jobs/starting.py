"""Starting a Job: whether, when, and as which attempt.

In: the Jobs that tried the same work, the Job to start. Out: the view of who waits for it; an action that starts it when
a slot is free and the last failure is long enough ago.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from conveyor.api.v1alpha1 import StageState as ViewState
from conveyor.jobs.attempts import Attempts, attempts_of, patience_left, stuck
from conveyor.jobs.decision import Situation, StageView, StartJob
from conveyor.jobs.draft import Draft
from conveyor.jobs.model import ObservedJob


def attempt(draft: Draft, jobs: tuple[ObservedJob, ...], order: StartJob) -> StageView:
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


def _active_view(draft: Draft, job: ObservedJob) -> StageView:
    patience = patience_left(job, draft.situation.now)
    if patience is not None and patience <= 0:
        return StageView(state=ViewState.FAILED, job=job, failure=stuck(job))
    if patience is not None:
        draft.again(patience)
    return StageView(
        state=ViewState.BUILDING, job=job, waiting=job.waiting, waiting_reason=job.waiting_reason
    )


def _start(draft: Draft, order: StartJob) -> StageView:
    claim = str(order.stages[0].digest) if order.stages else order.exports[0].key
    if claim in draft.claimed or draft.free_slots() <= 0:
        return StageView(state=ViewState.PENDING)
    draft.claimed.add(claim)
    number = _next_attempt(draft.situation, claim)
    draft.actions.append(replace(order, attempt=number))
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
