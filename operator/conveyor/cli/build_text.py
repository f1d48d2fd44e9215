"""What `conveyor build` tells.

In: statuses, one after the other. Out: a line for everything that is new: a stage that is cached, begins, is built or has
failed, with its number; why nothing goes on; at the end what failed, with the command and the end of its log; the
outcome as JSON.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from conveyor.api import conditions
from conveyor.api.names import ConditionType, Reason
from conveyor.api.v1alpha1 import (
    FailureStatus,
    ImageBuild,
    ImageBuildStatus,
    StageState,
    StageStatus,
)
from conveyor.cli.local_words import without_cluster

_WORDS: Final = {
    StageState.CACHED: ("●", "cached", "36"),
    StageState.BUILDING: ("▶", "building", "33"),
    StageState.BUILT: ("✔", "built", "32"),
    StageState.FAILED: ("✘", "failed", "31"),
    StageState.SKIPPED: ("-", "skipped", "90"),
}
_GOES_ON: Final = frozenset({Reason.PLANNING.value, Reason.PROGRESSING.value})


class Progress:
    """Remembers what was told."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour
        self._told: dict[tuple[str, str], StageState] = {}
        self._jobs: dict[str, str] = {}
        self._head = ""
        self._waits = ""

    def lines(self, status: ImageBuildStatus) -> Iterator[str]:
        """Yield what is new."""
        yield from self._plan(status)
        rows = [(image.name, stage) for image in status.images for stage in image.stages]
        for number, (image, stage) in enumerate(rows, 1):
            label = f"[{number}/{len(rows)}] {_name(image, stage)}"
            if stage.job and stage.state is StageState.BUILDING:
                self._jobs[stage.job] = label
            key = (image, f"{stage.platform} {stage.name}")
            if stage.state in _WORDS and self._told.get(key) is not stage.state:
                self._told[key] = stage.state
                yield self._stage(label, stage)
        yield from self._waiting(status)

    def log(self, job: str, line: str) -> str:
        """Return a line that a command of a Job wrote."""
        return f"{self._jobs.get(job, job)} | {line}"

    def _plan(self, status: ImageBuildStatus) -> Iterator[str]:
        if status.plan is None or self._head == status.commit:
            return
        self._head = status.commit or ""
        yield f"commit {status.commit}"
        for number, found in enumerate(status.plan.sets):
            yield f"Set #{number}: {', '.join(name or '~' for name in found.images)}"

    def _waiting(self, status: ImageBuildStatus) -> Iterator[str]:
        """Why nothing goes on: what is not a matter of planning or counting stages."""
        ready = conditions.find(status.conditions, ConditionType.READY)
        waits = ""
        if ready is not None and ready.reason not in _GOES_ON and ready.status.value != "True":
            waits = without_cluster(ready.message)
        if waits and waits != self._waits and status.failure is None:
            yield f"… {ready.reason if ready else ''}: {waits}"
        self._waits = waits

    def _stage(self, label: str, stage: StageStatus) -> str:
        mark, word, code = _WORDS[stage.state]
        text = f"{mark} {label}  {word}"
        if stage.state in (StageState.BUILT, StageState.FAILED):
            text += _seconds(stage)
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text


def _name(image: str, stage: StageStatus) -> str:
    platform = f" {stage.platform}" if stage.platform else ""
    return f"{image or '~'}/{stage.name}{platform}"


def failure_lines(build: ImageBuild) -> Iterator[str]:
    """Yield why a build failed."""
    failure = build.status.failure
    if failure is None:
        ready = conditions.find(build.status.conditions, ConditionType.READY)
        told = without_cluster(ready.message) if ready else ""
        yield f"{ready.reason}: {told}" if ready else "it did not begin"
        return
    where = f"image {failure.image}, stage {failure.stage}: " if failure.stage else ""
    yield f"{failure.reason}: {where}{without_cluster(failure.message)}"
    if failure.command:
        yield f"  command: {failure.command}"
    if failure.exit_code is not None:
        yield f"  exit code: {failure.exit_code}"
    for line in (failure.log_tail or "").splitlines():
        yield f"  | {line}"


def document(build: ImageBuild) -> dict[str, Any]:
    """Return the outcome as JSON-like data."""
    status = build.status
    failure = status.failure
    return {
        "commit": status.commit,
        "ready": conditions.is_true(status.conditions, "Ready"),
        "images": [
            {
                "name": image.name,
                "final": image.final,
                "ref": image.ref,
                "tag": image.tag,
                "state": image.state.value,
                "stages": [_stage_document(stage) for stage in image.stages],
            }
            for image in status.images
        ],
        "failure": _failure_document(failure) if failure else None,
    }


def _failure_document(failure: FailureStatus) -> dict[str, Any]:
    found = failure.model_dump(mode="json", by_alias=True)
    return found | {"message": without_cluster(failure.message)}


def _stage_document(stage: StageStatus) -> dict[str, Any]:
    return {
        "name": stage.name,
        "digest": stage.digest,
        "state": stage.state.value,
        "startedAt": stage.started_at,
        "finishedAt": stage.finished_at,
    }


def _seconds(stage: StageStatus) -> str:
    if not (stage.started_at and stage.finished_at):
        return ""
    begin, end = map(datetime.fromisoformat, (stage.started_at, stage.finished_at))
    return f" in {max(0.0, (end - begin).total_seconds()):.0f} s"
