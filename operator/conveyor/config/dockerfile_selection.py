"""Which files below a source of COPY are taken: `--exclude` and `--parents`.

In: patterns as written. Out: rules, each a regular expression with a flag for exceptions (`!`), and where `--parents` begins
to keep directories. Rules are made here and applied where the files are (`conveyor.builder.selection`). The dialect is that
of ignore files (moby/patternmatcher), except that nothing is taken away from a leading `/`.
"""

import posixpath
from dataclasses import dataclass

from conveyor.config.dockerfile_patterns import has_wildcard, ignore_regex

MAX_PATTERNS = 100


@dataclass(frozen=True, slots=True)
class Rule:
    """`regex` is for a whole path; `exception` for a pattern that began with `!`."""

    exception: bool
    regex: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentsSource:
    """A source of `COPY --parents`.

    Attributes:
        base: Directory (or pattern of directories) that paths are kept relative to: what stands before `/./`.
        pattern: What is taken below it, with its directories.
    """

    base: str
    pattern: str

    @property
    def plain(self) -> bool:
        """Whether it names one path, which has to be there."""
        return not (has_wildcard(self.base) or has_wildcard(self.pattern))


def rules(patterns: tuple[str, ...]) -> tuple[Rule, ...]:
    """Return the rules of patterns, in order; empty patterns are none.

    Raises:
        ValueError: Malformed, a lone `!`, or more than 100 patterns.
    """
    if len(patterns) > MAX_PATTERNS:
        raise ValueError(f"{len(patterns)} patterns; {MAX_PATTERNS} are allowed")
    return tuple(_rule(text.strip()) for text in patterns if text.strip())


def parents_source(source: str) -> ParentsSource:
    """Return what a source of `COPY --parents` means.

    Raises:
        ValueError: It names no path below its base (`.`), which Docker refuses as well.
    """
    base, pivot, pattern = source.partition("/./")
    if not pivot:
        base, pattern = "/", source
    pattern = posixpath.normpath(f"/{pattern}").lstrip("/")
    if not pattern:
        raise ValueError(
            f"COPY --parents {source} names nothing below {base or '/'}; write {base.rstrip('/')}/./*"
        )
    ignore_regex(pattern)
    return ParentsSource(base=base or "/", pattern=pattern)


def hashed_source(source: str) -> str:
    """Return a path or pattern without `**` that names at least what a source of `COPY --parents` names."""
    names: list[str] = []
    for name in posixpath.normpath(f"/{source}").split("/"):
        if "**" in name:
            names.append("*")
            break
        names.append(name)
    return "/".join(names) or "."


def _rule(text: str) -> Rule:
    pattern = posixpath.normpath(text)
    exception = pattern.startswith("!")
    if pattern == "!":
        raise ValueError("'!' must be followed by a pattern")
    if pattern.startswith("//"):  # normpath keeps two slashes, Go does not
        pattern = pattern[1:]
    return Rule(exception, ignore_regex(pattern[exception:]).pattern)
