"""Containers of a Docker Engine as a Job and its pod.

In: what the Engine says of the courier's and the stage's container. Out: dicts as the API server would give them, as far as
`conveyor.jobs.observe` reads them. Whether a Job is over its deadline is concluded from its times, so every process that looks
concludes the same.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from conveyor.adapters.engine_containers import LABEL_BODY
from conveyor.api import names

Json = dict[str, Any]

_NEVER: Final = "0001-01-01T00:00:00Z"
_OVER: Final = ("exited", "dead", "removing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why a container does not start, as a pod would tell: `reason` of a waiting container."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A Job as the Engine knows it.

    Attributes:
        courier: Inspected container. stage: the same, None before it is made.
        message: The courier's termination message, "" while it runs.
        trouble: Why nothing runs yet.
        lost: Who was starting it is gone; nobody will.
    """

    courier: Json
    stage: Json | None
    message: str = ""
    trouble: Trouble | None = None
    lost: str = ""

    @property
    def body(self) -> Json:
        """What its maker left for later processes."""
        found: Json = json.loads(self.courier["Config"]["Labels"][LABEL_BODY])
        return found

    @property
    def created(self) -> datetime:
        """When it was made."""
        return _time(self.courier["Created"])

    @property
    def due(self) -> datetime:
        """When it has to be over."""
        return self.created + timedelta(seconds=int(self.body["deadline"]))

    @property
    def running(self) -> bool:
        """Whether a container of it runs."""
        return any(it["State"]["Running"] for it in (self.courier, self.stage) if it)

    @property
    def ended(self) -> str:
        """When the courier ended, "" before."""
        return _stamp(self.courier["State"]["FinishedAt"]) if over(self.courier) else ""


def over(container: Json | None) -> bool:
    """Whether a container has ended."""
    return container is not None and container["State"]["Status"] in _OVER


def job_of(seen: Seen, now: datetime) -> Json:
    """Return the Job."""
    meta = seen.body["metadata"] | {
        "uid": seen.courier["Id"],
        "creationTimestamp": _stamp(seen.courier["Created"]),
    }
    return {"metadata": meta, "status": {"conditions": _conditions(seen, now)}}


def pod_of(seen: Seen) -> Json:
    """Return its pod."""
    meta = seen.body["metadata"]
    owner = {"kind": "Job", "uid": seen.courier["Id"], "name": meta["name"]}
    created = _stamp(seen.courier["Created"])
    statuses = [_status(names.CONTAINER_COURIER, seen.courier, seen)]
    statuses.append(_status(names.CONTAINER_STAGE, seen.stage, seen))
    status: Json = {"phase": _phase(seen), "containerStatuses": statuses}
    if seen.running or over(seen.courier):
        status["startTime"] = _stamp(seen.courier["State"]["StartedAt"])
    if seen.lost:
        status |= {"reason": "StartError", "message": seen.lost}
    return {
        "metadata": {
            "name": meta["name"],
            "creationTimestamp": created,
            "ownerReferences": [owner],
        },
        "spec": {"volumes": []},
        "status": status,
    }


def _conditions(seen: Seen, now: datetime) -> list[Json]:
    """A Job is over with its courier; a courier that ended too late was stopped by the deadline."""
    finished = _time(seen.courier["State"]["FinishedAt"]) if over(seen.courier) else now
    if finished >= seen.due:
        when = {"lastTransitionTime": _text(min(finished, now))}
        return [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded", **when}]
    if seen.lost:
        return [{"type": "Failed", "status": "True", "lastTransitionTime": _text(now)}]
    if not over(seen.courier):
        return []
    kind = "Failed" if seen.courier["State"]["ExitCode"] else "Complete"
    return [{"type": kind, "status": "True", "lastTransitionTime": _text(finished)}]


def _phase(seen: Seen) -> str:
    if seen.lost:
        return "Failed"
    if seen.running:
        return "Running"
    if over(seen.courier):
        return "Failed" if seen.courier["State"]["ExitCode"] else "Succeeded"
    return "Pending"


def _status(name: str, container: Json | None, seen: Seen) -> Json:
    return {
        "name": name,
        "image": container["Config"]["Image"] if container else "",
        "state": _state(name, container, seen),
    }


def _state(name: str, container: Json | None, seen: Seen) -> Json:
    state = container["State"] if container else {}
    if state.get("Running"):
        return {"running": {"startedAt": _stamp(state["StartedAt"])}}
    if not over(container):
        trouble = seen.trouble or Trouble(reason="ContainerCreating", message="")
        return {"waiting": {"reason": trouble.reason, "message": trouble.message}}
    reason = "Error" if state["ExitCode"] else "Completed"
    ended = {
        "exitCode": state["ExitCode"],
        "reason": "OOMKilled" if state.get("OOMKilled") else reason,
        "finishedAt": _stamp(state["FinishedAt"]),
    }
    if name == names.CONTAINER_COURIER:
        ended["message"] = seen.message
    return {"terminated": ended}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _stamp(text: str) -> str:
    """Return a time as Kubernetes has it: UTC, whole seconds."""
    return "" if text == _NEVER else _text(_time(text))


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
