"""Choosing the stored stage that serves: the oldest suitable one of its digest.

In: a stage digest, its stored timestamps, the parent's stage id, and for git stages the commits wanted. Out: a
`StageDesc` or None. A digest alone never makes a git stage usable: every mapping's stored commit must be an
ancestor of, or equal to, the wanted one (werf: SelectSuitableStage).

Two things that a stage is made of are in no digest: whether a CMD of `docker:` leaves the base's ENTRYPOINT (an option of
the build), and the name of the image, which labels of an imageSpec may contain. Where they matter, a stored stage has to
have the wanted ones.

A stage that is older than its parent is left out, as in werf, unless its label says that it *was* built on that
parent: then only two clocks disagree, and refusing it would build it again and again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from conveyor.plan import labels
from conveyor.plan.answers import (
    ContentDigest,
    StageDesc,
    StageDigest,
    StageID,
)
from conveyor.plan.inquiry import Inquiry
from conveyor.plan.mappings import MappingCommit
from conveyor.plan.questions import Ancestry, CommitExists, StageInfo

AHEAD = 4
"""Candidates that are asked about at once; the oldest nearly always serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The stage that is looked for.

    Attributes:
        parent: The stored previous stage of the image; None when it is not stored or there is none.
        mappings: Of a git stage; () for other stages.
        content: Content digest it has if it carries the wanted commits.
        entrypoint: ENTRYPOINT that its image has to have, None when the digest says enough.
        labels: Labels it has to have, because the digest does not tell their values.
    """

    content: ContentDigest
    parent: StageID | None = None
    mappings: tuple[MappingCommit, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


def select_stage(
    inquiry: Inquiry, candidates: Sequence[StageID], wanted: Wanted
) -> StageDesc | None:
    """Return the stored stage to use.

    While nobody has looked at a candidate it is assumed to be sound and to carry the wanted commits: of an
    unchanged commit the whole chain is then asked about at once.

    Args:
        inquiry: Asks for stage infos and ancestry.
        candidates: Stored stages of the digest, oldest first.
        wanted: What the stage must be.

    Raises:
        Waiting: What is needed to choose is not known yet.
    """
    inquiry.note(*(StageInfo(id=candidate) for candidate in islice(candidates, AHEAD)))
    for candidate in candidates:
        stage = _describe(inquiry, candidate, wanted)
        if stage is not None and _suitable(inquiry, stage, wanted):
            return stage
    return None


def stage_ids(digest: StageDigest, timestamps: Sequence[int]) -> tuple[StageID, ...]:
    """Return the stored stages of a digest, oldest first."""
    return tuple(StageID(digest=digest, timestamp=timestamp) for timestamp in timestamps)


def _describe(inquiry: Inquiry, candidate: StageID, wanted: Wanted) -> StageDesc | None:
    question = StageInfo(id=candidate)
    if _older(candidate, wanted.parent):
        answer = inquiry.known(question)
    else:
        carried = labels.git_labels(wanted.mappings)
        likely = {**carried, **wanted.labels, labels.CONTENT_DIGEST: wanted.content}
        answer = inquiry.assume(
            question, StageDesc(id=candidate, manifest_digest="", labels=likely)
        )
    return answer if isinstance(answer, StageDesc) else None


def _older(candidate: StageID, parent: StageID | None) -> bool:
    return parent is not None and candidate.timestamp < parent.timestamp


def _suitable(inquiry: Inquiry, stage: StageDesc, wanted: Wanted) -> bool:
    parent = wanted.parent
    if not stage.labels.get(labels.CONTENT_DIGEST):
        return False
    if _older(stage.id, parent) and stage.labels.get(labels.PARENT_STAGE_ID) != str(parent):
        return False
    if not _configured(stage, wanted):
        return False
    if not all(_carries(stage, item) for item in wanted.mappings):
        return False
    questions = [question for item in wanted.mappings for question in _lineage(stage, item)]
    inquiry.note(*questions)
    return all(inquiry.assume(question, likely=True) is True for question in questions)


def _configured(stage: StageDesc, wanted: Wanted) -> bool:
    """Whether the image config has what the digest does not tell; what nobody looked at is taken as right."""
    known = stage.entrypoint is not None and wanted.entrypoint is not None
    if known and stage.entrypoint != wanted.entrypoint:
        return False
    return wanted.labels.items() <= stage.labels.items()


def _carries(stage: StageDesc, item: MappingCommit) -> bool:
    return bool(
        labels.commit_of(stage.labels, item.paramshash)
        and labels.line_of(stage.labels, item.paramshash)
    )


def _lineage(stage: StageDesc, item: MappingCommit) -> Iterator[Ancestry | CommitExists]:
    """What must be true of the commits that a stage carries for a mapping."""
    repo, line = item.mapping.repository, labels.line_of(stage.labels, item.paramshash)
    if line != item.line:
        yield Ancestry(repo=repo, ancestor=line, commit=item.line)
    commit = labels.commit_of(stage.labels, item.paramshash)
    if commit not in (line, item.commit):
        # The next patch starts at the merge itself, which is on no branch and may be gone; werf makes it again.
        yield CommitExists(repo=repo, commit=commit)
