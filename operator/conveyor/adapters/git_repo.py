"""One repository: revisions, trees, files, patches, ancestry.

In: a bare clone (`conveyor.adapters.git_clones`) or a local repository. Out: answers about commits. Everything a
digest is made of follows werf exactly (werf-semantics 4.11 and 8.5). Attributes that a repository sets in
.gitattributes are not consulted: a bare repository has none for git before 2.43.
"""

import asyncio
import re
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import replace

from conveyor.adapters.git_access import NETWORK_SECONDS, GitAccess
from conveyor.adapters.git_blobs import BlobSums
from conveyor.adapters.git_credentials import GitCredentials
from conveyor.adapters.git_diff import DiffFilter
from conveyor.adapters.git_errors import GitFailed
from conveyor.adapters.git_links import real_path
from conveyor.adapters.git_names import check_id, check_ref, is_full_id
from conveyor.adapters.git_process import GitProcess
from conveyor.adapters.git_tree import Entry, GitTree
from conveyor.api.errors import NotYet, UserError
from conveyor.api.names import Reason
from conveyor.config.commit import CommitInfo
from conveyor.plan.answers import Patch
from conveyor.plan.paths import AllOf, PathMatcher
from conveyor.plan.questions import PathFilter

MAX_FILE = 8 * 1024 * 1024
MAX_PATCH_TEXT = 64 * 1024 * 1024

_TREES = 3
_MAX_DIFF = 16 * 1024 * 1024 * 1024
_HEADS_AND_TAGS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")


class GitRepo:
    """A repository at hand; `url` is "" for a local one, which is never fetched."""

    def __init__(
        self, process: GitProcess, *, url: str = "", credentials: GitCredentials | None = None
    ) -> None:
        self._access = GitAccess(process, url, credentials)
        self._trees: OrderedDict[str, GitTree] = OrderedDict()
        self._tree_lock = asyncio.Lock()
        self._fetch_lock = asyncio.Lock()

    @property
    def shown_url(self) -> str:
        """The URL without user information, or the directory."""
        return self._access.shown_url

    async def fetch(self, *commits: str) -> None:
        """Bring branches and tags, or the given commits, up to date with the server.

        Raises:
            UserError: GitAuthFailed, or there is no such repository.
            NotYet: GitRemoteUnreachable.
        """
        if not self._access.url:
            return
        fetch = ("fetch", "--quiet", "--no-auto-gc", "--no-write-fetch-head", "origin")
        options = () if commits else ("--prune",)
        async with self._fetch_lock, self._access.online(network=True) as git:
            await git.run(*fetch, *options, *(commits or _HEADS_AND_TAGS), timeout=NETWORK_SECONDS)
            await git.run("commit-graph", "write", "--reachable", timeout=NETWORK_SECONDS)

    async def resolve(self, *, branch: str = "", tag: str = "", commit: str = "") -> str:
        """Return the commit (full id) that a branch, a tag or a commit stands for now; none: the default branch.

        A commit that is at hand costs no network. Raises as `fetch` does, and:

        Raises:
            UserError: GitRevisionNotFound.
        """
        if commit:
            return await self._resolve_commit(commit)
        await self.fetch()
        for name, prefix in ((branch, "refs/heads/"), (tag, "refs/tags/")):
            if name:
                found = await self._peel(prefix + check_ref(name))
                return found or self._missing(f"{'branch' if name is branch else 'tag'} {name!r}")
        return await self._peel(await self._default_branch()) or self._missing("default branch")

    async def revision(self, text: str) -> str:
        """Return the commit of a revision of this very repository, as git itself reads it (HEAD~2, v1.0, 1a2b3c4).

        Raises:
            UserError: GitRevisionNotFound.
        """
        found = "" if text.startswith("-") else await self._peel(text)
        return found or self._missing(f"revision {text!r}")

    async def commit_exists(self, commit: str) -> bool:
        """Whether the commit is in the clone; never asks the server."""
        return is_full_id(commit) and await self._peel(commit) == commit

    async def is_ancestor(self, ancestor: str, commit: str) -> bool:
        """Whether `ancestor` is `commit` or lies before it; False when one is not in the clone."""
        if not (is_full_id(ancestor) and is_full_id(commit)):
            return False
        try:
            await self._access.offline("merge-base", "--is-ancestor", ancestor, commit)
        except GitFailed as failure:
            if failure.code in (1, 128):
                return False
            raise self._access.explain(failure) from failure
        return True

    async def about(self, commit: str) -> CommitInfo:
        """Return what templates and commands may know of a commit: the author's time (werf: HeadCommitTime)."""
        shown = ("show", "-s", "--date=raw", "--format=%ad", check_id(commit))
        date, _, zone = (
            (await self._access.read(*shown)).decode("ascii", "replace").strip().partition(" ")
        )
        return CommitInfo(hash=commit, date=int(date), zone=zone)

    async def parents(self, commit: str) -> tuple[str, ...]:
        """Return the ids of a commit's parents, in order."""
        found = await self._access.read("show", "-s", "--format=%P", check_id(commit))
        return tuple(found.decode("ascii").split())

    async def blob_sums(self, oids: Collection[str]) -> dict[str, str]:
        """Return the SHA-256 (hex) of the contents of blobs by id."""
        sums = BlobSums()
        with tempfile.TemporaryFile() as names:
            names.write("".join(f"{oid}\n" for oid in oids).encode("ascii"))
            names.seek(0)
            async with self._access.online() as git:
                await git.stream(
                    *("cat-file", "--batch"),
                    into=sums.feed,
                    timeout=NETWORK_SECONDS,
                    limit=_MAX_DIFF,
                    stdin=names,
                )
        return sums.found

    async def read_blob(self, oid: str, into: Callable[[bytes], None]) -> None:
        """Hand over a blob's content piece by piece."""
        async with self._access.online() as git:
            await git.stream("cat-file", "blob", oid, into=into, timeout=NETWORK_SECONDS)

    async def path_kind(self, commit: str, path: str) -> str:
        """Return "file", "directory" or "" for nothing."""
        return (await self.tree(commit)).kind(path)

    async def files(self, commit: str, under: str = "") -> tuple[str, ...]:
        """Return the paths of all files at or below a path."""
        return tuple((await self.tree(commit)).files(under))

    async def file_text(self, commit: str, path: str) -> str | None:
        """Return a file's text, links inside the repository followed; None when there is none.

        Raises:
            UserError: It is larger than 8 MiB, or a link leads nowhere good.
        """
        entry = (await self.tree(commit)).entry(await self.real_path(commit, path))
        return None if entry is None or entry.type != "blob" else await self._blob(entry, path)

    async def real_path(self, commit: str, path: str) -> str:
        """Return a path with all links followed, those of directories too.

        Raises:
            UserError: A link leads nowhere good.
        """
        return await real_path(await self.tree(commit), path, self._blob)

    async def tree_checksum(
        self, commit: str, path_filter: PathFilter, narrow: tuple[str, ...] = ()
    ) -> str:
        """Return the ls-tree checksum (64 hex) of the matched part of a commit's tree, "" for nothing."""
        tree = await self.tree(commit)
        base = path_filter.base
        matcher = AllOf((PathMatcher.of(path_filter), PathMatcher(base, include=narrow)))
        tree.refuse_submodules(matcher, "name it in excludePaths")
        return await asyncio.to_thread(tree.checksum, matcher, base)

    async def patch(
        self, from_commit: str, to_commit: str, path_filter: PathFilter, to: str
    ) -> Patch | None:
        """Return what changed in a mapping: the exact text that werf hashes, and the size that werf counts.

        None when the first commit is not in the clone: history was rewritten.
        """
        if not await self.commit_exists(from_commit):
            return None
        if await self._same(from_commit, to_commit, path_filter.base):
            return Patch(text="", size=0, empty=True)
        kind = await self.path_kind(to_commit, path_filter.base)
        renamed = to.rpartition("/")[2] if kind == "file" else ""
        commits = (check_id(from_commit), check_id(to_commit))
        full = DiffFilter(
            matcher=PathMatcher.of(path_filter), scope=path_filter.base, renamed=renamed, limit=0
        )
        await self._diff(full, commits, "--unified=999999999", "--binary")
        text = replace(full, limit=MAX_PATCH_TEXT, size=0)
        if full.paths:
            await self._diff(text, commits)
        return Patch(text=text.text, size=full.size, empty=not full.paths, truncated=text.truncated)

    async def _same(self, from_commit: str, to_commit: str, path: str) -> bool:
        """Whether both commits have the same object at a path: most mappings of a project, most of the time."""
        before, now = await self.tree(from_commit), await self.tree(to_commit)
        return before.entry(path) == now.entry(path)

    async def tree(self, commit: str) -> GitTree:
        """Return a commit's tree; the last few are kept."""
        check_id(commit)
        async with self._tree_lock:
            if commit not in self._trees:
                root = await self._access.read("rev-parse", "--verify", f"{commit}^{{tree}}")
                listing = await self._access.read(
                    "ls-tree", "-r", "-t", "-z", "--full-tree", commit
                )
                self._trees[commit] = await asyncio.to_thread(
                    GitTree, root.decode().strip(), listing
                )
            self._trees.move_to_end(commit)
            while len(self._trees) > _TREES:
                self._trees.popitem(last=False)
            return self._trees[commit]

    async def _diff(self, into: DiffFilter, commits: tuple[str, str], *options: str) -> None:
        scope = ("--", f":(literal){into.scope}") if into.scope else ()
        fixed = ("--full-index", "--submodule=log", "--no-ext-diff", "--no-textconv")
        async with self._access.online() as git:
            await git.stream(
                *("diff", *fixed, *options, *commits, *scope),
                into=into.feed,
                timeout=NETWORK_SECONDS,
                limit=_MAX_DIFF,
            )

    async def _resolve_commit(self, commit: str) -> str:
        check_id(commit)
        if await self.commit_exists(commit):
            return commit
        await self.fetch()
        if not await self.commit_exists(commit):
            try:
                await self.fetch(commit)
            except NotYet:
                # Many servers refuse to hand out commits that no branch leads to; the reason is theirs.
                self._missing(f"commit {commit}")
        return commit if await self.commit_exists(commit) else self._missing(f"commit {commit}")

    async def _default_branch(self) -> str:
        if not self._access.url:
            return "HEAD"
        async with self._access.online(network=True) as git:
            listing = await git.run("ls-remote", "--symref", "origin", "HEAD")
        match = re.match(rb"ref: (refs/heads/[^\t\n]+)\tHEAD", listing)
        return match[1].decode("utf-8", "surrogateescape") if match else "HEAD"

    async def _peel(self, revision: str) -> str:
        """Return the commit of a revision, "" when there is none."""
        try:
            found = await self._access.offline(
                "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
            )
        except GitFailed as failure:
            if failure.broken:
                raise self._access.explain(failure) from failure
            return ""
        return found.decode("ascii").strip().removeprefix("--end-of-options").strip()

    async def _blob(self, entry: Entry, path: str) -> str:
        async with self._access.online() as git:
            try:
                data = await git.run("cat-file", "blob", entry.oid, limit=MAX_FILE)
            except GitFailed as failure:
                if failure.code != -1:
                    raise
                raise UserError(
                    Reason.INVALID_WERF_CONFIG, f"{path} is larger than {MAX_FILE} bytes"
                ) from failure
        return data.decode("utf-8", "surrogateescape")

    def _missing(self, what: str) -> str:
        raise UserError(Reason.GIT_REVISION_NOT_FOUND, f"{self.shown_url} has no {what}")
