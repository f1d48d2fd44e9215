"""Leader election: one process serves, the others wait.

In: the cluster and an identity. Out: a coroutine that runs while we lead. A leader that can't renew its Lease in time ends the
process: what it does next could collide with its successor, and everything it knows can be read again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from conveyor.adapters.lock_manager import LockManager
from conveyor.api.errors import NotYet
from conveyor.api.names import LEADER_LEASE
from conveyor.shell.telemetry import LEADER

_CHECK = 1.0

log = logging.getLogger(__name__)


class LeadershipLostError(Exception):
    """Another process may lead by now."""


async def lead(locks: LockManager, work: Callable[[], Awaitable[None]]) -> None:
    """Wait for leadership, then run `work` for as long as it lasts.

    Raises:
        LeadershipLostError: The Lease could not be renewed in time.
    """
    while True:
        try:
            async with locks.lock(LEADER_LEASE) as held:
                log.info("this process leads")
                LEADER.set(1)
                await _while_held(held, work)
                return
        except NotYet:
            log.info("another process leads; waiting")


async def _while_held(held: Callable[[], bool], work: Callable[[], Awaitable[None]]) -> None:
    task = asyncio.ensure_future(work())
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_CHECK)
            if not held() and not task.done():
                raise LeadershipLostError
        task.result()
    finally:
        task.cancel()
        LEADER.set(0)
