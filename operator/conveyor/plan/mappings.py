"""Git mappings of an image at the commits they stand for now.

In: a `StapelImage`, the project's commit, answers. Out: `MappingCommit`s in config order, and the checksums
and patches of their files. Every question that can be known beforehand is asked at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.config.model import GitMapping, StapelImage
from conveyor.plan.answers import Patch
from conveyor.plan.digest import OWN_REPOSITORY, paramshash
from conveyor.plan.inquiry import Inquiry
from conveyor.plan.questions import (
    CommitParents,
    MappingPatch,
    PathFilter,
    PathKind,
    RemoteHead,
    TreeChecksum,
)
from conveyor.plan.remotes import head_of


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingCommit:
    """A mapping, its identity, the commit it has to be at, and whether it is one file.

    Attributes:
        merge: Of a virtual merge: the commit merged from and the one merged into (its parents 1 and 0).
    """

    mapping: GitMapping
    paramshash: str
    commit: str
    single: bool = False
    merge: tuple[str, str] | None = None

    @property
    def line(self) -> str:
        """The commit whose ancestors may serve: of a virtual merge the one merged from."""
        return self.merge[0] if self.merge else self.commit

    @property
    def filter(self) -> PathFilter:
        """The part of the repository that the mapping takes."""
        return filter_of(self.mapping)

    def checksum(self, *narrow: str) -> TreeChecksum:
        """Return the question for the checksum of the mapping's files, or of those a glob narrows it to."""
        return TreeChecksum(
            repo=self.mapping.repository, commit=self.commit, filter=self.filter, narrow=narrow
        )

    def patch_from(self, commit: str) -> MappingPatch:
        """Return the question for what changed since a commit."""
        return MappingPatch(
            repo=self.mapping.repository,
            from_commit=commit,
            to_commit=self.commit,
            filter=self.filter,
            to=self.mapping.to,
        )


def filter_of(mapping: GitMapping) -> PathFilter:
    """Return the part of the repository that a mapping takes."""
    return PathFilter(
        base=mapping.add, include=mapping.include_paths, exclude=mapping.exclude_paths
    )


def mapping_commits(
    image: StapelImage, inquiry: Inquiry, own_commit: str, *, virtual_merge: bool = False
) -> tuple[MappingCommit, ...]:
    """Return the image's mappings at their commits; those of the project's repository may be a virtual merge.

    Raises:
        Waiting: Some answer is missing; all that can be asked has been asked.
        UserError: There is no repository, or a mapping matches no file or has an impossible target.
    """
    for mapping in image.git:
        inquiry.note(*_head_questions(mapping))
    commits = [(mapping, _commit(mapping, inquiry, own_commit)) for mapping in image.git]
    located = tuple(
        MappingCommit(
            mapping=mapping,
            paramshash=paramshash(mapping),
            commit=commit,
            merge=_merge(mapping, commit, inquiry) if virtual_merge else None,
        )
        for mapping, commit in commits
    )
    for item in located:
        inquiry.note(*_file_questions(item))
    return tuple(_look_at(item, inquiry) for item in located)


def patch_of(item: MappingCommit, from_commit: str, inquiry: Inquiry) -> Patch:
    """Return what changed in a mapping since a commit.

    Raises:
        UserError: The commit is gone, although it was an ancestor a moment ago.
    """
    if from_commit == item.commit:
        return Patch(text="", size=0, empty=True)
    found = inquiry.known(item.patch_from(from_commit))
    if not isinstance(found, Patch):
        raise UserError(
            Reason.GIT_REVISION_NOT_FOUND,
            f"{item.mapping.at}: commit {from_commit}, which a stored stage carries, is not in the repository any more",
        )
    return found


def patch_text(item: MappingCommit, patch: Patch) -> str:
    """Return the text that is hashed.

    Raises:
        UserError: It was too long to keep.
    """
    if patch.truncated:
        raise UserError(
            Reason.NOT_SUPPORTED,
            f"{item.mapping.at}: the patch of this git mapping ({patch.size} bytes) is too long",
        )
    return patch.text


def _head_questions(mapping: GitMapping) -> Sequence[RemoteHead]:
    return (head_of(mapping.remote),) if mapping.remote else ()


def _commit(mapping: GitMapping, inquiry: Inquiry, own_commit: str) -> str:
    for question in _head_questions(mapping):
        return inquiry.need(question, str)
    if mapping.name == OWN_REPOSITORY and not own_commit:
        raise UserError(
            Reason.INVALID_WERF_CONFIG,
            f"{mapping.at}: git.add: /{mapping.add} needs a git source, and this config is inline",
        )
    return own_commit


def _merge(mapping: GitMapping, commit: str, inquiry: Inquiry) -> tuple[str, str] | None:
    """Return the commits that a virtual merge joins, None for a remote mapping."""
    if mapping.name != OWN_REPOSITORY:
        return None
    parents = inquiry.need(CommitParents(repo=mapping.name, commit=commit), tuple)
    if len(parents) != 2:
        raise UserError(
            Reason.INVALID_SPEC,
            f"virtualMerge: commit {commit} has {len(parents)} parents, and a merge has two; "
            "name a merge commit (such as refs/pull/N/merge) or leave virtualMerge out",
        )
    into_commit, from_commit = parents
    return from_commit, into_commit


def _file_questions(item: MappingCommit) -> list[PathKind | TreeChecksum]:
    questions: list[PathKind | TreeChecksum] = [item.checksum(), *_kind_questions(item)]
    for globs in item.mapping.stage_dependencies.values():
        questions += [item.checksum(glob) for glob in globs]
    return questions


def _kind_questions(item: MappingCommit) -> tuple[PathKind, ...]:
    mapping = item.mapping
    if not mapping.add:
        return ()
    return (PathKind(repo=mapping.repository, commit=item.commit, path=mapping.add),)


def _look_at(item: MappingCommit, inquiry: Inquiry) -> MappingCommit:
    mapping = item.mapping
    if not inquiry.need(item.checksum(), str):
        raise UserError(
            Reason.INVALID_WERF_CONFIG,
            f'{mapping.at}: "git.add: /{mapping.add}" matches no files at commit {item.commit}; '
            "at least one file must match",
        )
    single = any(inquiry.need(question, str) == "file" for question in _kind_questions(item))
    if single and mapping.to in ("", "/"):
        raise UserError(
            Reason.INVALID_WERF_CONFIG,
            f"{mapping.at}: git.add: /{mapping.add} is a file, so git.to must name a file, "
            f"for example /{mapping.add.rpartition('/')[2]}",
        )
    return replace(item, single=single)
