"""The files of a commit, as templates of werf.yaml read them.

In: a repository, a commit, the project directory. Out: the `Files` interface. Templates are rendered in a thread, git answers in
the event loop: every read crosses over and waits.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, Final, TypeVar

from conveyor.adapters.git_repo import GitRepo
from conveyor.config.glob import matches
from conveyor.config.paths import clean

T = TypeVar("T")

_SECONDS: Final = 30.0


class GitFiles:
    """Files below `directory` at `commit`; made in the event loop, used in another thread."""

    def __init__(self, repo: GitRepo, commit: str, directory: str, paths: tuple[str, ...]) -> None:
        self._repo = repo
        self._commit = commit
        self._prefix = f"{directory}/" if directory else ""
        self._paths = tuple(
            path.removeprefix(self._prefix) for path in paths if path.startswith(self._prefix)
        )
        self._folders = {
            path[:index] for path in self._paths for index, char in enumerate(path) if char == "/"
        }
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(cls, repo: GitRepo, commit: str, directory: str = "") -> "GitFiles":
        """List the files once."""
        return cls(repo, commit, directory, await repo.files(commit, directory))

    def get(self, path: str) -> str | None:
        """See `Files`."""
        relative = _relative(path)
        if relative not in self._paths:
            return None
        return self._wait(self._repo.file_text(self._commit, self._prefix + relative))

    def glob(self, pattern: str) -> Mapping[str, str]:
        """See `Files`."""
        cleaned = _relative(pattern)
        found = sorted(path for path in self._paths if matches(cleaned, path))
        return {path: text for path in found if (text := self.get(path)) is not None}

    def exists(self, path: str) -> bool:
        """See `Files`."""
        return _relative(path) in self._paths or self.is_dir(path)

    def is_dir(self, path: str) -> bool:
        """See `Files`."""
        relative = _relative(path)
        return relative == "." or relative in self._folders

    def _wait(self, answer: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(answer, self._loop).result(_SECONDS)


def _relative(path: str) -> str:
    return clean(path.lstrip("/") or ".")
