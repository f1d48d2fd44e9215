"""Base images of the capture lane, as layer tars made from nothing but busybox.

In: a path. Out: a tar of a base that has what the cases change: trees, links, set-id files, users.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

BUSYBOX = Path("/bin/busybox")
_TIME = 1_600_000_000
_APPLETS = (
    *(
        "sh",
        "cat",
        "chmod",
        "chown",
        "cp",
        "dd",
        "echo",
        "find",
        "head",
        "ln",
        "ls",
        "mkdir",
        "mkfifo",
        "mknod",
        "mv",
    ),
    *(
        "rm",
        "rmdir",
        "seq",
        "sleep",
        "stat",
        "tail",
        "touch",
        "truncate",
        "yes",
        "true",
        "id",
        "env",
        "pwd",
        "test",
    ),
)


def write_small(path: Path) -> None:
    """A base with a shell and a bit of everything."""
    with tarfile.open(path, "w") as tar:
        for name in ("bin", "etc", "home", "home/app", "srv", "tmp", "usr", "usr/share", "data"):
            _dir(tar, name, 0o1777 if name == "tmp" else 0o755)
        _file(tar, "bin/busybox", BUSYBOX.read_bytes(), 0o755)
        for applet in _APPLETS:
            _symlink(tar, f"bin/{applet}", "busybox")
        _file(
            tar,
            "etc/passwd",
            b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n",
        )
        _file(tar, "etc/group", b"root:x:0:\napp:x:1001:\nextra:x:2002:app\nwheel:x:10:root,app\n")
        _tree(tar)


def write_static(path: Path) -> None:
    """A base with one static program and no shell, as distroless images have it."""
    with tarfile.open(path, "w") as tar:
        _dir(tar, "app")
        _dir(tar, "etc")
        _file(tar, "app/program", BUSYBOX.read_bytes(), 0o755)
        _symlink(tar, "app/touch", "program")
        _symlink(tar, "app/mkdir", "program")
        _file(tar, "etc/passwd", b"nonroot:x:65532:65532::/home/nonroot:/sbin/nologin\n")


def _tree(tar: tarfile.TarFile) -> None:
    _dir(tar, "srv/tree")
    for number in range(40):
        _dir(tar, f"srv/tree/d{number:02}")
        for inner in range(5):
            _file(tar, f"srv/tree/d{number:02}/f{inner}", b"%d %d\n" % (number, inner))
    _dir(tar, "srv/dir")
    _file(tar, "srv/dir/inside", b"inside\n")
    _dir(tar, "srv/dir/sub")
    _file(tar, "srv/dir/sub/deep", b"deep\n")
    _file(tar, "srv/file", b"a plain file\n")
    _symlink(tar, "srv/link-to-dir", "dir")
    _symlink(tar, "srv/link-to-file", "file")
    _symlink(tar, "srv/dangling", "nowhere")
    _file(tar, "srv/same-size", b"version one\n")
    _file(tar, "srv/setuid", b"#!/bin/sh\n", 0o4755)
    _file(tar, "data/one", b"linked\n")
    for name in ("data/two", "srv/three"):
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.mtime = tarfile.LNKTYPE, "data/one", _TIME
        tar.addfile(info)
    _file(tar, "data/alone", b"alone\n")


def _dir(tar: tarfile.TarFile, name: str, mode: int = 0o755) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = tarfile.DIRTYPE, mode, _TIME
    tar.addfile(info)


def _file(tar: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(data), mode, _TIME
    tar.addfile(info, io.BytesIO(data))


def _symlink(tar: tarfile.TarFile, name: str, target: str) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.mtime = tarfile.SYMTYPE, target, 0o777, _TIME
    tar.addfile(info)
