"""How the two containers of a build pod come to share a directory without a volume.

In: a directory of the stage container. Out: a descriptor of it in the courier. Containers of a pod have one network, and with it
the abstract sockets of Unix: the stage program listens, whoever connects first is sent the descriptor. The directory is
given by the container that has nothing to hide: out of a descriptor one gets at everything else that its container sees.

A volume would cost 0.3 s of every pod's start: the kubelet looks that seldom whether volumes are mounted.
"""
# Part of the tools layer too, which has neither `socket` nor pathlib.
# ruff: noqa: PTH103, PTH104

from __future__ import annotations

import _thread
import fcntl
import os
import stat
import struct
import time
from _socket import (
    AF_UNIX,
    CMSG_LEN,
    MSG_CMSG_CLOEXEC,
    SCM_RIGHTS,
    SOCK_STREAM,
    SOL_SOCKET,
    socket,
)

from conveyor.builder.rootfs import Rootfs

ADDRESS = "\0conveyor.dev/io"
GROWING = "layer.part"  # of `out/`: the layer that the stage program is writing
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_RIGHTS = struct.Struct("i")
_ANSWER_SECONDS = 10
_FIRST_PAUSE, _LONGEST_PAUSE = 0.004, 0.1


def make_directories(path: str, *, keep: bool) -> None:
    """Make what is shared with the courier; unless `keep`, what an image has of that name goes."""
    if not keep:
        Rootfs(b"/", mounts=()).remove(path.encode())
    for name in ("in", "out"):
        os.makedirs(f"{path}/{name}", exist_ok=True)


def hold_alive(path: str) -> int:
    """Make the file `path`, locked for as long as the returned descriptor is open.

    The courier sees the file only when it is locked, so an unlocked one means: ended.
    """
    descriptor = os.open(f"{path}.part", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.rename(f"{path}.part", path)
    return descriptor


class Offer:
    """A directory held out to the courier, from when it is made until somebody has taken it."""

    def __init__(self, path: str, address: str = ADDRESS) -> None:
        self._directory = os.open(path, DIRECTORY)
        self._listener = socket(AF_UNIX, SOCK_STREAM)
        self._listener.bind(address)
        self._listener.listen(1)
        self._open = _thread.allocate_lock()
        self._open.acquire()
        # The program itself runs commands and walks trees, and the courier may come at any time.
        _thread.start_new_thread(self._give, ())

    def wait(self, seconds: float) -> bool:
        """Whether it was taken, at the latest after so many seconds: what it holds is gone with the process."""
        taken = self._open.acquire(timeout=seconds)
        if taken:
            self._open.release()
        return taken

    def _give(self) -> None:
        rights = _RIGHTS.pack(self._directory)
        while True:
            number, _ = self._listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001
            peer = socket(fileno=number)
            try:
                peer.sendmsg([b"io"], [(SOL_SOCKET, SCM_RIGHTS, rights)])
            except OSError:
                continue  # who came is gone
            finally:
                peer.close()
            self._listener.close()
            self._open.release()
            return


def take(seconds: float, address: str = ADDRESS) -> int | None:
    """Return a descriptor of the directory that the stage container holds out; None if nobody did for so long.

    Raises:
        OSError: What was sent is no directory.
    """
    deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while (found := _asked(address)) is None:
        if time.monotonic() > deadline:
            return None
        time.sleep(pause)
        pause = min(pause * 1.1, _LONGEST_PAUSE)
    if not stat.S_ISDIR(os.fstat(found).st_mode):
        os.close(found)
        raise NotADirectoryError("the stage container sent something else than a directory")
    return found


def _asked(address: str) -> int | None:
    asking = socket(AF_UNIX, SOCK_STREAM)
    try:
        asking.settimeout(_ANSWER_SECONDS)
        asking.connect(address)
        # Room for one descriptor: the kernel closes what does not fit.
        _, ancillary, _, _ = asking.recvmsg(2, CMSG_LEN(_RIGHTS.size), MSG_CMSG_CLOEXEC)
    except OSError:
        return None
    finally:
        asking.close()
    for level, kind, data in ancillary:
        if (level, kind) == (SOL_SOCKET, SCM_RIGHTS) and len(data) == _RIGHTS.size:
            return int(_RIGHTS.unpack(data)[0])
    return None
