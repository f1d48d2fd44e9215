"""Conditions that kstatus, kubectl wait, Flux and Argo CD understand.

In: the conditions of before, and what is true now. Out: new conditions. There is exactly one Ready;
Reconciling and Stalled are there only while true. `now` is an argument (RFC 3339), and a transition
time changes only with the status of its condition: the same state always gives the same bytes.

    state        Ready     Reconciling  Stalled
    in progress  Unknown   True         -
    suspended    False     -            -
    succeeded    True      -            -
    failed       False     -            True
"""

from collections.abc import Sequence

from conveyor.api.names import ConditionType, Reason
from conveyor.api.status import MAX_MESSAGE, Condition, ConditionStatus

Conditions = tuple[Condition, ...]

_PLACES = {name.value: place for place, name in enumerate(ConditionType)}


def find(conditions: Sequence[Condition], condition_type: str) -> Condition | None:
    """The condition of that type."""
    return next((it for it in conditions if it.type == condition_type), None)


def is_true(conditions: Sequence[Condition], condition_type: str) -> bool:
    """Whether the condition is there and True."""
    found = find(conditions, condition_type)
    return found is not None and found.status is ConditionStatus.TRUE


def put(conditions: Sequence[Condition], new: Condition) -> Conditions:
    """Add or replace a condition; an unchanged status keeps the time of its last transition."""
    old = find(conditions, new.type)
    if old is not None and old.status is new.status:
        new = new.model_copy(update={"last_transition_time": old.last_transition_time})
    rest = [it for it in conditions if it.type != new.type]
    return tuple(sorted([*rest, new], key=_place))


def remove(conditions: Sequence[Condition], condition_type: str) -> Conditions:
    """All but the condition of that type."""
    return tuple(it for it in conditions if it.type != condition_type)


def in_progress(
    conditions: Sequence[Condition], *, reason: Reason, message: str, generation: int, now: str
) -> Conditions:
    """Work goes on: Ready=Unknown, Reconciling=True."""
    ready = _condition(ConditionType.READY, "Unknown", reason, message, generation, now)
    going = _condition(ConditionType.RECONCILING, "True", reason, message, generation, now)
    return put(put(remove(conditions, ConditionType.STALLED), ready), going)


def succeeded(
    conditions: Sequence[Condition], *, message: str, generation: int, now: str
) -> Conditions:
    """All is there: Ready=True alone."""
    ready = _condition(ConditionType.READY, "True", Reason.SUCCEEDED, message, generation, now)
    return put(_settled(conditions), ready)


def failed(
    conditions: Sequence[Condition], *, reason: Reason, message: str, generation: int, now: str
) -> Conditions:
    """Somebody has to change something: Ready=False, Stalled=True."""
    ready = _condition(ConditionType.READY, "False", reason, message, generation, now)
    stalled = _condition(ConditionType.STALLED, "True", reason, message, generation, now)
    return put(put(remove(conditions, ConditionType.RECONCILING), ready), stalled)


def suspended(conditions: Sequence[Condition], *, generation: int, now: str) -> Conditions:
    """Nothing happens because the user wants it so: Ready=False alone."""
    message = "spec.suspend is true"
    ready = _condition(ConditionType.READY, "False", Reason.SUSPENDED, message, generation, now)
    return put(_settled(conditions), ready)


def planned(
    conditions: Sequence[Condition], *, message: str, generation: int, now: str
) -> Conditions:
    """The plan is known; `message` is its one-line summary."""
    done = _condition(ConditionType.PLANNED, "True", Reason.SUCCEEDED, message, generation, now)
    return put(conditions, done)


def not_planned(
    conditions: Sequence[Condition], *, reason: Reason, message: str, generation: int, now: str
) -> Conditions:
    """There is no plan for this generation: not yet (reason Planning), or because of a mistake."""
    open_ = _condition(ConditionType.PLANNED, "False", reason, message, generation, now)
    return put(conditions, open_)


def cut(message: str) -> str:
    """The message, shortened to what status has room for."""
    return message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…"


def _settled(conditions: Sequence[Condition]) -> Conditions:
    return remove(remove(conditions, ConditionType.RECONCILING), ConditionType.STALLED)


def _place(condition: Condition) -> tuple[int, str]:
    return _PLACES.get(condition.type, len(_PLACES)), condition.type


def _condition(
    condition_type: ConditionType,
    status: str,
    reason: Reason,
    message: str,
    generation: int,
    now: str,
) -> Condition:
    return Condition(
        type=condition_type.value,
        status=ConditionStatus(status),
        reason=reason.value,
        message=cut(message),
        last_transition_time=now,
        observed_generation=generation,
    )
