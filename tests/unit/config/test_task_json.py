"""The JSON text of a task, against what Go's libraries give on werf's way (tests/data/ansible-tasks.json)."""

import json
from pathlib import Path

import pytest

from conveyor.config.task_json import NotJson, task_json
from conveyor.config.yaml import load

DATA = json.loads((Path(__file__).parents[2] / "data" / "ansible-tasks.json").read_text("utf-8"))
CASES = [(case["yaml"], case["json"]) for case in DATA["cases"]]


def test_there_are_enough() -> None:
    assert len(CASES) > 50


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_it_is_what_go_writes(text: str, expected: str) -> None:
    node = load(text)
    assert node is not None
    assert task_json(node) == expected


@pytest.mark.parametrize(
    "text", ["debug:\n  x: 1\n  msg: .inf", "debug:\n  x: [1,\n   .nan]", "debug:\n  x: 1\n  ~: 1"]
)
def test_what_json_does_not_have(text: str) -> None:
    """werf ends with a panic."""
    node = load(text)
    assert node is not None
    with pytest.raises(NotJson) as raised:
        task_json(node)
    assert raised.value.line == 3
