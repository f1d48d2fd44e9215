"""The floor: what Kubernetes takes for a Job that does nothing.

In: the lab. Out: rows. The image is on the node; the first run is not counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.table import Row, row
from bench.watching import clock
from conveyor.adapters.cluster import JOBS

if TYPE_CHECKING:
    from bench.lab import Lab
    from bench.watching import Json, Seen


async def rows(lab: Lab, runs: int) -> list[Row]:
    """Job created until its container ended, and until the Job is Complete, as a watch shows them."""
    await _once(lab)
    found = [await _once(lab) for _ in range(runs)]
    return [
        row("trivial Job: create → its container's end is seen", [ended for ended, _ in found]),
        row("trivial Job: create → Job Complete is seen", [complete for _, complete in found]),
    ]


async def _once(lab: Lab) -> tuple[float, float]:
    name = lab.fresh("floor")
    begun = clock()
    await lab.cluster.create(JOBS, "jobs", lab.namespace, _job(name))
    ended = await lab.recorder.first(lambda seen: _ended(seen, name), since=begun)
    complete = await lab.recorder.first(lambda seen: _complete(seen, name), since=begun)
    return ended.at - begun, complete.at - begun


def _job(name: str) -> Json:
    container = {
        "name": "true",
        "image": "debian:bookworm",
        "imagePullPolicy": "IfNotPresent",
        "command": ["true"],
    }
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [container],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": {"spec": pod}},
    }


def _ended(seen: Seen, job: str) -> bool:
    if seen.kind != "pods" or seen.object["metadata"]["labels"].get("job-name") != job:
        return False
    statuses = seen.object["status"].get("containerStatuses") or []
    return any("terminated" in status["state"] for status in statuses)


def _complete(seen: Seen, job: str) -> bool:
    conditions = seen.object.get("status", {}).get("conditions") or []
    return (seen.kind, seen.name) == ("jobs", job) and any(
        c["type"] == "Complete" and c["status"] == "True" for c in conditions
    )
