"""One tree laid over another, as a runtime lays a layer over those below.

In: a directory of the root filesystem itself, with owners, modes and times as they shall be. Out: its content in the root:
directories merge and take the upper one's figures, everything else is replaced, a symlink by a directory too.
"""
# Names are bytes that need not be UTF-8, and pathlib has no bytes paths.
# ruff: noqa: PTH101, PTH104

from __future__ import annotations

import errno
import os
import stat

from conveyor.builder.failure import StageFailure
from conveyor.builder.rootfs import shown
from conveyor.builder.snapshot import kept_xattrs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from conveyor.builder.rootfs import Rootfs


def lay_over(rootfs: Rootfs, tree: bytes) -> None:
    """Move the content of `tree`, which is gone afterwards.

    Raises:
        StageFailure: StepInvalid, what would have to be replaced is mounted into the container.
    """
    try:
        _merge(rootfs, tree.rstrip(b"/") + b"/", b"")
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.ENOTEMPTY, errno.EROFS):
            raise
        path = shown(os.fsencode(error.filename2 or error.filename or b"it"))
        raise StageFailure(
            "StepInvalid", f"{path} is mounted here and cannot be replaced"
        ) from error
    rootfs.remove(tree.rstrip(b"/"))


def _merge(rootfs: Rootfs, tree: bytes, folder: bytes) -> None:
    with os.scandir(tree + folder) as found:
        names = sorted(entry.name for entry in found)
    for name in names:
        path = folder + name
        upper, lower = tree + path, rootfs.root + path
        if not folder and rootfs.is_ours(path):
            raise StageFailure("StepInvalid", f"/{shown(path)} is not part of an image")
        if _is_dir(upper) and _is_dir(lower):
            _merge(rootfs, tree, path + b"/")
            _take_figures(upper, lower)
        else:
            rootfs.remove(lower)
            os.rename(upper, lower)


def _take_figures(upper: bytes, lower: bytes) -> None:
    status = os.lstat(upper)
    os.chown(lower, status.st_uid, status.st_gid)
    os.chmod(lower, stat.S_IMODE(status.st_mode))
    for name, value in kept_xattrs(upper):
        os.setxattr(lower, name, value)
    os.utime(lower, ns=(status.st_atime_ns, status.st_mtime_ns))


def _is_dir(path: bytes) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False
