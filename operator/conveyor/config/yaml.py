"""YAML text → a tree of nodes that know their line; hostile or ambiguous input becomes an error with a line.

In: the text of one document and the line it starts at. Out: `Scalar`, `Sequence` and `Mapping` nodes; scalars keep the
text that was written, because werf's string fields keep it (`1.20` stays `1.20`) while free-form fields see the value.
Scalars are resolved as Go's yaml.v2 does: YAML 1.1 booleans and octals, no timestamps, no sexagesimal numbers.
Differences from a plain loader: duplicate keys, several documents, unknown tags and recursive aliases are errors;
depth, number of nodes and what aliases expand to are limited.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import yaml as pyyaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from conveyor.config.scalars import Value, resolve
from conveyor.config.yaml_advice import advice_for

MAX_DEPTH: Final = 64
MAX_NODES: Final = 500_000

_TOO_MANY: Final = f"more than {MAX_NODES} YAML nodes, counting what aliases repeat"
_TAG: Final = "tag:yaml.org,2002:"
_TAGS: Final = frozenset(
    f"{_TAG}{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq")
)
# What YAML calls printable, and nothing else.
_BAD_CHARACTER: Final = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)


class YamlError(Exception):
    """The text is not acceptable YAML; `line` is 1-based, 0 when unknown."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


@dataclass(slots=True, kw_only=True)
class Scalar:
    """A value: `text` as written, `plain` without quotes or block style, `tag` "" when none was written."""

    line: int
    text: str
    plain: bool
    tag: str = ""
    weight: int = 1

    @property
    def value(self) -> Value:
        """What Go's yaml.v2 would decode into an untyped field."""
        if self.tag == f"{_TAG}str" or (not self.plain and not self.tag):
            return self.text
        return resolve(self.text)


@dataclass(slots=True, kw_only=True)
class Sequence:
    """A list."""

    line: int
    items: list["Node"]
    weight: int = 1


@dataclass(slots=True, kw_only=True)
class Entry:
    """One `key: value` of a mapping; `merged` when it came through `<<`, `quoted` when the key is a text for sure."""

    key: str
    line: int
    value: "Node"
    merged: bool = False
    quoted: bool = False


@dataclass(kw_only=True)
class Mapping:
    """A mapping with text keys, in the order of the file."""

    line: int
    entries: dict[str, Entry]
    weight: int = 1

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The keys in order."""
        return tuple(self.entries)


Node = Scalar | Sequence | Mapping


def load(text: str, *, first_line: int = 1) -> Node | None:
    """Parse one document.

    Args:
        text: YAML text with at most one document in it.
        first_line: Line of the file at which `text` starts.

    Returns:
        The root node, None when there is nothing but comments.

    Raises:
        YamlError: Not YAML, or YAML that is refused (see the module's docstring).
    """
    if bad := _BAD_CHARACTER.search(text):
        line = first_line + text.count("\n", 0, bad.start())
        raise YamlError(line, _bad_character(bad[0]))
    try:
        return _Builder(first_line).build(pyyaml.parse(text, Loader=pyyaml.CSafeLoader))
    except pyyaml.MarkedYAMLError as error:
        raise YamlError(*_marked(error, first_line, text)) from None
    except pyyaml.YAMLError as error:
        raise YamlError(first_line, f"not readable as YAML: {error}") from None


def _bad_character(character: str) -> str:
    if "\ud800" <= character <= "\udfff":
        return "the text is not valid Unicode; save the file as UTF-8"
    return f"the character U+{ord(character):04X} is not allowed in YAML; remove it"


def _marked(error: pyyaml.MarkedYAMLError, first_line: int, text: str) -> tuple[int, str]:
    marks = [mark for mark in (error.problem_mark, error.context_mark) if mark is not None]
    lines = [int(mark.line) + first_line for mark in marks] or [first_line]
    said = ", ".join(part for part in (error.context, error.problem) if part)
    begun = f" (it starts in line {lines[-1]})" if lines[-1] < lines[0] else ""
    return lines[0], f"not valid YAML: {said}{begun}{advice_for(said, marks, text)}"


class _Builder:
    """Turns the parser's events into nodes without recursion."""

    def __init__(self, first_line: int) -> None:
        self._offset = first_line
        self._anchors: dict[str, Node] = {}
        self._open: list[_Collection] = []
        self._root: Node | None = None
        self._documents = 0
        self._nodes = 0

    def build(self, events: Iterator[Event]) -> Node | None:
        for event in events:
            match event:
                case ScalarEvent():
                    self._add(self._scalar(event), event.anchor)
                case MappingStartEvent() | SequenceStartEvent():
                    self._start(event)
                case MappingEndEvent() | SequenceEndEvent():
                    self._end()
                case AliasEvent():
                    self._repeat(self._alias(event))
                case DocumentStartEvent():
                    self._document(event)
                case _:
                    pass
        return self._root

    def _line(self, event: Event) -> int:
        mark = event.start_mark
        return self._offset if mark is None else int(mark.line) + self._offset

    def _document(self, event: Event) -> None:
        self._documents += 1
        if self._documents > 1:
            raise YamlError(
                self._line(event),
                "a second YAML document starts here; `---` has to stand alone on its line",
            )

    def _scalar(self, event: ScalarEvent) -> Scalar:
        tag = self._tag(event)
        plain = event.style is None or event.style == ""
        return Scalar(line=self._line(event), text=event.value, plain=plain, tag=tag)

    def _tag(self, event: ScalarEvent | MappingStartEvent | SequenceStartEvent) -> str:
        tag = event.tag or ""
        if tag == "!":
            return f"{_TAG}str" if isinstance(event, ScalarEvent) else ""
        if tag and tag not in _TAGS:
            raise YamlError(self._line(event), f"the YAML tag {tag!r} is not known; leave it out")
        return tag

    def _alias(self, event: AliasEvent) -> Node:
        if event.anchor not in self._anchors:
            raise YamlError(
                self._line(event),
                f"the alias *{event.anchor} has no complete anchor &{event.anchor} before it",
            )
        return self._anchors[event.anchor]

    def _repeat(self, node: Node) -> None:
        self._add(node, None, count=node.weight)

    def _start(self, event: MappingStartEvent | SequenceStartEvent) -> None:
        self._tag(event)
        if len(self._open) >= MAX_DEPTH:
            raise YamlError(self._line(event), f"nested deeper than {MAX_DEPTH} levels")
        is_mapping = isinstance(event, MappingStartEvent)
        self._open.append(
            _Collection(line=self._line(event), anchor=event.anchor, is_mapping=is_mapping)
        )

    def _end(self) -> None:
        collection = self._open.pop()
        self._add(collection.node(), collection.anchor)

    def _add(self, node: Node, anchor: str | None, *, count: int = 1) -> None:
        self._nodes += count
        if self._nodes > MAX_NODES:
            raise YamlError(node.line, _TOO_MANY)
        if anchor is not None:
            self._anchors[anchor] = node
        if self._open:
            self._open[-1].children.append(node)
        else:
            self._root = node


class _Collection:
    """A mapping or sequence whose end was not seen yet."""

    def __init__(self, *, line: int, anchor: str | None, is_mapping: bool) -> None:
        self.line = line
        self.anchor = anchor
        self.is_mapping = is_mapping
        self.children: list[Node] = []

    def node(self) -> Node:
        weight = 1 + sum(child.weight for child in self.children)
        if weight > MAX_NODES:
            raise YamlError(self.line, _TOO_MANY)
        if not self.is_mapping:
            return Sequence(line=self.line, items=self.children, weight=weight)
        return Mapping(line=self.line, entries=self._entries(), weight=weight)

    def _entries(self) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        merges: list[Node] = []
        for key, value in zip(self.children[::2], self.children[1::2], strict=True):
            text = _key(key)
            if isinstance(key, Scalar) and key.plain and text == "<<":
                merges.append(value)
            elif text in entries:
                raise YamlError(
                    key.line,
                    f"the key {text!r} is given twice; it is already in line {entries[text].line}",
                )
            else:
                quoted = isinstance(key, Scalar) and not key.plain
                entries[text] = Entry(key=text, line=key.line, value=value, quoted=quoted)
        for merge in merges:
            _merge(entries, merge)
        return entries


def _key(node: Node) -> str:
    if not isinstance(node, Scalar):
        raise YamlError(node.line, "a key has to be a text")
    return node.text


def _merge(entries: dict[str, Entry], source: Node) -> None:
    for mapping in source.items if isinstance(source, Sequence) else [source]:
        if not isinstance(mapping, Mapping):
            raise YamlError(mapping.line, "`<<` merges a mapping or a list of mappings")
        for entry in mapping.entries.values():
            entries.setdefault(entry.key, replace(entry, merged=True))
