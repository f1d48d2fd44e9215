"""Containers of a Docker Engine as a Job and its pod.

In: what the Engine says of the containers. Out: dicts as the API server would give them, as far as
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
        courier: Inspected container. stage, mounts: the same, None before it is made or where there is none.
        message: The courier's termination message, "" while it runs; that of `mounts` when it failed.
        trouble: Why nothing runs yet.
        lost: Who was starting it is gone; nobody will.
    """

    courier: Json
    stage: Json | None
    mounts: Json | None = None
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
        return any(it["State"]["Running"] for it in self.containers)

    @property
    def containers(self) -> tuple[Json, ...]:
        """Those that are there."""
        return tuple(it for it in (self.courier, self.stage, self.mounts) if it is not None)

    @property
    def last(self) -> Json | None:
        """The container with which the Job is over: the courier, or `mounts` when it failed; None while it is not."""
        if over(self.courier):
            return self.courier
        failed = self.mounts is not None and over(self.mounts) and self.mounts["State"]["ExitCode"]
        return self.mounts if failed else None


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
    if seen.mounts is not None and seen.mounts["State"]["StartedAt"] != _NEVER:
        laying = _status(names.CONTAINER_MOUNTS, seen.mounts, seen)
        status["initContainerStatuses"] = [laying]
    started = [it["State"]["StartedAt"] for it in (seen.mounts, seen.courier) if it]
    if first := next((it for it in started if it != _NEVER), ""):
        status["startTime"] = _stamp(first)
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
    """A Job is over with its courier, or before it; what ended too late was stopped by the deadline."""
    last = seen.last
    finished = _time(last["State"]["FinishedAt"]) if last else now
    if finished >= seen.due:
        when = {"lastTransitionTime": _text(min(finished, now))}
        return [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded", **when}]
    if seen.lost:
        return [{"type": "Failed", "status": "True", "lastTransitionTime": _text(now)}]
    if last is None:
        return []
    kind = "Failed" if last["State"]["ExitCode"] else "Complete"
    return [{"type": kind, "status": "True", "lastTransitionTime": _text(finished)}]


def _phase(seen: Seen) -> str:
    if seen.lost:
        return "Failed"
    if seen.running:
        return "Running"
    if seen.last is not None:
        return "Failed" if seen.last["State"]["ExitCode"] else "Succeeded"
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
    if container is seen.last:
        ended["message"] = seen.message
    return {"terminated": ended}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _stamp(text: str) -> str:
    """Return a time as Kubernetes has it: UTC, whole seconds."""
    return "" if text == _NEVER else _text(_time(text))


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
