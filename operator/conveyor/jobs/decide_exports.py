"""Files that a stage needs from other images: recorded, exported by a Job, or to be exported.

In: the decision being made and a stage. Out: the view of a stage that waits for files, None when all are there; actions
that record exports or start Jobs for them.
"""

from conveyor.api.v1alpha1 import StageState as ViewState
from conveyor.jobs import exports, lineage
from conveyor.jobs.decision import RecordExport, Situation, StageView, StartJob
from conveyor.jobs.draft import Draft
from conveyor.jobs.model import AssemblyResult, Export, ExportResult, ObservedJob
from conveyor.jobs.starting import attempt
from conveyor.plan.model import PlannedStage


def decide_exports(draft: Draft, stage: PlannedStage) -> StageView | None:
    """Get the files that the stage needs from other images; None when all are there."""
    missing = missing_exports(draft.situation, stage)
    if not missing:
        return None
    views = [_decide_export(draft, export) for export in missing]
    failed = [view for view in views if view.state is ViewState.FAILED]
    return (failed or views)[0]


def _decide_export(draft: Draft, export: Export) -> StageView:
    situation = draft.situation
    if not exports.source_ready(export, situation.plan):
        return StageView(state=ViewState.PENDING)
    jobs = _exporting_jobs(situation, export)
    for job in jobs:
        result = _export_result(job, export)
        if result is not None:
            if export.key not in draft.claimed:
                draft.claimed.add(export.key)
                draft.actions.append(RecordExport(export=export, result=result))
            return StageView(state=ViewState.PENDING, job=job)
    return attempt(draft, jobs, StartJob(image="", stages=(), exports=(export,)))


def _exporting_jobs(situation: Situation, export: Export) -> tuple[ObservedJob, ...]:
    jobs = [
        job
        for job in situation.jobs
        if export.key in job.exports.values() and not job.deleting and not _left_out(job, export)
    ]
    if export.external:
        return tuple(job for job in jobs if not job.digests)
    stored = exports.source_stage(export, situation.plan).stored
    image = situation.plan.image(export.source)
    return tuple(
        job
        for job in jobs
        if (
            lineage.built_image(situation.plan, image, job)
            if job.digests
            else stored is not None and job.parent == stored.manifest_digest
        )
    )


def _left_out(job: ObservedJob, export: Export) -> bool:
    """Whether the Job had something mounted where the files are, and does not see what the image has there."""
    found = job.result.exports
    return bool(job.digests) and any(
        key == export.key and local in found and found[local] is None
        for local, key in job.exports.items()
    )


def _export_result(job: ObservedJob, export: Export) -> ExportResult | None:
    found = result_of(job, export.key)
    return found if isinstance(found, ExportResult) else None


def result_of(job: ObservedJob, key: str) -> ExportResult | AssemblyResult | None:
    """Return what a Job has delivered under a key."""
    for local, name in job.exports.items():
        if name == key:
            return job.result.exports.get(local)
    return None


def missing_exports(situation: Situation, stage: PlannedStage) -> tuple[Export, ...]:
    """What the stage needs and nobody has recorded yet."""
    return tuple(
        export
        for export in exports.exports_of(stage, situation.plan)
        if not _recorded(situation, export)
    )


def _recorded(situation: Situation, export: Export) -> bool:
    bundle = situation.bundles.get(export.key)
    return bundle is not None and exports.fits(bundle, export, situation.plan)
