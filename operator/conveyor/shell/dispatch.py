"""Carrying out what was decided.

In: actions. Out: Jobs created and deleted, stages published, bundles recorded, Events. Every action may be done twice or be
cut off half-way: names are deterministic, publishing is idempotent by digest.
"""

import logging
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace

from conveyor.adapters.cluster import JOBS, ApiError
from conveyor.adapters.events import EventRecorder
from conveyor.adapters.objects_api import JobsApi
from conveyor.adapters.together import both
from conveyor.api.errors import NotYet, UserError
from conveyor.api.names import LABEL_IMAGE_BUILD, Reason, label_value
from conveyor.api.v1alpha1 import ImageBuild, ImageExport
from conveyor.jobs import exports
from conveyor.jobs.decision import PublishIndex, PublishStage, RecordExport, StartJob, StopJob
from conveyor.jobs.image_exports import exported_config
from conveyor.jobs.manifest import job as job_manifest
from conveyor.jobs.manifest import job_name, labels_selector, stage_names
from conveyor.jobs.model import Bundle, Export, JobOrder, ObservedJob, ParentImage
from conveyor.jobs.mounts import without_hidden_exports
from conveyor.jobs.repositories import repositories
from conveyor.jobs.task import laying_tasks, tasks
from conveyor.plan.image_config import kept_labels
from conveyor.plan.model import BuildPlan, PlannedStage
from conveyor.shell.aside import Aside
from conveyor.shell.assembling import orders
from conveyor.shell.backends import Backends
from conveyor.shell.clock import now
from conveyor.shell.publish import (
    Locks,
    Published,
    Replan,
    members,
    parent_image,
    publish,
    take_locks,
)
from conveyor.shell.reports import Reports
from conveyor.shell.session import Session
from conveyor.shell.telemetry import JOBS_STARTED, STAGES

log = logging.getLogger(__name__)


class Dispatcher:
    """Performs actions against a backend and the registry."""

    def __init__(
        self, backends: Backends, locks: Locks, events: EventRecorder, reports: Reports
    ) -> None:
        self.backends = backends
        self._locks = locks
        self._events = events
        self._reports = reports
        self._aside = Aside()

    async def settled(self) -> None:
        """Wait until what goes on beside the looks is done: Events are written, locks let go of."""
        await self._aside.settled()

    async def start(
        self,
        session: Session,
        plan: BuildPlan,
        action: StartJob,
        bundles: Mapping[str, Bundle],
        commit_env: Mapping[str, str],
    ) -> bool:
        """Create a Job; False when somebody else did."""
        build = session.build
        platform = (action.stages[0] if action.stages else action.exports[0]).platform
        ansible = any(stage.work.tasks for stage in action.stages)
        executions = session.storage.execution_images
        preparing = executions.prepare(platform=platform, ansible=ansible)
        parents = both(self._parent(session, plan, action), preparing)
        (parent, _), made = await both(parents, orders(session, plan, action.assemblies))
        order = JobOrder(
            image=plan.image(action.image).image if action.stages else "",
            stages=action.stages,
            parent=parent,
            execution=await executions.publish(parent, platform=platform, ansible=ansible),
            platform=platform,
            exports=action.exports,
            bundles=bundles,
            seeds=exports.seeds_of(action.stages, plan),
            attempt=action.attempt,
            assemblies=made,
            outline=action.outline,
        )
        order = without_hidden_exports(order)
        name = job_name(order, build.spec.repo)
        key = (build.metadata.namespace, name)
        around = replace(
            session.around,
            callback_token=self._reports.open(key),
            commit_env=commit_env,
            git=repositories(order, build.spec),
        )
        if around.callback_url:
            around = replace(around, callback_url="/".join((around.callback_url, "results", *key)))
        body = job_manifest(
            order,
            build,
            session.pods,
            tasks(order, plan, around),
            laying_tasks(order, plan, around),
        )
        created = await self._create(build, body)
        if created:
            JOBS_STARTED.labels("stage" if action.stages else "export").inc()
            what = stage_names(action.stages)
            text = f"{what}: Job {name}"
            self._aside.begin(self._events.post(build, Reason.STAGE_STARTED, text))
        else:
            self._reports.undo(key)
        return created

    async def _create(self, build: ImageBuild, body: dict[str, object]) -> bool:
        try:
            await self.backends.of(build).create(JOBS, "jobs", build.metadata.namespace, body)
        except ApiError as error:
            if error.status == 409:
                return False
            if error.status == 403:
                raise NotYet(Reason.POD_REJECTED, error.message, after=10.0) from None
            raise
        return True

    async def _parent(self, session: Session, plan: BuildPlan, action: StartJob) -> ParentImage:
        if action.stages:
            return await parent_image(session, plan, action.stages[0])
        return await self._source(session, plan, action.exports[0])

    async def _source(self, session: Session, plan: BuildPlan, export: Export) -> ParentImage:
        if export.external:
            return await session.storage.base_images.adopt(export.source, export.platform)
        stored = exports.source_stage(export, plan).stored
        if stored is None:
            raise NotYet(Reason.PROGRESSING, f"image {export.source} is not complete", after=1.0)
        return await session.storage.parent(stored.manifest_digest, str(stored.id))

    async def publish(
        self, session: Session, plan: BuildPlan, action: PublishStage, replan: Replan, commit: str
    ) -> None:
        """Publish a stage, with what was built upon it, and tell about it."""
        async with AsyncExitStack() as locks:
            held = await take_locks(locks, session.build.spec.repo, action, self._locks)
            found = await publish(session, plan, action, replan, commit, held)
            self._aside.begin(locks.pop_all().aclose())
        if action.job is not None and action.job.outline and action.job.result.outline:
            outline = action.job.result.outline
            self._aside.begin(session.storage.outlines.write(action.job.outline, outline))
        for done in found:
            self._tell(session.build, done)

    def _tell(self, build: ImageBuild, done: Published) -> None:
        stage = done.planned
        what = f"{stage.image or '~'}/{stage.name}: {done.stage.id}"
        if done.discarded:
            reason, text = (
                Reason.STAGE_DISCARDED,
                f"{what} was there first and is used; ours is discarded",
            )
        else:
            reason, text = Reason.STAGE_BUILT, what
        log.info("%s %s", reason.value, what, extra={"build": build.metadata.name})
        if stage.inner:
            return  # a part of a stage: what it costs to tell of it is better spent
        self._aside.begin(self._events.post(build, reason, text))
        if not done.discarded:
            self._tell_kept_labels(build, stage)
        STAGES.labels("discarded" if done.discarded else "built").inc()

    def _tell_kept_labels(self, build: ImageBuild, stage: PlannedStage) -> None:
        spec = stage.work.image_spec
        kept = kept_labels(spec) if spec else ()
        if spec is not None and kept:
            message = (
                f"{spec.at}: image {stage.image or '~'}: removeLabels does not remove {', '.join(kept)}: without "
                "them a stage is not found again; keepEssentialWerfLabels: true says that this is meant"
            )
            self._aside.begin(self._events.post(build, Reason.LABELS_KEPT, message, warning=True))

    async def record(self, session: Session, plan: BuildPlan, action: RecordExport) -> Bundle:
        """Record a bundle under its key (werf: import metadata); answers what is recorded."""
        export = action.export
        source_id = f"external-image:{export.source}"
        if not export.external:
            stored = exports.source_stage(export, plan).stored
            source_id = str(stored.id) if stored else ""
        labels = {"werf": plan.project, "source-stage-id": source_id}
        if export.checksum_id:
            labels |= {"import-source-id": export.checksum_id, "checksum": action.result.checksum}
        created = now().strftime("%Y-%m-%dT%H:%M:%SZ")
        await session.storage.records.write(export.key, action.result, labels, created)
        return Bundle(
            layer=action.result.layer,
            checksum=labels.get("checksum", ""),
            source_stage_id=source_id,
        )

    async def warn(self, build: ImageBuild, reason: Reason, message: str) -> None:
        """Tell that a build came to a bad end."""
        await self._events.post(build, reason, message, warning=True)

    async def publish_index(self, session: Session, action: PublishIndex) -> None:
        """Join the images of several platforms and tell about it."""
        index = action.index
        await session.storage.indexes.publish(index.tag, members(index.members))
        platforms = ", ".join(member.platform for member in index.members)
        text = f"{index.image or '~'}: {index.tag}: {platforms}"
        await self._events.post(session.build, Reason.INDEX_PUBLISHED, text)

    async def tell_copied(self, build: ImageBuild, stages: Mapping[str, str]) -> None:
        """Tell which stages came from secondary repositories."""
        for repo in dict.fromkeys(stages.values()):
            ids = sorted(stage_id for stage_id, home in stages.items() if home == repo)
            more = f" and {len(ids) - 5} more" * (len(ids) > 5)
            text = f"from {repo}: {', '.join(ids[:5])}{more}"
            await self._events.post(build, Reason.STAGE_COPIED, text)
            STAGES.labels("copied").inc(len(ids))

    async def export_images(
        self, session: Session, plan: BuildPlan, wanted: Iterable[ImageExport]
    ) -> None:
        """Write images of a complete plan under references of the user's own; what is there already stays."""
        for one in wanted:
            found = [it for it in plan.images if it.image == one.image and not it.block_of]
            made = await session.storage.image_exports.write(
                members(found), exported_config, one.reference
            )
            text = f"{one.image or '~'}: {one.reference} is {made}"
            await self._events.post(session.build, Reason.IMAGE_EXPORTED, text)

    async def live_jobs(self, build: ImageBuild, namespaces: tuple[str, ...]) -> int:
        """Jobs of all builds of the same backend that have not ended, in these namespaces or (none given) in all."""
        live = 0
        for namespace in namespaces or ("",):
            selector = labels_selector()
            # Those that went well are most of all Jobs there are: the API server need not send them.
            jobs, _ = await self.backends.of(build).list(
                JOBS, "jobs", namespace, selector=selector, field="status.successful=0"
            )
            live += sum(not (job.get("status") or {}).get("conditions") for job in jobs)
        return live

    async def end_jobs(self, build: ImageBuild, why: str) -> None:
        """Stop what still runs for a build that is over, and let what has ended expire."""
        try:
            await self._end_jobs(build, self.backends.of(build), why)
        except (UserError, NotYet) as error:
            # No such backend, or it does not answer: a build may end all the same, and what is left there is swept up.
            log.info("Jobs were not stopped: %s", error, extra={"build": build.metadata.name})

    async def _end_jobs(self, build: ImageBuild, api: JobsApi, why: str) -> None:
        meta = build.metadata
        selector = labels_selector({LABEL_IMAGE_BUILD: label_value(meta.name)})
        jobs, _ = await api.list(JOBS, "jobs", meta.namespace, selector=selector)
        for job in jobs:
            owners = [owner["uid"] for owner in job["metadata"].get("ownerReferences") or []]
            if meta.uid not in owners or "deletionTimestamp" in job["metadata"]:
                continue
            name = job["metadata"]["name"]
            if (job.get("status") or {}).get("conditions"):
                await self._expire(build, name)
            else:
                await api.delete(JOBS, "jobs", meta.namespace, name)
                await self._events.post(build, Reason.CANCELED, f"Job {name} was stopped: {why}")

    async def expire(self, session: Session, job: ObservedJob) -> None:
        """Let a Job and its logs go some time after it ended."""
        await self._expire(session.build, job.name)

    async def _expire(self, build: ImageBuild, name: str) -> None:
        body = {"spec": {"ttlSecondsAfterFinished": build.spec.job_ttl_seconds}}
        await self.backends.of(build).merge(JOBS, "jobs", build.metadata.namespace, name, body)

    async def stop(self, session: Session, action: StopJob) -> None:
        """Delete a Job that is of no use any more."""
        namespace, api = session.build.metadata.namespace, self.backends.of(session.build)
        await api.delete(JOBS, "jobs", namespace, action.job.name, uid=action.job.uid)
        await self._events.post(
            session.build, Reason.CANCELED, f"Job {action.job.name} was stopped: {action.why}"
        )
