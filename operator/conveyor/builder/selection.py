"""What a COPY takes below its sources: `--exclude` and `--parents`.

In: rules as the tasks say them, regular expressions made by the operator (`conveyor.config.dockerfile_selection`). Out: yes
or no for a path relative to the source. A path that an earlier rule matched is matched with everything below it; `!` makes
exceptions (moby/patternmatcher: MatchesUsingParentResults). Used by courier and stage program alike.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


class Patterns:
    """Rules in order, and what they said of the directories asked about so far."""

    def __init__(self, rules: Sequence[Sequence[Any]]) -> None:
        self._rules = [
            (bool(exception), re.compile(str(text), re.DOTALL)) for exception, text in rules
        ]
        self._folders: dict[str, tuple[bool, list[bool]]] = {}

    def match(self, path: str) -> bool:
        """Whether the path is matched; asks about its parents first."""
        return self._state(path)[0]

    def _folder(self, path: str) -> tuple[bool, list[bool]]:
        if path not in self._folders:
            self._folders[path] = self._state(path)
        return self._folders[path]

    def _state(self, path: str) -> tuple[bool, list[bool]]:
        parent, below, _ = path.rpartition("/")
        before = self._folder(parent)[1] if below else [False] * len(self._rules)
        matched, hits = False, []
        for known, (exception, regex) in zip(before, self._rules, strict=True):
            # A rule that could not change the answer is not asked, and counts as not matched below.
            hit = known or (exception == matched and regex.fullmatch(path) is not None)
            matched = not exception if hit else matched
            hits.append(hit)
        return matched, hits


class Choice:
    """What one source takes.

    Attributes:
        base: Pattern of the directories that are looked into.
        required: Path below it that must be there, None for none.
        all: Everything below is taken.
        parents: Directories below the base are kept.
    """

    def __init__(
        self, base: str, exclude: Patterns | None, parents: Mapping[str, Any] | None
    ) -> None:
        self.base = str(parents["base"]) if parents else base
        self.required = parents.get("required") if parents else None
        self.parents = parents is not None
        self.all = exclude is None and parents is None
        self._exclude = exclude
        self._include = Patterns(parents["include"]) if parents else None

    def takes(self, path: str) -> bool:
        """Whether what lies at this path below the base is taken."""
        if self._include is not None and not self._include.match(path):
            return False
        return self._exclude is None or not self._exclude.match(path)


def choices(sources: Sequence[str], select: Mapping[str, Any]) -> list[Choice]:
    """What every source takes; `select` has `exclude` and `parents` where the instruction has them."""
    parents = select.get("parents") or [None] * len(sources)
    exclude = Patterns(select["exclude"]) if select.get("exclude") else None
    return [Choice(source, exclude, kept) for source, kept in zip(sources, parents, strict=True)]
