"""Tars of git trees: the archive of a mapping and the changes between two commits.

In: a fetched repository and a mapping's filters. Out: a tar on a file. Made from the trees themselves: no
`git archive`, whose result depends on attributes and configuration. Files 0644 or 0755, directories 0775,
symlinks as they are, time of the commit, owner 0:0 (werf-semantics: gitArchive content).
"""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Final

from conveyor.builder import tarformat
from conveyor.builder.courier_errors import CourierError
from conveyor.builder.courier_inputs import GitArchive, GitPatch
from conveyor.builder.courier_task import Limits
from conveyor.builder.inputs_git import GitStore
from conveyor.builder.inputs_objects import GitObjects, TreeEntry
from conveyor.plan.paths import PathMatcher

_MAX_LINK: Final = 4096
_MAX_COMMIT: Final = 1 << 20
_SUBMODULE: Final = "160000"
_SYMLINK: Final = "120000"


class TarOut:
    """Writes entries of a tree to a tar, within limits."""

    def __init__(
        self,
        out: BinaryIO,
        objects: GitObjects,
        mtime: int,
        limits: Limits,
        *,
        dir_mode: int = 0o775,
    ) -> None:
        self._out = out
        self._dir_mode = dir_mode
        self._objects = objects
        self._mtime = mtime
        self._limits = limits
        self._dirs: set[bytes] = set()
        self._size = 0

    def dir(self, name: bytes, *, implied: bool = False) -> None:
        """Write a directory and those above it, each once; `implied` for one that is only on the way to a file."""
        if not name or name in self._dirs:
            return
        self.dir(name.rpartition(b"/")[0], implied=implied)
        self._dirs.add(name)
        entry = self._entry(name, tarformat.DIR, self._dir_mode)
        entry.note = tarformat.IMPLIED if implied else b""
        self._put(entry)

    def archive(self, name: bytes, number: int) -> None:
        """Say that the archive of that number is to be unpacked in this place."""
        entry = self._entry(name, tarformat.FILE, 0o644)
        entry.note = tarformat.ARCHIVE + b"%d" % number
        self._put(entry)

    def file(self, name: bytes, entry: TreeEntry) -> None:
        """Write a file or symlink; its directories are not written.

        Raises:
            CourierError: InputMissing, it is a submodule; InputTooLarge.
        """
        _check_name(name)
        if entry.mode == _SUBMODULE:
            path = entry.path.decode("utf-8", "replace")
            raise CourierError(
                "InputMissing",
                f"{path} is a git submodule, which is not supported: exclude it with excludePaths",
            )
        if entry.mode == _SYMLINK:
            link = self._entry(name, tarformat.SYMLINK, 0o777)
            link.link = self._objects.whole(entry.oid, _MAX_LINK)
            self._put(link)
            return
        file = self._entry(name, tarformat.FILE, 0o755 if entry.mode == "100755" else 0o644)
        file.size = self._objects.open(entry.oid)
        self._put(file)
        left = file.size
        while left:
            data = self._objects.read()
            left -= len(data)
            self._out.write(data)
        self._out.write(tarformat.padding(file.size))

    def plain(self, name: bytes, path: Path) -> None:
        """Write a file of our own disk, its directories are not written.

        Raises:
            CourierError: InputTooLarge.
        """
        entry = self._entry(name, tarformat.FILE, 0o644)
        entry.size = path.stat().st_size
        self._put(entry)
        with path.open("rb") as source:
            shutil.copyfileobj(source, self._out)
        self._out.write(tarformat.padding(entry.size))

    def close(self) -> None:
        """End the archive."""
        self._out.write(tarformat.END)

    def _entry(self, name: bytes, kind: bytes, mode: int) -> tarformat.Entry:
        entry = tarformat.Entry(name, kind, mode)
        entry.mtime = self._mtime
        return entry

    def _put(self, entry: tarformat.Entry) -> None:
        header = tarformat.header(entry)
        self._size += len(header) + entry.size
        if self._size > self._limits.input_bytes:
            limit = self._limits.input_bytes
            raise CourierError("InputTooLarge", f"the files from git have more than {limit} bytes")
        self._out.write(header)


def write_archive(store: GitStore, item: GitArchive, out: BinaryIO, limits: Limits) -> None:
    """Write the files of a mapping as they are at a commit.

    Raises:
        CourierError: InputMissing, there is nothing at `add`; InputTooLarge.
    """
    matcher = PathMatcher(item.add, item.include, item.exclude)
    entries = list(store.tree(item.commit, item.add, limits.entries))
    if not entries:
        raise CourierError("InputMissing", f"{item.add or '/'!r} is not in commit {item.commit}")
    with store.objects() as objects:
        tar = TarOut(out, objects, commit_time(objects, item.commit), limits)
        for entry in _matched(entries, matcher):
            name = _name(entry.path, item.add, item.to_name)
            tar.dir(name.rpartition(b"/")[0])
            tar.file(name, entry)
        tar.close()


def write_patch(store: GitStore, item: GitPatch, out: BinaryIO, limits: Limits) -> list[str]:
    """Write the changed and added files of a mapping as they are in the newer commit.

    Returns:
        Paths of the deleted files, relative to `add`; bytes that are not UTF-8 as surrogates.
    """
    matcher = PathMatcher(item.add, item.include, item.exclude)
    deleted: list[str] = []
    with store.objects() as objects:
        tar = TarOut(out, objects, commit_time(objects, item.commit), limits)
        for path, entry in store.changes(item.start, item.commit):
            if not matcher.matches(text_of(path)):
                continue
            name = _name(path, item.add, item.to_name)
            if entry is None:
                deleted.append(text_of(name))
            else:
                tar.file(name, entry)
        tar.close()
    return deleted


def commit_time(objects: GitObjects, commit: str) -> int:
    """Committer time of a commit in seconds."""
    for line in objects.whole(commit, _MAX_COMMIT).split(b"\n"):
        if line.startswith(b"committer "):
            words = line.split()
            return max(0, int(words[-2])) if words[-2].isdigit() else 0
    return 0


def text_of(path: bytes) -> str:
    """A path as the matchers take it; never fails."""
    return path.decode("utf-8", "surrogateescape")


def _matched(entries: Iterable[TreeEntry], matcher: PathMatcher) -> Iterable[TreeEntry]:
    return (entry for entry in entries if matcher.matches(text_of(entry.path)))


def _name(path: bytes, add: str, to_name: str | None) -> bytes:
    """The path relative to `add`; a mapping of one file has its new name or its own."""
    base = add.encode("utf-8", "surrogateescape")
    if path == base:
        return to_name.encode("utf-8", "surrogateescape") if to_name else base.rpartition(b"/")[2]
    return path[len(base) + 1 :] if base else path


def _check_name(name: bytes) -> None:
    """Trees are made by whoever pushed them: git's own checks are not run on a fetch."""
    if b"\0" in name or any(part in {b"", b".", b".."} for part in name.split(b"/")):
        shown = name[:200].decode("utf-8", "backslashreplace")
        raise CourierError("InputMissing", f"the commit has the impossible path {shown!r}")
