"""A build's status as a person reads it in a terminal.

In: `ImageBuildStatus`, the time, whether colours are wanted. Out: lines. The plan looks as werf prints it: sets in order, the
images of each, and below them the stages with what became of them.
"""

from datetime import datetime
from typing import Final

from conveyor.api import conditions
from conveyor.api.names import ConditionType
from conveyor.api.v1alpha1 import ImageBuildStatus, ImageStatus, StageState, StageStatus

_MARKS: Final = {
    StageState.CACHED: ("●", "36"),
    StageState.BUILT: ("✔", "32"),
    StageState.BUILDING: ("▶", "33"),
    StageState.PENDING: ("·", "90"),
    StageState.FAILED: ("✘", "31"),
    StageState.SKIPPED: ("-", "90"),
}


def lines(status: ImageBuildStatus, now: datetime, *, colour: bool) -> list[str]:
    """Return the whole picture."""
    head = [_head(status, colour=colour)]
    if status.plan is None:
        return head
    images = {image.name: image for image in status.images}
    for number, images_set in enumerate(status.plan.sets):
        head.append(f"Set #{number}:")
        for name in images_set.images:
            if name in images:
                head += _image(images[name], now, colour=colour)
    return head + _failure(status, colour=colour)


def _head(status: ImageBuildStatus, *, colour: bool) -> str:
    ready = conditions.find(status.conditions, ConditionType.READY)
    if ready is None:
        return "waiting for the operator"
    code = {"True": "32", "False": "31"}.get(ready.status.value, "33")
    commit = f"commit {status.short_commit}  " if status.short_commit else ""
    first = ready.message.splitlines()[0] if ready.message else ""
    return f"{commit}{_paint(ready.reason, code, colour=colour)}  {first}"


def _image(image: ImageStatus, now: datetime, *, colour: bool) -> list[str]:
    name = image.name or "~"
    ref = f"  {image.ref}" if image.ref else ""
    rows = [f"  {_paint(name, '1', colour=colour)}  {image.state.value}{ref}"]
    rows += [f"    {one.platform}  {one.state.value}  {one.ref or ''}" for one in image.platforms]
    width = max((len(_shown(stage)) for stage in image.stages), default=0)
    rows += [_stage(stage, width, now, colour=colour) for stage in image.stages]
    if image.omitted_stages:
        rows.append(f"    … {image.omitted_stages} more")
    return rows


def _stage(stage: StageStatus, width: int, now: datetime, *, colour: bool) -> str:
    mark, code = _MARKS[stage.state]
    text = (
        f"    {mark} {_shown(stage):<{width}}  {(stage.digest or '')[:12]:<12}  {stage.state.value}"
    )
    seconds = _seconds(stage, now)
    return _paint(text + seconds, code, colour=colour)


def _shown(stage: StageStatus) -> str:
    return f"{stage.name} [{stage.platform}]" if stage.platform else stage.name


def _seconds(stage: StageStatus, now: datetime) -> str:
    if stage.started_at is None or stage.state in (StageState.CACHED, StageState.PENDING):
        return ""
    end = datetime.fromisoformat(stage.finished_at) if stage.finished_at else now
    taken = max(0.0, (end - datetime.fromisoformat(stage.started_at)).total_seconds())
    return f"  {taken:.0f} s"


def _failure(status: ImageBuildStatus, *, colour: bool) -> list[str]:
    failure = status.failure
    if failure is None:
        return []
    where = f"image {failure.image}, stage {failure.stage}: " if failure.stage else ""
    rows = ["", _paint(f"{failure.reason}: {where}{failure.message}", "31", colour=colour)]
    if failure.command:
        rows.append(f"  command: {failure.command}")
    if failure.log_tail:
        rows += [f"  | {line}" for line in failure.log_tail.splitlines()]
    return rows


def _paint(text: str, code: str, *, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text
