"""Job and Pod dicts to `ObservedJob`.

In: a Job, its pod if there is one, what its courier has reported over HTTP, and messages of refused pods. Out: phase, result,
and why it waits. The courier's termination message is the source of truth; a report only arrives earlier.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from conveyor.api import names
from conveyor.api.names import Reason
from conveyor.jobs.model import Failure, JobPhase, ObservedJob, StageResult
from conveyor.jobs.result import merged, parse_result, result_digest

Json = Mapping[str, Any]

PULL_REASONS: Final = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_OUTSIDE_VOLUMES: Final = ("hostPath", "nfs", "persistentVolumeClaim")
_OTHER_LABELS: Final = "didn't match Pod's node affinity/selector"
# kube-scheduler: "0/3 nodes are available: 1 node(s) had untolerated taint {…}, 2 node(s) didn't match …"
_NODES: Final = re.compile(r"\b0/(?P<total>\d+) nodes are available")
_LEFT_OUT: Final = re.compile(
    rf"\b(?P<count>\d+) node\(s\) (?:{re.escape(_OTHER_LABELS)}|had untolerated taint)"
)
CONFIG_REASONS: Final = ("CreateContainerConfigError", "CreateContainerError")
ENDED_PHASES: Final = ("Succeeded", "Failed")


def observe(
    job: Json, pod: Json | None, reported: StageResult | None = None, refusal: str = ""
) -> ObservedJob:
    """Return the Job as it stands.

    Args:
        reported: What the courier posted so far.
        refusal: Message of the Job's newest FailedCreate event while it has no pod, or of the pod's newest
            failed mount while no container runs.
    """
    meta = job["metadata"]
    notes = meta.get("annotations") or {}
    result = merged(reported or StageResult(), _terminated_result(pod))
    phase = JobPhase.ENDED if result.failure else _phase(job, pod)
    if phase is JobPhase.ENDED and not _complete(notes, result):
        result = replace(result, failure=_cause(job, pod, result.failure))
    reason, waiting = _waiting(pod, refusal) if phase is not JobPhase.ENDED else (None, "")
    digests = notes.get(names.ANNOTATION_DIGESTS, "")
    contents = notes.get(names.ANNOTATION_CONTENTS, "")
    return ObservedJob(
        name=meta["name"],
        uid=meta["uid"],
        owner_uid=next((o["uid"] for o in meta.get("ownerReferences") or []), ""),
        run_id=notes.get(names.ANNOTATION_RUN, ""),
        attempt=int(meta["labels"].get(names.LABEL_ATTEMPT, "0")),
        digests=tuple(digests.split(",")) if digests else (),
        contents=tuple(contents.split(",")) if contents else (),
        parent=notes.get(names.ANNOTATION_PARENT, ""),
        parent_layers=_count(notes.get(names.ANNOTATION_PARENT_LAYERS, "")),
        exports=json.loads(notes.get(names.ANNOTATION_EXPORTS) or "{}"),
        phase=phase,
        created_at=meta.get("creationTimestamp", ""),
        result=result,
        started_at=(pod or {}).get("status", {}).get("startTime") or "",
        finished_at=_finished_at(job, pod),
        waiting=waiting,
        waiting_reason=reason,
        deleting="deletionTimestamp" in meta,
        outline=notes.get(names.ANNOTATION_OUTLINE, ""),
    )


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def result_blob(pod: Json | None) -> str:
    """Digest of the blob that holds a result too large for a termination message, else ""."""
    return result_digest(_message(pod))


def _complete(notes: Json, result: StageResult) -> bool:
    digests = notes.get(names.ANNOTATION_DIGESTS, "")
    wanted = json.loads(notes.get(names.ANNOTATION_EXPORTS) or "{}")
    runs = len(digests.split(",")) if digests else 0
    return len(result.runs) >= runs and all(key in result.exports for key in wanted)


def containers_of(pod: Json | None) -> Iterable[Json]:
    """Return the statuses of a pod's containers, those that run first first."""
    status = (pod or {}).get("status", {})
    first: list[Json] = status.get("initContainerStatuses") or []
    return [*first, *(status.get("containerStatuses") or [])]


def _terminated(pod: Json | None, name: str) -> Json | None:
    for status in containers_of(pod):
        if status["name"] == name:
            terminated: Json | None = (status.get("state") or {}).get("terminated")
            return terminated
    return None


def _message(pod: Json | None) -> str:
    """What the courier says; what `mounts` does when it failed, for then there is no courier."""
    courier = _terminated(pod, names.CONTAINER_COURIER) or {}
    mounts = _terminated(pod, names.CONTAINER_MOUNTS) or {}
    return str(courier.get("message") or mounts.get("message") or "")


def _terminated_result(pod: Json | None) -> StageResult:
    result = parse_result(_message(pod)) or StageResult()
    stage = _terminated(pod, names.CONTAINER_STAGE)
    if (
        stage
        and stage.get("reason") == "OOMKilled"
        and (result.failure is None or result.failure.exit_code is None)
    ):
        return replace(result, failure=_oom())
    return result


def _oom() -> Failure:
    return Failure(
        reason=Reason.STAGE_OOM_KILLED,
        message="the stage used more memory than its limit; raise spec.podTemplate.resources.limits.memory",
        final=True,
    )


def _condition(job: Json, kind: str) -> Json | None:
    for condition in job.get("status", {}).get("conditions") or []:
        if condition["type"] == kind and condition["status"] == "True":
            found: Json = condition
            return found
    return None


def _phase(job: Json, pod: Json | None) -> JobPhase:
    if _condition(job, "Failed") or _condition(job, "Complete"):
        return JobPhase.ENDED
    if pod is None:
        return JobPhase.PENDING
    if pod["status"].get("phase") in ENDED_PHASES:
        return JobPhase.ENDED
    if _terminated(pod, names.CONTAINER_COURIER):
        return JobPhase.ENDED
    running = any("running" in (s.get("state") or {}) for s in containers_of(pod))
    return JobPhase.RUNNING if running else JobPhase.PENDING


def _cause(job: Json, pod: Json | None, told: Failure | None) -> Failure:
    """Why a Job ended without its result. What ended the pod from outside explains what the courier could tell."""
    failed = _condition(job, "Failed") or _condition(job, "FailureTarget")
    if failed and failed.get("reason") == "DeadlineExceeded" and (told is None or not told.final):
        return Failure(
            reason=Reason.STAGE_TIMED_OUT,
            message="the stage ran longer than spec.stageTimeout",
            final=True,
        )
    return told or _death(pod)


def _death(pod: Json | None) -> Failure:
    status = (pod or {}).get("status", {})
    why = status.get("reason") or _disruption(status) or "no result"
    detail = status.get("message") or _exits(pod) or "the pod is gone"
    return Failure(
        reason=Reason.STAGE_EVICTED, message=f"the pod was lost ({why}): {detail}", final=False
    )


def _disruption(status: Json) -> str:
    for condition in status.get("conditions") or []:
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
            return str(condition.get("reason", "DisruptionTarget"))
    return ""


def _exits(pod: Json | None) -> str:
    ends = [(s["name"], (s.get("state") or {}).get("terminated")) for s in containers_of(pod)]
    return ", ".join(
        f"container {name} ended with code {end.get('exitCode')} ({end.get('reason', '')})"
        for name, end in ends
        if end
    )


def _finished_at(job: Json, pod: Json | None) -> str:
    courier = _terminated(pod, names.CONTAINER_COURIER)
    if courier:
        return str(courier.get("finishedAt") or "")
    ended = _condition(job, "Failed") or _condition(job, "Complete")
    return str((ended or {}).get("lastTransitionTime") or "")


def _waiting(pod: Json | None, refusal: str) -> tuple[Reason | None, str]:
    """Why no container runs yet, in a person's words."""
    if pod is None:
        return (Reason.POD_REJECTED, _rejected_message(refusal)) if refusal else (None, "")
    for status in containers_of(pod):
        waiting = (status.get("state") or {}).get("waiting") or {}
        reason, message = waiting.get("reason", ""), waiting.get("message", "")
        if reason in PULL_REASONS:
            return Reason.STAGE_PULL_FAILED, _pull_message(status, message)
        if reason in CONFIG_REASONS:
            return Reason.SECRET_NOT_FOUND, message
    for condition in pod["status"].get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return _unschedulable(pod, str(condition.get("message", "")))
    return (Reason.STAGE_UNSCHEDULABLE, refusal) if refusal else (None, "")


def _unschedulable(pod: Json, told: str) -> tuple[Reason, str]:
    """Why the scheduler finds no node.

    Only its message says so: nodes are not ours to list. That it is the platform is certain when each node was left out
    for its labels or a taint, and the pod asks for no other labels.
    """
    wanted = (pod.get("spec") or {}).get("nodeSelector") or {}
    nodes = _NODES.search(told)
    counts = [int(found["count"]) for found in _LEFT_OUT.finditer(told)]
    if (
        nodes is None
        or wanted.keys() != {names.NODE_OS, names.NODE_ARCHITECTURE}
        or _OTHER_LABELS not in told
        or sum(counts) != int(nodes["total"])
    ):
        return Reason.STAGE_UNSCHEDULABLE, told
    platform = f"{wanted[names.NODE_OS]}/{wanted[names.NODE_ARCHITECTURE]}"
    return Reason.PLATFORM_NOT_AVAILABLE, f"no node of {platform} takes the pod: {told}"


def _rejected_message(refusal: str) -> str:
    if "hostPath" not in refusal:
        return refusal
    return (
        f"{refusal}; a `fromPath` of werf.yaml is a hostPath in this cluster (mounts.fromPaths of Conveyor's chart): "
        "build in a namespace that allows it, or have a PersistentVolumeClaim offered instead"
    )


def awaits_volumes(pod: Json) -> bool:
    """Whether no container runs yet, on its node, and the pod has volumes that may keep it from running."""
    scheduled = bool(pod.get("spec", {}).get("nodeName"))
    waits = not any("waiting" not in (s.get("state") or {}) for s in containers_of(pod))
    kinds = {kind for volume in pod.get("spec", {}).get("volumes") or [] for kind in volume}
    return scheduled and waits and not kinds.isdisjoint(_OUTSIDE_VOLUMES)


def _pull_message(status: Json, message: str) -> str:
    return (
        f"the node cannot pull {status.get('image', 'the image')}: {message}; "
        "name a Secret with pull credentials in spec.imagePullSecrets, "
        "or configure the registry (and its CA) in the nodes' container runtime"
    )
