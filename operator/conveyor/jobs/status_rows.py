"""Images and stages in a build's status.

In: the plan, the decision, the status before. Out: one `ImageStatus` an image, one `StageStatus` a stage, `Counts`. Of the
status before only Jobs and times are kept, which the cluster forgets when a Job is gone.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from conveyor.api.names import Reason
from conveyor.api.v1alpha1 import (
    Counts,
    ImageBuildStatus,
    ImageState,
    ImageStatus,
    StageState,
    StageStatus,
)
from conveyor.jobs.decision import Decision, StageView
from conveyor.jobs.run import timestamp
from conveyor.plan.model import BuildPlan, PlannedImage, PlannedStage

_DIGEST_SHOWN = 16
_THERE = (StageState.CACHED, StageState.BUILT)


def image_rows(
    plan: BuildPlan, decision: Decision, references: Mapping[str, str], before: ImageBuildStatus
) -> tuple[ImageStatus, ...]:
    """Images in the order of the plan; a FROM block is shown among the stages of its image.

    Args:
        references: Pullable reference by digest of every complete image, by name.
        before: The status of this run so far, empty for a new run.
    """
    times = _times(before)
    return tuple(
        _image(image, plan, decision, references, times)
        for image in plan.images
        if not image.block_of
    )


def _times(status: ImageBuildStatus) -> dict[tuple[str, str], StageStatus]:
    return {(image.name, stage.name): stage for image in status.images for stage in image.stages}


def _image(
    image: PlannedImage,
    plan: BuildPlan,
    decision: Decision,
    references: Mapping[str, str],
    times: Mapping[tuple[str, str], StageStatus],
) -> ImageStatus:
    blocks = [block for block in plan.images if block.block_of == image.name]
    rows = [
        _stage(
            image.name, _row_name(part, stage), stage, decision.views[part.name, stage.name], times
        )
        for part in (*blocks, image)
        for stage in part.stages
        if not stage.inner
    ]
    rows = _finished_blocks(image.name, rows, times) + rows
    last = image.stages[-1].stored
    ready = image.ready
    return ImageStatus(
        name=image.name,
        final=image.final,
        state=ImageState.READY if ready else _image_state(rows),
        ref=references.get(image.name) if ready else None,
        tag=str(last.id) if ready and last else None,
        stages=tuple(rows),
    )


def _finished_blocks(
    image: str, rows: list[StageStatus], times: Mapping[tuple[str, str], StageStatus]
) -> list[StageStatus]:
    """FROM blocks of this run that the plan names no more, since what needed them is built."""
    shown = {row.name for row in rows}
    return [
        row
        for (name, stage), row in times.items()
        if name == image and stage not in shown and row.state in _THERE and stage.endswith(")")
    ]


def _row_name(part: PlannedImage, stage: PlannedStage) -> str:
    """A FROM block is shown below its image, by its own name: `dockerfile (builder)`."""
    return f"{stage.name} ({part.name.rpartition('/')[2]})" if part.block_of else stage.name


def _image_state(rows: Iterable[StageStatus]) -> ImageState:
    states = {row.state for row in rows}
    for state in (StageState.FAILED, StageState.SKIPPED, StageState.BUILDING):
        if state in states:
            return ImageState(state.value)
    return ImageState.PENDING if StageState.BUILT not in states else ImageState.BUILDING


def _stage(
    image: str,
    name: str,
    stage: PlannedStage,
    view: StageView,
    times: Mapping[tuple[str, str], StageStatus],
) -> StageStatus:
    digest = str(stage.digest)[:_DIGEST_SHOWN] if stage.digest else None
    before = times.get((image, name))
    if before is not None and (before.digest != digest or view.state is StageState.CACHED):
        before = None
    return StageStatus(
        name=name,
        digest=digest,
        state=view.state,
        job=view.job.name if view.job else before.job if before else None,
        started_at=_started(view) or (before.started_at if before else None),
        finished_at=_finished(stage, view),
        reason=_reason(view),
    )


def _reason(view: StageView) -> str | None:
    if view.failure is not None:
        return view.failure.reason.value
    return Reason.DEPENDENCY_FAILED.value if view.state is StageState.SKIPPED else None


def _started(view: StageView) -> str | None:
    return (view.job.started_at or view.job.created_at) if view.job else None


def _finished(stage: PlannedStage, view: StageView) -> str | None:
    if view.state is StageState.BUILT and stage.stored is not None:
        return timestamp(datetime.fromtimestamp(stage.stored.id.timestamp / 1000, UTC))
    if view.state is StageState.FAILED and view.job is not None:
        return view.job.finished_at or None
    return None


def counts_of(images: Iterable[ImageStatus]) -> Counts:
    """How many stages there are, by state."""
    states = [stage.state for image in images for stage in image.stages]
    return Counts(
        total=len(states),
        cached=states.count(StageState.CACHED),
        built=states.count(StageState.BUILT),
        building=states.count(StageState.BUILDING),
        failed=states.count(StageState.FAILED),
    )
