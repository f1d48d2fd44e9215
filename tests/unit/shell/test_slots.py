"""How many Jobs are started when the operator may run only so many (`MAX_JOBS`)."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, arg-type"

import asyncio
from types import SimpleNamespace

import pytest
from tests.unit.jobs.values import EXTERNAL, image, plan, situation, to_build

from conveyor.jobs.decide import decide
from conveyor.jobs.decision import StartJob
from conveyor.shell.look import Course


def _plan(count):
    return plan(*(image(to_build(f"i{n}/from", base=EXTERNAL)) for n in range(count)))


def _started(*, max_jobs, live, wanted, own=5):
    """Jobs that are started, and how often all Jobs of the cluster were counted."""
    asked = []

    async def live_jobs(_build, namespaces):
        asked.append(namespaces)
        return live

    course = Course(
        None,
        SimpleNamespace(max_jobs=max_jobs, watch_namespaces=("a",)),
        SimpleNamespace(live_jobs=live_jobs),
        None,
        None,
    )
    given = situation(_plan(wanted), slots=own)
    decision = asyncio.run(course._within_slots(None, given, decide(given)))
    return sum(isinstance(action, StartJob) for action in decision.actions), len(asked)


@pytest.mark.parametrize(
    ("max_jobs", "live", "wanted", "started"),
    [
        (0, 99, 3, (3, 0)),  # no limit
        (10, 2, 3, (3, 1)),
        (10, 8, 3, (2, 1)),
        (10, 12, 3, (0, 1)),
        (10, 0, 9, (5, 1)),  # the build's own limit
        (10, 0, 0, (0, 0)),  # nothing to start: nobody is asked
    ],
)
def test_jobs_that_are_started(max_jobs, live, wanted, started):
    assert _started(max_jobs=max_jobs, live=live, wanted=wanted) == started
