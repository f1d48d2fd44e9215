"""The exports of one image (git mappings and imports) → the excludes that keep the deeper one's directory its own.

In: exports in werf's order, which is local git mappings, remote git mappings, imports. Out: for each the exclude paths
that were added, in order, or the pair that conflicts. The order decides the result and, through the paramshash, digests.
Source: werf pkg/config/export_base.go; vectors git-automatic-excludes and import-and-git-overlap.
"""

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from conveyor.config.paths import clean


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What is copied where: `to` absolute and clean, the paths relative to it."""

    to: str
    include_paths: tuple[str, ...] = ()
    exclude_paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict(Exception):  # noqa: N818 - a value that travels up, not an error class of its own
    """Two exports write the same path; `first` and `second` are their indices."""

    first: int
    second: int
    path: str


def automatic_excludes(exports: Sequence[Export]) -> tuple[tuple[str, ...], ...]:
    """Return the added exclude paths of every export, relative to its `to`.

    Raises:
        Conflict: Two exports claim one path and neither gives way.
    """
    targets = [_Target(export) for export in exports]
    for first, second in _related(exports):
        for outer, inner in ((first, second), (second, first)):
            clash = targets[outer].give_way_to(targets[inner])
            if clash is not None:
                raise Conflict(first=first, second=second, path=clash)
    return tuple(tuple(target.added) for target in targets)


def _related(exports: Sequence[Export]) -> list[tuple[int, int]]:
    """Return the pairs of which one lies below the other, in the order of all pairs; the others have no say."""
    at: dict[str, list[int]] = {}
    for index, export in enumerate(exports):
        at.setdefault(export.to, []).append(index)
    pairs: set[tuple[int, int]] = set()
    for index, export in enumerate(exports):
        for directory in ("/", *(f"/{path}" for path in _ancestors(export.to[1:])), export.to):
            pairs |= {(min(index, i), max(index, i)) for i in at.get(directory, ()) if i != index}
    return sorted(pairs)


class _Target:
    """An export in terms of absolute paths without the leading slash.

    "Lies below" is asked through sets of ancestors, so that many paths do not mean many comparisons.
    """

    def __init__(self, export: Export) -> None:
        prefix = export.to.removeprefix("/")
        self.to = export.to
        own = [clean(posixpath.join(prefix, path)) for path in export.include_paths]
        self.includes = own or ([prefix] if prefix else [])
        self._include_set = frozenset(self.includes)
        self._above_includes = {above for path in self.includes for above in _ancestors(path)}
        self._excluded: set[str] = set()
        for path in export.exclude_paths:
            self._exclude(clean(posixpath.join(prefix, path)))
        self.added: list[str] = []

    def _exclude(self, path: str) -> None:
        # What is above an excluded path is in the set too, so the first known one ends the walk.
        while path and path not in self._excluded:
            self._excluded.add(path)
            path = path.rpartition("/")[0]

    def give_way_to(self, other: "_Target") -> str | None:
        """Exclude what the other export brings below this one; return the path when both claim it."""
        if not _is_below(other.to, self.to):
            return None
        if not self.includes and not other.includes:
            return self.to
        for path in other.includes:
            if path in self._include_set:
                return f"/{path}"
            # An exclude that equals the path or lies below it suppresses the automatic one.
            if path in self._above_includes or path in self._excluded:
                continue
            self._exclude(path)
            self.added.append(_relative(path, self.to))
        return None


def _is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _relative(path: str, directory: str) -> str:
    return f"/{path}".removeprefix(directory.rstrip("/")).removeprefix("/") or "."


def _ancestors(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
