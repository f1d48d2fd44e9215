"""What the cluster says, with the time at which a client hears it.

In: a namespace. Out: a list of `Seen`: every event of ImageBuilds, Jobs, pods and Events, stamped with this machine's
clock when it arrived, and a way to wait for one. The nodes are containers of this machine, so their clock is ours.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conveyor.adapters.cluster import BUILDS, CORE, JOBS, Cluster
from conveyor.api import names

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]

WATCHED = (
    (BUILDS, names.PLURAL),
    (JOBS, "jobs"),
    (CORE, "pods"),
    (CORE, "events"),
)


def clock() -> float:
    """Seconds since the epoch."""
    return time.time()  # noqa: TID251 - a benchmark reads the clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One watch event. `kind` is the plural of its resource, `at` seconds since the epoch."""

    at: float
    kind: str
    type: str
    object: Json

    @property
    def name(self) -> str:
        """Name of the object."""
        return str(self.object["metadata"]["name"])


class Recorder:
    """Watches a namespace for as long as it is entered."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self.seen: list[Seen] = []

    async def __aenter__(self) -> Recorder:
        for prefix, plural in WATCHED:
            _, version = await self._cluster.list(prefix, plural, self._namespace)
            watching = self._watch(prefix, plural, version)
            self._tasks.append(asyncio.create_task(watching))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self, prefix: str, plural: str, version: str) -> None:
        while True:
            events = self._cluster.watch(
                prefix, plural, self._namespace, selector="", version=version
            )
            async for event in events:
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    self._add(Seen(at=clock(), kind=plural, **event))

    def _add(self, seen: Seen) -> None:
        self.seen.append(seen)
        self._changed.set()

    async def first(
        self, matches: Callable[[Seen], bool], *, since: float = 0.0, timeout_seconds: float = 300.0
    ) -> Seen:
        """Wait for the first event from `since` on that matches; what was seen already counts.

        Raises:
            TimeoutError: Nothing matched in time.
            RuntimeError: A watch broke off.
        """
        async with asyncio.timeout(timeout_seconds):
            looked_at = 0
            while True:
                for seen in self.seen[looked_at:]:
                    if seen.at >= since and matches(seen):
                        return seen
                looked_at = len(self.seen)
                self._check()
                self._changed.clear()
                await self._changed.wait()

    def _check(self) -> None:
        for task in self._tasks:
            if task.done():
                raise RuntimeError("a watch broke off") from task.exception()

    def all(self, kind: str, *, since: float = 0.0, type_: str = "") -> list[Seen]:
        """Everything seen of a kind, in order."""
        return [
            seen
            for seen in self.seen
            if seen.kind == kind and seen.at >= since and type_ in ("", seen.type)
        ]
