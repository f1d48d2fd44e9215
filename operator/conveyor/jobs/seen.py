"""Whether a Job or pod has changed in anything that matters.

In: a Job or Pod dict. Out: a value that changes when `observe` could say something else of it, and not when it only gets an
address, a condition of the kubelet's, or a field of a controller's book-keeping.
"""

from collections.abc import Hashable, Mapping
from typing import Any, Final

from conveyor.jobs.observe import (
    CONFIG_REASONS,
    ENDED_PHASES,
    PULL_REASONS,
    awaits_volumes,
    containers_of,
)

Json = Mapping[str, Any]

_SCHEDULED: Final = ("PodScheduled", "True")
_READ_CONDITIONS: Final = (
    *("Failed", "Complete", "FailureTarget"),
    *("PodScheduled", "DisruptionTarget"),
)


def seen(item: Json) -> Hashable:
    """Return what a look reads of a Job or a pod while it goes on, for comparing with what was seen before."""
    status = item.get("status") or {}
    conditions = {
        (one["type"], one["status"], one.get("reason"), one.get("message"))
        for one in status.get("conditions") or []
        if one["type"] in _READ_CONDITIONS and (one["type"], one["status"]) != _SCHEDULED
    }
    return (
        "deletionTimestamp" in item["metadata"],
        frozenset(conditions),
        status.get("phase") in ENDED_PHASES,
        status.get("reason"),
        any("running" in (it.get("state") or {}) for it in containers_of(item)),
        tuple(filter(None, map(_told_of, containers_of(item)))),
        awaits_volumes(item),
    )


def _told_of(status: Json) -> Hashable:
    """What matters of a container that does not run; None when nothing does."""
    state = status.get("state") or {}
    waiting, ended = state.get("waiting") or {}, state.get("terminated")
    if ended:
        return status["name"], ended.get("exitCode"), ended.get("reason"), ended.get("message")
    if waiting.get("reason") in (*PULL_REASONS, *CONFIG_REASONS):
        return status["name"], waiting.get("reason"), waiting.get("message")
    return None


NOTHING_SEEN: Final = seen({"metadata": {}})
"""What there is to see of a Job or a pod when it is new."""
