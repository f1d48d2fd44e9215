"""One look at one ImageBuild: gather, plan, decide, apply, write status.

In: a key. Out: seconds after which to look again, or None. Everything is read through; what a look concludes it could conclude
again after a crash at any line. Errors have three behaviours: `UserError` stalls the build, `NotYet` and outages are
looked at again until their deadline, everything else is a defect and retried by the queue.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, assert_never

from conveyor.adapters.cluster import BUILDS, Cluster
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
from conveyor.api.v1alpha1 import Execution, ImageBuild, ImageBuildStatus
from conveyor.config.model import WerfConfig
from conveyor.config.no_effect import without_effect
from conveyor.jobs import exports, status
from conveyor.jobs.attempts import patience_left
from conveyor.jobs.decide import decide
from conveyor.jobs.decision import (
    Action,
    Decision,
    PublishStage,
    RecordExport,
    Situation,
    StartJob,
    StopJob,
)
from conveyor.jobs.manifest import run_id
from conveyor.jobs.model import Bundle, ObservedJob
from conveyor.jobs.status import Run
from conveyor.plan.facts import Facts
from conveyor.plan.model import BuildPlan, StageState
from conveyor.plan.staged import staged_version
from conveyor.shell.answer import Answers
from conveyor.shell.configs import Configs
from conveyor.shell.dispatch import Dispatcher
from conveyor.shell.observing import observed_jobs
from conveyor.shell.remotes import head_facts, look_up
from conveyor.shell.reports import Reports
from conveyor.shell.session import Session, Sessions
from conveyor.shell.settings import Settings
from conveyor.shell.statuses import Statuses
from conveyor.shell.telemetry import STAGES
from conveyor.shell.workqueue import Key

_MAX_ROUNDS: Final = 1000
_OUTAGE_POLL: Final = 5.0
_OUTAGES: Final = (Reason.GIT_REMOTE_UNREACHABLE, Reason.POD_REJECTED)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One round: what was planned, seen and decided."""

    plan: BuildPlan
    jobs: tuple[ObservedJob, ...]
    decision: Decision
    bundles: Mapping[str, Bundle]


class Reconciler:
    """Looks at builds. Holds connections and caches, no truth."""

    def __init__(
        self,
        cluster: Cluster,
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
        self._answers = Answers()
        self._configs = Configs()
        self._statuses = Statuses(cluster)

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
        if status.finished(build):
            return None
        return await self._look(build)

    async def _look(self, build: ImageBuild) -> float | None:
        run = status.run_of(build, _now())
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
        session = await self._sessions.open(build)
        if not run.commit and session.git is not None:
            run = replace(run, commit=await self._resolve(session))
            await self._statuses.write(build, _progress(build, run, Reason.PLANNING, "planning"))
            build = await self._statuses.reread(build)
        config = await self._configs.load(session, run.commit)
        images = self._configs.selected(config, build)
        heads = await look_up(session.remotes, config, images, run.remotes)
        if heads != run.remotes:
            run = replace(run, remotes=heads)
            await self._statuses.write(build, _progress(build, run, Reason.PLANNING, "planning"))
            session = replace(session, build=await self._statuses.reread(build))
        for _ in range(_MAX_ROUNDS):
            step = await self._step(session, run, config, images)
            if not await self._apply(session, run, config, images, step):
                break
            await self._report(session, run, step)
            build = await self._statuses.reread(build)
            session = replace(session, build=build)
        await self._tell_no_effect(build, config, step)
        return await self._conclude(session, run, step)

    async def _resolve(self, session: Session) -> str:
        """The commit to build; a branch or tag is looked up once a run and recorded in status."""
        assert session.git is not None and session.build.spec.source is not None  # noqa: S101, PT018
        git = session.build.spec.source.git
        return await session.git.resolve(
            commit=git.commit or "", branch=git.branch or "", tag=git.tag or ""
        )

    async def _plan(
        self, session: Session, run: Run, config: WerfConfig, images: tuple[str, ...]
    ) -> BuildPlan:
        spec, meta = session.build.spec, session.build.metadata
        facts = Facts(
            commit=run.commit,
            stages=await session.storage.stages(),
            repo=spec.repo,
            staged_version=staged_version(spec.env_map()),
            virtual_merge=spec.source is not None and spec.source.git.virtual_merge,
            answers=head_facts(run.remotes),
        )
        scope = f"{meta.uid}/{run.generation}/{run.started_at}"
        return await self._answers.plan(session, config, facts, images, scope)

    async def _step(
        self, session: Session, run: Run, config: WerfConfig, images: tuple[str, ...]
    ) -> Step:
        plan = await self._plan(session, run, config, images)
        jobs = await observed_jobs(self._cluster, self._reports, session)
        bundles = await _bundles(session, plan)
        build = session.build
        decision = decide(
            Situation(
                plan=plan,
                jobs=jobs,
                bundles=bundles,
                owner_uid=build.metadata.uid,
                run_id=run_id(build),
                fuse=build.spec.execution is Execution.IMAGE_PER_JOB,
                slots=await self._slots(build, jobs),
                retry_limit=build.spec.retry_limit,
                started_at=run.started,
                now=_now(),
            )
        )
        return Step(plan=plan, jobs=jobs, decision=decision, bundles=bundles)

    async def _slots(self, build: ImageBuild, jobs: tuple[ObservedJob, ...]) -> int:
        mine = sum(job.owner_uid == build.metadata.uid and _takes_slot(job) for job in jobs)
        free = build.spec.parallel_tasks_limit - mine
        if self._settings.max_jobs and free > 0:
            free = min(
                free,
                self._settings.max_jobs
                - await self._dispatcher.live_jobs(self._settings.watch_namespaces),
            )
        return max(0, free)

    async def _apply(
        self,
        session: Session,
        run: Run,
        config: WerfConfig,
        images: tuple[str, ...],
        step: Step,
    ) -> bool:
        """Do what was decided, independent actions at once; True when a new look is worth it right away."""
        done = await asyncio.gather(
            *(
                self._act(session, run, config, images, step, action)
                for action in step.decision.actions
            ),
            return_exceptions=True,
        )
        for outcome in done:
            if isinstance(outcome, BaseException):
                raise outcome
        return any(done)

    async def _act(
        self,
        session: Session,
        run: Run,
        config: WerfConfig,
        images: tuple[str, ...],
        step: Step,
        action: Action,
    ) -> bool:
        """Do one thing; True when it changes what there is to decide."""

        async def replan() -> BuildPlan:
            return await self._plan(session, run, config, images)

        match action:
            case PublishStage():
                await self._dispatcher.publish(session, step.plan, action, replan, run.commit)
                return True
            case RecordExport():
                await self._dispatcher.record(session, step.plan, action)
                return True
            case StartJob():
                env = await self._configs.commit_env(session, run.commit)
                return await self._dispatcher.start(session, step.plan, action, step.bundles, env)
            case StopJob():
                await self._dispatcher.stop(session, action)
                return False
            case _:
                assert_never(action)

    # --- status -------------------------------------------------------------------------------------------------------

    async def _report(self, session: Session, run: Run, step: Step) -> None:
        await self._statuses.write(session.build, _planned(session, run, step))

    async def _conclude(self, session: Session, run: Run, step: Step) -> float | None:
        new = _planned(session, run, step)
        if new.completed_at is not None:
            await self._stop_waiting(session, step)
            await self._let_jobs_expire(session, step)
            await self._tell_failures(session, step)
        await self._statuses.write(session.build, new)
        if new.completed_at is not None:
            return None
        return min(
            step.decision.look_again or self._settings.resync_seconds, self._settings.resync_seconds
        )

    async def _stop_waiting(self, session: Session, step: Step) -> None:
        """Jobs that could never start (no image pull, no node) are not left behind by a failed build."""
        for view in step.decision.views.values():
            if view.failure is not None and view.job is not None and not view.job.ended:
                why = f"it waited in vain: {view.failure.reason.value}"
                await self._dispatcher.stop(session, StopJob(job=view.job, why=why))

    async def _tell_no_effect(self, build: ImageBuild, config: WerfConfig, step: Step) -> None:
        """Once a run: an Event that was written is not written again, and a plan in progress need not be told."""
        if all(image.ready for image in step.plan.images):
            for text in without_effect(config, {image.name for image in step.plan.images}):
                await self._dispatcher.warn(build, Reason.NO_EFFECT, text)

    async def _tell_failures(self, session: Session, step: Step) -> None:
        for image, stage, failure in step.decision.failures:
            STAGES.labels("failed").inc()
            message = f"image {image}, stage {stage}: {failure.message}"
            await self._dispatcher.warn(session.build, failure.reason, message)

    async def _let_jobs_expire(self, session: Session, step: Step) -> None:
        """Only now: as long as a build goes on, its ended Jobs are the memory of what failed and how often."""
        uid = session.build.metadata.uid
        for job in step.jobs:
            if job.owner_uid == uid and not job.deleting:
                await self._dispatcher.expire(session, job)

    async def _suspend(self, build: ImageBuild, run: Run) -> None:
        session = await self._sessions.open(build)
        for job in await observed_jobs(self._cluster, self._reports, session):
            if job.owner_uid == build.metadata.uid and not job.ended and not job.deleting:
                await self._dispatcher.stop(session, StopJob(job=job, why="spec.suspend is true"))
        await self._statuses.write(build, status.suspended(build, run, _now()))

    async def _fail(self, build: ImageBuild, run: Run, reason: Reason, message: str) -> None:
        log.info("%s: %s", reason, message, extra={"build": build.metadata.name})
        await self._dispatcher.end_jobs(build, reason)
        new = status.stalled(build, run, _now(), reason=reason, message=message)
        await self._dispatcher.warn(
            build, reason, message
        )  # first: a final status is the end of it
        await self._statuses.write(build, new)

    async def _outage(
        self, build: ImageBuild, run: Run, reason: Reason, error: Exception
    ) -> float | None:
        """Something outside does not answer: wait for it, but not for ever."""
        waited = (_now() - status.outage_since(build, run, _now())).total_seconds()
        if waited > self._settings.outage_seconds:
            await self._fail(build, run, reason, str(error))
            return None
        text = f"{error}; trying again"
        new = status.outage(build, run, _now(), reason=reason, message=text)
        await self._statuses.write(build, new)
        return _OUTAGE_POLL

    async def _write_invalid(self, body: dict[str, Any], error: UserError) -> None:
        """The spec does not even parse (an object older than the CRD's rules)."""
        meta = body["metadata"]
        bare = ImageBuild.from_object(
            {**body, "spec": {"repo": "invalid.example/x", "config": "-"}}
        )
        if status.finished(bare):
            return
        run = status.run_of(bare, _now())
        new = status.stalled(bare, run, _now(), reason=error.reason, message=error.message)
        log.info("invalid spec", extra={"build": meta["name"]})
        await self._statuses.write(bare, new)


def _takes_slot(job: ObservedJob) -> bool:
    """Whether the Job counts against the limit; one that waits in vain does not keep others from running."""
    patience = patience_left(job, _now())
    return not job.ended and (patience is None or patience > 0)


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the shell's clock


def _progress(build: ImageBuild, run: Run, reason: Reason, message: str) -> ImageBuildStatus:
    return status.progress(build, run, _now(), reason=reason, message=message)


def _check_deadline(build: ImageBuild, run: Run) -> None:
    limit = build.spec.timeout_seconds()
    if limit is not None and (_now() - run.started).total_seconds() > limit:
        raise UserError(Reason.TIMED_OUT, f"the build took longer than {build.spec.timeout}")


def _planned(session: Session, run: Run, step: Step) -> ImageBuildStatus:
    references = {
        image.name: session.storage.reference(last.manifest_digest)
        for image in step.plan.images
        if (last := image.stages[-1].stored) is not None
    }
    return status.planned(session.build, run, step.plan, step.decision, references, _now())


async def _bundles(session: Session, plan: BuildPlan) -> dict[str, Bundle]:
    """The recorded exports of everything that is still to be built."""
    keys = {
        export.key
        for image in plan.images
        for stage in image.stages
        if stage.state is not StageState.CACHED
        for export in exports.exports_of(stage, plan)
    }
    found = await asyncio.gather(*(session.storage.bundle(key) for key in sorted(keys)))
    return {key: bundle for key, bundle in zip(sorted(keys), found, strict=True) if bundle}
