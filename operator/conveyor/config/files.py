"""The files a template may read: the interface and an implementation in memory.

In: paths and globs relative to the project directory. Out: texts. What the implementation reads from (the commit, a
dict, a pipe to another process) is its own business.
"""

from collections.abc import Mapping
from typing import Protocol

from conveyor.config.globs import matches
from conveyor.config.paths import clean


class Files(Protocol):
    """Read access to the files of one commit below the project directory."""

    def get(self, path: str) -> str | None:
        """Return a file's text, None when there is no such file."""
        ...

    def glob(self, pattern: str) -> Mapping[str, str]:
        """Return path → text of the files whose path matches the doublestar pattern, sorted by path."""
        ...

    def exists(self, path: str) -> bool:
        """Whether there is a file or directory of that path."""
        ...

    def is_dir(self, path: str) -> bool:
        """Whether the path is a directory."""
        ...


class MemoryFiles:
    """Files given as a mapping of path to text; without one there are none, as for an inline config."""

    def __init__(self, texts: Mapping[str, str] | None = None) -> None:
        self._texts = dict(texts or {})

    def get(self, path: str) -> str | None:
        """See `Files`."""
        return self._texts.get(_relative(path))

    def glob(self, pattern: str) -> Mapping[str, str]:
        """See `Files`.

        Raises:
            UserError: The pattern is malformed.
        """
        cleaned = _relative(pattern)
        return {path: self._texts[path] for path in sorted(self._texts) if matches(cleaned, path)}

    def exists(self, path: str) -> bool:
        """See `Files`."""
        return _relative(path) in self._texts or self.is_dir(path)

    def is_dir(self, path: str) -> bool:
        """See `Files`."""
        prefix = _relative(path)
        return prefix == "." or any(name.startswith(f"{prefix}/") for name in self._texts)


def _relative(path: str) -> str:
    return clean(path).removeprefix("/") or "."
