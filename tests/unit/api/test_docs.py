"""docs/api.md names everything that the API has."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from conveyor.api.names import Reason
from conveyor.api.schema import crd

TEXT = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
WORDS = set(re.findall(r"[A-Za-z]+", TEXT))


def fields(node: object) -> Iterator[str]:
    if isinstance(node, Mapping):
        properties = node.get("properties")
        if isinstance(properties, Mapping):
            yield from (str(name) for name in properties)
        for value in node.values():
            yield from fields(value)
    elif isinstance(node, list):
        for value in node:
            yield from fields(value)


def test_every_reason_is_explained_as_in_the_code() -> None:
    for reason in Reason:
        assert f"| `{reason}` | {reason.meaning} |" in TEXT


def test_every_field_is_mentioned() -> None:
    as_in_kubernetes = {"lastTransitionTime", "effect", "operator", "tolerationSeconds"}
    as_in_kubernetes |= {"requests", "limits", "type"}
    missing = {name for name in fields(crd()) if name not in WORDS} - as_in_kubernetes
    assert missing == set()
