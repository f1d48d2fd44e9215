"""The files of a commit, as templates of werf.yaml read them.

In: a repository, a commit, the project directory. Out: the `Files` interface. Templates are rendered in a thread, git answers in
the event loop: every read crosses over and waits.
"""

import asyncio
import re
from collections.abc import Coroutine, Iterator, Mapping
from itertools import chain
from typing import Any, Final, TypeVar

from conveyor.adapters.git_links import is_link
from conveyor.adapters.git_repo import GitRepo
from conveyor.adapters.git_tree import GitTree
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

    def __init__(self, repo: GitRepo, commit: str, directory: str, tree: GitTree) -> None:
        self._repo = repo
        self._commit = commit
        self._tree = tree
        self._prefix = f"{directory}/" if directory else ""
        paths = [path for path in tree.files(directory) if path.startswith(self._prefix)]
        self._paths = {path.removeprefix(self._prefix): None for path in paths}
        self._links = [path.removeprefix(self._prefix) for path in paths if is_link(tree, path)]
        self._texts: dict[str, str | None] = {}
        self._size = 0
        self._folders = {
            path[:index] for path in self._paths for index, char in enumerate(path) if char == "/"
        }
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(cls, repo: GitRepo, commit: str, directory: str = "") -> "GitFiles":
        """List the files once."""
        return cls(repo, commit, directory, await repo.tree(commit))

    def get(self, path: str) -> str | None:
        """See `Files`; what was read once is kept.

        Raises:
            ValueError: More text than `MAX_TEXT` was read.
        """
        relative = _relative(path)
        if relative not in self._paths and not self._is_behind_a_link(relative):
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
        paths = chain(self._paths, self._behind_links(cleaned))
        found = sorted(path for path in paths if matches(cleaned, path))
        if len(found) > MAX_GLOB:
            raise ValueError(
                f"the pattern {shorten(pattern)} matches {len(found)} files; {MAX_GLOB} are allowed"
            )
        for start in range(0, len(found), _AT_ONCE):
            self._read(found[start : start + _AT_ONCE])
        return {path: text for path in found if (text := self._texts[path]) is not None}

    def exists(self, path: str) -> bool:
        """See `Files`."""
        return _relative(path) in self._paths or self._kind_behind_links(path) != ""

    def is_dir(self, path: str) -> bool:
        """See `Files`."""
        return self._kind_behind_links(path) == "directory"

    def _kind_behind_links(self, path: str) -> str:
        relative = _relative(path)
        if relative == "." or relative in self._folders:
            return "directory"
        if not self._is_behind_a_link(f"{relative}/"):
            return "file" if relative in self._paths else ""
        return self._tree.kind(self._real(relative))

    def _is_behind_a_link(self, path: str) -> bool:
        return any(path.startswith(f"{link}/") for link in self._links)

    def _behind_links(self, pattern: str) -> Iterator[str]:
        """Yield the files of directories that links lead to, where the pattern may name some; links there are not followed."""
        fixed = _without_wildcards(pattern)
        for link in self._links:
            if not f"{link}/".startswith(fixed) and not fixed.startswith(f"{link}/"):
                continue
            real = self._real(link)
            if self._tree.kind(real) == "directory":
                yield from (link + path[len(real) :] for path in self._tree.files(real))

    def _real(self, path: str) -> str:
        return self._wait(self._repo.real_path(self._commit, self._prefix + path))

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


def _without_wildcards(pattern: str) -> str:
    """Return the part of a pattern before its first special character, up to a slash."""
    found = re.search(r"[*?\[{\\]", pattern)
    return pattern[: pattern.rfind("/", 0, found.start()) + 1] if found else pattern


def _relative(path: str) -> str:
    return clean(path.lstrip("/") or ".")
