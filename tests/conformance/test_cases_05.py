"""Names, labels and records: the conformance cases of werf-semantics §5, by number.

Case 4 in the cluster is tests/cluster/test_repositories.py. Case 1 in a real registry, labels of case 3 included, is
tests/cluster/test_stapel.py.
"""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from planning import World, digests

from conveyor.adapters.repository_images import ImageCache
from conveyor.adapters.stages_storage import StagesStorage
from conveyor.jobs.image_exports import exported_config
from conveyor.plan.answers import StageDigest, StageID

DIGEST = "3dbd6d44689162ca0ebbdef149f0c467c9ba147c6e9a7759164efc0a"


async def listed(*tags):
    """What the storage makes of a repository's tags."""

    async def list_tags(_repo):
        return tags

    registry = SimpleNamespace(list_tags=list_tags)
    storage = StagesStorage(registry, "reg.example/p", None, ImageCache())
    return await storage.stages()


async def test_case_1_the_tag_is_digest_and_milliseconds():
    made = datetime(2024, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)
    one = StageID(digest=StageDigest(DIGEST), timestamp=int(made.timestamp() * 1000))
    assert str(one) == f"{DIGEST}-1704067200500"
    assert await listed(str(one)) == {DIGEST: (1704067200500,)}


@pytest.mark.parametrize(
    "tag",
    [
        "myservice-1.2.3",
        f"{DIGEST}-1704067200500-rejected",
        DIGEST,  # an index of several platforms: no stage that another could start from
        f"managed-image-{DIGEST}",
        f"meta-248bfa47_{'1' * 40}_{DIGEST}-1704067200500",
        f"import-metadata-{'1' * 64}",
        f"{DIGEST}-17040672005001",
        f"{DIGEST.upper()}-1704067200500",
    ],
)
async def test_case_2_other_tags_are_no_stages(tag):
    assert await listed(tag) == {}


def test_case_3_mounts_are_labels_of_from_and_of_all_that_follow():
    world = World(
        "image: a\nfrom: alpine:3.18\nmount: [{fromPath: /var/cache/yarn, to: /yarn}]\n"
        "shell: {install: [make], setup: [make]}\n"
    )
    world.build()
    label = "werf-mount-type-custom-dir---var--cache--yarn"
    assert [one.labels[label] for one in world.stored.values()] == ["/yarn"] * 3


def test_case_4_an_export_has_the_labels_of_the_user_alone():
    labels = {"werf": "p", "werf-version": "2", "werf.io/parent-stage-id": "x", "team": "web"}
    config = {"os": "linux", "config": {"Labels": labels, "Env": ["A=b"]}}
    assert exported_config(config) == {
        "os": "linux",
        "config": {"Env": ["A=b"], "Labels": {"team": "web"}},
    }
    only = {"config": {"Labels": {"werf": "p"}, "User": "1"}}
    assert exported_config(only) == {"config": {"User": "1"}}
    assert exported_config({"os": "linux"}) == {"os": "linux"}


def test_case_5_the_name_of_the_repository_changes_no_digest():
    world = World(
        "image: a\nfrom: alpine:3.18\nshell: {install: [make]}\n"
        "---\nimage: b\nfrom: a\ngit: [{add: /, to: /app}]\n"
    )
    old, new = world.plan(repo="old.example/p"), world.plan(repo="new.example/p")
    for image in ("a", "b"):
        assert digests(old, image) == digests(new, image)
