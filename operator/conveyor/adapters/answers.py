"""Answers to the planner's questions about git.

In: a `Question`, the repositories of one build. Out: its `Answer`. Questions about registries are answered elsewhere;
`handles` tells them apart.
"""

import asyncio
import hashlib
import posixpath
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import assert_never

from conveyor.adapters.git_context import ContextTree, added_paths, unseen_by_werf, with_files
from conveyor.adapters.git_listing import listing_checksum
from conveyor.adapters.git_repo import GitRepo
from conveyor.config.dockerignore import Dockerignore
from conveyor.plan.answers import Answer
from conveyor.plan.digest import OWN_REPOSITORY
from conveyor.plan.paths import AllOf, Below, PathMatcher
from conveyor.plan.questions import (
    AddedFiles,
    Ancestry,
    CommitExists,
    CommitParents,
    ContextChecksum,
    ContextHash,
    ContextListing,
    FileText,
    MappingPatch,
    PathKind,
    Question,
    RemoteHead,
    TreeChecksum,
)

RepoQuestion = (
    AddedFiles
    | Ancestry
    | CommitExists
    | CommitParents
    | ContextChecksum
    | ContextHash
    | ContextListing
    | FileText
    | MappingPatch
    | PathKind
    | TreeChecksum
)
GitQuestion = RepoQuestion | RemoteHead
OpenRemote = Callable[[str], Awaitable[GitRepo]]


@dataclass(frozen=True, slots=True)
class ContextFiles:
    """What an ignore file leaves of a context; paths relative to it (a `Matcher`)."""

    ignore: Dockerignore

    def matches(self, path: str) -> bool:
        """Whether the path is not ignored."""
        return not path or not self.ignore.ignores_as_werf(path)

    def may_match_below(self, path: str) -> bool:
        """Whether some pattern could tell the files of the directory apart."""
        return self.ignore.could_match_below(path)


class GitAnswers:
    """Answers from the project's repository and the remote ones of its config.

    Args:
        own: The project's repository; None for an inline config without one.
        open_remote: Opens a repository by URL, with whatever credentials are configured for it.
    """

    def __init__(self, own: GitRepo | None, open_remote: OpenRemote) -> None:
        self._own = own
        self._open_remote = open_remote

    def handles(self, question: Question) -> bool:
        """Whether this is a question about git."""
        return isinstance(question, GitQuestion)

    async def answer(self, question: Question) -> Answer:
        """Answer one question.

        Raises:
            UserError, NotYet: As `GitRepo` does.
            TypeError: It is not about git.
        """
        if isinstance(question, RemoteHead):
            repo = await self._open_remote(question.url)
            return await repo.resolve(
                branch=question.branch, tag=question.tag, commit=question.commit
            )
        if not isinstance(question, RepoQuestion):
            raise TypeError(f"not a question about git: {question}")
        return await _answer(await self._repo(question.repo), question)

    async def _repo(self, name: str) -> GitRepo:
        if name != OWN_REPOSITORY:
            return await self._open_remote(name)
        if self._own is None:
            raise AssertionError("a question about the project's repository, and there is none")
        return self._own


async def _answer(repo: GitRepo, question: RepoQuestion) -> Answer:
    match question:
        case FileText():
            return await repo.file_text(question.commit, question.path)
        case PathKind():
            return await repo.path_kind(question.commit, question.path)
        case TreeChecksum():
            return await repo.tree_checksum(question.commit, question.filter, question.narrow)
        case MappingPatch():
            commits = (question.from_commit, question.to_commit)
            return await repo.patch(*commits, question.filter, question.to)
        case ContextChecksum() | ContextHash() | ContextListing() | AddedFiles():
            return await _about_context(repo, question)
        case Ancestry() | CommitExists() | CommitParents():
            return await _about_commit(repo, question)
        case _:
            assert_never(question)


async def _about_commit(
    repo: GitRepo, question: Ancestry | CommitExists | CommitParents
) -> bool | tuple[str, ...]:
    if isinstance(question, CommitParents):
        return await repo.parents(question.commit)
    if isinstance(question, CommitExists):
        return await repo.commit_exists(question.commit)
    return await repo.is_ancestor(question.ancestor, question.commit)


async def _about_context(
    repo: GitRepo, question: ContextChecksum | ContextHash | ContextListing | AddedFiles
) -> str:
    if isinstance(question, AddedFiles):
        return await _added_files(repo, question)
    if isinstance(question, ContextListing):
        tree = await repo.tree(question.commit)
        ignore = Dockerignore.parse(question.dockerignore)
        return await asyncio.to_thread(
            listing_checksum, tree, question.context, ignore, question.sources
        )
    if isinstance(question, ContextHash):
        return await _context_hash(repo, question)
    tree = await repo.tree(question.commit)
    ignore = Dockerignore.parse(question.dockerignore)
    sources = PathMatcher(question.context, include=question.sources)
    matcher = AllOf((sources, Below(question.context, ContextFiles(ignore))))
    tree.refuse_submodules(matcher, "name it in .dockerignore")
    checksum = tree.checksum(matcher, question.context)
    if not ignore.keeps_more_than_werf:
        return checksum
    return with_files(tree, checksum, unseen_by_werf(tree, question.context, ignore, sources))


async def _context_hash(repo: GitRepo, question: ContextHash) -> str:
    tree = await repo.tree(question.commit)
    ignore = Dockerignore.parse(question.dockerignore)
    context = await asyncio.to_thread(
        ContextTree.of, tree, question.context, ignore, question.dockerfile
    )
    paths = context.named(question.sources, globs=question.globs)
    if not paths:
        return ""
    return context.hash(paths, await repo.blob_sums(set(context.blobs(paths))))


async def _added_files(repo: GitRepo, question: AddedFiles) -> str:
    tree = await repo.tree(question.commit)
    matcher = PathMatcher(question.context, include=question.sources)
    checksum, any_of_them = hashlib.sha256(), False
    for path in added_paths(tree, question.project_dir, question.files):
        # werf compares a path relative to the project with a context relative to the repository.
        entry = tree.entry(posixpath.join(question.project_dir, path))
        if entry is None or not matcher.matches(path):
            continue
        any_of_them = True
        checksum.update(path.encode("utf-8", "surrogateescape"))
        await repo.read_blob(entry.oid, checksum.update)
    return checksum.hexdigest() if any_of_them else ""
