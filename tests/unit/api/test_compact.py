"""Status stays small, and loses the least important first."""

import pytest

from conveyor.api.compact import compact_status, json_size, status_budget
from conveyor.api.conditions import failed
from conveyor.api.names import Reason, job_name
from conveyor.api.v1alpha1 import (
    Counts,
    FailureStatus,
    ImageBuildStatus,
    ImagesSet,
    ImageState,
    ImageStatus,
    PlanStatus,
    StageState,
    StageStatus,
)

REPO = "registry.example.com:5000/platform/shop"
NOW = "2024-05-06T07:08:09Z"
NAMES = [
    "from",
    "beforeInstall",
    "dependenciesBeforeInstall",
    "gitArchive",
    "install",
    "dependenciesAfterInstall",
    "beforeSetup",
    "setup",
    "gitLatestPatch",
    "dockerInstructions",
]
DIGEST = "0123456789abcdef" * 3 + "01234567"


def stage(name: str, state: StageState) -> StageStatus:
    waits = state in {StageState.PENDING, StageState.CACHED}
    return StageStatus(
        name=name,
        digest=DIGEST[:12],
        state=state,
        job=None if waits else job_name(REPO, DIGEST, 0),
        started_at=None if waits else NOW,
        finished_at=NOW if state in {StageState.BUILT, StageState.FAILED} else None,
    )


def image(number: int, states: list[StageState], state: ImageState) -> ImageStatus:
    ready = state is ImageState.READY
    return ImageStatus(
        name=f"services/backend-{number:03}",
        final=number % 2 == 0,
        state=state,
        ref=f"{REPO}@sha256:{'0123456789abcdef' * 4}" if ready else None,
        tag=f"{DIGEST}-1700000000000" if ready else None,
        stages=tuple(stage(name, it) for name, it in zip(NAMES, states, strict=False)),
    )


def status(images: list[ImageStatus]) -> ImageBuildStatus:
    names = tuple(it.name for it in images)
    return ImageBuildStatus(
        observed_generation=7,
        conditions=failed((), reason=Reason.STAGE_FAILED, message="m" * 300, generation=7, now=NOW),
        commit="0123456789" * 4,
        short_commit="0123456789ab",
        started_at=NOW,
        completed_at=NOW,
        stages="320/320",
        counts=Counts(total=320, cached=0, built=320, building=0, failed=0),
        plan=PlanStatus(sets=(ImagesSet(images=names[:20]), ImagesSet(images=names[20:]))),
        images=tuple(images),
        failure=FailureStatus(
            reason="StageFailed", message="exit code 1", command="make", log_tail="x" * 4096
        ),
    )


def built(images: int, stages: int) -> ImageBuildStatus:
    return status(
        [image(it, [StageState.BUILT] * stages, ImageState.READY) for it in range(images)]
    )


def size(value: ImageBuildStatus) -> int:
    return json_size(value.to_json())


def test_a_status_that_fits_stays_as_it_is() -> None:
    small = built(10, 8)
    assert size(small) <= 25_000
    assert compact_status(small) == small


def test_40_images_of_8_stages_need_at_most_25_kb() -> None:
    whole = built(40, 8)
    assert size(whole) > 25_000
    assert size(compact_status(whole)) <= 25_000


def test_40_images_without_a_failure_keep_every_stage() -> None:
    whole = built(40, 8).model_copy(update={"failure": None, "conditions": ()})
    compact = compact_status(whole)
    assert size(compact) <= 25_000
    assert [len(it.stages) for it in compact.images] == [8] * 40
    assert all(it.ref for it in compact.images)
    assert all(it.stages[-1].digest for it in compact.images)


@pytest.mark.parametrize("state", list(StageState))
def test_200_images_of_10_stages_stay_small_in_every_state(state: StageState) -> None:
    whole = status([image(it, [state] * 10, ImageState.BUILDING) for it in range(200)])
    compact = compact_status(whole)
    assert len(compact.images) == 200
    assert size(compact) <= 512_000
    if state is not StageState.BUILDING and state is not StageState.FAILED:
        assert size(compact) <= status_budget(200)


def test_what_is_going_on_is_told_in_full_while_ready_images_are_not() -> None:
    states = [StageState.BUILT] * 5 + [StageState.BUILDING, StageState.PENDING, StageState.PENDING]
    active = image(99, states, ImageState.BUILDING)
    broken = image(98, [StageState.BUILT, StageState.FAILED], ImageState.FAILED)
    ready = [image(it, [StageState.BUILT] * 8, ImageState.READY) for it in range(38)]
    whole = status([*ready, active, broken]).model_copy(update={"failure": None})
    compact = compact_status(whole)
    by_name = {it.name: it for it in compact.images}
    assert by_name[active.name].stages[5] == active.stages[5]
    assert by_name[broken.name].stages[1] == broken.stages[1]
    assert [it.job for it in by_name[ready[0].name].stages] == [None] * 8


def test_nothing_but_headers_and_failures_is_left_when_there_is_no_room() -> None:
    states = [StageState.BUILT, StageState.FAILED, StageState.SKIPPED]
    compact = compact_status(status([image(0, states, ImageState.FAILED)]), budget=0)
    assert [it.state for it in compact.images[0].stages] == [StageState.FAILED]
    assert compact.images[0].omitted_stages == 2


def test_compacting_twice_changes_nothing_more() -> None:
    once = compact_status(built(60, 10))
    assert compact_status(once) == once


def test_budget_grows_with_images_beyond_40() -> None:
    assert status_budget(1) == status_budget(40) == 25_000
    assert status_budget(41) == 25_625


def test_json_has_no_empty_fields() -> None:
    assert ImageBuildStatus().to_json() == {"observedGeneration": -1}
    small = ImageBuildStatus(observed_generation=2, images=(image(0, [], ImageState.PENDING),))
    assert small.to_json() == {
        "observedGeneration": 2,
        "images": [{"name": "services/backend-000", "state": "Pending"}],
    }


def test_json_is_read_back() -> None:
    whole = built(3, 4)
    assert ImageBuildStatus.model_validate(whole.to_json()) == whole
