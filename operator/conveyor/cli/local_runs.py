"""Builds of this user that are under way, so that what a killed one left can be told from what a living one uses.

In: a directory. Out: an id for this build, and which ids are of builds that are dead. A living build holds a lock on a file of
its name; the kernel releases it however the process ends. Ids begin with a random id of the directory: of builds that keep their
files elsewhere (another user, another machine with the same Engine) nobody here can know whether they live.
"""

import fcntl
import os
import secrets
from pathlib import Path
from typing import Self


class Run:
    """A build under way."""

    def __init__(self, folder: Path, place: str) -> None:
        self._folder = folder
        self._place = place
        self.uid = f"{place}-{secrets.token_hex(8)}"
        self._path = folder / self.uid
        self._lock = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    @classmethod
    def begin(cls, home: Path) -> Self:
        """Say that a build is under way."""
        folder = home / "builds"
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder, _place(folder))

    def end(self) -> None:
        """Say that it is over."""
        self._path.unlink(missing_ok=True)
        os.close(self._lock)

    def is_dead(self, uid: str) -> bool:
        """Whether a build is one of ours that has ended or was killed."""
        place, _, rest = uid.rpartition("-")
        if place != self._place or not rest.isalnum():
            return False
        try:
            found = os.open(self._folder / uid, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(found)
        (self._folder / uid).unlink(missing_ok=True)
        return True


def _place(folder: Path) -> str:
    """The directory's id; of two that make it at once the first wins."""
    path, part = folder / ".id", folder / f".{secrets.token_hex(8)}"
    if not path.exists():
        part.write_text(secrets.token_hex(8))
        try:
            os.link(part, path)
        except FileExistsError:
            pass
        finally:
            part.unlink()
    return path.read_text().strip()
