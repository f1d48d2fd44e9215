"""What the cluster and the couriers say about our Jobs.

In: namespace and repository. Out: `ObservedJob`s, read through (two lists), never concluded from an event.
"""

from typing import Any

from conveyor.adapters.cluster import CORE, JOBS
from conveyor.adapters.objects_api import JobsApi
from conveyor.api import names
from conveyor.jobs.manifest import labels_selector
from conveyor.jobs.model import ObservedJob, StageResult
from conveyor.jobs.observe import awaits_volumes, observe, result_blob
from conveyor.jobs.result import parse_result
from conveyor.shell.reports import Reports
from conveyor.shell.session import Session

Json = dict[str, Any]


async def observed_jobs(
    cluster: JobsApi, reports: Reports, session: Session
) -> tuple[ObservedJob, ...]:
    """All Jobs in the build's namespace that build into its repository, whoever owns them."""
    build = session.build
    selector = labels_selector({names.LABEL_REPO_HASH: names.repo_hash(build.spec.repo)})
    namespace = build.metadata.namespace
    jobs, _ = await cluster.list(JOBS, "jobs", namespace, selector=selector)
    if not jobs:
        return ()
    pods, _ = await cluster.list(CORE, "pods", namespace, selector=selector)
    by_job = _newest_by_job(pods)
    return tuple([await _observed(cluster, reports, session, job, by_job) for job in jobs])


def _newest_by_job(pods: list[Json]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"])):
        owners = pod["metadata"].get("ownerReferences") or []
        found.update((owner["uid"], pod) for owner in owners if owner.get("kind") == "Job")
    return found


async def _observed(
    cluster: JobsApi, reports: Reports, session: Session, job: Json, by_job: dict[str, Json]
) -> ObservedJob:
    meta = job["metadata"]
    pod = by_job.get(meta["uid"])
    reported = reports.get((meta["namespace"], meta["name"]))
    digest = result_blob(pod)
    if digest:
        reported = await _large_result(session, digest) or reported
    refusal = await (_failed_mount(cluster, pod) if pod else _refusal(cluster, job))
    return observe(job, pod, reported, refusal)


async def _large_result(session: Session, digest: str) -> StageResult | None:
    return parse_result(await session.storage.blob_text(digest))


async def _refusal(cluster: JobsApi, job: Json) -> str:
    """Why the Job controller can't make the pod: only its Events tell."""
    if (job.get("status") or {}).get("conditions"):
        return ""
    meta = job["metadata"]
    return await _newest_event(cluster, meta, "FailedCreate")


async def _failed_mount(cluster: JobsApi, pod: Json) -> str:
    """Why a node can't give the pod its volumes: again only Events tell."""
    if not awaits_volumes(pod):
        return ""
    return await _newest_event(cluster, pod["metadata"], "FailedAttachVolume", "FailedMount")


async def _newest_event(cluster: JobsApi, meta: Json, *reasons: str) -> str:
    field = f"involvedObject.uid={meta['uid']}"
    events, _ = await cluster.list(CORE, "events", meta["namespace"], field=field)
    told = [event for event in events if event.get("reason") in reasons]
    return str(told[-1].get("message", "")) if told else ""
