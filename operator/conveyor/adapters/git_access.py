"""Git for one repository: with its credentials, without any server, and what a failure of it means.

In: how to call git, the URL, credentials. Out: git's output, or an error that says what to do. A clone that turns out to
be damaged loses its mark, so that the next look clones anew.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from conveyor.adapters.git_credentials import GitCredentials, credential_environment
from conveyor.adapters.git_errors import GitFailed, remote_error, without_user_info
from conveyor.adapters.git_process import GitProcess
from conveyor.api.errors import NotYet
from conveyor.api.names import Reason

NETWORK_SECONDS = 600.0
READY_FILE = "conveyor-ready"


class GitAccess:
    """Calls git; `url` is "" for a local repository, which has no server."""

    def __init__(self, process: GitProcess, url: str, credentials: GitCredentials | None) -> None:
        self.url = url
        self._process = process
        self._credentials = credentials

    @property
    def shown_url(self) -> str:
        """The URL without user information, or the directory."""
        return without_user_info(self.url) or str(self._process.git_dir)

    @asynccontextmanager
    async def online(self, *, network: bool = False) -> AsyncIterator[GitProcess]:
        """Provide git with credentials: a blobless clone may need the server for any content.

        Args:
            network: The command is about the server, whatever its failure says.

        Raises:
            UserError, NotYet: What a failure of the commands means.
        """
        try:
            if not self.url:
                yield self._process
                return
            with credential_environment(self.url, self._credentials) as environment:
                yield replace(
                    self._process, environment={**self._process.environment, **environment}
                )
        except GitFailed as failure:
            raise self.explain(failure, network=network) from failure

    async def read(self, *args: str) -> bytes:
        """Return what a command prints."""
        async with self.online() as git:
            return await git.run(*args, timeout=NETWORK_SECONDS)

    async def offline(self, *args: str) -> bytes:
        """Run git without any server: what is missing in a blobless clone stays missing.

        Raises:
            GitFailed: As it is; `explain` tells what it means.
        """
        return await replace(self._process, protocols="none").run(*args)

    def explain(self, failure: GitFailed, *, network: bool = False) -> Exception:
        """Return what a failure means."""
        if failure.broken and self.url and self._process.git_dir is not None:
            # The next look finds no mark and clones anew.
            Path(self._process.git_dir, READY_FILE).unlink(missing_ok=True)
            return NotYet(
                Reason.GIT_REMOTE_UNREACHABLE,
                f"{self.shown_url}: the clone was damaged and is made anew: {failure.detail}",
                after=1.0,
            )
        if not (network or self.url):
            return failure
        login = self._credentials is not None
        return remote_error(self.shown_url, failure, with_login=login)
