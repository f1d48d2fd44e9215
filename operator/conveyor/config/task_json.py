"""A task of ansible → the JSON text that werf hashes for it.

In: the YAML node of a task. Out: compact JSON with sorted keys, as Go writes it. werf decodes the task, writes it as
YAML, reads that, and turns it into JSON (pkg/config/raw_ansible_task.go toDirective, pkg/build/builder/ansible.go
stageChecksum: gopkg.in/yaml.v2 Marshal, github.com/ghodss/yaml YAMLToJSON, encoding/json). What that way changes: `1.0`
becomes 1, an empty list of a block goes away, keys of nested mappings are what YAML reads (`yes: 1` is `"true":1`).
"""

import json
import math
import struct
from decimal import Decimal
from typing import Final

from conveyor.config.scalars import Value, go_text, resolve
from conveyor.config.yaml import Entry, Mapping, Node, Scalar, Sequence

_LISTS: Final = ("block", "rescue", "always")
_ESCAPED: Final = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}
_LARGEST: Final = 3.4028234e38
_TABLE: Final = str.maketrans(_ESCAPED)


class NotJson(Exception):  # noqa: N818 - says what the value is
    """A value that JSON does not have; `line` is 1-based."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


def task_json(task: Node) -> str:
    """Return the JSON text of a task.

    Raises:
        NotJson: An infinite number, or a key that is null; werf ends with a panic there.
    """
    if not isinstance(task, Mapping):
        return _json(task)
    entries = task.entries.values()
    pairs = {entry.key: _task_value(entry) for entry in entries if not _left_out(entry)}
    return _object(pairs)


def task_size(node: Node) -> int:
    """Return about how many characters the JSON text has; what aliases repeat counts each time."""
    if isinstance(node, Scalar):
        return len(node.text) + 2
    if isinstance(node, Sequence):
        return 2 + sum(task_size(item) for item in node.items)
    return 2 + sum(len(entry.key) + 4 + task_size(entry.value) for entry in node.entries.values())


def _left_out(entry: Entry) -> bool:
    """werf's fields of a block are left out when empty."""
    if entry.key not in _LISTS:
        return False
    value = entry.value
    return isinstance(value, Scalar) or (isinstance(value, Sequence) and not value.items)


def _task_value(entry: Entry) -> str:
    if entry.key in _LISTS and isinstance(entry.value, Sequence):
        return f"[{','.join(task_json(item) for item in entry.value.items)}]"
    return _json(entry.value)


def _json(node: Node) -> str:
    if isinstance(node, Scalar):
        return _scalar(node)
    if isinstance(node, Sequence):
        return f"[{','.join(_json(item) for item in node.items)}]"
    return _object({_key(entry): _json(entry.value) for entry in node.entries.values()})


def _object(pairs: dict[str, str]) -> str:
    return "{" + ",".join(f"{_text(key)}:{pairs[key]}" for key in sorted(pairs)) + "}"


def _key(entry: Entry) -> str:
    value = entry.key if entry.quoted else resolve(entry.key)
    if value is None:
        raise NotJson(entry.line, "a key is empty; write a text")
    if isinstance(value, float):
        return _float_key(value)
    return value if isinstance(value, str) else go_text(value)


def _float_key(value: float) -> str:
    """A number as key: ghodss/yaml writes it with the digits of a 32-bit float."""
    if not math.isfinite(value) or abs(value) > _LARGEST:
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    short = (f"{value:.{digits}g}" for digits in range(1, 18))
    return go_text(float(next(text for text in short if _narrow(float(text)) == _narrow(value))))


def _narrow(value: float) -> bytes:
    return struct.pack("f", value)


def _scalar(node: Scalar) -> str:
    value = node.value
    if isinstance(value, float) and not math.isfinite(value):
        raise NotJson(node.line, f"{node.text} is no number that ansible could be told; quote it")
    return _value(value)


def _value(value: Value) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        return _number(value)
    return "null" if value is None else go_text(value)


def _number(value: float) -> str:
    """A float as it comes back from being written as YAML: `1.0` is written `1` and read as a whole number."""
    again = resolve(go_text(value))
    if not isinstance(again, float):
        return go_text(again)
    if 1e-6 <= abs(again) < 1e21:
        return format(Decimal(repr(again)), "f").removesuffix(".0")
    digits, _, exponent = go_text(again).partition("e")
    return (
        f"{digits}e{exponent[0]}{exponent[1:].lstrip('0') if exponent[0] == '-' else exponent[1:]}"
    )


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).translate(_TABLE)
