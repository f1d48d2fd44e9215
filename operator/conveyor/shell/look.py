"""The normal course of one look: plan, see what Jobs there are, decide, act; again for as long as acting changes something.

In: what a look works with. Out: the last `Step`, with which its status is written. What goes wrong is raised to
`conveyor.shell.reconcile`.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, assert_never

from conveyor.adapters.together import both
from conveyor.api.v1alpha1 import Execution, ImageBuild, ImageBuildStatus
from conveyor.config.model import WerfConfig
from conveyor.jobs import exports, status
from conveyor.jobs.attempts import patience_left
from conveyor.jobs.decide import decide
from conveyor.jobs.decision import (
    Action,
    Decision,
    PublishIndex,
    PublishStage,
    RecordExport,
    Situation,
    StartJob,
    StopJob,
)
from conveyor.jobs.manifest import run_id
from conveyor.jobs.model import Bundle, ObservedJob
from conveyor.jobs.outline import Outline
from conveyor.jobs.run import Run
from conveyor.plan.add_remote import check_remotes
from conveyor.plan.buildable import check_built
from conveyor.plan.facts import Facts
from conveyor.plan.model import BuildPlan
from conveyor.plan.staged import staged_version
from conveyor.plan.targets import indexes_of
from conveyor.shell.answer import Answers
from conveyor.shell.assembling import outlines
from conveyor.shell.clock import now
from conveyor.shell.configs import Configs
from conveyor.shell.dispatch import Dispatcher
from conveyor.shell.observing import observed_jobs
from conveyor.shell.publish import Stages, members
from conveyor.shell.remotes import head_facts
from conveyor.shell.reports import Reports
from conveyor.shell.session import Session
from conveyor.shell.settings import Settings
from conveyor.shell.statuses import Statuses

_MAX_ROUNDS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look works with.

    Attributes:
        images: Names of the images to build.
    """

    session: Session
    run: Run
    config: WerfConfig
    images: tuple[str, ...]

    @property
    def build(self) -> ImageBuild:
        """The build as it was last read."""
        return self.session.build


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One round: what was planned, seen and decided; `recorded`: exports that a plan may depend on."""

    plan: BuildPlan
    jobs: tuple[ObservedJob, ...]
    decision: Decision
    bundles: Mapping[str, Bundle]
    indexes: Mapping[str, str]
    recorded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """What the repository says: the plan, recorded exports, indexes, outlines."""

    plan: BuildPlan
    bundles: Mapping[str, Bundle]
    indexes: Mapping[str, str]
    outlines: Mapping[str, Outline]


class Course:
    """Takes the steps of a look."""

    def __init__(
        self,
        statuses: Statuses,
        settings: Settings,
        dispatcher: Dispatcher,
        reports: Reports,
        configs: Configs,
    ) -> None:
        self._settings = settings
        self._dispatcher = dispatcher
        self._reports = reports
        self._configs = configs
        self._answers = Answers()
        self._statuses = statuses

    async def run(self, look: Look) -> tuple[Look, Step]:
        """Step until acting changes nothing more; answers the look with the build as it is now, and the last step."""
        step = await self._step(look)
        for _ in range(_MAX_ROUNDS):
            if not await self._apply(look, step):
                break
            refreshing = self._statuses.refresh(look.build, planned(look, step))
            build, step = await both(refreshing, self._step(look))
            look = replace(look, session=replace(look.session, build=build))
        return look, step

    async def _replan(self, look: Look) -> tuple[BuildPlan, Stages]:
        stages = await look.session.storage.stages()
        return await self._plan(look, stages), stages

    async def _plan(self, look: Look, stages: Stages) -> BuildPlan:
        spec, meta, run = look.build.spec, look.build.metadata, look.run
        facts = Facts(
            commit=run.commit,
            stages=stages,
            repo=spec.repo,
            staged_version=staged_version(spec.env_map()),
            dockerfile_mode=spec.dockerfile_mode,
            build_platform=self._settings.build_platform,
            heredocs_differ=not spec.compatibility.ignore_here_documents,
            virtual_merge=spec.source is not None and spec.source.git.virtual_merge,
            answers=head_facts(run.remotes),
        )
        scope = f"{meta.uid}/{run.generation}/{run.started_at}"
        plan = await self._answers.plan(look.session, look.config, facts, look.images, scope)
        if spec.require_built:
            check_built(plan)
        check_remotes(
            plan, look.session.around.remote, lambda url: spec.git_secret(url) is not None
        )
        return plan

    async def _step(self, look: Look) -> Step:
        seeing = observed_jobs(
            self._dispatcher.backends.of(look.build), self._reports, look.session
        )
        stored, jobs = await both(self._stored(look), seeing)
        plan, bundles = stored.plan, stored.bundles
        situation = Situation(
            plan=plan,
            jobs=jobs,
            bundles=bundles,
            owner_uid=look.build.metadata.uid,
            run_id=run_id(look.build),
            fuse=look.build.spec.execution is Execution.IMAGE_PER_JOB,
            slots=_own_slots(look.build, jobs),
            retry_limit=look.build.spec.retry_limit,
            started_at=look.run.started,
            now=now(),
            indexes=stored.indexes,
            outlines=stored.outlines,
        )
        decision = decide(situation)
        recorded = await self._recorded(look.session, plan, decision)
        if recorded:
            situation = replace(situation, bundles={**bundles, **recorded})
            decision = decide(situation)
        return Step(
            plan=plan,
            jobs=jobs,
            decision=await self._within_slots(look.build, situation, decision),
            bundles=situation.bundles,
            indexes=stored.indexes,
            recorded=bool(recorded),
        )

    async def _recorded(
        self, session: Session, plan: BuildPlan, decision: Decision
    ) -> dict[str, Bundle]:
        """Record what Jobs have exported: who waited for no more than that goes on in the same step."""
        wanted = [it for it in decision.actions if isinstance(it, RecordExport)]
        made = await asyncio.gather(*(self._dispatcher.record(session, plan, it) for it in wanted))
        return dict(zip((it.export.key for it in wanted), made, strict=True))

    async def _stored(self, look: Look) -> "_Stored":
        plan, _ = await self._replan(look)
        await self._bring(look, plan)
        session = look.session
        found = both(_bundles(session, plan), _indexes(session, plan))
        (bundles, indexes), known = await both(found, outlines(session, plan))
        return _Stored(plan=plan, bundles=bundles, indexes=indexes, outlines=known)

    async def _within_slots(
        self, build: ImageBuild, situation: Situation, decision: Decision
    ) -> Decision:
        """The decision with no more Jobs than the operator may have; they are counted only when one more is to be started."""
        starting = sum(isinstance(action, StartJob) for action in decision.actions)
        if not self._settings.max_jobs or not starting:
            return decision
        live = await self._dispatcher.live_jobs(build, self._settings.watch_namespaces)
        free = max(0, self._settings.max_jobs - live)
        return decision if starting <= free else decide(replace(situation, slots=free))

    async def _bring(self, look: Look, plan: BuildPlan) -> None:
        """Have every stage that is used in the build's own repository."""
        used = [stage.stored.id for image in plan.images for stage in image.stages if stage.stored]
        brought = await look.session.storage.bring(used)
        if brought:
            await self._dispatcher.tell_copied(look.build, brought)

    async def _apply(self, look: Look, step: Step) -> bool:
        """Do what was decided, independent actions at once; True when a new step is worth it right away."""
        actions = (self._act(look, step, action) for action in step.decision.actions)
        done = await asyncio.gather(*actions, return_exceptions=True)
        for outcome in done:
            if isinstance(outcome, BaseException):
                raise outcome
        return any(done) or step.recorded

    async def _act(self, look: Look, step: Step, action: Action) -> bool:
        """Do one thing; True when it changes what there is to decide."""
        session, commit = look.session, look.run.commit
        match action:
            case PublishStage():
                replan = partial(self._replan, look)
                await self._dispatcher.publish(session, step.plan, action, replan, commit)
                return not action.continued
            case PublishIndex():
                await self._dispatcher.publish_index(session, action)
                return True
            case StartJob():
                env = await self._configs.commit_env(session, commit)
                return await self._dispatcher.start(session, step.plan, action, step.bundles, env)
            case StopJob():
                await self._dispatcher.stop(session, action)
                return False
            case RecordExport():
                return False  # done before (`_recorded`)
            case _:
                assert_never(action)


def planned(look: Look, step: Step) -> ImageBuildStatus:
    """Return the status that a step amounts to."""
    references = {
        image.name: look.session.storage.reference(last.manifest_digest)
        for image in step.plan.images
        if (last := image.stages[-1].stored) is not None
    }
    return status.planned(
        look.build, look.run, step.plan, step.decision, {**references, **step.indexes}, now()
    )


def _own_slots(build: ImageBuild, jobs: tuple[ObservedJob, ...]) -> int:
    """How many more Jobs the build itself may have."""
    mine = sum(job.owner_uid == build.metadata.uid and _takes_slot(job) for job in jobs)
    return max(0, build.spec.parallel_tasks_limit - mine)


def _takes_slot(job: ObservedJob) -> bool:
    """Whether the Job counts against the limit; one that waits in vain does not keep others from running."""
    patience = patience_left(job, now())
    return not job.ended and (patience is None or patience > 0)


async def _indexes(session: Session, plan: BuildPlan) -> dict[str, str]:
    """References of the indexes that are stored, by tag."""
    wanted = [index for index in indexes_of(plan) if index.tag]
    found = await asyncio.gather(
        *(session.storage.indexes.find(index.tag, members(index.members)) for index in wanted)
    )
    return {index.tag: ref for index, ref in zip(wanted, found, strict=True) if ref}


async def _bundles(session: Session, plan: BuildPlan) -> dict[str, Bundle]:
    """The recorded exports of everything that is still to be built, of what may have been exported by now."""
    keys = {
        export.key for _, export in exports.wanted(plan) if exports.may_be_recorded(export, plan)
    }
    found = await asyncio.gather(*(session.storage.records.bundle(key) for key in sorted(keys)))
    return {key: bundle for key, bundle in zip(sorted(keys), found, strict=True) if bundle}
