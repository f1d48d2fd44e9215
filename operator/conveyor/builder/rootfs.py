"""Paths inside a root filesystem: symlinks followed, but never out of it.

In: paths as a config or an archive names them. Out: the real path below the root, or a failure.
Nothing else runs in the container while files are put in place (every process of the user was
killed), so a path that was resolved stays what it was.
"""
# Names are bytes that need not be UTF-8, and pathlib has no bytes paths.
# ruff: noqa: PTH101, PTH102, PTH106, PTH108, PTH112, PTH115, PTH120

from __future__ import annotations

import os
import stat

from conveyor.builder.failure import StageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MAX_LINKS = 255
_OURS = (b"proc", b"sys", b"dev")
_TOOLS_PREFIX = b".conveyor"
# What every container has mounted, whatever its RUNs mount, beside the kernel's file systems and our own directories.
OF_EVERY_CONTAINER = (b"etc/hosts", b"etc/hostname", b"etc/resolv.conf")


class Rootfs:
    """A root filesystem to put files into.

    Attributes:
        root: Its path, with a trailing slash.
        placed_links: Real paths of symlinks made since the last `forget_links()`; nothing is put
            beyond them, so an archive cannot lay a link and then write through it.
        mounts: Real paths of what is mounted.
        covered: Further places that are not the image's own; None unless a RUN has mounted something.
        touched: Real paths of the directories that were made or in which something was placed since it was last taken; None
            when it may be anywhere.
        followed: Real paths of symlinks that led somewhere since it was last taken.
    """

    def __init__(
        self,
        root: bytes = b"/",
        *,
        mounts: Iterable[bytes] = (),
        look: Callable[[], Iterable[bytes]] | None = None,
    ) -> None:
        """Take what is mounted as given, or with `look` from there, now and whenever it may have changed."""
        self.root = root if root.endswith(b"/") else root + b"/"
        self.mounts = frozenset(look() if look else mounts)
        self._look = look
        self.placed_links: set[bytes] = set()
        self.covered: tuple[bytes, ...] | None = None
        self.touched: set[bytes] | None = set()
        self.followed: set[bytes] = set()

    def touch(self, directory: bytes) -> None:
        """Note that something is placed in a directory (a real path)."""
        if self.touched is not None:
            self.touched.add(directory)

    def touch_anything(self) -> None:
        """Note that what comes may change files anywhere."""
        self.touched = None

    def take_touched(self) -> set[bytes] | None:
        """What was touched; from here on it is noted anew."""
        found, self.touched = self.touched, set()
        return found

    def take_followed(self) -> set[bytes]:
        """What was followed; from here on it is noted anew."""
        found, self.followed = self.followed, set()
        return found

    def look_again(self) -> None:
        """After a command: a directory with a mount in it may have another name."""
        if self._look:
            self.mounts = frozenset(self._look())

    def forget_links(self) -> None:
        """Begin a new archive: symlinks that are there now may be followed."""
        self.placed_links.clear()

    def resolve(self, path: bytes, *, follow_last: bool = True) -> bytes:
        """The real path of `path`, which is taken from the root whether or not it begins with `/`.

        What does not exist is allowed: the rest is then taken literally.

        Raises:
            StageFailure: StepInvalid: too many symlinks, or the path leads to where no image
                content can be (`/proc`, `/.conveyor`, …).
        """
        parts = [part for part in reversed(path.split(b"/")) if part not in (b"", b".")]
        real: list[bytes] = []
        links = 0
        while parts:
            part = parts.pop()
            if part == b"..":
                if real:
                    real.pop()
                continue
            real.append(part)
            here = self.root + b"/".join(real)
            if not (parts or follow_last) or not _is_link(here):
                continue
            links += 1
            if links > _MAX_LINKS or here in self.placed_links:
                raise StageFailure(
                    "StepInvalid", f"{shown(path)}: leads through symlink {shown(here)}"
                )
            target = os.readlink(here)
            self.followed.add(here)
            real = [] if target.startswith(b"/") else real[:-1]
            parts += [step for step in reversed(target.split(b"/")) if step not in (b"", b".")]
        self._refuse_ours(real, path)
        return self.root + b"/".join(real)

    def make_dirs(self, real: bytes, owner: tuple[int, int] = (0, 0), mode: int = 0o755) -> bool:
        """Make the directory `real` (a resolved path) and its parents where missing.

        Returns:
            Whether it had to be made.

        Raises:
            StageFailure: StepInvalid, something on the way is not a directory.
        """
        if os.path.isdir(real):
            return False
        if os.path.lexists(real):
            raise StageFailure("StepInvalid", f"{shown(real)} exists and is not a directory")
        parent = os.path.dirname(real.rstrip(b"/"))
        if len(parent) > len(self.root.rstrip(b"/")):
            self.make_dirs(parent, owner, mode)
        os.mkdir(real)
        self.touch(real)
        os.chmod(real, mode)
        os.chown(real, *owner)
        return True

    def remove(self, real: bytes) -> None:
        """Remove what lies at a resolved path, with everything below; missing is fine."""
        try:
            status = os.lstat(real)
        except (FileNotFoundError, NotADirectoryError):
            return
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(real)
            return
        self.empty(real)
        os.rmdir(real)

    def empty(self, real: bytes) -> None:
        """Remove everything inside a directory; what is mounted there stays."""
        pending = [real.rstrip(b"/")]
        emptied: list[bytes] = []
        while pending:
            directory = pending.pop()
            with os.scandir(directory or b"/") as entries:
                for entry in entries:
                    path = directory + b"/" + entry.name
                    if path in self.mounts:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(path)
                        emptied.append(path)
                    else:
                        os.unlink(path)
        for directory in reversed(emptied):
            if not self._holds_mount(directory):
                os.rmdir(directory)

    def is_ours(self, relative: bytes) -> bool:
        """Whether a path relative to the root is never part of an image."""
        first = relative.split(b"/", 1)[0]
        return first in _OURS or first.startswith(_TOOLS_PREFIX)

    def is_covered(self, real: bytes) -> bool:
        """Whether something that a RUN has mounted lies at, above or below a real path: what the image has is not seen."""
        if self.covered is None:
            return False
        below = real.rstrip(b"/") + b"/"
        mounts = (*filter(self._is_of_runs, self.mounts), *self.covered)
        return any(below.startswith(mount + b"/") or mount.startswith(below) for mount in mounts)

    def _is_of_runs(self, mount: bytes) -> bool:
        inside = mount[len(self.root) :]
        return inside not in OF_EVERY_CONTAINER and not self.is_ours(inside)

    def _holds_mount(self, directory: bytes) -> bool:
        return any(mount.startswith(directory + b"/") for mount in self.mounts)

    def _refuse_ours(self, real: list[bytes], path: bytes) -> None:
        if real and self.is_ours(real[0]):
            raise StageFailure(
                "StepInvalid", f"{shown(path)}: /{shown(real[0])} is not part of an image"
            )


def shown(path: bytes) -> str:
    """A path for a message."""
    return path.decode("utf-8", "backslashreplace")


def _is_link(path: bytes) -> bool:
    try:
        return stat.S_ISLNK(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
