"""Git mappings: the conformance cases of werf-semantics §8, by number.

In the cluster only: cases 4 and 5 (a patch meets files that commands changed) are in tests/cluster/test_branches.py,
case 6 (modes) in tests/cluster/test_commits.py. Conveyor replaces changed files as a whole, so there is no conflict
and no exit code 42.
"""

import pytest
from planning import META, History, World, digests, stage, states

from conveyor.plan.digest import paramshash
from conveyor.plan.paths import PathMatcher

FROM = "image: a\nfrom: alpine:3.18\n"


@pytest.mark.parametrize(
    ("include", "path", "matches"),
    [
        ("src", "src/a/b.txt", True),
        ("src", "srcx/c", False),
        ("dir/*", "dir/a/b", True),
        ("dir/**", "dir/a/b", True),
        ("dir/", "dir/a", True),
        ("dir/*", "other/a", False),
    ],
)
def test_case_1_globs(include, path, matches):
    assert PathMatcher("", include=[include]).matches(path) is matches


def test_case_2_an_owner_makes_another_mapping():
    one = World(FROM + "git: [{add: /, to: /app}]\n")
    two = World(FROM + "git: [{add: /, to: /app, owner: app}]\n")
    before, after = digests(one.plan()), digests(two.plan())
    assert before["from"] == after["from"]
    assert before["gitArchive"] != after["gitArchive"]
    hashes = [paramshash(world.config.image("a").git[0]) for world in (one, two)]
    assert hashes[0] != hashes[1]


async def test_case_3_a_change_that_is_excluded_is_no_patch(tmp_path):
    werf = META + FROM + "git: [{add: /, to: /app, excludePaths: [docs]}]\n"
    werf += "shell: {setup: [make]}\n"
    (tmp_path / "scratch").mkdir()
    history = await History.make(
        [
            {"files": {"werf.yaml": werf, "docs/d": "0\n", "f": "0\n"}},
            {"files": {"docs/d": "1\n"}},
        ],
        tmp_path,
    )
    await history.build(0, timestamp=100)
    after = await history.plan(1)
    assert states(after) == {"from": "Cached", "gitArchive": "Cached", "setup": "Cached"}
    label = f"werf-git-{paramshash((await history.replay.config({'commit': 0, 'args': {}})).image('a').git[0])}-commit"
    assert stage(after, "setup").stored.labels[label] == history.sha(0)
