"""The directory shared with the stage container, handled as what it is: hostile.

In: names of the protocol. Out: open files and parsed JSON. Code of the user runs as root on the other side,
so every file is opened relative to directories that were opened before that code started, never through a
symlink, and must be a regular file. Without this a link `out/0-0.tar` → registry secret would be read
with the courier's eyes.

    in/…, in/ready-<run>, in/failed       written here, read by the stage program
    alive                                 locked by the stage program for as long as it lives
    out/<run>-<layer>.tar, out/<run>.json, out/export-<id>.tar, .json, out/done.json   written there
    out/layer.part                        the layer that is being written there
"""
# ruff: noqa: PTH - everything is relative to directory descriptors, which pathlib does not know

import errno
import fcntl
import json
import os
import stat
from typing import BinaryIO, Final

from conveyor.builder.courier_errors import CourierError
from conveyor.builder.handover import GROWING

_MAX_JSON: Final = 1 << 20
_SAFE: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Exchange:
    """Both sides' files; the directories are made if they are not there yet.

    Args:
        place: path of the directory, or a descriptor of it.
    """

    def __init__(self, place: str | int) -> None:
        self._base = os.open(place, _DIRECTORY) if isinstance(place, str) else place
        self._in = _directory(self._base, "in")
        self._out = _directory(self._base, "out")

    def create_input(self, name: str) -> BinaryIO:
        """Open a new file `in/<name>` for writing."""
        return os.fdopen(os.open(_safe(name), _WRITE, 0o644, dir_fd=self._in), "wb")

    def ready(self, run: int) -> None:
        """Tell the stage program that all inputs of a run are there."""
        os.close(os.open(f"ready-{run}", _WRITE, 0o644, dir_fd=self._in))

    def failed(self, reason: str, message: str) -> None:
        """Tell the stage program that it need not go on. Best effort."""
        text = json.dumps({"reason": reason, "message": message}).encode()
        try:
            with os.fdopen(os.open(".failed", _WRITE, 0o644, dir_fd=self._in), "wb") as file:
                file.write(text)
            os.rename(".failed", "failed", src_dir_fd=self._in, dst_dir_fd=self._in)
        except OSError:
            return  # the volume is gone or full: the stage container is ended by its pod

    def growing(self) -> int | None:
        """The inode of the layer that the stage program is writing; None when it writes none or has ended."""
        try:
            status = os.stat(GROWING, dir_fd=self._out, follow_symlinks=False)
        except OSError:
            return None
        return status.st_ino if self.stage_lives() else None

    def open_output(self, name: str) -> tuple[BinaryIO, int]:
        """Open `out/<name>`; returns it with its size in bytes.

        Raises:
            CourierError: LayerInvalid, it is missing or is no regular file.
        """
        try:
            descriptor = os.open(_safe(name), _READ, dir_fd=self._out)
        except OSError as error:
            raise _unusable(name, error.strerror or str(error)) from None
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise _unusable(name, "not a regular file")
        return os.fdopen(descriptor, "rb", buffering=0), status.st_size

    def has_output(self, name: str) -> bool:
        """Whether `out/<name>` is there."""
        try:
            os.stat(name, dir_fd=self._out, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def read_output(self, name: str) -> dict[str, object]:
        """Parse the JSON object `out/<name>`.

        Raises:
            CourierError: LayerInvalid, it is no JSON object or larger than 1 MiB.
        """
        file, size = self.open_output(name)
        with file:
            data = file.read(_MAX_JSON + 1) if size <= _MAX_JSON else None
        try:
            value = json.loads(data) if data is not None else None
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise _unusable(name, "not a JSON object of at most 1 MiB")
        return value

    def stage_lives(self) -> bool | None:
        """Whether the stage program holds its lock; None before it has started."""
        try:
            descriptor = os.open("alive", _READ, dir_fd=self._base)
        except FileNotFoundError:
            return None
        except OSError:
            return False  # replaced by something that is no file: what held the lock is not there
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno == errno.EINTR:
                return True
            raise
        finally:
            os.close(descriptor)
        return False


def _directory(base: int, name: str) -> int:
    try:
        os.mkdir(name, dir_fd=base)
        os.chmod(name, 0o777, dir_fd=base)  # noqa: S103 - the two containers may be different users
    except FileExistsError:
        pass  # the stage container was faster
    return os.open(name, _DIRECTORY, dir_fd=base)


def _safe(name: str) -> str:
    if not name or name.startswith(".") or len(name) > 200 or not set(name) <= _SAFE:
        raise CourierError("LayerInvalid", f"{name[:80]!r} is not a file name of the protocol")
    return name


def _unusable(name: str, why: str) -> CourierError:
    return CourierError("LayerInvalid", f"the stage container's {name} cannot be used: {why}")
