"""Stage names, digests and what is found in the repository: equal to werf, vector by vector, run by run."""

import json
from pathlib import Path

import pytest
from werf_replay import Replay, seen

from conveyor.api.errors import UserError

VECTORS = Path(__file__).parent.parent / "data" / "werf-digests"

# What the planner cannot do yet, and which part of it is missing.
NOT_YET: dict[str, str] = {
    "dockerfile-context-add-files": "by design: its files are not committed (test_context_add_files)",
    "error-uncommitted-config": "by design: there is no work tree: a commit is built, never uncommitted files",
    "giterminism-uncommitted": "by design: there is no work tree: a commit is built, never uncommitted files",
}

NAMES = sorted(path.stem for path in VECTORS.glob("*.json"))


def load(name):
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NOT_YET])
async def test_vector(name, tmp_path):
    await check(name, tmp_path)


async def check(name, directory):
    """Replay a vector; fails on the first run that differs."""
    vector = load(name)
    replay = await Replay.start(vector, directory)
    for number, run in enumerate(vector["runs"]):
        if run["error"]:
            with pytest.raises(UserError):
                await replay.plan(run)
            continue
        result = await replay.plan(run)
        expected = {image: expectation["stages"] for image, expectation in run["images"].items()}
        found = seen(result, expected)
        assert found == merge_undetermined(expected, found), f"run {number}"
        replay.build(result, run, timestamp=1_700_000_000_000 + number)
        assert_labels(replay, result, run, number)


def merge_undetermined(expected, found):
    """`cached: null` says that images of one run share the digest: either answer is right."""
    return {
        image: [
            stage | {"cached": found[image][index]["cached"]}
            if stage["cached"] is None and index < len(found[image])
            else stage
            for index, stage in enumerate(stages)
        ]
        for image, stages in expected.items()
    }


def assert_labels(replay, result, run, number):
    """The labels of the last stage that digests of later stages and images are made of."""
    failed = {stage.rpartition("/")[0] for stage in run.get("unstored", ())}
    for name, expectation in run["images"].items():
        if name in failed:
            continue
        found = replay.labels(result.image(name))
        told = expectation.get("labels") or {}
        assert {key: found.get(key) for key in told} == told, f"run {number}: labels of {name}"
