"""Images and stages in a build's status.

In: the plan, the decision, the status before. Out: one `ImageStatus` an image, one `StageStatus` a stage, `Counts`. Of the
status before only Jobs and times are kept, which the cluster forgets when a Job is gone.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from conveyor.api.names import Reason
from conveyor.api.v1alpha1 import (
    Counts,
    ImageBuildStatus,
    ImageState,
    ImageStatus,
    PlatformStatus,
    StageState,
    StageStatus,
)
from conveyor.jobs.decision import Decision, StageView
from conveyor.jobs.run import timestamp
from conveyor.plan.digest import DEFAULT_PLATFORM
from conveyor.plan.model import BuildPlan, PlannedImage, PlannedStage
from conveyor.plan.targets import indexes_of

_DIGEST_SHOWN = 16
_THERE = (StageState.CACHED, StageState.BUILT)

_Key = tuple[str, str | None, str]
"""Image, platform where there are several, stage."""


def image_rows(
    plan: BuildPlan, decision: Decision, references: Mapping[str, str], before: ImageBuildStatus
) -> tuple[ImageStatus, ...]:
    """Images in the order of the plan; platforms and FROM blocks are shown among the stages of their image.

    Args:
        references: Pullable reference by digest of every complete image by its name in the plan, of every index by its tag.
        before: The status of this run so far, empty for a new run.
    """
    times = _times(before)
    indexes = {index.image: index.tag for index in indexes_of(plan)}
    found: dict[str, list[PlannedImage]] = {}
    for image in plan.images:
        if not image.block_of:
            found.setdefault(image.image, []).append(image)
    return tuple(
        _image(
            name,
            [(image, _rows(image, plan, decision, times)) for image in images],
            references,
            indexes.get(name),
        )
        for name, images in found.items()
    )


def _times(status: ImageBuildStatus) -> dict[_Key, StageStatus]:
    return {
        (image.name, stage.platform, stage.name): stage
        for image in status.images
        for stage in image.stages
    }


def _image(
    name: str,
    parts: Sequence[tuple[PlannedImage, list[StageStatus]]],
    references: Mapping[str, str],
    index: str | None,
) -> ImageStatus:
    """Return one image of werf.yaml.

    Args:
        name: In werf.yaml.
        parts: The image of each platform and its stages.
        references: As of `image_rows`.
        index: Tag of the index, "" while it is not known, None where there is none.
    """
    platforms = tuple(_platform(image, rows, references) for image, rows in parts)
    rows = tuple(row for _, rows in parts for row in rows)
    complete = all(one.state is ImageState.READY for one in platforms)
    ready = complete and (index is None or index in references)
    only = platforms[0] if len(platforms) == 1 else None
    return ImageStatus(
        name=name,
        final=parts[0][0].final,
        state=ImageState.READY
        if ready
        else ImageState.BUILDING
        if complete
        else _image_state(rows),
        ref=only.ref if only else references.get(index or ""),
        tag=only.tag if only else (index if ready else None),
        platforms=() if only and only.platform == DEFAULT_PLATFORM else platforms,
        stages=rows,
    )


def _platform(
    image: PlannedImage, rows: Iterable[StageStatus], references: Mapping[str, str]
) -> PlatformStatus:
    last, ready = image.stages[-1].stored, image.ready
    return PlatformStatus(
        platform=image.platform,
        state=ImageState.READY if ready else _image_state(rows),
        ref=references.get(image.name) if ready else None,
        tag=str(last.id) if ready and last else None,
    )


def _rows(
    image: PlannedImage, plan: BuildPlan, decision: Decision, times: Mapping[_Key, StageStatus]
) -> list[StageStatus]:
    """Return the stages of one platform's image, those of its FROM blocks first."""
    platform = None if image.config_name is None else image.platform
    blocks = [it for it in plan.images if it.block_of and it.block_of == image.name]
    rows = [
        _stage(
            (image.image, platform, _row_name(part, stage)),
            stage,
            decision.views[part.name, stage.name],
            times,
        )
        for part in (*blocks, image)
        for stage in part.stages
        if not stage.inner
    ]
    return _finished_blocks(image.image, platform, rows, times) + rows


def _finished_blocks(
    image: str,
    platform: str | None,
    rows: list[StageStatus],
    times: Mapping[_Key, StageStatus],
) -> list[StageStatus]:
    """FROM blocks of this run that the plan names no more, since what needed them is built."""
    shown = {row.name for row in rows}
    return [
        row
        for (name, of, stage), row in times.items()
        if (name, of) == (image, platform)
        and stage not in shown
        and row.state in _THERE
        and stage.endswith(")")
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
    key: _Key,
    stage: PlannedStage,
    view: StageView,
    times: Mapping[_Key, StageStatus],
) -> StageStatus:
    _, platform, name = key
    digest = str(stage.digest)[:_DIGEST_SHOWN] if stage.digest else None
    before = times.get(key)
    if before is not None and (before.digest != digest or view.state is StageState.CACHED):
        before = None
    return StageStatus(
        name=name,
        platform=platform,
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
