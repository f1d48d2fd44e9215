"""contextAddFiles without a work tree: the vector's files, committed; files that are not committed are refused."""

import json
from pathlib import Path

import pytest
from werf_history import git_commit
from werf_replay import Replay

from conveyor.api.errors import UserError
from conveyor.plan.digest import sha256_args

VECTOR = (
    Path(__file__).parent.parent / "data" / "werf-digests" / "dockerfile-context-add-files.json"
)


def load():
    return json.loads(VECTOR.read_text(encoding="utf-8"))


def added_checksums(vector):
    """The checksums of added files that werf hashed, as its trace tells them."""
    nested = [pair for one in vector["trace"].values() for pair in one["nested"].values()]
    return {pair[1] for pair in nested if len(pair) == 2}


@pytest.mark.parametrize("run", [0, 1, 2])
async def test_committed_files_have_the_checksum_of_werf(run, tmp_path):
    vector = load()
    files = vector["runs"][run]["uncommitted"]
    replay = await Replay.start(committed(vector, files, tmp_path), tmp_path)
    result = await replay.plan(replay.vector["runs"][0])
    add, without = (result.image(name).stages[0] for name in ("add", "without"))
    plain = [part.value for part in depends(without).parts]
    salted = [part.value for part in depends(add).parts]
    # werf leaves committed files in the tree's part and hashes them once more.
    assert salted[2] in {sha256_args(plain[2], one) for one in added_checksums(vector)}
    assert salted[:2] + salted[3:] == plain[:2] + plain[3:]


async def test_ignored_files_are_packed_all_the_same(tmp_path):
    vector = load()
    files = vector["runs"][0]["uncommitted"] | {".dockerignore": "gen/out.txt\ngen/dir\n"}
    replay = await Replay.start(committed(vector, files, tmp_path), tmp_path)
    result = await replay.plan(replay.vector["runs"][0])
    block = result.image("add").stages[0].work.block
    assert block.dockerignore == "gen/out.txt\ngen/dir\n!gen/out.txt\n!gen/dir\n"


async def test_files_that_are_not_committed_are_refused(tmp_path):
    replay = await Replay.start(load(), tmp_path)
    with pytest.raises(UserError) as caught:
        await replay.plan(replay.vector["runs"][0])
    assert caught.value.message == (
        "werf.yaml:4: contextAddFiles: gen/out.txt, gen/dir is not in commit "
        "63d30da92ca7e25db845dedca34da7e887b37b5d; there is no work tree here whose uncommitted "
        "files could be added: commit it, or make it in a RUN"
    )


def depends(stage):
    return next(part for part in stage.components if part.label == "StageDependencies")


def committed(vector, files, tmp_path):
    """The vector with a second commit that has these files."""
    commits = [*vector["commits"], {**vector["commits"][0], "parents": [0], "files": files}]
    commits[1]["sha"] = git_commit(commits, tmp_path / "scratch.git")
    return vector | {"commits": commits, "runs": [{"commit": 1, "args": {}, "images": {}}]}
