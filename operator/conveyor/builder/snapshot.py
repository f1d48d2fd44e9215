"""What changed in a root filesystem between two moments.

In: a root directory and the mounts to leave out. Out: changes in a fixed order: for every
directory first the names that are gone, then its entries by byte order, a directory before what
is in it. Knows nothing of tar. One signature per entry is kept, so memory is about 200 bytes a
file, whatever the files' sizes.

An entry is changed when any of type, mode, uid, gid, size, mtime, ctime or inode differs. The
kernel alone sets ctime, so content that was changed with its mtime put back is seen too.
"""

from __future__ import annotations

import os
import stat
import struct
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Change = tuple[bytes, os.stat_result | None]

_SIGNATURE = struct.Struct("<IIIqqqQ")
_pack = _SIGNATURE.pack
_NOTHING: frozenset[bytes] = frozenset()
_SKIPPED_AT_ROOT = frozenset((b"proc", b"sys", b"dev"))
_TOOLS_PREFIX = b".conveyor"
_COARSE_CLOCK = 5  # CLOCK_REALTIME_COARSE: the clock that file timestamps are taken from
_SECOND = 1_000_000_000
_SETTLE_LIMIT = 2 * _SECOND


class Tree:
    """One directory as it was: name to signature, and the directories among them."""

    __slots__ = ("signatures", "subs")

    def __init__(self) -> None:
        self.signatures: dict[bytes, bytes] = {}
        self.subs: dict[bytes, Tree] = {}


_EMPTY = Tree()


class Snapshot:
    """The state of a root filesystem, and the way to the next state.

    `take()` once, then `changes()` after each layer: it brings the snapshot up to date as it goes.

    Attributes:
        entries: How many entries the last walk saw.
    """

    def __init__(self, root: bytes = b"/", *, mounts: Iterable[bytes] = ()) -> None:
        self._root = root if root.endswith(b"/") else root + b"/"
        self._hidden = _hidden_names(self._root, mounts)
        self._tree = Tree()
        self._root_state = root_state(self._root)
        self._newest = 0
        self.entries = 0

    def hide(self, mounts: Iterable[bytes]) -> None:
        """From now on leave out these mounts, wherever they were before."""
        self._hidden = _hidden_names(self._root, mounts)

    def take(self) -> None:
        """Walk everything; remember it as the state before.

        Raises:
            OSError: A directory cannot be read.
        """
        self.entries = 0
        self._root_state = root_state(self._root)
        self._tree = Tree()
        pending = [(self._root, self._tree)]
        while pending:
            path, tree = pending.pop()
            tree.signatures = self._scan(path)
            for name, signature in tree.signatures.items():
                if _is_dir(signature):
                    sub = tree.subs[name] = Tree()
                    pending.append((path + name + b"/", sub))

    def tree(self, path: bytes) -> Tree | None:
        """A directory (relative to the root) as it was seen last; None if it was none."""
        found: Tree | None = self._tree
        for name in filter(None, path.split(b"/")):
            found = found.subs.get(name) if found else None
        return found

    def changes(self, within: Iterable[bytes] | None = None) -> Iterator[Change]:
        """Walk again; yield what differs, then hold the new state.

        Args:
            within: Directories (real paths) that alone are looked into, with the way to them and what is new in them, for
                whoever knows where changes can be; None for all.

        Yields:
            `(path, status)`: path relative to the root, without a leading slash, `b""` is the root
            itself; status is None for a path that is gone (only the topmost one is named). Sockets
            are never yielded: no tar format holds them, and Docker Engine leaves them out.
        """
        self.entries = 0
        wanted = None if within is None else self._with_parents(within)
        before, self._root_state = self._root_state, root_state(self._root)
        if before != self._root_state:
            yield b"", os.lstat(self._root)
        old, self._tree = self._tree, Tree()
        stack = [self._enter(b"", old, self._tree)]
        yield from _gone(b"", old, self._tree)
        while stack:
            prefix, old, new, names = stack[-1]
            for name in names:
                signature = new.signatures[name]
                if old.signatures.get(name) != signature:
                    status = os.lstat(self._root + prefix + name)
                    if not stat.S_ISSOCK(status.st_mode):
                        yield prefix + name, status
                if _is_dir(signature):
                    inner = prefix + name + b"/"
                    if wanted is not None and inner not in wanted and name in old.subs:
                        new.subs[name] = old.subs.pop(name)
                        continue
                    below, sub = old.subs.pop(name, _EMPTY), Tree()
                    new.subs[name] = sub
                    stack.append(self._enter(inner, below, sub))
                    yield from _gone(inner, below, sub)
                    break
            else:
                stack.pop()

    def settle(self) -> None:
        """Wait until a change from now on must get a later ctime than any seen.

        File times move in ticks (1-10 ms; a whole second on a few file systems). Without this, a
        change of the same size within the tick of the walk would look like no change.
        """
        tick = _SECOND if self._newest % _SECOND == 0 else 1
        limit = time.monotonic_ns() + _SETTLE_LIMIT
        while time.clock_gettime_ns(_COARSE_CLOCK) < self._newest + tick:
            if time.monotonic_ns() > limit:
                return
            time.sleep(0.001)

    def _with_parents(self, directories: Iterable[bytes]) -> set[bytes]:
        """Every directory on the way, as prefixes relative to the root."""
        wanted: set[bytes] = set()
        for directory in directories:
            prefix = directory[len(self._root) :].rstrip(b"/")
            while prefix and prefix + b"/" not in wanted:
                wanted.add(prefix + b"/")
                prefix = prefix.rpartition(b"/")[0]
        return wanted

    def _enter(
        self, prefix: bytes, old: Tree, new: Tree
    ) -> tuple[bytes, Tree, Tree, Iterator[bytes]]:
        new.signatures = self._scan(self._root + prefix)
        return prefix, old, new, iter(sorted(new.signatures))

    def _scan(self, path: bytes) -> dict[bytes, bytes]:
        hidden = self._hidden.get(path, _NOTHING)
        at_root = path == self._root
        found: dict[bytes, bytes] = {}
        newest = self._newest
        with os.scandir(path) as entries:
            for entry in entries:
                name = entry.name
                if name in hidden or (at_root and name.startswith(_TOOLS_PREFIX)):
                    continue
                status = entry.stat(follow_symlinks=False)
                found[name] = _signature(status)
                newest = max(newest, status.st_ctime_ns)
        self._newest = newest
        self.entries += len(found)
        return found


def mount_points(mountinfo: bytes) -> list[bytes]:
    """Read the mount points out of the text of `/proc/self/mountinfo`.

    Returns:
        Absolute paths, `/` left out.
    """
    points = []
    for line in mountinfo.splitlines():
        fields = line.split(b" ")
        if len(fields) > 4 and fields[4] != b"/":
            points.append(_unescape(fields[4]))
    return points


def root_state(root: bytes) -> tuple[int, int, int, tuple[tuple[str, bytes], ...]]:
    """What is compared of the root directory itself: mode, owner, group, extended attributes.

    Its times are left out: the container runtime touches them when it makes mount points.
    """
    status = os.lstat(root)
    return status.st_mode, status.st_uid, status.st_gid, kept_xattrs(root)


def kept_xattrs(path: bytes) -> tuple[tuple[str, bytes], ...]:
    """The extended attributes that belong to an image, sorted by name.

    Left out: `trusted.*` and `user.overlay.*` (overlayfs' own notes), and `security.*` other than
    file capabilities (SELinux labels and IMA hashes belong to the node that wrote them).
    """
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:  # a file system without extended attributes
        return ()
    if not names:
        return ()
    kept = sorted(name for name in names if _is_kept(name))
    return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in kept)


def _is_kept(name: str) -> bool:
    if name.startswith("user."):
        return not name.startswith("user.overlay.")
    return name in ("security.capability", "system.posix_acl_access", "system.posix_acl_default")


def _signature(status: os.stat_result) -> bytes:
    is_dir = stat.S_ISDIR(status.st_mode)
    # A directory's size and, on overlayfs over several file systems, its inode number may change
    # by themselves; its times and owner tell whether it changed.
    return _pack(
        status.st_mode,
        status.st_uid,
        status.st_gid,
        0 if is_dir else status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        0 if is_dir else status.st_ino,
    )


def figures(signature: bytes) -> tuple[int, int, int, int]:
    """Mode with type, owner, group and whole seconds of mtime of an entry of a `Tree`."""
    mode, uid, gid, _, mtime, _, _ = _SIGNATURE.unpack(signature)
    return mode, uid, gid, mtime // _SECOND


def _is_dir(signature: bytes) -> bool:
    return signature[1] & 0xF0 == 0x40  # S_IFMT of the little-endian mode


def _gone(prefix: bytes, old: Tree, new: Tree) -> Iterator[Change]:
    for name in sorted(old.signatures.keys() - new.signatures.keys()):
        yield prefix + name, None


def _hidden_names(root: bytes, mounts: Iterable[bytes]) -> dict[bytes, frozenset[bytes]]:
    hidden: dict[bytes, set[bytes]] = {root: set(_SKIPPED_AT_ROOT)}
    for mount in mounts:
        parent, _, name = mount.rpartition(b"/")
        hidden.setdefault(parent + b"/", set()).add(name)
    return {parent: frozenset(names) for parent, names in hidden.items()}


def _unescape(field: bytes) -> bytes:
    parts = field.split(b"\\")
    return parts[0] + b"".join(bytes((int(p[:3], 8),)) + p[3:] for p in parts[1:])
