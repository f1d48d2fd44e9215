"""A commit's tree in memory, and the checksum of a part of it.

In: the output of `git ls-tree`. Out: `GitTree`: what is at a path, which files there are, and werf's ls-tree checksum
of what a matcher covers (werf-semantics 4.11): the object ids of matched entries in path order, a directory that is
matched as a whole standing for all below it.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.plan.paths import Matcher

MAX_ENTRIES = 2_000_000
MAX_LINKS = 20
LINK_MODE = "120000"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: git's mode ("100644"…), type ("blob", "tree", "commit") and object id."""

    mode: str
    type: str
    oid: str


class GitTree:
    """All entries of one commit by path; "" is the root."""

    __slots__ = ("_children", "_entries", "_submodules")

    def __init__(self, root: str, listing: bytes) -> None:
        """Read `git ls-tree -r -t -z --full-tree`; `root` is the id of the root tree."""
        self._entries = {"": Entry("040000", "tree", root)}
        self._children: dict[str, list[str]] = {}
        records = listing.split(b"\0")
        if len(records) > MAX_ENTRIES:
            raise UserError(
                Reason.NOT_SUPPORTED,
                f"the commit has more than {MAX_ENTRIES} files and directories",
            )
        for record in records[:-1]:
            head, _, name = record.partition(b"\t")
            path = name.decode("utf-8", "surrogateescape")
            self._entries[path] = Entry(*head.decode("ascii").split(" "))
            self._children.setdefault(path.rpartition("/")[0], []).append(path)
        self._submodules = [path for path, one in self._entries.items() if one.type == "commit"]

    def entry(self, path: str) -> Entry | None:
        """Return what is at the path itself, links not followed."""
        return self._entries.get(path)

    def kind(self, path: str) -> str:
        """Return "file" (links too), "directory" (submodules too) or ""."""
        entry = self._entries.get(path)
        if entry is None:
            return ""
        return "file" if entry.type == "blob" else "directory"

    def files(self, under: str = "") -> Iterator[str]:
        """Yield the paths of all files at or below a path, in tree order."""
        if self.kind(under) == "file":
            yield under
        for child in self._children.get(under, ()):
            yield from self.files(child)

    def entries(self, under: str = "") -> Iterator[str]:
        """Yield the paths of everything below a path, submodules too, in tree order."""
        for child in self._children.get(under, ()):
            yield child
            yield from self.entries(child)

    def refuse_submodules(self, matcher: Matcher, how: str) -> None:
        """Refuse a submodule that the matcher covers; `how` says how to leave one out.

        Raises:
            UserError: NotSupported. Its files are in another repository, and would be missing in the image.
        """
        for path in self._submodules:
            if matcher.matches(path):
                text = f"git submodules are not supported, and {path} is one; {how}"
                raise UserError(Reason.NOT_SUPPORTED, text)

    def checksum(self, matcher: Matcher, scope: str = "") -> str:
        """Return the checksum (64 hex) of what the matcher covers at or below `scope`, "" for nothing."""
        found = sorted(
            self._matched(scope, matcher), key=lambda path: path.encode("utf-8", "surrogateescape")
        )
        if not found:
            return ""
        oids = "".join(self._entries[path].oid for path in found)
        return hashlib.sha256(oids.encode("ascii")).hexdigest()

    def _matched(self, scope: str, matcher: Matcher) -> Iterator[str]:
        waiting = [scope] if scope in self._entries else []
        while waiting:
            path = waiting.pop()
            entry = self._entries[path]
            if entry.type != "blob" and matcher.may_match_below(path):
                _refuse_submodule(entry, path)
                waiting += self._children.get(path, ())
            elif matcher.matches(path):
                yield path


def _refuse_submodule(entry: Entry, path: str) -> None:
    if entry.type == "commit":
        raise UserError(
            Reason.NOT_SUPPORTED, f"git submodules are not supported: {path} is needed file by file"
        )
