"""One look at one ImageBuild: gather, plan, decide, apply, write status.

In: a key. Out: seconds after which to look again, or None. Everything is read through; what a look concludes it could conclude
again after a crash at any line. Errors have three behaviours: `UserError` stalls the build, `NotYet` and outages are
looked at again until their deadline, everything else is a defect and retried by the queue.
"""

import logging
from dataclasses import replace
from typing import Any, Final

from conveyor.adapters.cluster import BUILDS
from conveyor.adapters.objects_api import ObjectsApi
from conveyor.adapters.registry_errors import (
    DeniedError,
    RateLimitedError,
    RegistryError,
    ServerError,
    UnauthorizedError,
    UnreachableError,
)
from conveyor.api import names
from conveyor.api.errors import NotYet, UserError
from conveyor.api.names import Reason
from conveyor.api.v1alpha1 import ImageBuild, ImageBuildStatus
from conveyor.jobs import status
from conveyor.jobs.decision import StopJob
from conveyor.jobs.image_exports import check_image_exports
from conveyor.jobs.run import Run, finished, run_of
from conveyor.shell import closing
from conveyor.shell.clock import now
from conveyor.shell.configs import Configs
from conveyor.shell.dispatch import Dispatcher
from conveyor.shell.look import Course, Look, Step, planned
from conveyor.shell.observing import observed_jobs
from conveyor.shell.remotes import look_up
from conveyor.shell.reports import Reports
from conveyor.shell.session import Session, Sessions
from conveyor.shell.settings import Settings
from conveyor.shell.statuses import Statuses
from conveyor.shell.workqueue import Key

_OUTAGE_POLL: Final = 5.0
_OUTAGES: Final = (
    Reason.GIT_REMOTE_UNREACHABLE,
    Reason.POD_REJECTED,
    Reason.ENGINE_UNREACHABLE,
    Reason.STAGE_PULL_FAILED,  # of Conveyor's own image in an Engine
)

log = logging.getLogger(__name__)


class Reconciler:
    """Looks at builds. Holds connections and caches, no truth."""

    def __init__(
        self,
        cluster: ObjectsApi,
        settings: Settings,
        sessions: Sessions,
        dispatcher: Dispatcher,
        reports: Reports,
    ) -> None:
        self._cluster = cluster
        self._settings = settings
        self._sessions = sessions
        self._dispatcher = dispatcher
        self._reports = reports
        self._configs = Configs()
        self._statuses = Statuses(cluster)
        self._course = Course(self._statuses, settings, dispatcher, reports, self._configs)

    def wrote(self, uid: str, version: str) -> bool:
        """Whether a look made this resourceVersion of an ImageBuild, so that its event asks for no other look."""
        return self._statuses.wrote(uid, version)

    async def __call__(self, key: Key) -> float | None:
        """Look at one build."""
        body = await self._cluster.get(BUILDS, names.PLURAL, *key)
        if body is None or "deletionTimestamp" in body["metadata"]:
            return None
        try:
            build = ImageBuild.from_object(body)
        except UserError as error:
            await self._write_invalid(body, error)
            return None
        if finished(build):
            return None
        return await self._look(build)

    async def _look(self, build: ImageBuild) -> float | None:
        run = run_of(build, now())
        try:
            if build.spec.suspend:
                await self._suspend(build, run)
                return None
            after = await self._advance(build, run)
        except Exception as error:  # each kind has its own way to end a look
            return await self._end(*await self._statuses.recorded(build, run), error)
        return after

    async def _end(self, build: ImageBuild, run: Run, error: Exception) -> float | None:
        match error:
            case UserError():
                await self._fail(build, run, error.reason, error.message)
                return None
            case UnauthorizedError() | DeniedError():
                await self._fail(build, run, Reason.REGISTRY_DENIED, str(error))
                return None
            case NotYet() if error.reason not in _OUTAGES:
                progress = _progress(build, run, error.reason, error.message)
                await self._statuses.write(build, progress)
                return error.after
            case NotYet():
                return await self._outage(build, run, error.reason, error)
            case UnreachableError() | ServerError() | RateLimitedError():
                return await self._outage(build, run, Reason.REGISTRY_UNREACHABLE, error)
            case RegistryError():  # an answer, and one that will be the same next time
                text = f"cannot push to {build.spec.repo}: {error}"
                await self._fail(build, run, Reason.PUSH_FAILED, text)
                return None
            case _:
                # The queue tries again with backoff; a person should not have to guess why nothing happens.
                text = f"{type(error).__name__}: {error}; trying again"
                progress = _progress(build, run, Reason.INTERNAL_ERROR, text)
                await self._statuses.write(build, progress)
                raise error

    # --- the normal course --------------------------------------------------------------------------------------------

    async def _advance(self, build: ImageBuild, run: Run) -> float | None:
        _check_deadline(build, run)
        look = await self._open(build, run)
        look, step = await self._course.run(look)
        await closing.export_images(self._dispatcher, look, step)
        await closing.tell_no_effect(self._dispatcher, look, step)
        return await self._conclude(look, step)

    async def _open(self, build: ImageBuild, run: Run) -> Look:
        """Find what the look works with; commits of branches are in status before anything is planned with them."""
        engine = await self._dispatcher.backends.engine(build)  # raises what this backend cannot do
        session = replace(await self._sessions.open(build), engine=engine)
        if not run.commit and session.git is not None:
            run = replace(run, commit=await self._resolve(session))
            session = await self._record(session, run)
        config = await self._configs.load(session, run.commit)
        images = self._configs.selected(config, session.build)
        check_image_exports(session.build.spec, images)
        heads = await look_up(session.remotes, config, images, run.remotes)
        if heads != run.remotes:
            run = replace(run, remotes=heads)
            session = await self._record(session, run)
        return Look(session=session, run=run, config=config, images=images)

    async def _record(self, session: Session, run: Run) -> Session:
        """Write the commits of a run."""
        new = _progress(session.build, run, Reason.PLANNING, "planning")
        return replace(session, build=await self._statuses.refresh(session.build, new))

    async def _resolve(self, session: Session) -> str:
        """The commit to build; a branch or tag is looked up once a run and recorded in status."""
        assert session.git is not None and session.build.spec.source is not None  # noqa: S101, PT018
        git = session.build.spec.source.git
        return await session.git.resolve(
            commit=git.commit or "", branch=git.branch or "", tag=git.tag or ""
        )

    async def _conclude(self, look: Look, step: Step) -> float | None:
        new = planned(look, step)
        if new.completed_at is not None:
            await closing.close(self._dispatcher, look, step)
        await self._statuses.write(look.build, new)
        if new.completed_at is not None:
            return None
        resync = self._settings.resync_seconds
        return min(step.decision.look_again or resync, resync)

    # --- other ends -------------------------------------------------------------------------------------------------------

    async def _suspend(self, build: ImageBuild, run: Run) -> None:
        session = await self._sessions.open(build)
        jobs = self._dispatcher.backends.of(build)
        for job in await observed_jobs(jobs, self._reports, session):
            if job.owner_uid == build.metadata.uid and not job.ended and not job.deleting:
                await self._dispatcher.stop(session, StopJob(job=job, why="spec.suspend is true"))
        await self._statuses.write(build, status.suspended(build, run, now()))

    async def _fail(self, build: ImageBuild, run: Run, reason: Reason, message: str) -> None:
        log.info("%s: %s", reason, message, extra={"build": build.metadata.name})
        await self._dispatcher.end_jobs(build, reason)
        new = status.stalled(build, run, now(), reason=reason, message=message)
        await self._dispatcher.warn(
            build, reason, message
        )  # first: a final status is the end of it
        await self._dispatcher.settled()
        await self._statuses.write(build, new)

    async def _outage(
        self, build: ImageBuild, run: Run, reason: Reason, error: Exception
    ) -> float | None:
        """Something outside does not answer: wait for it, but not for ever."""
        waited = (now() - status.outage_since(build, run, now())).total_seconds()
        if waited > self._settings.outage_seconds:
            await self._fail(build, run, reason, str(error))
            return None
        text = f"{error}; trying again"
        new = status.outage(build, run, now(), reason=reason, message=text)
        await self._statuses.write(build, new)
        return _OUTAGE_POLL

    async def _write_invalid(self, body: dict[str, Any], error: UserError) -> None:
        """The spec does not even parse (an object older than the CRD's rules)."""
        meta = body["metadata"]
        bare = ImageBuild.from_object(
            {**body, "spec": {"repo": "invalid.example/x", "config": "-"}}
        )
        if finished(bare):
            return
        run = run_of(bare, now())
        new = status.stalled(bare, run, now(), reason=error.reason, message=error.message)
        log.info("invalid spec", extra={"build": meta["name"]})
        await self._statuses.write(bare, new)


def _progress(build: ImageBuild, run: Run, reason: Reason, message: str) -> ImageBuildStatus:
    return status.progress(build, run, now(), reason=reason, message=message)


def _check_deadline(build: ImageBuild, run: Run) -> None:
    limit = build.spec.timeout_seconds()
    if limit is not None and (now() - run.started).total_seconds() > limit:
        raise UserError(Reason.TIMED_OUT, f"the build took longer than {build.spec.timeout}")
