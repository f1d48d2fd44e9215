"""A directory of bare clones: one for each URL and set of credentials, the least used ones thrown away.

In: a URL and credentials. Out: an open `GitRepo`. Clones have no blobs where the server can leave them out; git gets
those it needs later. A clone that is damaged or half made is made anew.
"""

import asyncio
import hashlib
import os
import shutil
from pathlib import Path
from tempfile import mkdtemp

from conveyor.adapters.cache import KeyedLocks
from conveyor.adapters.git_access import NETWORK_SECONDS, READY_FILE
from conveyor.adapters.git_credentials import (
    SCHEMES,
    GitCredentials,
    check_url,
    credential_environment,
)
from conveyor.adapters.git_errors import GitFailed, remote_error
from conveyor.adapters.git_process import GitProcess
from conveyor.adapters.git_repo import GitRepo
from conveyor.api.errors import UserError
from conveyor.api.names import Reason

_PART = "part-"


class GitClones:
    """The clones of one operator.

    Args:
        directory: Where they lie; made when missing, to be used by one process only.
        max_clones: How many are kept.
        max_bytes: Bytes of packs that are kept in all, the newest clone never counted out.
        protocols: Allowed URL schemes.
        ca_file: PEM file of the authorities that git trusts; the system's when None.
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_clones: int = 100,
        max_bytes: int = 8 * 1024**3,
        protocols: tuple[str, ...] = SCHEMES,
        ca_file: str | None = None,
    ) -> None:
        self._directory = directory
        self._environment = {"GIT_SSL_CAINFO": ca_file} if ca_file else {}
        self._max_clones = max_clones
        self._max_bytes = max_bytes
        self._protocols = protocols
        self._open: dict[str, GitRepo] = {}
        self._locks: KeyedLocks[str] = KeyedLocks()

    async def open(self, url: str, credentials: GitCredentials | None = None) -> GitRepo:
        """Return the repository, cloned if need be; what is at hand is not refreshed.

        Raises:
            UserError: InvalidSpec for a bad URL; GitAuthFailed; no such repository.
            NotYet: GitRemoteUnreachable.
        """
        check_url(url, self._protocols)
        key = self._key(url, credentials)
        async with self._locks.of(key):
            path = self._directory / key
            if not (path / READY_FILE).exists():
                self._open.pop(key, None)
                await self._clone(url, credentials, path)
                await asyncio.to_thread(self._shrink, key)
            os.utime(path / READY_FILE)
            if key not in self._open:
                self._open[key] = GitRepo(self._process(path), url=url, credentials=credentials)
            return self._open[key]

    def _key(self, url: str, credentials: GitCredentials | None) -> str:
        parts = (url, credentials.fingerprint if credentials else "")
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]

    def _process(self, path: Path | None) -> GitProcess:
        return GitProcess(
            git_dir=path, protocols=":".join(self._protocols), environment=self._environment
        )

    async def _clone(self, url: str, credentials: GitCredentials | None, path: Path) -> None:
        """Clone beside, then move into place: a killed operator leaves no half clone."""
        self._directory.mkdir(parents=True, exist_ok=True)
        part = Path(mkdtemp(prefix=_PART, dir=self._directory))
        options = ("--bare", "--quiet", "--filter=blob:none", "--no-local", "--template=")
        try:
            with credential_environment(url, credentials) as environment:
                git = GitProcess(
                    protocols=":".join(self._protocols),
                    environment={**self._environment, **environment},
                )
                await git.run(
                    *("clone", *options, "--", url, str(part / "repo")), timeout=NETWORK_SECONDS
                )
            (part / "repo" / READY_FILE).touch()
            await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
            (part / "repo").rename(path)
        except GitFailed as failure:
            raise remote_error(url, failure, with_login=credentials is not None) from failure
        finally:
            await asyncio.to_thread(shutil.rmtree, part, ignore_errors=True)

    def _shrink(self, newest: str) -> None:
        """Throw away clones, least used first, while there are too many or too large ones."""
        clones = sorted(self._clones(), key=_last_use, reverse=True)
        size = 0
        for count, path in enumerate(clones, 1):
            size += _pack_bytes(path)
            over = count > self._max_clones or size > self._max_bytes
            if over and path.name != newest and not self._locks.of(path.name).locked():
                self._open.pop(path.name, None)
                shutil.rmtree(path, ignore_errors=True)

    def _clones(self) -> list[Path]:
        return [path for path in self._directory.iterdir() if not path.name.startswith(_PART)]


async def open_local(directory: Path) -> GitRepo:
    """Open a repository on disk, with or without a work tree; only its commits are looked at.

    Raises:
        UserError: InvalidSpec when there is none.
    """
    try:
        git = GitProcess()
        found = await git.run("-C", _absolute(directory), "rev-parse", "--absolute-git-dir")
    except GitFailed as failure:
        raise UserError(
            Reason.INVALID_SPEC, f"{directory} is not a git repository: {failure.detail}"
        ) from failure
    return GitRepo(GitProcess(git_dir=Path(os.fsdecode(found.removesuffix(b"\n")))))


def _absolute(directory: Path) -> str:
    return str(directory.resolve())


def _last_use(path: Path) -> float:
    mark = path / READY_FILE
    return mark.stat().st_mtime if mark.exists() else 0.0


def _pack_bytes(path: Path) -> int:
    packs = path / "objects" / "pack"
    return sum(file.stat().st_size for file in packs.iterdir()) if packs.is_dir() else 0
