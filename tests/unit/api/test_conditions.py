"""Conditions as kstatus reads them."""

from collections.abc import Callable, Sequence
from itertools import product

import pytest

from conveyor.api import conditions as c
from conveyor.api.names import Reason
from conveyor.api.v1alpha1 import Condition

T0, T1, T2 = "2024-01-01T00:00:00Z", "2024-01-01T00:01:00Z", "2024-01-01T00:02:00Z"

State = Callable[[Sequence[Condition], str], c.Conditions]


def going(old: Sequence[Condition], now: str) -> c.Conditions:
    return c.in_progress(old, reason=Reason.PROGRESSING, message="2 of 5", generation=1, now=now)


def broken(old: Sequence[Condition], now: str) -> c.Conditions:
    return c.failed(old, reason=Reason.STAGE_FAILED, message="no\nway", generation=1, now=now)


def done(old: Sequence[Condition], now: str) -> c.Conditions:
    return c.succeeded(old, message="3 images", generation=1, now=now)


def paused(old: Sequence[Condition], now: str) -> c.Conditions:
    return c.suspended(old, generation=1, now=now)


EXPECTED: dict[State, dict[str, str]] = {
    going: {"Ready": "Unknown", "Reconciling": "True"},
    broken: {"Ready": "False", "Stalled": "True"},
    done: {"Ready": "True"},
    paused: {"Ready": "False"},
}


@pytest.mark.parametrize(("first", "second"), list(product(EXPECTED, EXPECTED)))
def test_every_state_after_every_state(first: State, second: State) -> None:
    now = second(first((), T0), T1)
    assert {it.type: it.status.value for it in now} == EXPECTED[second]


@pytest.mark.parametrize("state", list(EXPECTED))
def test_saying_it_again_changes_nothing(state: State) -> None:
    assert state(state((), T0), T1) == state((), T0)


def test_transition_time_changes_with_the_status_only() -> None:
    started = going((), T0)
    later = c.in_progress(started, reason=Reason.PLANNING, message="other", generation=2, now=T1)
    ready = c.find(later, "Ready")
    assert ready is not None
    assert (ready.reason, ready.message, ready.observed_generation) == ("Planning", "other", 2)
    assert ready.last_transition_time == T0
    over = c.find(done(later, T2), "Ready")
    assert over is not None
    assert over.last_transition_time == T2


def test_planned_stands_beside_ready_and_order_is_fixed() -> None:
    both = going(c.planned((), message="1 set", generation=1, now=T0), T0)
    assert [it.type for it in both] == ["Ready", "Reconciling", "Planned"]
    assert c.is_true(both, "Planned")
    again = c.not_planned(both, reason=Reason.PLANNING, message="", generation=2, now=T1)
    assert not c.is_true(again, "Planned")


def test_conditions_of_others_stay() -> None:
    foreign = done((), T0)[0].model_copy(update={"type": "Audited"})
    assert c.find(going([foreign], T1), "Audited") == foreign


def test_long_messages_are_cut() -> None:
    (ready,) = c.succeeded((), message="x" * 100_000, generation=1, now=T0)
    assert len(ready.message) == 1024
    assert ready.message.endswith("…")
