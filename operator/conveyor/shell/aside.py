"""Work that nobody waits for: letting go of a lock, telling what was done.

In: coroutines. Out: nothing; a look goes on meanwhile. Before a build is over they are waited for.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final

_SETTLE_SECONDS: Final = 10.0

log = logging.getLogger(__name__)


class Aside:
    """What runs beside the looks of this process."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something done; a failure is logged."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def settled(self) -> None:
        """Wait until all that was begun until now has ended, or some seconds."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=_SETTLE_SECONDS)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("work beside a look failed", exc_info=error)
