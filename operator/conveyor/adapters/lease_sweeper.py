"""Removes Leases that nobody holds any more: what killed operators left behind.

In: the cluster, now and then. Out: Leases of ours that nobody has renewed for long are gone. Time is told by our
own clock, as for a takeover: the same version seen again after `ABANDONED` seconds.
"""

from collections.abc import Callable
from typing import Final

from conveyor.adapters.cluster import LEASES, Cluster
from conveyor.adapters.lock_manager import DURATION
from conveyor.api.names import LABEL_MANAGED_BY, MANAGED_BY

ABANDONED: Final = 20.0 * DURATION


class LeaseSweeper:
    """Leases of one namespace, as they were seen before."""

    def __init__(self, cluster: Cluster, namespace: str, clock: Callable[[], float]) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._clock = clock
        self._seen: dict[tuple[str, str], float] = {}

    async def sweep(self) -> int:
        """Delete what has not changed since long; answers how many Leases that were.

        Raises:
            ApiError: The API server refused.
        """
        selector = f"{LABEL_MANAGED_BY}={MANAGED_BY}"
        leases, _ = await self._cluster.list(LEASES, "leases", self._namespace, selector=selector)
        now = self._clock()
        versions = {
            (lease["metadata"]["name"], lease["metadata"]["resourceVersion"]) for lease in leases
        }
        self._seen = {key: self._seen.get(key, now) for key in versions}
        old = [key for key, since in self._seen.items() if now - since >= ABANDONED]
        gone = [await self._delete(name, version) for name, version in old]
        return sum(gone)

    async def _delete(self, name: str, version: str) -> bool:
        """Only this very version: whoever takes it now keeps it."""
        return await self._cluster.delete(
            LEASES, "leases", self._namespace, name, resourceVersion=version
        )
