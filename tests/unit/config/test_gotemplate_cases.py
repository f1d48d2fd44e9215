"""Templates against the answers of Go's text/template with sprig."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from gotpl import Environment, TemplateError

from conveyor.config.functions import Outside, function_table, sandbox
from conveyor.config.giterminism import Policy

DATA = Path(__file__).parents[2] / "data"
DOCUMENT = json.loads((DATA / "gotemplate-cases.json").read_text(encoding="utf-8"))
DIFFERENCES = json.loads((DATA / "gotemplate-differences.json").read_text(encoding="utf-8"))
CASES = {case["template"]: case for case in DOCUMENT["cases"]}
# The day on which the oracle's answers were made.
ORACLE_NOW = 1_795_219_200


def _go_json(value: Any) -> Any:
    """Numbers decoded from JSON into untyped Go values are float64."""
    if isinstance(value, dict):
        return {key: _go_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_go_json(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


@pytest.fixture(scope="module")
def environment() -> Any:
    table = function_table(
        Outside(env={"NOPE_X": ""}, policy=Policy(env=("NOPE_X",)), now=ORACLE_NOW)
    )
    return Environment(functions=table, sandbox=sandbox(table))


def _answer(environment: Environment, template: str) -> Any:
    try:
        return environment.from_string(template, name="x").render(
            _go_json(copy.deepcopy(DOCUMENT["values"]))
        )
    except TemplateError:
        return None


def test_number_of_cases_and_of_differences() -> None:
    assert len(DOCUMENT["cases"]) == 306
    assert len(CASES) == 306
    assert len(CASES) - len(DIFFERENCES["gotpl"]) >= 300
    assert set(DIFFERENCES["gotpl"]) | set(DIFFERENCES["werf"]) <= set(CASES)


@pytest.mark.parametrize("template", [name for name in CASES if name not in DIFFERENCES["gotpl"]])
def test_same_answer(environment: Environment, template: str) -> None:
    case = CASES[template]
    wanted = None if case["error"] else case["output"]
    if template in DIFFERENCES["werf"]:
        wanted = DIFFERENCES["werf"][template]["output"]
    assert _answer(environment, template) == wanted


@pytest.mark.parametrize("template", sorted(DIFFERENCES["gotpl"]))
def test_listed_differences_still_are_differences(environment: Environment, template: str) -> None:
    case = CASES[template]
    assert _answer(environment, template) != (None if case["error"] else case["output"])
