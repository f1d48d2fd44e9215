"""Keep status small: 25 kB for 40 images, whatever was built.

In: a complete `ImageBuildStatus` and a budget in bytes of compact JSON. Out: the same status, or
one without some details of stages, dropped in a fixed order: what is over goes before what is going
on, and failures stay to the end. What can be found elsewhere goes first: a finished Job by its
labels, a stored stage in the repository.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

from conveyor.api.status import ImageBuildStatus, ImageState, ImageStatus, StageState, StageStatus

BASE_BUDGET = 25_000
"""Bytes for a build of up to 40 images."""
BASE_IMAGES = 40
BYTES_PER_FURTHER_IMAGE = 625

_OVER = frozenset({StageState.CACHED, StageState.BUILT})
_QUIET = _OVER | {StageState.PENDING, StageState.SKIPPED}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One way to make an image's entry smaller, for the images it applies to."""

    applies: Callable[[ImageStatus], bool]
    shrink: Callable[[ImageStatus], ImageStatus]


def status_budget(images: int) -> int:
    """Bytes that the status of a build of that many images (each platform is one) may have."""
    return BASE_BUDGET + BYTES_PER_FURTHER_IMAGE * max(0, images - BASE_IMAGES)


def json_size(data: object) -> int:
    """Bytes of compact JSON."""
    return len(json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode())


def compact_status(status: ImageBuildStatus, budget: int | None = None) -> ImageBuildStatus:
    """Drop details until the status fits.

    Args:
        status: Everything that is known.
        budget: Bytes of compact JSON; `status_budget()` of its images by platform when None.

    Returns:
        The status as it was when it fits, else a smaller one. When not even the images without
        stages fit, the smallest there is: no image is ever left out.
    """
    rows = sum(max(1, len(image.platforms)) for image in status.images)
    room = status_budget(rows) if budget is None else budget
    excess = json_size(status.to_json()) - room
    images = list(status.images)
    for step in _STEPS:
        for index, image in enumerate(images):
            if excess <= 0:
                break
            if step.applies(image):
                images[index] = step.shrink(image)
                excess -= _size(image) - _size(images[index])
    return status.model_copy(update={"images": tuple(images)})


def _size(image: ImageStatus) -> int:
    return json_size(ImageBuildStatus(images=(image,)).to_json())


def _without(field: str) -> Callable[[ImageStatus], ImageStatus]:
    """Forget a field of all stages that are over."""

    def shrink(image: ImageStatus) -> ImageStatus:
        return _with_stages(
            image,
            [
                it.model_copy(update={field: None}) if it.state in _OVER else it
                for it in image.stages
            ],
        )

    return shrink


def _without_inner_digests(image: ImageStatus) -> ImageStatus:
    """Forget the digests of stages that are over, but the last one's."""
    inner = [
        it.model_copy(update={"digest": None}) if it.state in _OVER else it
        for it in image.stages[:-1]
    ]
    return _with_stages(image, [*inner, *image.stages[-1:]])


def _without_quiet_stages(image: ImageStatus) -> ImageStatus:
    """Keep only stages that are being built or failed, and say how many are not listed."""
    loud = [it for it in image.stages if it.state not in _QUIET]
    omitted = len(image.stages) - len(loud) + (image.omitted_stages or 0)
    return _with_stages(image, loud).model_copy(update={"omitted_stages": omitted or None})


def _without_tag(image: ImageStatus) -> ImageStatus:
    platforms = [it.model_copy(update={"tag": None}) for it in image.platforms]
    return image.model_copy(update={"tag": None, "platforms": tuple(platforms)})


def _with_stages(image: ImageStatus, stages: list[StageStatus]) -> ImageStatus:
    return image.model_copy(update={"stages": tuple(stages)})


def _ready(image: ImageStatus) -> bool:
    return image.state is ImageState.READY


def _waiting(image: ImageStatus) -> bool:
    return image.state in {ImageState.PENDING, ImageState.SKIPPED}


def _any(_: ImageStatus) -> bool:
    return True


_STEPS = (
    _Step(applies=_ready, shrink=_without("job")),
    _Step(applies=_ready, shrink=_without("started_at")),
    _Step(applies=_any, shrink=_without("job")),
    _Step(applies=_any, shrink=_without("started_at")),
    _Step(applies=_any, shrink=_without("finished_at")),
    _Step(applies=_ready, shrink=_without_inner_digests),
    _Step(applies=_any, shrink=_without_inner_digests),
    _Step(applies=_ready, shrink=_without_tag),
    _Step(applies=_ready, shrink=_without_quiet_stages),
    _Step(applies=_waiting, shrink=_without_quiet_stages),
    _Step(applies=_any, shrink=_without_quiet_stages),
)
