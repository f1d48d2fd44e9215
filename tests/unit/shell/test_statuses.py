"""What an error in the middle of a look finds: the build as the look has left it."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, arg-type"

import pytest

from conveyor.api.errors import NotYet
from conveyor.api.v1alpha1 import ImageBuild, ImageBuildStatus, RemoteStatus
from conveyor.jobs.run import Run
from conveyor.shell.statuses import Statuses

STARTED = "2024-01-01T00:00:00.000Z"
COMMIT = "1" * 40
REMOTE = {"url": "https://h/x", "branch": "main", "commit": "2" * 40}


def body(*, generation=1, started=STARTED, requested="", uid="u"):
    annotations = {"conveyor.dev/requestedAt": requested} if requested else {}
    status = {"observedGeneration": 1, "startedAt": started, "commit": COMMIT, "remotes": [REMOTE]}
    return {
        "metadata": {
            "name": "shop",
            "namespace": "team",
            "uid": uid,
            "generation": generation,
            "annotations": annotations,
        },
        "spec": {"repo": "r.example/x", "config": "-"},
        "status": status,
    }


class Cluster:
    def __init__(self, there):
        self.there = there

    async def get(self, *_):
        return self.there


BEFORE = ImageBuild.from_object({**body(), "status": {}})
RUN = Run(generation=1, requested_at=None, started_at=STARTED)


async def recorded(there):
    return await Statuses(Cluster(there)).recorded(BEFORE, RUN)


async def test_commits_that_the_look_has_recorded_are_kept():
    build, run = await recorded(body())
    assert build.status.commit == COMMIT
    assert (run.commit, run.remotes) == (COMMIT, (RemoteStatus.model_validate(REMOTE),))


async def test_a_new_request_is_not_taken_for_handled():
    _, run = await recorded(body(requested="now"))
    assert (run.requested_at, run.commit) == (None, COMMIT)


async def test_another_run_or_another_build_says_nothing_about_this_one():
    for there in (
        body(started="2025-01-01T00:00:00.000Z"),
        None,
        body(generation=2),
        body(uid="v"),
    ):
        _, run = await recorded(there)
        assert run == RUN


class Writing(Cluster):
    """Answers a write with what is there by then."""

    async def put_status(self, *args):
        self.there = {**self.there, "status": args[-1]}
        self.there["metadata"] = {**self.there["metadata"], "resourceVersion": "7"}
        return self.there


async def written(there):
    statuses = Statuses(Writing(there))
    await statuses.write(BEFORE, ImageBuildStatus(commit=COMMIT))
    return statuses


async def test_events_of_our_own_writes_are_known():
    statuses = await written(body())
    assert statuses.wrote("u", "7")
    assert not statuses.wrote("u", "8")
    assert not statuses.wrote("other", "7")


async def test_a_write_upon_a_new_wish_is_no_write_of_ours_alone():
    gone = body()
    gone["metadata"]["deletionTimestamp"] = "now"
    for there in (body(generation=2), body(requested="now"), gone):
        assert not (await written(there)).wrote("u", "7")


async def test_a_refreshed_build_is_as_it_was_written():
    build = await Statuses(Writing(body())).refresh(BEFORE, ImageBuildStatus(commit=COMMIT))
    assert build.status.commit == COMMIT
    with pytest.raises(NotYet):
        await Statuses(Writing(body(generation=2))).refresh(BEFORE, ImageBuildStatus(commit=COMMIT))


async def test_nothing_is_written_that_is_there():
    build = await Statuses(Cluster(body())).refresh(BEFORE, BEFORE.status)
    assert build.status.commit == COMMIT
