"""Locks between operators, kept in Leases.

In: a Lease name and a holder. Out: an async context in which the lock is held. Takeover of somebody's Lease needs its
expiry seen on *our own* clock: the same renewal observed unchanged for its whole duration (as client-go's leader
election). A lost Lease cancels nothing by itself: the holder asks `held()` before it makes its work visible.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp

from conveyor.adapters.cache import KeyedLocks
from conveyor.adapters.cluster import LEASES, ApiError, Cluster
from conveyor.api.errors import NotYet
from conveyor.api.names import LABEL_MANAGED_BY, MANAGED_BY, Reason

DURATION: Final = 15
_RENEW: Final = 5.0
_POLL: Final = 0.5
_PATIENCE: Final = 60.0

Json = dict[str, Any]

_OUTAGES: Final = (ApiError, aiohttp.ClientError, OSError, TimeoutError)

log = logging.getLogger(__name__)


class Lock:
    """A held Lease."""

    def __init__(self, lease: Json, now: float) -> None:
        self.lease = lease
        self.renewed = now
        self.lost = False

    def held(self, now: float) -> bool:
        """Whether nobody can have taken it over by now, judged conservatively."""
        return not self.lost and now - self.renewed < DURATION * 0.8


class LockManager:
    """Leases of one namespace."""

    def __init__(self, cluster: Cluster, namespace: str, identity: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._identity = identity
        # Inside the process the Lease can't tell two holders apart: they have one identity. That identity survives a
        # crash of the container, so what a killed process held is free again at once.
        self._local: KeyedLocks[str] = KeyedLocks()

    def local(self, name: str) -> AbstractAsyncContextManager[None]:
        """Hold a lock that this process alone knows: for what another one may do as well at the price of work."""
        return self._local.of(name)

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncIterator[Callable[[], bool]]:
        """Hold the Lease `name`; yields a function that tells whether it is still held.

        Raises:
            NotYet: Somebody else holds it for longer than a minute.
        """
        async with self._local.of(name):
            clock = asyncio.get_running_loop().time
            lock = await self._acquire(name, clock)
            renewal = asyncio.create_task(self._renew(name, lock, clock))
            try:
                yield lambda: lock.held(clock())
            finally:
                renewal.cancel()
                await self._release(name, lock)

    async def _acquire(self, name: str, clock: Callable[[], float]) -> Lock:
        started, seen = clock(), ("", 0.0)
        while clock() - started < _PATIENCE:
            asked = clock()  # others count from when it was written, not from when we hear of it
            lease = await self._create(name)
            if lease is not None:
                return Lock(lease, asked)
            current = await self._cluster.get(LEASES, "leases", self._namespace, name)
            if current is None:
                continue
            version = current["metadata"]["resourceVersion"]
            if seen[0] != version:
                seen = (version, clock())
            if self._mine(current) or clock() - seen[1] >= _duration(current):
                asked = clock()
                lease = await self._take(name, current)
                if lease is not None:
                    return Lock(lease, asked)
            await asyncio.sleep(_POLL)
        raise NotYet(Reason.LOCK_LOST, f"Lease {name} is held by somebody else", after=5.0)

    def _mine(self, lease: Json) -> bool:
        return bool(lease["spec"].get("holderIdentity") == self._identity)

    async def _create(self, name: str) -> Json | None:
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name, "labels": {LABEL_MANAGED_BY: MANAGED_BY}},
            "spec": self._spec(),
        }
        try:
            return await self._cluster.create(LEASES, "leases", self._namespace, body)
        except ApiError as error:
            if error.status == 409:
                return None
            raise

    def _spec(self) -> Json:
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": DURATION,
            "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),  # noqa: TID251 - shell side
        }

    async def _take(self, name: str, current: Json) -> Json | None:
        body = {**current, "spec": {**current["spec"], **self._spec()}}
        try:
            return await self._cluster.replace(LEASES, "leases", self._namespace, name, body)
        except ApiError as error:
            if error.status in (404, 409):
                return None
            raise

    async def _renew(self, name: str, lock: Lock, clock: Callable[[], float]) -> None:
        while True:
            await asyncio.sleep(_RENEW)
            asked = clock()
            try:
                lease = await self._take(name, lock.lease)
            except _OUTAGES as error:
                log.warning("Lease %s was not renewed: %s", name, error)
                continue
            if lease is None:
                lock.lost = True
                return
            lock.lease, lock.renewed = lease, asked

    async def _release(self, name: str, lock: Lock) -> None:
        """Delete it, but only if it is still the very version that we hold."""
        if lock.lost:
            return
        version = lock.lease["metadata"]["resourceVersion"]
        try:
            await self._cluster.delete(
                LEASES, "leases", self._namespace, name, resourceVersion=version
            )
        except _OUTAGES as error:
            log.warning("Lease %s was not released and will expire: %s", name, error)


def _duration(lease: Json) -> float:
    return float(lease["spec"].get("leaseDurationSeconds") or DURATION)
