"""What storage would hold if a plan were built: for tests, dry runs and "what would the next commit do".

In: a `BuildPlan` without Unknown stages, and a time. Out: the stages as they would be found, labels included.
"""

from collections.abc import Mapping, Sequence

from conveyor.plan import labels
from conveyor.plan.answers import StageDesc, StageDigest, StageID
from conveyor.plan.image_config_spec import spec_labels
from conveyor.plan.model import BuildPlan, ImageBase, PlannedImage, PlannedStage, StageState
from conveyor.plan.questions import StageInfo


def assume_built(plan: BuildPlan, *, timestamp: int) -> tuple[StageDesc, ...]:
    """Return the stages that building the plan adds, all created at one time.

    Two images with the same stage to build give one stored stage, as the lock of a digest guarantees, unless
    labels tell them apart.

    Args:
        plan: What is to be built.
        timestamp: Creation time in Unix milliseconds; the second stage of a digest is one younger.
    """
    built: dict[StageDigest, list[StageDesc]] = {}
    last: dict[str, StageDesc] = {}
    for image in plan.images:
        for stage, desc in _build(image, last, built, timestamp):
            last[image.name] = desc
            of_digest = built.setdefault(desc.id.digest, [])
            if stage.state is StageState.TO_BUILD and desc not in of_digest:
                of_digest.append(desc)
    return tuple(desc for of_digest in built.values() for desc in of_digest)


def answers_for(stages: tuple[StageDesc, ...]) -> dict[StageInfo, StageDesc]:
    """Return the answers that these stages are."""
    return {StageInfo(id=stage.id): stage for stage in stages}


def _build(
    image: PlannedImage,
    last: Mapping[str, StageDesc],
    built: Mapping[StageDigest, Sequence[StageDesc]],
    timestamp: int,
) -> list[tuple[PlannedStage, StageDesc]]:
    rows: list[tuple[PlannedStage, StageDesc]] = []
    first = image.stages[0].base
    parent = last.get(first.image) if isinstance(first, ImageBase) else None
    for stage in image.stages:
        if stage.digest is None:
            break
        of_digest = built.get(stage.digest, ())
        serving = next((desc for desc in of_digest if _serves(desc, stage)), None)
        desc = stage.stored or serving or _desc(stage, parent, timestamp + len(of_digest))
        rows.append((stage, desc))
        parent = desc
    return rows


def _serves(desc: StageDesc, stage: PlannedStage) -> bool:
    spec = stage.work.image_spec
    return spec is None or spec.labels.items() <= desc.labels.items()


def _desc(stage: PlannedStage, parent: StageDesc | None, timestamp: int) -> StageDesc:
    if stage.digest is None or stage.content_digest is None:
        raise AssertionError(f"stage {stage.name} of {stage.image!r} cannot be built yet")
    added = {**stage.work.labels, labels.CONTENT_DIGEST: stage.content_digest}
    if parent is not None:
        added[labels.PARENT_STAGE_ID] = str(parent.id)
    all_labels = labels.merged(parent.labels if parent else {}, added)
    spec = stage.work.image_spec
    return StageDesc(
        id=StageID(digest=stage.digest, timestamp=timestamp),
        manifest_digest=f"sha256:{stage.digest:0>64}",
        image_id=f"sha256:{stage.digest:0>64}",
        labels=spec_labels(all_labels, spec) if spec else all_labels,
    )
