"""ImageBuilds under test.

In: a spec. Out: `Build`: waits with a deadline, and tells the whole story when it does not come to the expected end.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.cluster.kube import BATCH, CONVEYOR, CORE, Json, Kube, eventually
from tests.cluster.operator_pod import OperatorPod

from conveyor.api import names

STAGE_PER_JOB, IMAGE_PER_JOB = "StagePerJob", "ImagePerJob"
LONG = 420.0
"""Seconds for a build of some stages on two busy cores."""
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
ANYWHERE: Json = {
    "tolerations": [{"key": CONTROL_PLANE, "operator": "Exists", "effect": "NoSchedule"}]
}
"""A podTemplate of pods that every node of the development cluster takes."""
_EVERY = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One ImageBuild on the cluster."""

    kube: Kube
    operator: OperatorPod
    namespace: str
    name: str
    repo: str

    @property
    def path(self) -> str:
        """Of the object in the API."""
        return f"{CONVEYOR}/namespaces/{self.namespace}/imagebuilds/{self.name}"

    def get(self) -> Json:
        """The object as it is now."""
        found = self.kube.get(self.path)
        assert found is not None, f"ImageBuild {self.name} is gone"
        return found

    def status(self) -> Json:
        """Its status as it is now."""
        status: Json = self.get().get("status") or {}
        return status

    def patch_spec(self, **changes: object) -> None:
        """Change fields of the spec."""
        self.kube.patch(self.path, {"spec": changes})

    def retry(self) -> None:
        """Ask for another try."""
        note = {names.ANNOTATION_REQUESTED_AT: str(time.time_ns())}
        self.kube.patch(self.path, {"metadata": {"annotations": note}})

    def delete(self) -> None:
        """Delete the object."""
        self.kube.delete(self.path)

    # --- waiting ------------------------------------------------------------------------------------------------------

    def wait_for(self, what: str, check: Callable[[Json], object], seconds: float = LONG) -> Json:
        """Wait until the object passes; answers its status."""
        end = time.monotonic() + seconds
        while True:
            found = self.get()
            if check(found):
                status: Json = found.get("status") or {}
                return status
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds:.0f} s: {what}\n{self.story()}")
            time.sleep(_EVERY)

    def wait_ready(self, seconds: float = LONG) -> Json:
        """Wait for Ready=True; an end in failure is told at once."""
        status = self.wait_for("Ready or Stalled", _over, seconds)
        assert condition(status, "Ready")["status"] == "True", f"not Ready\n{self.story()}"
        assert condition(status, "Stalled") == {}
        return status

    def wait_stalled(self, reason: str, seconds: float = LONG) -> Json:
        """Wait for Stalled with this reason."""
        status = self.wait_for("Ready or Stalled", _over, seconds)
        stalled = condition(status, "Stalled")
        assert stalled.get("status") == "True", f"it did not stall\n{self.story()}"
        assert stalled["reason"] == reason, f"{stalled}\n{self.story()}"
        assert condition(status, "Ready")["status"] == "False"
        return status

    def wait_jobs(self, count: int = 1, seconds: float = LONG) -> list[Json]:
        """Wait for Jobs with a running stage container."""

        def running(_: Json) -> bool:
            return len(self.running_pods()) >= count

        self.wait_for(f"{count} running stage pods", running, seconds)
        return self.jobs()

    def stays_quiet(self, seconds: float = 6.0) -> None:
        """A settled build is left alone: no status written, no Job, no Event."""
        before = self._fingerprint()
        time.sleep(seconds)
        assert self._fingerprint() == before, f"something still happens\n{self.story()}"

    def _fingerprint(self) -> tuple[str, tuple[str, ...], tuple[tuple[str, int], ...]]:
        events = tuple(
            (event["metadata"]["name"], event.get("count", 1)) for event in self.events()
        )
        jobs = tuple(sorted(job["metadata"]["name"] for job in self.jobs()))
        return self.get()["metadata"]["resourceVersion"], jobs, events

    # --- what belongs to it -------------------------------------------------------------------------------------------

    def jobs(self) -> list[Json]:
        """Jobs that this ImageBuild owns."""
        label = f"{names.LABEL_IMAGE_BUILD}={names.label_value(self.name)}"
        return self.kube.list(f"{BATCH}/namespaces/{self.namespace}/jobs", selector=label)

    def pods(self) -> list[Json]:
        """Their pods."""
        label = f"{names.LABEL_IMAGE_BUILD}={names.label_value(self.name)}"
        return self.kube.list(f"{CORE}/namespaces/{self.namespace}/pods", selector=label)

    def running_pods(self) -> list[Json]:
        """Those in which the user's commands may run right now."""
        return [pod for pod in self.pods() if "running" in _stage_state(pod)]

    def logs(self) -> list[str]:
        """What the stage containers said, each whole: the courier reports before the kubelet has the last lines."""

        def ended() -> bool:
            return all("terminated" in _stage_state(pod) for pod in self.pods())

        eventually("all stage containers have ended", 60, ended)
        found = [pod["metadata"]["name"] for pod in self.pods()]
        return [self.kube.log(self.namespace, name, names.CONTAINER_STAGE) for name in found]

    def events(self) -> list[Json]:
        """Events about it, oldest first."""
        field = f"involvedObject.name={self.name},involvedObject.kind=ImageBuild"
        found = self.kube.list(f"{CORE}/namespaces/{self.namespace}/events", field=field)
        return sorted(found, key=lambda event: str(event["metadata"]["creationTimestamp"]))

    def event_reasons(self) -> list[str]:
        """Reasons of the Events about it."""
        return [event["reason"] for event in self.events()]

    # --- when it goes wrong -------------------------------------------------------------------------------------------

    def story(self) -> str:
        """Everything that a person wants to see: status, Jobs, pods, the operator's last words."""
        parts = [
            f"--- {self.namespace}/{self.name}, repo {self.repo}",
            json.dumps(self.status(), indent=1, ensure_ascii=False),
            *(self._pod_story(pod) for pod in self.pods()),
            "--- events",
            *(f"{event['reason']}: {event['message']}" for event in self.events()[-15:]),
            "--- operator",
            self.operator.log(tail=40),
        ]
        return "\n".join(parts)

    def _pod_story(self, pod: Json) -> str:
        name = pod["metadata"]["name"]
        states = {
            status["name"]: status["state"]
            for status in pod["status"].get("containerStatuses") or []
        }
        logs = "\n".join(
            f"--- log of {name}/{container}\n"
            + self.kube.log(self.namespace, name, container, tail=15)
            for container in (names.CONTAINER_STAGE, names.CONTAINER_COURIER)
        )
        return f"--- pod {name} {pod['status'].get('phase')} {json.dumps(states)}\n{logs}"


def condition(status: Json, kind: str) -> Json:
    """The condition of that type, {} without one."""
    for found in status.get("conditions") or []:
        if found["type"] == kind:
            one: Json = found
            return one
    return {}


def image(status: Json, name: str) -> Json:
    """The status of one image."""
    return next(one for one in status["images"] if one["name"] == name)


def stages(status: Json, name: str) -> dict[str, str]:
    """Stage names of an image in order, each with its state."""
    return {stage["name"]: stage["state"] for stage in image(status, name)["stages"]}


def digests_of(job: Json) -> list[str]:
    """Digests of the stages that a Job builds."""
    text = job["metadata"]["annotations"].get(names.ANNOTATION_DIGESTS, "")
    return text.split(",") if text else []


def stages_of(job: Json) -> list[str]:
    """Names of the stages that a Job builds."""
    text = job["metadata"]["annotations"].get(names.ANNOTATION_STAGES, "")
    return text.split(",") if text else []


def _over(found: Json) -> bool:
    status = found.get("status") or {}
    if status.get("observedGeneration") != found["metadata"]["generation"]:
        return False
    asked = (found["metadata"].get("annotations") or {}).get(names.ANNOTATION_REQUESTED_AT)
    if asked is not None and status.get("lastHandledRequestedAt") != asked:
        return False
    return (
        condition(status, "Ready").get("status") == "True"
        or condition(status, "Stalled").get("status") == "True"
    )


def _stage_state(pod: Json) -> Json:
    for status in pod["status"].get("containerStatuses") or []:
        if status["name"] == names.CONTAINER_STAGE:
            state: Json = status["state"]
            return state
    return {}
