"""Commits of local repositories as packs, for couriers that have no server to fetch from.

In: a repository on disk, commits. Out: a file with these commits and all their files, without history: what a shallow fetch
of them would bring. A pack is made once for the same commits.
"""

import asyncio
import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from conveyor.adapters.cache import KeyedLocks
from conveyor.api.errors import UserError
from conveyor.api.names import Reason


class Packs:
    """Packs in a directory that is gone with the build."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._locks: KeyedLocks[Path] = KeyedLocks()

    async def of(self, repository: Path, commits: Sequence[str]) -> Path:
        """Return the pack.

        Raises:
            UserError: GitRevisionNotFound, a commit is not there (a shallow clone).
        """
        text = "\0".join([str(repository), *sorted(commits)])
        path = self._directory / f"{hashlib.sha256(text.encode()).hexdigest()}.pack"
        async with self._locks.of(path):
            if not path.exists():
                await asyncio.to_thread(_write, path, repository, commits)
        return path


def _write(path: Path, repository: Path, commits: Sequence[str]) -> None:
    git = ["git", "-C", str(repository)]
    names = [*git, "rev-list", "--objects", "--no-object-names", "--no-walk", *commits, "--"]
    listed = subprocess.run(names, capture_output=True, check=False)  # noqa: S603 - full ids
    if listed.returncode:
        raise _refused(repository, listed.stderr)
    part = path.with_suffix(".part")
    with part.open("wb") as out:
        packed = subprocess.run(  # noqa: S603 - the same
            [*git, "pack-objects", "--stdout", "--quiet", "--delta-base-offset"],
            input=listed.stdout,
            stdout=out,
            stderr=subprocess.PIPE,
            check=False,
        )
    if packed.returncode:
        raise _refused(repository, packed.stderr)
    part.rename(path)


def _refused(repository: Path, said: bytes) -> UserError:
    text = said.decode("utf-8", "replace").strip()[-500:]
    return UserError(Reason.GIT_REVISION_NOT_FOUND, f"{repository}: {text}")
