"""A plan and its explanation as JSON: an API for programs, described in docs/cli.md.

In: `BuildPlan`, `StageChange`s. Out: dicts ready to be dumped. The blocks of a Dockerfile that is one stage for werf are
no images of their own here: they stand in `blocks` of their image.
"""

from collections.abc import Sequence
from typing import Final

from conveyor.cli.questions import import_question, open_questions, question_json
from conveyor.plan.blocks import STAGE as WHOLE_DOCKERFILE
from conveyor.plan.explain import Change, Difference, StageChange
from conveyor.plan.model import BuildPlan, PlannedImage, PlannedStage
from conveyor.plan.model_sources import PlannedImport

MAX_VALUE: Final = 10_000


def plan_json(commit: str, plan: BuildPlan) -> dict[str, object]:
    """Return a plan."""
    return {
        "commit": commit,
        "project": plan.project,
        "sets": [list(names) for names in plan.sets],
        "images": [_image(image, plan) for image in plan.images if not is_block(image)],
        "questions": [question_json(question) for question in open_questions(plan)],
    }


def is_block(image: PlannedImage) -> bool:
    """Whether this is a FROM block of a Dockerfile that werf builds in one go."""
    return bool(image.block_of) and image.stages[0].name == WHOLE_DOCKERFILE


def blocks_of(image: PlannedImage, plan: BuildPlan) -> list[PlannedImage]:
    """Return the blocks that an image is built from, in order."""
    return [other for other in plan.images if other.block_of == image.name and is_block(other)]


def explanation_json(old_commit: str, changes: Sequence[StageChange]) -> dict[str, object]:
    """Return an explanation; stages that are the same are left out."""
    rows = [_change(change) for change in changes if change.change is not Change.SAME]
    return {"from": old_commit, "stages": rows}


def _image(image: PlannedImage, plan: BuildPlan) -> dict[str, object]:
    blocks = [
        {
            "name": block.image,
            **({"platform": block.platform} if block.platform != image.platform else {}),
            "stages": [_stage(stage) for stage in block.stages],
        }
        for block in blocks_of(image, plan)
    ]
    return {
        "name": image.image,
        "platform": image.platform,
        "final": image.final,
        "stages": [_stage(stage) for stage in image.stages],
        **({"blocks": blocks} if blocks else {}),
    }


def _stage(stage: PlannedStage) -> dict[str, object]:
    imports = [_import(item) for item in stage.work.imports]
    return {
        "name": stage.name,
        "digest": stage.digest,
        "state": stage.state.value,
        "question": question_json(stage.question) if stage.question else None,
        **({"stageId": str(stage.stored.id)} if stage.stored else {}),
        **({"imports": imports} if imports else {}),
    }


def _import(item: PlannedImport) -> dict[str, object]:
    question = import_question(item)
    return {
        "image": item.import_.image,
        "importId": item.import_id,
        "checksum": item.checksum or None,
        "question": question_json(question) if question else None,
    }


def _change(change: StageChange) -> dict[str, object]:
    return {
        "image": change.config_name,
        "platform": change.platform,
        "name": change.stage,
        "change": change.change.value,
        "oldDigest": change.old.digest if change.old else None,
        "newDigest": change.new.digest if change.new else None,
        "differences": [_difference(difference) for difference in change.differences],
    }


def _difference(difference: Difference) -> dict[str, object]:
    return {
        "path": list(difference.path),
        "old": _cut(difference.old),
        "new": _cut(difference.new),
        **({"note": difference.note} if difference.note else {}),
    }


def _cut(value: str | None) -> str | None:
    return value if value is None or len(value) <= MAX_VALUE else f"{value[:MAX_VALUE]}…"
