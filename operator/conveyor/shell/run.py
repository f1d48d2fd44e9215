"""The composition root: wires the operator and runs it.

In: `Settings`. Out: a process that serves until it is told to stop (SIGTERM) or loses its leadership.
"""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Coroutine, Mapping
from typing import Any, Final

import aiohttp
import kopf

from conveyor.adapters.cluster import BUILDS, ApiError, Cluster, connect
from conveyor.adapters.events import EventRecorder
from conveyor.adapters.lease_sweeper import LeaseSweeper
from conveyor.adapters.lock_manager import LockManager
from conveyor.api import names
from conveyor.shell import handlers, http
from conveyor.shell.backends import Backends, engine_of, sweep_engine
from conveyor.shell.dispatch import Dispatcher
from conveyor.shell.leader import lead
from conveyor.shell.reconcile import Reconciler
from conveyor.shell.reports import JobKey, Reports
from conveyor.shell.session import Sessions
from conveyor.shell.settings import Settings
from conveyor.shell.telemetry import (
    API_CALLS,
    QUEUE,
    RECONCILE_SECONDS,
    RECONCILES,
    configure_logging,
)
from conveyor.shell.watch import watch_builders
from conveyor.shell.workqueue import Key, WorkQueue

_FLOCK_SECONDS: Final = 0.25

log = logging.getLogger(__name__)


class Operator:
    """One operator process."""

    def __init__(self, cluster: Cluster, settings: Settings) -> None:
        self._cluster = cluster
        self._settings = settings
        self._reports = Reports(self._wake_job)
        locks = LockManager(cluster, settings.namespace, settings.identity)
        self._locks = locks
        self._sweeper = LeaseSweeper(cluster, settings.namespace, time.monotonic)
        self._engine = engine_of(cluster, settings)
        backends = Backends(cluster, self._engine)
        self._dispatcher = Dispatcher(backends, locks, EventRecorder(cluster), self._reports)
        self._reconcile = Reconciler(
            cluster, settings, Sessions(cluster, settings), self._dispatcher, self._reports
        )
        self._queue = WorkQueue(self._measured, workers=settings.workers)
        self._unfinished: dict[str, set[Key]] = {}
        self._beat = time.monotonic()
        self._serving = False
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        self._listen()
        app = http.make_app(self._reports, self._alive, self._ready)
        runner = await http.serve(app, self._settings.http_port)
        try:
            await self._until_told(self._lead())
        finally:
            await runner.cleanup()
            await self._dispatcher.settled()
            if self._engine is not None:
                await self._engine.close()
            await self._cluster.close()

    def _listen(self) -> None:
        for sign in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(sign, self._stop.set)

    async def _until_told(self, work: Coroutine[Any, Any, None]) -> None:
        waiting, working = asyncio.create_task(self._stop.wait()), asyncio.create_task(work)
        try:
            await asyncio.wait({waiting, working}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            waiting.cancel()
            working.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await working

    async def _lead(self) -> None:
        if self._settings.leader_election:
            await lead(self._locks, self._serve)
        else:
            await self._serve()

    async def _serve(self) -> None:
        namespaces = self._settings.watch_namespaces
        async with asyncio.TaskGroup() as group:
            group.create_task(self._queue.run())
            group.create_task(watch_builders(self._cluster, namespaces, self._wake))
            if self._engine is not None:
                group.create_task(self._engine.watch(self._wake))
            group.create_task(self._resync())
            group.create_task(self._kopf())
            self._serving = True

    async def _kopf(self) -> None:
        registry = kopf.OperatorRegistry()
        handlers.register(registry, self._add, self._reconcile.wrote)
        namespaces = self._settings.watch_namespaces
        await kopf.operator(
            registry=registry,
            settings=handlers.operator_settings(),
            standalone=True,
            # kopf would make one of the login name, and in a container there is none.
            identity=self._settings.identity,  # type: ignore[arg-type]
            clusterwide=not namespaces,
            namespaces=namespaces or (),
        )
        # kopf takes the signals over; when it has ended, there is nobody left to hear of new builds.
        self._stop.set()

    async def _measured(self, key: Key) -> float | None:
        QUEUE.set(len(self._queue))
        try:
            with RECONCILE_SECONDS.time():
                after = await self._reconcile(key)
        except Exception:
            RECONCILES.labels("error").inc()
            raise
        RECONCILES.labels("done" if after is None else "again").inc()
        API_CALLS.set(self._cluster.calls)
        builds = self._unfinished.setdefault(key[0], set())
        builds.add(key) if after is not None else builds.discard(key)
        return after

    def _add(self, key: Key) -> None:
        self._unfinished.setdefault(key[0], set()).add(key)
        self._queue.add(key)

    def _wake(self, namespace: str, labels: Mapping[str, str]) -> None:
        """A Job or pod changed: its builds, and others of the namespace that wait for the same stage, are looked at.

        Not at once: such changes come in flocks, and what is urgent the couriers tell themselves (ADR 7).
        """
        for key in self._unfinished.get(namespace, ()):
            self._queue.add_after(key, _FLOCK_SECONDS)

    def _wake_job(self, job: JobKey) -> None:
        for key in self._unfinished.get(job[0], ()):
            self._queue.add(key)

    async def _resync(self) -> None:
        """Now and then look at every unfinished build without any event, so that a lost one is no loss."""
        while True:
            for item in await self._list_builds():
                if not (item.get("status") or {}).get("completedAt"):
                    self._add((item["metadata"]["namespace"], item["metadata"]["name"]))
            await self._sweep()
            self._beat = time.monotonic()
            await asyncio.sleep(self._settings.resync_seconds)

    async def _sweep(self) -> None:
        """Left Leases do no harm: trouble with them must not end the resync."""
        try:
            await self._sweeper.sweep()
        except (ApiError, aiohttp.ClientError, OSError) as error:
            log.warning("abandoned Leases were not removed: %s", error)
        if self._engine is not None:
            await sweep_engine(self._engine, self._list_builds)

    async def _list_builds(self) -> list[dict[str, Any]]:
        spaces = self._settings.watch_namespaces or ("",)
        found = [await self._cluster.list(BUILDS, names.PLURAL, space) for space in spaces]
        return [item for items, _ in found for item in items]

    def _alive(self) -> str:
        silent = time.monotonic() - self._beat
        limit = 5 * self._settings.resync_seconds + 60
        return f"no resync for {silent:.0f} s" if self._serving and silent > limit else ""

    def _ready(self) -> str:
        return ""


def run_operator(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    configure_logging(settings.log_level)
    asyncio.run(_main(settings))


async def _main(settings: Settings) -> None:
    await Operator(await connect(), settings).run()
