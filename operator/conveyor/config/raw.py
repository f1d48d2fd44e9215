"""Typed reading of one YAML mapping: every mistake is noted with its line, nothing is raised.

In: a `Mapping` node. Out: Python values in the way werf's field types read them, and problems in a `Report`.
The reading functions return the empty value for what is absent or wrong; what was wrong is in the report.
"""

from collections.abc import Callable, Iterable
from typing import Final

from conveyor.config.near import near
from conveyor.config.report import Report
from conveyor.config.scalars import go_text
from conveyor.config.source_line import SourceLine
from conveyor.config.yaml import Entry, Mapping, Node, Scalar, Sequence

_LONGEST_QUOTE: Final = 80


def shorten(text: str) -> str:
    """Quote a piece of the user's text for a message: one line, not too long."""
    cut = text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…"
    return '"' + cut.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


class Section:
    """A mapping of the config that is being read."""

    def __init__(self, node: Mapping, report: Report, *, subject: str = "", path: str = "") -> None:
        self.node = node
        self.report = report
        self.subject = subject
        self.path = path

    @property
    def line(self) -> int:
        """Line at which the mapping starts."""
        return self.node.line

    @property
    def at(self) -> SourceLine:
        """Where the mapping starts, for the model."""
        return SourceLine(file=self.report.file, line=self.line)

    def has(self, key: str) -> bool:
        """Whether the key is written, with whatever value."""
        return key in self.node.entries

    def is_set(self, key: str) -> bool:
        """Whether the key is written with something else than null."""
        entry = self.node.entries.get(key)
        return entry is not None and not _is_null(entry.value)

    def is_collection(self, *keys: str) -> bool:
        """Whether one of the keys has a list or a mapping as its value."""
        found = (self.node.entries.get(key) for key in keys)
        return any(entry is not None and not isinstance(entry.value, Scalar) for entry in found)

    def key_line(self, key: str) -> int:
        """Line of the key, of the section when the key is absent."""
        entry = self.node.entries.get(key)
        return entry.line if entry else self.line

    def error(self, message: str, *, key: str = "") -> None:
        """Note a mistake of this section, at the key's line when a key is given."""
        self.report.error(self.key_line(key), self._about(message))

    def not_supported(self, key: str, instead: str) -> None:
        """Note that a key is understood but cannot be built yet."""
        if self.is_set(key):
            message = f"`{self.name_of(key)}` is not supported yet; {instead}"
            self.report.not_supported(self.key_line(key), self._said_by(message))

    def _about(self, message: str) -> str:
        return self._said_by(f"{self.path}: {message}" if self.path else message)

    def _said_by(self, message: str) -> str:
        return f"{self.subject}: {message}" if self.subject else message

    def name_of(self, key: str) -> str:
        """Path of the key as shown to the user, `git[0].add`."""
        return f"{self.path}.{key}" if self.path else key

    def only(self, *known: str, elsewhere: str = "", others: Iterable[str] = ()) -> None:
        """Note every key that is not one of the known ones.

        Args:
            *known: The keys that are right here.
            elsewhere: What to say of a key that has its place in another kind of section.
            others: Such keys.
        """
        elsewhere_keys = frozenset(others)
        for entry in self.node.entries.values():
            if entry.key not in known:
                hint = near(entry.key, known) or f"; known are {', '.join(sorted(known))}"
                if entry.key in elsewhere_keys:
                    hint = f"; {elsewhere}"
                self.report.error(entry.line, self._about(f"unknown field `{entry.key}`{hint}"))

    def _wrong(self, key: str, node: Node, wanted: str) -> None:
        self.report.error(
            node.line, self._said_by(f"`{self.name_of(key)}` is {describe(node)}; write {wanted}")
        )

    def _entry(self, key: str) -> Entry | None:
        return self.node.entries.get(key)

    def text(self, key: str) -> str:
        """Read a text; any scalar is accepted as written; "" when absent or null."""
        entry = self._entry(key)
        if entry is None or _is_null(entry.value):
            return ""
        if isinstance(entry.value, Scalar):
            return entry.value.text
        self._wrong(key, entry.value, "a single text")
        return ""

    def checked_text(self, key: str, check: Callable[[str], object]) -> str:
        """Return the text of a key, "" when unset; a ValueError of `check` is a mistake of that key."""
        written = self.text(key)
        try:
            if written:
                check(written)
        except ValueError as error:
            self.error(f"`{key}`: {error}", key=key)
        return written

    def flag(self, key: str) -> bool | None:
        """Read a boolean; None when absent or null."""
        entry = self._entry(key)
        if entry is None or _is_null(entry.value):
            return None
        if isinstance(entry.value, Scalar) and isinstance(entry.value.value, bool):
            return entry.value.value
        self._wrong(key, entry.value, "true or false without quotes")
        return None

    def number(self, key: str, *, most: int) -> int:
        """Read a whole number from 0 to `most`; 0 when absent or null."""
        entry = self._entry(key)
        if entry is None or _is_null(entry.value):
            return 0
        value = entry.value.value if isinstance(entry.value, Scalar) else None
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most:
            return value
        self._wrong(key, entry.value, f"a whole number from 0 to {most}")
        return 0

    def texts(self, key: str) -> tuple[str, ...]:
        """Read a text or a list of texts; numbers and booleans have to be quoted, as in werf."""
        entry = self._entry(key)
        if entry is None or _is_null(entry.value):
            return ()
        items = entry.value.items if isinstance(entry.value, Sequence) else [entry.value]
        found: list[str] = []
        for item in items:
            if isinstance(item, Scalar) and isinstance(item.value, str):
                found.append(item.text)
            else:
                self._wrong(
                    key, item, "a text or a list of texts, quoted where YAML sees something else"
                )
        return tuple(found)

    def scalars(self, key: str) -> tuple[str, ...]:
        """Read a list of scalars as they are written."""
        entry = self._entry(key)
        if entry is None or _is_null(entry.value):
            return ()
        if not isinstance(entry.value, Sequence):
            self._wrong(key, entry.value, "a list of texts")
            return ()
        for item in entry.value.items:
            if not isinstance(item, Scalar):
                self._wrong(key, item, "a list of texts")
        return tuple(item.text for item in entry.value.items if isinstance(item, Scalar))

    def table(self, key: str, *, values: bool = False) -> dict[str, str]:
        """Read a mapping of scalars.

        Args:
            key: The key of the mapping.
            values: Take what Go prints for the value instead of the text as written; null is then a mistake.
        """
        entry = self._entry(key)
        if entry is None or _is_null(entry.value):
            return {}
        if not isinstance(entry.value, Mapping):
            self._wrong(key, entry.value, "a mapping of names to texts")
            return {}
        table: dict[str, str] = {}
        for item in entry.value.entries.values():
            if not isinstance(item.value, Scalar) or (values and _is_null(item.value)):
                self._wrong(f"{key}.{item.key}", item.value, 'a text; "" for an empty one')
            elif values:
                table[item.key] = go_text(item.value.value)
            else:
                table[item.key] = "" if _is_null(item.value) else item.value.text
        return table

    def section(self, key: str, *, example: str = "") -> "Section | None":
        """Read a mapping; None when absent or null. The example is shown when it is something else."""
        entry = self._entry(key)
        if entry is None or _is_null(entry.value):
            return None
        if isinstance(entry.value, Mapping):
            return self._inner(entry.value, self.name_of(key))
        self._wrong(key, entry.value, f"a mapping such as `{example}`" if example else "a mapping")
        return None

    def sections(self, key: str) -> tuple["Section", ...]:
        """Read a list of mappings."""
        entry = self._entry(key)
        if entry is None or _is_null(entry.value):
            return ()
        if not isinstance(entry.value, Sequence):
            self._wrong(key, entry.value, "a list of mappings, each starting with `- `")
            return ()
        found: list[Section] = []
        for index, item in enumerate(entry.value.items):
            if isinstance(item, Mapping):
                found.append(self._inner(item, f"{self.name_of(key)}[{index}]"))
            else:
                self._wrong(f"{key}[{index}]", item, "a mapping")
        return tuple(found)

    def _inner(self, node: Mapping, path: str) -> "Section":
        return Section(node, self.report, subject=self.subject, path=path)


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def describe(node: Node) -> str:
    """Say what stands in the file, in YAML's words."""
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Sequence):
        return "a list"
    value = node.value
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return f"{node.text}, the boolean {go_text(value)} in YAML"
    return shorten(node.text) if isinstance(value, str) else f"the number {node.text}"
