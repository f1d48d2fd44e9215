"""Which files of a build context are ignored, and which of them a COPY source names.

In: the text of a .dockerignore, or a COPY/ADD source; paths relative to the context,
slash-separated.
Out: yes or no. The rules are moby's (moby/patternmatcher and its ignorefile): the last pattern that
matches a path or one of its parent directories decides, `!` makes an exception. Nothing here reads
files.
"""

import posixpath
from dataclasses import dataclass

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.config.dockerfile_patterns import ignore_regex, name_regex

MAX_TEXT = 1024 * 1024
MAX_PATTERNS = 5000


@dataclass(frozen=True, slots=True)
class IgnorePattern:
    """One line, cleaned; `exception` for a line that began with `!`."""

    text: str
    exception: bool = False

    @property
    def depth(self) -> int:
        """How many path segments the pattern has."""
        return self.text.count("/") + 1

    def matches(self, path: str) -> bool:
        """Whether the pattern matches exactly this path."""
        return ignore_regex(self.text).fullmatch(path) is not None


@dataclass(frozen=True, slots=True)
class Dockerignore:
    """The patterns of an ignore file, in order."""

    patterns: tuple[IgnorePattern, ...] = ()

    @classmethod
    def parse(cls, text: str, *, file: str = ".dockerignore") -> "Dockerignore":
        """Parse an ignore file.

        Raises:
            UserError: InvalidDockerfile with `file:line` for a malformed pattern or a file over the
                limits
                (1 MiB, 5000 patterns).
        """
        if len(text) > MAX_TEXT:
            raise UserError(Reason.INVALID_DOCKERFILE, f"{file}: larger than {MAX_TEXT} bytes")
        patterns: list[IgnorePattern] = []
        for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
            pattern = _pattern(line, f"{file}:{number}")
            if pattern:
                patterns.append(pattern)
        if len(patterns) > MAX_PATTERNS:
            raise UserError(Reason.INVALID_DOCKERFILE, f"{file}: more than {MAX_PATTERNS} patterns")
        return cls(tuple(patterns))

    @property
    def keeps_more_than_werf(self) -> bool:
        """Whether there may be files that are not ignored, but are by werf: only exceptions with `**` are read differently so."""
        return any(pattern.exception and "**" in pattern.text for pattern in self.patterns)

    def ignores(self, path: str, *, is_dir: bool = False) -> bool:
        """Whether the path is left out of the context.

        For a directory (`is_dir`) True means that it and everything below it is left out, so that a
        walk may skip it: a directory that an exception could reach into is not ignored.
        """
        ignored = self._decide(path, _parents_and_self(path))
        return ignored and not (is_dir and self._exception_below(path))

    def ignores_as_werf(self, path: str) -> bool:
        """Whether werf leaves the path out when it hashes and packs a context.

        werf calls moby's old `Matches`, which compares a pattern of n segments with the path and
        with its parent of just n segments; `**/tmp` therefore misses `a/b/tmp/file`. Needed for
        equal digests.
        """
        parents = _parents_and_self(path)[:-1]
        ignored = False
        for pattern in self.patterns:
            if pattern.exception == ignored:
                tried = [path, *parents[pattern.depth - 1 : pattern.depth]]
                if any(map(pattern.matches, tried)):
                    ignored = not pattern.exception
        return ignored

    def could_match_below(self, directory: str) -> bool:
        """Whether some pattern could tell files below this directory apart (werf: ShouldGoThrough).

        Compared segment by segment, as werf does when it decides whether a directory is hashed by
        its tree id: False where no pattern reaches into the directory, or the last one that does
        has already matched it whole.
        """
        if not self.patterns or directory in ("", "."):
            return bool(self.patterns)
        through = False
        for pattern in self.patterns:
            state = _reach(pattern.text.split("/"), directory.split("/"))
            if state != "misses":
                through = state == "reaches below"
        return through

    def _decide(self, path: str, candidates: list[str]) -> bool:
        ignored = False
        for pattern in self.patterns:
            if pattern.exception == ignored and any(map(pattern.matches, candidates)):
                ignored = not pattern.exception
        return ignored

    def _exception_below(self, directory: str) -> bool:
        parts = directory.split("/")
        return any(
            pattern.exception and _reach(pattern.text.split("/"), parts) != "misses"
            for pattern in self.patterns
        )


def effective_dockerignore(text: str, dockerfile: str, *, file: str = ".dockerignore") -> str:
    """Return the ignore text under which the Dockerfile itself is never ignored.

    `dockerfile` is relative to the context (werf: createDockerIgnorePathMatcher). The text is
    returned as it is when it does not ignore the Dockerfile.
    """
    path = posixpath.normpath(dockerfile)
    if not Dockerignore.parse(text, file=file).ignores_as_werf(path):
        return text
    return f"{text.rstrip()}\n!{path}\n"


def context_source(source: str) -> str:
    """Return a COPY/ADD source as a pattern relative to the context ("." for all of it).

    werf: dockerfile.NormalizeCopyAddSourcesForPathMatcher. A source that climbs out is left as it
        is (`../x`).
    """
    cleaned = posixpath.normpath(source) if source else "."
    return cleaned.lstrip("/") or "."


def _pattern(line: str, place: str) -> IgnorePattern | None:
    if line.startswith("#") or not line.strip():
        return None
    text = line.strip()
    exception = text.startswith("!")
    if exception:
        text = text[1:].strip()
        if not text:
            raise UserError(
                Reason.INVALID_DOCKERFILE, f"{place}: '!' must be followed by a pattern"
            )
    cleaned = posixpath.normpath(text)
    if len(cleaned) > 1:
        cleaned = cleaned.removeprefix("/").removeprefix("/")
    try:
        ignore_regex(cleaned)
    except ValueError as problem:
        raise UserError(Reason.INVALID_DOCKERFILE, f"{place}: {text[:80]}: {problem}") from None
    return IgnorePattern(cleaned, exception)


def _parents_and_self(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def _reach(pattern: list[str], directory: list[str]) -> str:
    """Follow a pattern down a directory: "misses", "matches" (it or a parent), "reaches below"."""
    for name in directory:
        if "**" in pattern[0]:
            if ignore_regex(pattern[0]).fullmatch(name) is None:
                return "misses"
            continue  # `**` goes on into every directory
        if name_regex(pattern[0]).fullmatch(name) is None:
            return "misses"
        pattern = pattern[1:]
        if not pattern:
            return "matches"
    return "reaches below"
