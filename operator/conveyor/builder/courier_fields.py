"""Typed access to the fields of a JSON object.

In: a parsed JSON value and its path. Out: values of the right type, or TaskInvalid with the path. Pure.
"""

from collections.abc import Mapping

from conveyor.builder.courier_errors import CourierError


class Fields:
    """Typed access to a JSON object; names the path of what is wrong."""

    def __init__(self, value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise invalid(path, "an object")
        self._value: Mapping[str, object] = value
        self.path = path

    def text(self, name: str) -> str:
        """A string that is not empty."""
        value = self._value.get(name)
        if not isinstance(value, str) or not value:
            raise invalid(f"{self.path}.{name}", "a non-empty string")
        return value

    def optional(self, name: str) -> str | None:
        """A string, None when it is missing, null or empty."""
        return self.text(name) if self._value.get(name) not in {None, ""} else None

    def number(self, name: str, default: int | None = None) -> int:
        """A number of at least 0."""
        value = self._value.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise invalid(f"{self.path}.{name}", "a number")
        return value

    def items(self, name: str) -> list[object]:
        """A list, empty when it is missing."""
        value = self._value.get(name) or []
        if not isinstance(value, list):
            raise invalid(f"{self.path}.{name}", "a list")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings, empty when it is missing."""
        found = tuple(item for item in self.items(name) if isinstance(item, str))
        if len(found) != len(self.items(name)):
            raise invalid(f"{self.path}.{name}", "a list of strings")
        return found

    def inner(self, name: str) -> "Fields | None":
        """An object, None when it is missing."""
        value = self._value.get(name)
        return None if value is None else Fields(value, f"{self.path}.{name}")

    def flag(self, name: str) -> bool:
        """Whether it is true."""
        return self._value.get(name) is True

    def strings(self) -> Mapping[str, str]:
        """All fields, each a string."""
        return {key: self.text(key) for key in self._value}

    def plain(self) -> Mapping[str, object]:
        """All fields as they are."""
        return self._value

    def one_or_more(self, name: str) -> tuple[str, ...]:
        """A string or a list of strings."""
        value = self._value.get(name)
        return (value,) if isinstance(value, str) else self.texts(name)


def invalid(path: str, expected: str) -> CourierError:
    """The error for a field that is not what it must be."""
    return CourierError("TaskInvalid", f"{path} must be {expected}")
