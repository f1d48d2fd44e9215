"""Outlines: as much of an image's tree as a block's copies look at.

In: in a pod that only copies, where each copy placed something and the snapshot from before it. Out: the entries that tell the
same copies all they ask for: directories on the way, and what lies in those where something was placed. Laid out as
directories, links and empty files they stand for the image when the block is built next time (`conveyor.builder.assembly`).
"""
# Names are bytes that need not be UTF-8, and pathlib has no bytes paths.
# ruff: noqa: PTH101, PTH102, PTH115, PTH118, PTH211

from __future__ import annotations

import os
import stat

from conveyor.builder.failure import StageFailure
from conveyor.builder.snapshot import figures, kept_xattrs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from conveyor.builder.snapshot import Snapshot, Tree

    Entry = list[str | int]

DIRECTORY, LINK, FILE = "d", "l", "f"
_MOST_ENTRIES = 1000
_MOST_BYTES = 32 << 10  # a report has to hold it
_BYTES_OF_FIGURES = 32
_ROOT: Entry = ["", DIRECTORY, 0o755, 0, 0, 0, 1]


class Recorder:
    """Collects the outline of the image that a pod started from, copy by copy."""

    def __init__(self, root: bytes, snapshot: Snapshot) -> None:
        self._root = root
        self._snapshot = snapshot
        self._entries: dict[bytes, Entry] | None = {}
        self._listed: set[bytes] = set()
        self._made: set[bytes] = set()
        self._bytes = 0

    def note(self, touched: Iterable[bytes] | None, followed: Iterable[bytes]) -> None:
        """Before the capture of a copy: learn what it has looked at and the snapshot still knows.

        Args:
            touched: Real paths of directories in which something was placed; None: anywhere.
            followed: Real paths of links that led there.
        """
        if touched is None or self._entries is None:
            self._entries = None
            return
        try:
            for link in sorted(followed):
                self._way(self._inside(link))
            for directory in sorted(touched):
                self._directory(self._inside(directory))
        except _UntoldError:
            self._entries = None

    def entries(self) -> list[Entry] | None:
        """The outline, parents first; None when it would not tell everything, or too much."""
        if self._entries is None:
            return None
        for path in self._listed & self._entries.keys():
            self._entries[path][-1] = 1
        root = [_ROOT] if b"" in self._listed else [[*_ROOT[:-1], 0]]
        return root + [self._entries[path] for path in sorted(self._entries, key=_parts)]

    def _inside(self, path: bytes) -> bytes:
        return path[len(self._root) :].strip(b"/")

    def _directory(self, path: bytes) -> None:
        """List a directory as it was; of one that was not there the nearest above."""
        if path in self._made or path in self._listed:
            return
        tree = self._snapshot.tree(path)
        if tree is None:
            self._directory(path.rpartition(b"/")[0])
            self._made.add(path)
            return
        self._way(path)
        for name in tree.signatures:
            self._add(path, name, tree)
        self._listed.add(path)

    def _way(self, path: bytes) -> None:
        """A path and all above it, as far as it was there before the first copy."""
        if not path:
            return
        above, _, name = path.rpartition(b"/")
        self._way(above)
        tree = self._snapshot.tree(above)
        if tree is None or above in self._made or path in self._made:
            return
        if above not in self._listed and name in tree.signatures:
            self._add(above, name, tree)
        if self._snapshot.tree(path) is not None and kept_xattrs(self._root + path):
            raise _UntoldError  # they are part of the directory's entry in a layer

    def _add(self, above: bytes, name: bytes, tree: Tree) -> None:
        path = above + b"/" + name if above else name
        entries = self._entries
        if entries is None or path in entries:
            return
        entries[path] = self._entry(path, tree.signatures[name])
        self._bytes += len(path) + _BYTES_OF_FIGURES
        if len(entries) > _MOST_ENTRIES or self._bytes > _MOST_BYTES:
            raise _UntoldError

    def _entry(self, path: bytes, signature: bytes) -> Entry:
        try:
            text = path.decode()
        except UnicodeDecodeError:
            raise _UntoldError from None
        mode, uid, gid, mtime = figures(signature)
        if stat.S_ISDIR(mode):
            return [text, DIRECTORY, stat.S_IMODE(mode), uid, gid, mtime, 0]
        if stat.S_ISLNK(mode):
            return [text, LINK, _target(self._root + path)]
        return [text, FILE]


class Outline:
    """An outline, laid out as a tree."""

    def __init__(self, entries: Sequence[Sequence[Any]]) -> None:
        self._entries = [(str(entry[0]).encode(), entry) for entry in entries]
        directories = [it for it in self._entries if it[1][1] == DIRECTORY]
        self._listed = {path: bool(entry[-1]) for path, entry in directories}

    def lay_out(self, root: bytes) -> None:
        """Make it below an empty directory.

        Raises:
            StageFailure: StepInvalid, an entry does not lie in a directory of the outline.
        """
        for path, entry in self._entries[1:]:
            above, _, name = path.rpartition(b"/")
            if above not in self._listed or name in (b"", b".", b".."):
                raise StageFailure("StepInvalid", f"{entry[0]!r} has no place in the outline")
            _make(os.path.join(root, path), entry)
        for path, entry in reversed(self._entries[1:]):  # making what is inside has changed times
            if entry[1] == DIRECTORY:
                os.utime(os.path.join(root, path), (int(entry[5]), int(entry[5])))

    def tells(self, root: bytes, touched: Iterable[bytes] | None) -> bool:
        """Whether it says all that is to be known of directories in which something was placed."""
        if touched is None:
            return False
        return all(self._tells(path[len(root) :].strip(b"/")) for path in touched)

    def _tells(self, path: bytes) -> bool:
        while path not in self._listed:
            path = path.rpartition(b"/")[0]
        return self._listed[path]


class _UntoldError(Exception):
    """An outline would not tell everything."""


def _make(path: bytes, entry: Sequence[Any]) -> None:
    if entry[1] == DIRECTORY:
        os.mkdir(path)
        os.chown(path, int(entry[3]), int(entry[4]))
        os.chmod(path, int(entry[2]))
    elif entry[1] == LINK:
        os.symlink(str(entry[2]).encode(), path)
    else:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))


def _target(path: bytes) -> str:
    """Where a link leads; one that was replaced meanwhile was not followed, so anything will do."""
    try:
        return os.readlink(path).decode()
    except OSError:
        return "."
    except UnicodeDecodeError:
        raise _UntoldError from None


def _parts(path: bytes) -> list[bytes]:
    return path.split(b"/")
