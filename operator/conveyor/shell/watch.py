"""Events of our Jobs and pods, as wake-up calls.

In: the cluster. Out: calls of `wake(namespace, labels)`. The server filters by label, so other people's pods cost nothing (kopf
filters on the client). What an event says is not used: the reconcile reads through. But a pod changes a dozen times in its
life, mostly in what is nothing to us: an event without news (`jobs/seen`) wakes nobody. After every break the list is read again
and everything in it wakes, so nothing that happened meanwhile is lost.
"""

import asyncio
import logging
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final

import aiohttp

from conveyor.adapters.cluster import CORE, JOBS, ApiError, Cluster
from conveyor.jobs.manifest import labels_selector
from conveyor.jobs.seen import NOTHING_SEEN, seen

Wake = Callable[[str, Mapping[str, str]], None]

_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0

log = logging.getLogger(__name__)


async def watch_builders(cluster: Cluster, namespaces: tuple[str, ...], wake: Wake) -> None:
    """Watch Jobs and pods until cancelled."""
    async with asyncio.TaskGroup() as group:
        for namespace in namespaces or ("",):
            group.create_task(_watch(cluster, JOBS, "jobs", namespace, wake))
            group.create_task(_watch(cluster, CORE, "pods", namespace, wake))


async def _watch(cluster: Cluster, prefix: str, plural: str, namespace: str, wake: Wake) -> None:
    pause = _PAUSE
    while True:
        try:
            await _watch_once(cluster, prefix, plural, namespace, wake)
            pause = _PAUSE
        except (ApiError, aiohttp.ClientError, TimeoutError) as error:
            log.info("watch of %s broke off, again in %.0f s: %s", plural, pause, error)
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)


async def _watch_once(
    cluster: Cluster, prefix: str, plural: str, namespace: str, wake: Wake
) -> None:
    selector = labels_selector()
    items, version = await cluster.list(prefix, plural, namespace, selector=selector)
    known = {item["metadata"]["uid"]: seen(item) for item in items}
    for item in items:
        _wake(item, wake)
    async for event in cluster.watch(prefix, plural, namespace, selector=selector, version=version):
        if event["type"] != "BOOKMARK" and _news(event, known):
            _wake(event["object"], wake)


def _news(event: Mapping[str, Any], known: dict[str, Hashable]) -> bool:
    """Whether an event tells what was not known; remembers it."""
    item = event["object"]
    uid, before = item["metadata"]["uid"], known.get(item["metadata"]["uid"], NOTHING_SEEN)
    if event["type"] == "DELETED":
        known.pop(uid, None)
        return True
    known[uid] = seen(item)
    return known[uid] != before


def _wake(item: Mapping[str, object], wake: Wake) -> None:
    meta = item["metadata"]
    if isinstance(meta, Mapping):
        wake(str(meta["namespace"]), meta.get("labels") or {})
