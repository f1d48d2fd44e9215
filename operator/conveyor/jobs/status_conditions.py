"""Conditions of a build that has a plan, and its failure in short.

In: the decision, the counted stages, the conditions before. Out: `Condition`s, `FailureStatus`.
"""

from typing import TypedDict

from conveyor.api import conditions
from conveyor.api.names import Reason
from conveyor.api.status import MAX_LOG_TAIL
from conveyor.api.v1alpha1 import Condition, Counts, FailureStatus, ImageBuild
from conveyor.jobs.decision import Decision
from conveyor.jobs.model import Failure
from conveyor.jobs.run import Run

_MAX_COMMAND = 1024


class Moment(TypedDict):
    """What every condition is stamped with."""

    generation: int
    now: str


def conditions_of(  # noqa: PLR0913 - a summary of all there is
    build: ImageBuild,
    run: Run,
    decision: Decision,
    counts: Counts,
    failure: FailureStatus | None,
    now: str,
    *,
    done: bool,
) -> tuple[Condition, ...]:
    """Conditions of this moment.

    Args:
        now: RFC 3339.
        done: Every image is there.
    """
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


def failure_of(decision: Decision) -> FailureStatus | None:
    """The first failure in plan order; None when nothing failed."""
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
