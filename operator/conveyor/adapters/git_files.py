"""The files of a commit, as templates of werf.yaml read them.

In: a repository, a commit, the project directory. Out: the `Files` interface. Templates are rendered in a thread, git answers in
the event loop: every read crosses over and waits.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, Final, TypeVar

from conveyor.adapters.git_repo import GitRepo
from conveyor.config.globs import matches
from conveyor.config.paths import clean
from conveyor.config.raw import shorten

T = TypeVar("T")

MAX_GLOB: Final = 10_000
MAX_TEXT: Final = 32_000_000
_SECONDS: Final = 30.0
_AT_ONCE: Final = 50


class GitFiles:
    """Files below `directory` at `commit`; made in the event loop, used in another thread."""

    def __init__(self, repo: GitRepo, commit: str, directory: str, paths: tuple[str, ...]) -> None:
        self._repo = repo
        self._commit = commit
        self._prefix = f"{directory}/" if directory else ""
        self._paths = {
            path.removeprefix(self._prefix): None for path in paths if path.startswith(self._prefix)
        }
        self._texts: dict[str, str | None] = {}
        self._size = 0
        self._folders = {
            path[:index] for path in self._paths for index, char in enumerate(path) if char == "/"
        }
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(cls, repo: GitRepo, commit: str, directory: str = "") -> "GitFiles":
        """List the files once."""
        return cls(repo, commit, directory, await repo.files(commit, directory))

    def get(self, path: str) -> str | None:
        """See `Files`; what was read once is kept.

        Raises:
            ValueError: More text than `MAX_TEXT` was read.
        """
        relative = _relative(path)
        if relative not in self._paths:
            return None
        self._read([relative])
        return self._texts[relative]

    def glob(self, pattern: str) -> Mapping[str, str]:
        """See `Files`.

        Raises:
            UserError: The pattern is malformed.
            ValueError: More files than `MAX_GLOB`, more text than `MAX_TEXT`.
        """
        cleaned = _relative(pattern)
        found = sorted(path for path in self._paths if matches(cleaned, path))
        if len(found) > MAX_GLOB:
            raise ValueError(
                f"the pattern {shorten(pattern)} matches {len(found)} files; {MAX_GLOB} are allowed"
            )
        for start in range(0, len(found), _AT_ONCE):
            self._read(found[start : start + _AT_ONCE])
        return {path: text for path in found if (text := self._texts[path]) is not None}

    def exists(self, path: str) -> bool:
        """See `Files`."""
        return _relative(path) in self._paths or self.is_dir(path)

    def is_dir(self, path: str) -> bool:
        """See `Files`."""
        relative = _relative(path)
        return relative == "." or relative in self._folders

    def _read(self, paths: list[str]) -> None:
        missing = [path for path in paths if path not in self._texts]
        if not missing:
            return
        texts = self._wait(self._texts_of(missing))
        self._texts |= zip(missing, texts, strict=True)
        self._size += sum(len(text or "") for text in texts)
        if self._size > MAX_TEXT:
            raise ValueError(f"templates read files of more than {MAX_TEXT} characters in all")

    async def _texts_of(self, paths: list[str]) -> list[str | None]:
        reads = (self._repo.file_text(self._commit, self._prefix + path) for path in paths)
        return await asyncio.gather(*reads)

    def _wait(self, answer: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(answer, self._loop).result(_SECONDS)


def _relative(path: str) -> str:
    return clean(path.lstrip("/") or ".")
