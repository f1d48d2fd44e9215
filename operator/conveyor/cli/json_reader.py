"""Reading JSON strictly: every problem is told with its place, like `stages[3].labels`.

In: a decoded JSON value. Out: checked values; problems are collected in one list, and a value that is wrong reads as empty.
"""

import re
from collections.abc import Iterator, Mapping

from conveyor.config.near import near
from conveyor.config.raw import shorten


class JsonReader:
    """Reads one JSON object; `problems` is shared by all readers of a file."""

    def __init__(self, value: object, place: str, problems: list[str]) -> None:
        self.place = place
        self.problems = problems
        self._fields: Mapping[str, object] = value if isinstance(value, dict) else {}
        self._broken = not isinstance(value, dict)
        if self._broken:
            problems.append(f"{place or 'the file'} has to be an object, not {_kind(value)}")

    def problem(self, message: str, *, key: str = "") -> None:
        """Tell a problem with the object or with one of its keys; what is no object has told its only one."""
        if self._broken:
            return
        place = self._place(key) if key else self.place
        self.problems.append(f"{place}: {message}" if place else message)

    def only(self, *keys: str) -> None:
        """Refuse all other keys."""
        for key in self._fields:
            if key not in keys:
                self.problem(f"unknown key {shorten(key)}{near(key, keys)}")

    def text(
        self,
        key: str,
        *,
        default: str | None = None,
        pattern: re.Pattern[str] | None = None,
        wanted: str = "",
        may_be_empty: bool = False,
    ) -> str:
        """Return a text.

        Args:
            key: Its key.
            default: For a missing key; None means that it must be there.
            pattern: What the whole text must match.
            wanted: The pattern in words.
            may_be_empty: Whether "" is good.
        """
        value = self._fields.get(key, default)
        if value is None:
            self.problem(f"`{key}` is missing")
        elif not isinstance(value, str):
            self.problem(f"has to be a text, not {_kind(value)}", key=key)
        elif key not in self._fields:
            return value
        elif not value and not may_be_empty:
            self.problem("is empty", key=key)
        elif pattern is not None and not pattern.fullmatch(value):
            self.problem(f"has to be {wanted}, not {shorten(value)}", key=key)
        else:
            return value
        return ""

    def mapping(
        self, key: str, *, default: Mapping[str, object] | None = None
    ) -> Mapping[str, object]:
        """Return an object as it is."""
        value = self._fields.get(key, default)
        if isinstance(value, dict):
            return value
        self.problem(
            f"`{key}` is missing" if value is None else f"`{key}` has to be an object",
        )
        return {}

    def texts(self, key: str) -> dict[str, str]:
        """Return an object whose values are all texts; a missing one is empty."""
        found = self.mapping(key, default={})
        for name, value in found.items():
            if not isinstance(value, str):
                self.problem(f"{shorten(name)} has to be a text, not {_kind(value)}", key=key)
        return {name: value for name, value in found.items() if isinstance(value, str)}

    def inner(self, key: str) -> "JsonReader":
        """Return a reader of the object at a key."""
        return JsonReader(self._fields.get(key), self._place(key), self.problems)

    def each(self, key: str) -> Iterator["JsonReader"]:
        """Return readers of the objects in a list; a missing list is empty."""
        values = self._fields.get(key, [])
        if not isinstance(values, list):
            self.problem(f"has to be a list, not {_kind(values)}", key=key)
            return
        for index, value in enumerate(values):
            yield JsonReader(value, f"{self._place(key)}[{index}]", self.problems)

    def number(self, key: str) -> int:
        """Return a whole number."""
        value = self._fields.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        self.problem(f"`{key}` is missing" if value is None else f"`{key}` has to be a number")
        return 0

    def _place(self, key: str) -> str:
        return f"{self.place}.{key}" if self.place else key


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "an object"
