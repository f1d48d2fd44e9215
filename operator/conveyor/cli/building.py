"""A build on this machine: the operator's own code, with one ImageBuild in memory and a Docker Engine in place of a cluster.

In: `BuildOptions`. Out: (exit code, outcome as JSON-like data); progress on stderr. Looking, planning, deciding, publishing and
status are `conveyor.shell.reconcile`; what is here is what surrounds it: the build object, logins, who is told, and the end.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import click

from conveyor.adapters.cluster import JOBS, ApiError
from conveyor.adapters.engine_api import Endpoint, EngineApi, EngineError
from conveyor.adapters.engine_containers import LOCAL_NAMESPACE, EngineOrder
from conveyor.adapters.engine_jobs import EngineJobs
from conveyor.adapters.events import EventRecorder
from conveyor.api import conditions
from conveyor.api.errors import NotYet, UserError
from conveyor.api.names import Reason
from conveyor.api.v1alpha1 import ImageBuild
from conveyor.cli.build_log import BuildLog
from conveyor.cli.build_text import Progress, document, failure_lines
from conveyor.cli.local_agent import serve_agent
from conveyor.cli.local_build import CLAIM, SSH_AGENT, Material, material_of
from conveyor.cli.local_cluster import LocalCluster, LocalLocks
from conveyor.cli.local_login import home_of
from conveyor.cli.local_runs import Run
from conveyor.cli.local_tools import sweep_tools
from conveyor.cli.local_words import without_cluster
from conveyor.cli.project import ProjectOptions
from conveyor.config.remote_policy import RemotePolicy
from conveyor.shell.backends import Backends
from conveyor.shell.dispatch import Dispatcher
from conveyor.shell.reconcile import Reconciler
from conveyor.shell.reports import Reports
from conveyor.shell.session import Sessions

Json = dict[str, Any]

_ATTEMPTS: Final = 5
_LONGEST: Final = 2.0
_FOREIGN_GRACE: Final = 3600
_USERS: Final = frozenset(
    {
        *(Reason.INVALID_SPEC, Reason.INVALID_WERF_CONFIG, Reason.INVALID_DOCKERFILE),
        *(Reason.NOT_SUPPORTED, Reason.MOUNT_NOT_ALLOWED, Reason.WERF_CONFIG_NOT_FOUND),
        *(Reason.GIT_REVISION_NOT_FOUND, Reason.REGISTRY_DENIED, Reason.BASE_IMAGE_NOT_FOUND),
        *(Reason.SECRET_NOT_FOUND, Reason.REMOTE_SOURCE_NOT_ALLOWED, Reason.PLATFORM_NOT_AVAILABLE),
        Reason.GIT_AUTH_FAILED,
    }
)
"""What somebody has to change the config, the repository or the arguments for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """What the options of `conveyor build` say."""

    project: ProjectOptions
    images: tuple[str, ...]
    parallel: int
    engine: str
    engine_tls: str
    network: str
    conveyor_image: str
    insecure: tuple[str, ...]
    ca_file: Path | None
    stage_timeout: str
    ssh_keys: tuple[Path, ...] = ()
    ssh_agent: Path | None = None
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    mirrors: Mapping[str, str] = field(default_factory=dict)
    add_remote: RemotePolicy = field(default_factory=RemotePolicy)
    cache_volume: str = ""
    quiet: bool = False


async def build(options: BuildOptions) -> tuple[int, Json]:
    """Build; returns exit code and outcome.

    Raises:
        UserError: Options or project are wrong.
        NotYet: The Engine does not answer.
    """
    logging.getLogger().addHandler(logging.NullHandler())  # what matters is in the status
    api = EngineApi(Endpoint.parse(options.engine, options.engine_tls))
    home = home_of(os.environ)
    with TemporaryDirectory(prefix="conveyor-build-") as scratch:
        run = Run.begin(home)
        try:
            await api.ping()
            material = await material_of(options, api, home, Path(scratch), run.uid)
            return await _Local(options, api, material, run).run()
        except UserError as error:
            raise UserError(error.reason, without_cluster(error.message)) from None
        finally:
            await api.close()
            run.end()


class _Local:
    """One build under way."""

    def __init__(self, options: BuildOptions, api: EngineApi, material: Material, run: Run) -> None:
        self._run = run
        self._agent = options.ssh_agent
        self._serving: set[asyncio.Task[None]] = set()
        colour = sys.stderr.isatty()
        self._progress = Progress(colour=colour)
        self._wake = asyncio.Event()
        self._cluster = LocalCluster(material.build, material.secrets, _tell_warning, self._show)
        contents = material.contents(self._cluster.config_map)
        claims = {CLAIM: options.cache_volume} if options.cache_volume else {}
        self._engine = EngineJobs(
            api,
            contents,
            network=options.network,
            claims=claims,
            alone=False,
            started=self._started,
        )
        self._log = None if options.quiet else BuildLog(api, self._tell, colour=colour)
        reports = Reports(lambda _: self._wake.set())
        dispatcher = Dispatcher(
            Backends(self._cluster, self._engine),
            LocalLocks(),
            EventRecorder(self._cluster),
            reports,
        )
        sessions = self._sessions = Sessions(
            self._cluster, material.settings, material.local, options.project.platforms
        )
        self._reconcile = Reconciler(
            self._cluster, material.settings, sessions, dispatcher, reports
        )

    def _started(self, order: EngineOrder) -> None:
        """Tell what commands write, and let them use the agent of this machine."""
        if self._log is not None:
            self._log.follow(order.job, order.stage.name)
        if self._agent is not None and any(it.name == SSH_AGENT for it in order.fillings):
            serving = serve_agent(self._engine.api, order.courier.name, self._agent)
            self._serving.add(asyncio.create_task(serving))

    async def run(self) -> tuple[int, Json]:
        await sweep(self._engine, self._run)
        await sweep_tools(self._engine.api, time.time())  # noqa: TID251 - as the Engine counts it
        async with self._watched():
            interrupted = await _until_interrupted(self._follow())
        found = ImageBuild.from_object(self._cluster.build)
        if interrupted:
            click.echo("interrupted; its containers are removed", err=True)
            return 130, document(found)
        code = _exit_code(found)
        for line in failure_lines(found) if code else ():
            click.echo(line, err=True)
        return code, document(found)

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        watching = asyncio.create_task(self._engine.watch(lambda *_: self._wake.set()))
        try:
            yield
            if self._log is not None:
                await self._log.close()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await self._leave()

    async def _follow(self) -> None:
        """Look until it is over; what is odd for a moment (a container that is just going) is looked at again."""
        odd = 0
        while True:
            self._wake.clear()
            try:
                after = await self._reconcile((LOCAL_NAMESPACE, "build"))
            except (EngineError, ApiError):
                odd += 1
                if odd == _ATTEMPTS:
                    raise
                after = 1.0
            else:
                odd = 0
            if after is None:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), min(after, _LONGEST))

    async def _leave(self) -> None:
        """Leave nothing in the Engine but images."""
        try:
            jobs, _ = await self._engine.list(JOBS, "jobs", LOCAL_NAMESPACE)
            for job in jobs:
                if _owner(job) == self._run.uid:
                    await self._engine.delete(
                        JOBS, "jobs", LOCAL_NAMESPACE, job["metadata"]["name"]
                    )
            await self._engine.settled()
        except (NotYet, EngineError) as error:
            click.echo(
                f"Warning: containers were left: {error}; the next build removes them", err=True
            )
        for serving in self._serving:
            serving.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._engine.close()
        await self._sessions.close()

    def _tell(self, job: str, line: str) -> None:
        click.echo(self._progress.log(job, line), err=True)

    def _show(self, body: Json) -> None:
        for line in self._progress.lines(ImageBuild.from_object(body).status):
            click.echo(line, err=True)


async def sweep(engine: EngineJobs, run: Run) -> None:
    """Remove what killed builds left; of builds that nobody here knows only what is long over its deadline."""
    jobs, _ = await engine.list(JOBS, "jobs", LOCAL_NAMESPACE)
    for job in jobs:
        if run.is_dead(_owner(job)) or await engine.is_stale(job, _FOREIGN_GRACE):
            await engine.delete(JOBS, "jobs", LOCAL_NAMESPACE, job["metadata"]["name"])
    await engine.remove_volumes()


def _owner(job: Json) -> str:
    owners = job["metadata"].get("ownerReferences") or [{}]
    return str(owners[0].get("uid", ""))


async def _until_interrupted(work: Any) -> bool:
    """Do the work; True when a signal ended it."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, stop.set)
    working, waiting = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
            return False
        return True
    finally:
        for task in (working, waiting):
            task.cancel()
        await asyncio.gather(working, waiting, return_exceptions=True)


def _exit_code(build: ImageBuild) -> int:
    if conditions.is_true(build.status.conditions, "Ready"):
        return 0
    ready = conditions.find(build.status.conditions, "Ready")
    failure = build.status.failure
    reason = failure.reason if failure else ready.reason if ready else ""
    return 2 if reason in {it.value for it in _USERS} else 1


def _tell_warning(event: Json) -> None:
    if event["type"] == "Warning" and event["reason"] in (Reason.NO_EFFECT, Reason.LABELS_KEPT):
        click.echo(f"Warning: {without_cluster(event['message'])}", err=True)
