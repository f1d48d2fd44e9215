"""Where the time of one stage Job goes.

In: a build of which every watch event was recorded, and the logs of its pods. Out: moments of the Job in seconds since its
creation. Sources: watch events as they arrive; the kubelet's Events, which it sends as it acts; the runtime's timestamps of log
lines; the millisecond timestamp in the stage's tag.
"""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import TYPE_CHECKING

from bench.lab import BenchError

if TYPE_CHECKING:
    from bench.lab import Built, Lab
    from bench.watching import Seen

MOMENTS = (
    ("pod", "pod created (Job controller)"),
    ("scheduled", "pod bound to a node (scheduler)"),
    ("pulled", "kubelet has the stage's image (sandbox, pull)"),
    ("stage", "kubelet says that the stage container started"),
    ("courier", "kubelet says that the courier started"),
    ("script", "first line of the user's command"),
    ("end", "last line of the user's command"),
    ("pushed", "layer captured, compressed, pushed; the courier reports"),
    ("chosen", "operator heard of it, planned, took the Lease and chose the stage's id"),
    ("published", "config and manifest written, stage tagged, Event seen"),
    ("next", "next stage's Job created"),
    ("terminated", "(kubelet tells that the containers ended)"),
    ("complete", "(Job is Complete)"),
)


async def timeline(lab: Lab, built: Built, index: int, about: str) -> dict[str, float]:
    """Moments of the build's Job number `index`, which built `about` (`image/stage`)."""
    jobs = built.jobs
    job = jobs[index]
    events = _kubelet_events(built, job)
    pod = _pod(built, job)
    found: dict[str, float] = {"pod": pod.at}
    for key, reason, word in (
        ("scheduled", "Scheduled", ""),
        ("stage", "Started", "stage"),
        ("courier", "Started", "courier"),
    ):
        match = [s for s in events if s.object["reason"] == reason and word in s.object["message"]]
        if match:
            found[key] = match[0].at
    pulled = [s for s in events if s.object["reason"] == "Pulled"]
    if pulled:
        found["pulled"] = pulled[0].at
    with contextlib.suppress(BenchError):  # the pod is gone
        script, courier = await lab.log(pod.name, "stage"), await lab.log(pod.name, "courier")
        found |= _ends("script", "end", script) | _ends("pushed", "", courier)
    published = built.event("StageBuilt", about)
    found["chosen"] = int(published.object["message"].rsplit("-", 1)[1]) / 1000
    found["published"] = published.at
    if index + 1 < len(jobs):
        found["next"] = jobs[index + 1].at
    found |= _kubernetes_ends(built, job, pod)
    return {key: at - job.at for key, at in found.items()}


def _pod(built: Built, job: Seen) -> Seen:
    return next(
        s
        for s in built.seen
        if s.kind == "pods" and s.type == "ADDED" and s.name.startswith(f"{job.name}-")
    )


def _kubelet_events(built: Built, job: Seen) -> list[Seen]:
    return [
        s
        for s in built.seen
        if s.kind == "events" and s.object["involvedObject"]["name"].startswith(f"{job.name}-")
    ]


def _ends(first: str, last: str, lines: list[tuple[str, str]]) -> dict[str, float]:
    if not lines:
        return {}
    found = {first: _seconds(lines[0][0])}
    return found | ({last: _seconds(lines[-1][0])} if last else {})


def _seconds(stamp: str) -> float:
    """RFC 3339 with nanoseconds to seconds since the epoch."""
    whole, _, rest = stamp.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{rest or 0}")


def _kubernetes_ends(built: Built, job: Seen, pod: Seen) -> dict[str, float]:
    found = {}
    for key, name, test in (
        ("terminated", pod.name, lambda s: s.object["status"].get("phase") == "Succeeded"),
        ("complete", job.name, _complete),
    ):
        with contextlib.suppress(StopIteration):
            found[key] = next(
                s.at
                for s in built.seen
                if s.kind in ("pods", "jobs") and s.name == name and test(s)
            )
    return found


def _complete(seen: Seen) -> bool:
    conditions = seen.object.get("status", {}).get("conditions") or []
    return any(c["type"] == "Complete" and c["status"] == "True" for c in conditions)
