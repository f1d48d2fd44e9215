"""Selection: the conformance cases of werf-semantics §6, by number, on histories that are really made.

Not here: case 4 (rejected) is pitfall 11 in test_cases_16.py; case 5 (secondary repositories) is
tests/unit/adapters/test_secondary_repos.py and, in the cluster, tests/cluster/test_repositories.py. Two branches in the
cluster, at the same time: tests/cluster/test_branches.py.
"""

import pytest
from planning import META, History, World, names, stage, states

from conveyor.api.errors import UserError
from conveyor.plan import labels
from conveyor.plan.answers import StageDesc, StageID
from conveyor.plan.buildable import check_built

WERF = META + "image: a\nfrom: alpine:3.18\ngit: [{add: /src, to: /app}]\n"


async def branches(folder):
    """1 and 2 are branches of 0 with equal trees, 3 follows 2, 4 is unrelated and has the same tree."""
    (folder / "scratch").mkdir()
    tree = {"werf.yaml": WERF, "src/f": "0\n"}
    changed = {"src/f": "1\n"}
    return await History.make(
        [
            {"files": tree},
            {"files": changed, "parents": [0], "message": "one branch"},
            {"files": changed, "parents": [0], "message": "other branch"},
            {"files": {"src/f": "2\n"}, "parents": [2]},
            {"files": {**tree, **changed}, "parents": [], "message": "unrelated"},
        ],
        folder,
    )


async def test_case_1_the_oldest_of_which_the_commit_is_an_ancestor(tmp_path):
    history = await branches(tmp_path)
    await history.build(1, timestamp=100)
    first = stage(await history.build(2, timestamp=200), "gitArchive")
    assert first.state == "ToBuild"  # the same digest as that of commit 1, but another branch
    ids = sorted(one.timestamp for one in history.replay.stored if one.digest == first.digest)
    assert ids == [100, 200]
    assert stage(await history.plan(3), "gitArchive").stored.id.timestamp == 200
    await history.build(0, timestamp=300)  # an ancestor of both, but younger
    assert stage(await history.plan(3), "gitArchive").stored.id.timestamp == 200
    assert stage(await history.plan(1), "gitArchive").stored.id.timestamp == 100


async def test_case_2_a_commit_that_is_gone_is_passed_over(tmp_path):
    history = await branches(tmp_path)
    await history.build(0, timestamp=100)
    (old,) = [one for one in history.replay.stored if one.digest == digest_of(history)]
    gone = {
        name: "9" * 40 if text == history.sha(0) else text for name, text in described(history, old)
    }
    history.replay.stored[old] = StageDesc(id=old, manifest_digest="sha256:1", labels=gone)
    again = stage(await history.build(0, timestamp=200), "gitArchive")
    assert (again.state, again.digest) == ("ToBuild", old.digest)
    found = stage(await history.plan(0), "gitArchive").stored
    assert found.id.timestamp == 200


def digest_of(history):
    found = [
        one
        for one, desc in history.replay.stored.items()
        if any("werf-git" in n for n in desc.labels)
    ]
    return found[0].digest


def described(history, one):
    return history.replay.stored[one].labels.items()


@pytest.mark.parametrize("other", [2, 4])
async def test_case_3_equal_trees_on_diverged_branches_share_no_git_stage(tmp_path, other):
    history = await branches(tmp_path)
    await history.build(1, timestamp=100)
    assert states(await history.plan(other)) == {"from": "Cached", "gitArchive": "ToBuild"}


async def test_what_a_common_ancestor_built_is_shared(tmp_path):
    history = await branches(tmp_path)
    await history.build(0, timestamp=100)
    patched = {"from": "Cached", "gitArchive": "Cached", "gitLatestPatch": "ToBuild"}
    for branch in (1, 2):
        assert states(await history.plan(branch)) == patched
    assert states(await history.plan(4)) == {"from": "Cached", "gitArchive": "ToBuild"}


async def test_patches_of_two_branches_have_one_digest_and_are_two_stages(tmp_path):
    history = await branches(tmp_path)
    await history.build(0, timestamp=100)
    one = stage(await history.build(1, timestamp=200), "gitLatestPatch")
    two = stage(await history.build(2, timestamp=300), "gitLatestPatch")
    assert (one.digest, one.state, two.state) == (two.digest, "ToBuild", "ToBuild")
    follows = await history.plan(3)
    assert names(follows) == ["from", "gitArchive", "gitLatestPatch"]


def test_case_6_stages_are_required():
    world = World("image: a\nfrom: alpine:3.18\nshell: {install: [make], setup: [make]}\n")
    with pytest.raises(UserError, match=r"stages required(.|\n)*image 'a': from, install, setup"):
        check_built(world.plan())
    world.build()
    check_built(world.plan())


def test_case_7_one_older_than_its_parent_is_ignored():
    """L12 and V2 ignore it; one that says it was built on that parent is used (test_cases_16.py, case 3)."""
    world = World("image: a\nfrom: alpine:3.18\nshell: {install: [make]}\n")
    found = world.build(timestamp=500)
    install = stage(found, "install")
    (old,) = [one for one in world.stored if one.digest == install.digest]
    del world.stored[old]
    early = StageID(digest=old.digest, timestamp=400)
    content = {labels.CONTENT_DIGEST: "c" * 56}
    world.stored[early] = StageDesc(id=early, manifest_digest="sha256:1", labels=content)
    assert states(world.plan()) == {"from": "Cached", "install": "ToBuild"}


# --- virtual merges (§8.8) --------------------------------------------------------------------------------------------


async def merges(folder):
    """1 and 2 are branches of 0, 3 merges 2 into 1; 4 follows 2, 5 merges 4 into 1; 6 is a plain commit on 1."""
    (folder / "scratch").mkdir()
    return await History.make(
        [
            {"files": {"werf.yaml": WERF, "src/f": "0\n", "src/g": "0\n"}},
            {"files": {"src/f": "1\n"}, "parents": [0]},
            {"files": {"src/g": "1\n"}, "parents": [0]},
            {"files": {"src/g": "1\n"}, "parents": [1, 2]},
            {"files": {"src/g": "2\n"}, "parents": [2]},
            {"files": {"src/g": "2\n"}, "parents": [1, 4]},
            {"files": {"src/f": "3\n"}, "parents": [1]},
        ],
        folder,
    )


async def test_a_stage_of_a_virtual_merge_serves_the_next_one_by_the_commit_it_merged_from(
    tmp_path,
):
    history = await merges(tmp_path)
    await history.build(3, "--virtual-merge", timestamp=100)
    after = await history.plan(5, "--virtual-merge")
    assert states(after) == {"from": "Cached", "gitArchive": "Cached", "gitLatestPatch": "ToBuild"}
    (patch,) = stage(after, "gitLatestPatch").work.patches
    assert (patch.from_commit, patch.commit) == (history.sha(3), history.sha(5))
    # On the target branch nothing of the pull request has been merged yet.
    assert states(await history.plan(6)) == {"from": "Cached", "gitArchive": "ToBuild"}


async def test_the_target_branch_serves_no_virtual_merge(tmp_path):
    """Its commits are no ancestors of the one that is merged from (werf: ancestry by the from commit)."""
    history = await merges(tmp_path)
    await history.build(1, timestamp=100)
    assert states(await history.plan(3))["gitArchive"] == "Cached"
    assert states(await history.plan(3, "--virtual-merge"))["gitArchive"] == "ToBuild"


async def test_a_virtual_merge_that_is_gone_serves_nobody(tmp_path):
    history = await merges(tmp_path)
    await history.build(3, "--virtual-merge", timestamp=100)
    for one, desc in list(history.replay.stored.items()):
        gone = {n: "9" * 40 if t == history.sha(3) else t for n, t in desc.labels.items()}
        history.replay.stored[one] = StageDesc(id=one, manifest_digest="sha256:1", labels=gone)
    assert states(await history.plan(5, "--virtual-merge"))["gitArchive"] == "ToBuild"


async def test_a_commit_that_is_no_merge_is_refused(tmp_path):
    history = await merges(tmp_path)
    with pytest.raises(UserError, match="has 1 parents, and a merge has two") as caught:
        await history.plan(1, "--virtual-merge")
    assert caught.value.reason == "InvalidSpec"
