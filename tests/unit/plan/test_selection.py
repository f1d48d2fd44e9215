"""Which stored stage serves."""

import pytest

from conveyor.config.model import GitMapping
from conveyor.plan import labels
from conveyor.plan.answers import (
    ContentDigest,
    StageDesc,
    StageDigest,
    StageID,
)
from conveyor.plan.digest import paramshash
from conveyor.plan.facts import Facts
from conveyor.plan.inquiry import Inquiry, Waiting
from conveyor.plan.mappings import MappingCommit
from conveyor.plan.questions import Ancestry, StageInfo
from conveyor.plan.selection import Wanted, select_stage, stage_ids

DIGEST = StageDigest("d" * 56)
PARENT = StageID(digest=StageDigest("p" * 56), timestamp=500)
MAPPING = GitMapping(to="/app")
HASH = paramshash(MAPPING)
HEAD = "c" * 40
WANTED = Wanted(content=ContentDigest("x" * 56))
GIT = Wanted(
    content=ContentDigest("x" * 56),
    mappings=(MappingCommit(mapping=MAPPING, paramshash=HASH, commit=HEAD),),
)


def desc(timestamp, commit="", content="content", **extra):
    added = {labels.commit_label(HASH): commit} if commit else {}
    return StageDesc(
        id=StageID(digest=DIGEST, timestamp=timestamp),
        manifest_digest="sha256:1",
        labels={labels.CONTENT_DIGEST: content, **added, **extra},
    )


def choose(stages, wanted=WANTED, ancestry=(), timestamps=None):
    answers = {StageInfo(id=stage.id): stage for stage in stages}
    answers |= {Ancestry(repo="own", ancestor=a, commit=HEAD): yes for a, yes in ancestry}
    inquiry = Inquiry(Facts(answers=answers))
    ids = stage_ids(DIGEST, timestamps or [stage.id.timestamp for stage in stages])
    return select_stage(inquiry, ids, wanted), inquiry


def test_the_oldest_is_taken():
    found, inquiry = choose([desc(100), desc(200)])
    assert found == desc(100)
    assert not inquiry.open


def test_a_broken_one_is_passed_over():
    answers = {StageInfo(id=desc(100).id): None, StageInfo(id=desc(200).id): desc(200)}
    inquiry = Inquiry(Facts(answers=answers))
    assert select_stage(inquiry, stage_ids(DIGEST, [100, 200]), WANTED) == desc(200)


def test_without_a_content_digest_it_is_unusable():
    found, _ = choose([desc(100, content=""), desc(200)])
    assert found == desc(200)


def test_of_git_stages_the_oldest_ancestor_is_taken():
    stages = [desc(100, commit="a" * 40), desc(200, commit="b" * 40)]
    found, _ = choose(stages, GIT, ancestry=[("a" * 40, True), ("b" * 40, True)])
    assert found == stages[0]
    found, _ = choose(stages, GIT, ancestry=[("a" * 40, False), ("b" * 40, True)])
    assert found == stages[1]
    found, _ = choose(stages, GIT, ancestry=[("a" * 40, False), ("b" * 40, False)])
    assert found is None


def test_the_wanted_commit_itself_needs_no_question():
    found, inquiry = choose([desc(100, commit=HEAD)], GIT)
    assert found is not None
    assert not inquiry.open


def test_a_git_stage_without_the_mappings_label_is_passed_over():
    found, _ = choose([desc(100)], GIT)
    assert found is None


def test_a_virtual_merge_is_judged_by_its_from_commit():
    merged = desc(
        100,
        commit="m" * 40,
        **{
            labels.virtual_merge_label(HASH): "true",
            f"werf-git-{HASH}-virtual-merge-from-commit": HEAD,
        },
    )
    found, _ = choose([merged], GIT)
    assert found == merged


def test_one_older_than_its_parent_is_ignored():
    wanted = Wanted(content=WANTED.content, parent=PARENT)
    found, _ = choose([desc(400), desc(600)], wanted)
    assert found == desc(600)
    found, _ = choose([desc(400)], wanted)
    assert found is None


def test_one_older_than_its_parent_is_taken_when_it_was_built_on_it():
    skewed = desc(400, **{labels.PARENT_STAGE_ID: str(PARENT)})
    found, _ = choose([skewed], Wanted(content=WANTED.content, parent=PARENT))
    assert found == skewed


def test_while_unseen_the_oldest_is_assumed_to_carry_what_is_wanted():
    found, inquiry = choose([], GIT, timestamps=[100, 200])
    assert found is not None
    assert labels.commit_of(found.labels, HASH) == HEAD
    assert found.labels[labels.CONTENT_DIGEST] == GIT.content
    assert inquiry.assumed
    assert inquiry.open == {
        StageInfo(id=StageID(digest=DIGEST, timestamp=100)),
        StageInfo(id=StageID(digest=DIGEST, timestamp=200)),
    }


def test_whether_an_older_one_was_built_on_the_parent_is_never_assumed():
    with pytest.raises(Waiting):
        choose([], Wanted(content=WANTED.content, parent=PARENT), timestamps=[100])
