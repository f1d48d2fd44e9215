"""A plan and its explanation as a person reads them.

In: `BuildPlan`, `StageChange`s, whether colours are wanted. Out: lines.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from conveyor.cli.plan_json import blocks_of, is_block
from conveyor.cli.questions import open_questions, question_json, question_text
from conveyor.plan.digest import DEFAULT_PLATFORM
from conveyor.plan.explain import Change, Difference, StageChange
from conveyor.plan.model import BuildPlan, PlannedImage, PlannedStage, StageState

Changes = Mapping[tuple[str, str], StageChange]

_COLOURS: Final = {StageState.CACHED: "36", StageState.TO_BUILD: "33", StageState.UNKNOWN: "35"}
_WIDTH: Final = 100
_HASH: Final = re.compile(r"[0-9a-f]{40,64}")
_CHANGED_FILE: Final = re.compile(r"^diff --git a/(.*) b/", re.MULTILINE)
_SHOWN_FILES: Final = 5


def plan_lines(plan: BuildPlan, *, colour: bool) -> Iterator[str]:
    """Yield sets, images and stages."""
    yield from _lines(plan, {}, colour=colour)
    yield from _questions(plan)


def explanation_lines(
    plan: BuildPlan, changes: Sequence[StageChange], *, colour: bool
) -> Iterator[str]:
    """Yield the plan, below every stage why it is another one than before, and last what is gone."""
    by_stage = {(change.image, change.stage): change for change in changes}
    yield from _lines(plan, by_stage, colour=colour)
    for change in changes:
        if change.change is Change.REMOVED:
            yield f"gone: image {shown(change.image)}, stage {change.stage}"
    yield from _questions(plan)


def shown(image: str) -> str:
    """Return an image's name; `~` is the one without a name, as in werf.yaml."""
    return image or "~"


def _lines(plan: BuildPlan, changes: Changes, *, colour: bool) -> Iterator[str]:
    owners = {image.name: image.image for image in plan.images}
    for number, names in enumerate(plan.sets):
        yield f"Set #{number}:"
        for image in plan.images:
            if owners[image.block_of or image.name] in names and not is_block(image):
                yield from _image(image, plan, changes, colour=colour)


def _image(
    image: PlannedImage, plan: BuildPlan, changes: Changes, *, colour: bool
) -> Iterator[str]:
    kind = "" if image.final else "  not final"
    only = image.config_name is None and image.platform == DEFAULT_PLATFORM
    platform = "" if only else f"  {image.platform}"
    yield f"  {_paint(shown(image.image), '1', colour=colour)}{platform}{kind}"
    blocks = [block.stages[0] for block in blocks_of(image, plan)]
    rows = [(f"{stage.image.rpartition('/')[2]}", stage) for stage in blocks]
    rows += [(stage.name, stage) for stage in image.stages]
    width = max(len(name) for name, _ in rows)
    for name, stage in rows:
        yield _stage(f"{name:<{width}}", stage, colour=colour)
        change = changes.get((stage.image, stage.name))
        if change is not None:
            yield from (f"        {line}" for line in _why(change))


def _stage(name: str, stage: PlannedStage, *, colour: bool) -> str:
    state = _paint(stage.state.value, _COLOURS[stage.state], colour=colour)
    question = f"  {question_text(stage.question)}" if stage.question else ""
    return f"    {name}  {stage.digest or '?':<56}  {state}{question}"


def _why(change: StageChange) -> Iterator[str]:
    match change.change:
        case Change.ADDED:
            yield "new stage"
        case Change.AGAIN:
            yield "same digest, but what is stored carries commits that do not lie before this one:"
        case Change.UNKNOWN:
            yield "not comparable: a digest waits for an answer" + (
                "; what differs in any case:" if change.differences else ""
            )
    yield from map(_difference, change.differences)


def _difference(difference: Difference) -> str:
    if difference.note:
        return difference.note
    label = " / ".join(part for part in difference.path if part != "StageDependencies")
    label = label or difference.path[-1]
    if difference.old is None:
        return f"{label}: + {_value(difference.new)}"
    if difference.new is None:
        return f"{label}: - {_value(difference.old)}"
    return f"{label}: {_value(difference.old)} → {_value(difference.new)}"


def _value(value: str | None) -> str:
    text = value or '""'
    if _HASH.fullmatch(text):
        return text[:12]
    files = _CHANGED_FILE.findall(text)
    if files:
        more = f" and {len(files) - _SHOWN_FILES} more" if len(files) > _SHOWN_FILES else ""
        return f"changes of {', '.join(files[:_SHOWN_FILES])}{more}"
    first, *rest = text.splitlines()
    cut = first[:_WIDTH]
    return f"{cut}…" if rest or cut != first else cut


def _questions(plan: BuildPlan) -> Iterator[str]:
    questions = open_questions(plan)
    if not questions:
        return
    yield ""
    yield "Open questions, to be answered under `answers` in the file of --stages (docs/cli.md):"
    for question in questions:
        yield f"  {json.dumps(question_json(question), ensure_ascii=False)}"


def _paint(text: str, code: str, *, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text
