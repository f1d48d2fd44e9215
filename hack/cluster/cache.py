"""Files and folders cached by content.

In: the inputs of something slow to make. Out: a key that changes when an input does, and files
that are either whole (their checksum stands beside them) or not there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cluster.console import Console


def key_of(paths: Iterable[Path], *words: str) -> str:
    """A short key for the contents (and modes) of files, and for words.

    Args:
        paths: files or folders; the names below each count, the place of each does not.
        words: versions, keys of other things, package names.
    """
    digest = hashlib.sha256()
    for word in words:
        digest.update(f"{len(word)}:{word}".encode())
    for path in paths:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in (f for f in files if f.is_file()):
            content = file.read_bytes()
            executable = bool(file.stat().st_mode & 0o100)
            name = file.relative_to(path.parent)
            digest.update(f"{name}:{executable}:{len(content)}:".encode() + content)
    return digest.hexdigest()[:12]


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _seal(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def is_sealed(path: Path) -> bool:
    """Whether the file was stored to the end; quick, its content is not read."""
    return path.is_file() and _seal(path).is_file()


def is_whole(path: Path) -> bool:
    """Whether the file is there and is what was stored."""
    seal = _seal(path)
    return path.is_file() and seal.is_file() and seal.read_text().strip() == _checksum(path)


def store(made: Path, path: Path) -> None:
    """Move a finished file to its place, durable before its checksum says it is whole.

    Args:
        made: the file, on the same file system as `path`.
        path: its place; what is there is replaced.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _seal(path).unlink(missing_ok=True)
    checksum = _checksum(made)
    with made.open("rb") as file:
        os.fsync(file.fileno())
    made.replace(path)
    _seal(path).write_text(checksum + "\n")


def forget_others(keep: Path, pattern: str) -> None:
    """Remove what older inputs left beside `keep`.

    Args:
        keep: file or folder that stays.
        pattern: glob, in the folder of `keep`, of all versions of it.
    """
    for other in keep.parent.glob(pattern):
        if other.name.removesuffix(".sha256") == keep.name:
            continue
        if other.is_dir():
            shutil.rmtree(other, ignore_errors=True)
        else:
            other.unlink(missing_ok=True)


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder for half-made things, on the file system of the cache.

    Args:
        folder: the cache folder; the caller holds its lock.
    """
    (folder / "scratch").mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(dir=folder / "scratch"))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def locked(folder: Path, console: Console) -> Iterator[None]:
    """One run at a time; a second one waits. The kernel frees the lock of a killed run."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.say("another run of hack/cluster.py is at work; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        # Nobody else is at work: what lies there was left by a killed run.
        shutil.rmtree(folder / "scratch", ignore_errors=True)
        yield
