"""The template functions `fromYaml` and `toYaml`.

In: YAML text, or a value of a template. Out: a dict, or YAML text quoted and laid out like Go's yaml.v2 does it, so
that what a template writes into a command keeps its digest.
"""

from collections.abc import Mapping as AbcMapping
from typing import Final

import yaml as pyyaml

from conveyor.config.scalars import resolve
from conveyor.config.yaml import Mapping, Node, Scalar, YamlError, load

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]
_MAX_DEPTH: Final = 64
MAX_VALUES: Final = 100_000


def from_yaml(text: str) -> dict[str, Plain]:
    """Return the mapping that the text describes.

    Raises:
        ValueError: Not YAML, or not a mapping.
    """
    try:
        node = load(text)
    except YamlError as error:
        raise ValueError(f"line {error.line}: {error.message}") from None
    if node is None:
        return {}
    if not isinstance(node, Mapping):
        raise ValueError("fromYaml reads a mapping; this is something else")  # noqa: TRY004 - a template's mistake
    return {entry.key: _plain(entry.value) for entry in node.entries.values()}


def _plain(node: Node) -> Plain:
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Mapping):
        return {entry.key: _plain(entry.value) for entry in node.entries.values()}
    return [_plain(item) for item in node.items]


def to_yaml(value: object) -> str:
    """Return the value as YAML without the last line feed.

    Raises:
        ValueError: The value is nested too deeply, or has too many parts.
    """
    text = pyyaml.dump(
        _Reduction().of(value, 0),
        Dumper=_Dumper,
        default_flow_style=False,
        allow_unicode=True,
        width=1_000_000,
        sort_keys=True,
    )
    return text.removesuffix("...\n").removesuffix("\n")


class _Reduction:
    """Makes values of templates plain; what is repeated is counted as often as it is written."""

    def __init__(self) -> None:
        self._count = 0

    def of(self, value: object, depth: int) -> Plain:
        self._count += 1
        if depth > _MAX_DEPTH or self._count > MAX_VALUES:
            raise ValueError(f"toYaml writes at most {_MAX_DEPTH} levels and {MAX_VALUES} values")
        if isinstance(value, AbcMapping):
            return {str(key): self.of(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.of(item, depth + 1) for item in value]
        if value is None or isinstance(value, bool | int | float | str):
            return value
        # gotpl's marker of a missing value prints like this.
        return None if repr(value) in ("INVALID", "UNTYPED_NIL") else str(value)


class _Dumper(pyyaml.SafeDumper):
    """A dumper that quotes what YAML 1.1 would not read back as a text, and nothing else."""

    def ignore_aliases(self, data: object) -> bool:
        """Write every value out."""
        return True

    def represent_text(self, text: str) -> pyyaml.ScalarNode:
        """Choose the style as yaml.v2 does: literal, double quotes, or plain with the emitter's veto."""
        style = "|" if "\n" in text else None if isinstance(resolve(text), str) else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _Dumper.represent_text)
# Go's yaml.v2 writes a date as a plain text.
_Dumper.yaml_implicit_resolvers = {
    character: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for character, resolvers in _Dumper.yaml_implicit_resolvers.items()
}
