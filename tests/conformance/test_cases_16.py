"""What Conveyor does where werf has pitfalls: those of werf-semantics §16 that concern planning, and its cases 1 to 3.

Digests and stage lists stay werf's in all of them. Cases 4 and 5 (a builder dies, the lock server goes) are
tests/cluster/test_reliability.py.
"""

from types import SimpleNamespace

import pytest
from planning import NEW, World, digests, names, stage, states

from conveyor.adapters.repository_images import ImageCache
from conveyor.adapters.stages_storage import StagesStorage
from conveyor.api.errors import UserError
from conveyor.config.no_effect import without_effect
from conveyor.plan import labels
from conveyor.plan.answers import StageDesc, StageID

FROM = "image: a\nfrom: alpine:3.18\n"
CHAIN = FROM + "git: [{add: /, to: /app}]\nshell: {install: [make], setup: [make]}\n"
ON_TOP = "---\nimage: b\nfrom: a\n"


def relabel(world, digest, **changes):
    """Change labels of a stored stage; None removes one."""
    (one,) = [found for found in world.stored if found.digest == digest]
    found = {
        **world.stored[one].labels,
        **{labels_of[name]: value for name, value in changes.items()},
    }
    kept = {name: value for name, value in found.items() if value is not None}
    world.stored[one] = StageDesc(id=one, manifest_digest="sha256:1", labels=kept)


labels_of = {"content": labels.CONTENT_DIGEST, "parent": labels.PARENT_STAGE_ID}


def test_case_1_and_pitfall_2_the_content_digest_is_the_label_not_what_can_be_computed():
    world = World(FROM + ON_TOP)
    (first,) = world.build().image("a").stages
    relabel(world, first.digest, content="1" * 56)
    again = world.plan()
    assert stage(again, "from").content_digest == "1" * 56 != first.content_digest
    bases = [part.value for part in stage(again, "from", "b").components[2].parts]
    assert bases == ["1" * 56]


def test_pitfall_2_a_stage_without_that_label_is_not_used_and_nothing_breaks():
    world = World(FROM)
    (first,) = world.build().image("a").stages
    relabel(world, first.digest, content=None)
    (again,) = world.plan().image("a").stages
    assert (again.state, again.digest) == ("ToBuild", first.digest)


def test_case_2_and_pitfall_3_a_lost_middle_stage_is_built_again_and_the_last_one_found_again():
    world = World(CHAIN)
    install = stage(world.build(timestamp=100), "install").digest
    (lost,) = [one for one in world.stored if one.digest == install]
    del world.stored[lost]
    assert states(world.plan()) == {
        "from": "Cached",
        "gitArchive": "Cached",
        "install": "ToBuild",
        "setup": "Cached",
    }
    world.build(timestamp=200)
    found = world.plan()
    # `setup` is older than the new `install` and was built on the lost one: as in werf it is built again, once.
    assert stage(found, "install").stored.id.timestamp == 200
    assert states(found)["setup"] == "ToBuild"
    world.build(timestamp=300)
    assert world.plan().image("a").ready


def test_pitfall_3_at_another_commit_what_follows_the_lost_stage_has_another_digest():
    world = World(CHAIN)
    before = digests(world.build(timestamp=100))
    (lost,) = [one for one in world.stored if one.digest == before["install"]]
    del world.stored[lost]
    after = world.plan(NEW)
    assert states(after)["install"] == "ToBuild"
    assert digests(after)["setup"] != before["setup"]


def test_case_3_and_pitfall_18_a_stage_of_a_slow_clock_serves_when_it_names_its_parent():
    world = World(FROM + "shell: {install: [make]}\n")
    parent, child = world.build(timestamp=5_000).image("a").stages
    (old,) = [one for one in world.stored if one.digest == child.digest]
    slow = StageID(digest=old.digest, timestamp=1_400)
    world.stored[slow] = StageDesc(
        id=slow, manifest_digest="sha256:1", labels=world.stored.pop(old).labels
    )
    for parents, state in (
        (f"{parent.digest}-5000", "Cached"),
        (f"{parent.digest}-4999", "ToBuild"),
        (None, "ToBuild"),  # it does not say what it was built on
    ):
        relabel(world, child.digest, parent=parents)
        assert states(world.plan())["install"] == state


async def test_pitfall_11_a_rejected_record_counts_for_its_own_stage_only():
    one, two = "1" * 56, "2" * 56

    async def list_tags(_repo):
        return [f"{one}-1700000000000", f"{one}-1700000000000-rejected", f"{two}-1700000000000"]

    registry = SimpleNamespace(list_tags=list_tags)
    found = await StagesStorage(registry, "reg.example/p", None, ImageCache()).stages()
    assert found == {one: (), two: (1700000000000,)}


@pytest.mark.parametrize(
    ("text", "circle"),
    [
        ("image: a\nfrom: b\n---\nimage: b\nfrom: a\n", "a -> b -> a"),
        (
            "image: a\nfrom: b\n---\nimage: b\nfrom: x:1\nimport: [{image: a, add: /x, after: install}]\n",
            "a -> b -> a",
        ),
    ],
)
def test_pitfall_12_a_circle_through_from_is_an_error_not_a_hang(text, circle):
    with pytest.raises(UserError, match=circle):
        World(text).plan()


def test_pitfall_26_what_disable_git_after_patch_drops_is_told():
    """werf's stage list is kept, since the vector git-disable-after-patch pins it; people are told what they lose."""
    world = World(CHAIN + "disableGitAfterPatch: true\ndocker: {CMD: [x]}\n" + ON_TOP)
    assert names(world.plan()) == ["from", "gitArchive", "install", "setup"]
    (told,) = without_effect(world.config, {"a", "b"})
    assert told.startswith(
        'werf.yaml:4: image "a": `disableGitAfterPatch` takes the stage dockerInstructions away'
    )
    assert without_effect(world.config, {"b"}) == ()


def test_stage_dependencies_without_commands_are_told():
    world = World(
        FROM + "git: [{add: /, to: /app, stageDependencies: {install: [x], setup: [z]}}]\n"
        "shell: {setup: [make], cacheVersion: ''}\n"
    )
    (told,) = without_effect(world.config, {"a"})
    assert "`stageDependencies.install` of git.add: / has no effect" in told
