"""Which paths a filter covers, with werf's exact meaning.

In: a base path and globs relative to it. Out: `PathMatcher` and its parts, which answer for a path (relative to
the repository root, slashes): does it match, and may something match *below* it. werf: pkg/path_matcher.

A glob `g` covers a path that matches `g`, `g` without trailing `*` and `**` segments, or anything below the latter.
"May match below" is decided segment by segment without looking at files: it makes a tree checksum expand a
directory although nothing in it is excluded (werf-semantics 4.11 c).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from conveyor.config.globs import Glob, compile_glob
from conveyor.plan.questions import PathFilter

Parts = tuple[str, ...]


class Matcher(Protocol):
    """What a walk over a tree needs to know; paths are relative to the repository root."""

    def matches(self, path: str) -> bool:
        """Whether the path is covered."""

    def may_match_below(self, path: str) -> bool:
        """Whether the directory has to be looked into, entry by entry, to know."""


@dataclass(frozen=True, slots=True)
class Include:
    """Globs of which one must match; none given: everything matches."""

    globs: tuple[str, ...]

    def matches(self, path: str) -> bool:
        """Whether the path is covered."""
        return not self.globs or _any_covers(self.globs, path)

    def may_match_below(self, path: str) -> bool:
        """Whether some glob is begun by this path and not used up."""
        if not self.globs or _universal(self.globs):
            return False
        if not path:
            return True
        pending, _ = _advance(self.globs, path)
        return bool(pending) and not _any_universal(pending)


@dataclass(frozen=True, slots=True)
class Exclude:
    """Globs of which none may match."""

    globs: tuple[str, ...]

    def matches(self, path: str) -> bool:
        """Whether the path is left after excluding."""
        return not _any_covers(self.globs, path)

    def may_match_below(self, path: str) -> bool:
        """Whether some glob is begun by this path and none excludes it as a whole."""
        if not self.globs or _universal(self.globs):
            return False
        if not path:
            return True
        pending, complete = _advance(self.globs, path)
        return not complete and bool(pending) and not _any_universal(pending)


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every matcher must match; a directory is looked into when one asks for it and none rejects it."""

    matchers: tuple[Matcher, ...]

    def matches(self, path: str) -> bool:
        """Whether the path is covered."""
        return all(matcher.matches(path) for matcher in self.matchers)

    def may_match_below(self, path: str) -> bool:
        """Whether the directory has to be looked into."""
        below = False
        for matcher in self.matchers:
            if matcher.may_match_below(path):
                below = True
            elif not matcher.matches(path):
                return False
        return below


@dataclass(frozen=True, slots=True)
class Below:
    """What lies at or below `base`, seen by `inner` relative to it."""

    base: str
    inner: Matcher

    def matches(self, path: str) -> bool:
        """Whether the path is covered."""
        relative = relative_to(self.base, path)
        return relative is not None and self.inner.matches(relative)

    def may_match_below(self, path: str) -> bool:
        """Whether the directory leads to the base, or its inside has to be looked into."""
        if path != self.base and relative_to(path, self.base) is not None:
            return True
        relative = relative_to(self.base, path)
        return relative is not None and self.inner.may_match_below(relative)


class PathMatcher:
    """The files of a git mapping, an import or a build context.

    Args:
        base: Directory or file, "" for the root.
        include: Globs relative to `base`; none means everything.
        exclude: Globs relative to `base`; they win.

    Raises:
        UserError: A glob is malformed.
    """

    __slots__ = ("_matcher", "base")

    def __init__(
        self, base: str = "", include: Sequence[str] = (), exclude: Sequence[str] = ()
    ) -> None:
        self.base = _clean(base)
        globs = (_clean_all(include), _clean_all(exclude))
        for glob in (*globs[0], *globs[1]):
            compile_glob(glob)
        self._matcher = Below(self.base, AllOf((Include(globs[0]), Exclude(globs[1]))))

    @classmethod
    def of(cls, path_filter: PathFilter) -> "PathMatcher":
        """Return the matcher of a filter."""
        return cls(path_filter.base, path_filter.include, path_filter.exclude)

    def matches(self, path: str) -> bool:
        """Whether the path is covered."""
        return self._matcher.matches(path)

    def may_match_below(self, path: str) -> bool:
        """Whether the directory has to be looked into, entry by entry."""
        return self._matcher.may_match_below(path)


def relative_to(base: str, path: str) -> str | None:
    """Return `path` relative to `base` ("" when equal), None when it lies elsewhere."""
    if not base:
        return path
    if path == base:
        return ""
    return path[len(base) + 1 :] if path.startswith(base + "/") else None


def advance(globs: Sequence[Glob], name: str) -> tuple[list[Glob], list[Glob]]:
    """Consume one name of a path: the globs that are still to be matched, and those used up by it."""
    pending: list[Glob] = []
    complete: list[Glob] = []
    for glob in globs:
        if not glob.parts or not glob.first_matches(name):
            continue
        if glob.deep:
            pending.append(glob)
        elif len(glob.parts) > 1:
            pending.append(glob.tail())
        else:
            complete.append(glob)
    return pending, complete


def trim_glob(parts: Parts) -> Parts:
    """Return the segments without trailing ones that consist of stars only."""
    end = len(parts)
    while end and not parts[end - 1].rstrip("*"):
        end -= 1
    return parts[:end]


def _advance(globs: tuple[str, ...], path: str) -> tuple[list[Glob], list[Glob]]:
    pending = [glob for pattern in globs for glob in compile_glob(pattern)]
    complete: list[Glob] = []
    for name in path.split("/"):
        if not pending:
            break
        pending, complete = advance(pending, name)
    return pending, complete


@lru_cache(maxsize=4096)
def _covering(pattern: str) -> tuple[Glob, ...]:
    """The globs of which one must match for `pattern` to cover a path."""
    covering: list[Glob] = []
    for glob in compile_glob(pattern):
        count = len(trim_glob(glob.parts))
        parts = (*glob.parts[:count], "**")
        # `trimmed/**` covers the trimmed path itself as well.
        below = Glob(text="/".join(parts), parts=parts, segments=(*glob.segments[:count], "**"))
        covering += [glob, below]
    return tuple(covering)


def _any_covers(globs: tuple[str, ...], path: str) -> bool:
    parts = tuple(path.split("/")) if path else ()
    return any(glob.matches(parts) for pattern in globs for glob in _covering(pattern))


@lru_cache(maxsize=4096)
def _universal(globs: tuple[str, ...]) -> bool:
    return _any_universal([glob for pattern in globs for glob in compile_glob(pattern)])


def _any_universal(globs: Sequence[Glob]) -> bool:
    return any(not trim_glob(glob.parts) for glob in globs)


def _clean_all(globs: Sequence[str]) -> tuple[str, ...]:
    return tuple(_clean(glob) for glob in globs)


def _clean(path: str) -> str:
    """Drop empty and `.` segments; `..` never comes this far (the parser rejects it)."""
    return "/".join(part for part in path.split("/") if part not in ("", "."))
