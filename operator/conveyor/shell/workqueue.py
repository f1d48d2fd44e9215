"""Which builds to look at, and when.

In: keys, as often as anybody likes. Out: one run at a time for each key; a key added during its run runs once more. A failing
run is repeated with backoff (0.2 s · 2ⁿ, at most 5 min, jitter). After client-go's workqueue.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final

Key = tuple[str, str]
"""(namespace, name) of an ImageBuild."""

_FIRST_DELAY: Final = 0.2
_LONGEST_DELAY: Final = 300.0

log = logging.getLogger(__name__)


class WorkQueue:
    """Deduplicating queue with `workers` concurrent runs of `work`."""

    def __init__(self, work: Callable[[Key], Awaitable[float | None]], *, workers: int = 8) -> None:
        """`work` returns seconds after which to run again without an event, or None."""
        self._work = work
        self._workers = workers
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._waiting: set[Key] = set()
        self._running: set[Key] = set()
        self._dirty: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: Key) -> None:
        """Have the key looked at soon."""
        if key in self._running:
            self._dirty.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

    def add_after(self, key: Key, seconds: float) -> None:
        """Have the key looked at after a while; an earlier wish for the same key stays."""
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= due and not timer.cancelled():
            return
        if timer is not None:
            timer.cancel()
        self._timers[key] = loop.call_at(due, self._fire, key)

    def _cancel(self, key: Key) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def _fire(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._worker())

    async def _worker(self) -> None:
        while True:
            key = await self._ready.get()
            self._waiting.discard(key)
            self._running.add(key)
            self._cancel(key)  # what was to come later is done now
            try:
                await self._run_once(key)
            finally:
                self._running.discard(key)
            if key in self._dirty:
                self._dirty.discard(key)
                self.add(key)

    async def _run_once(self, key: Key) -> None:
        try:
            after = await self._work(key)
        except Exception:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(failures, 30))
            log.exception("reconcile failed", extra={"namespace": key[0], "build": key[1]})
            self.add_after(key, delay * random.uniform(0.75, 1.25))  # noqa: S311 - jitter
            return
        self._failures.pop(key, None)
        if after is not None:
            self.add_after(key, after)
