"""The documentation names everything that is there, and nothing that is not."""

import inspect
import json
import re
from pathlib import Path

import pytest
from prometheus_client.metrics import MetricWrapperBase

from conveyor.api.names import Reason
from conveyor.builder import courier_errors, failure
from conveyor.builder.steps import _OPERATIONS
from conveyor.cli.build import build_command
from conveyor.cli.plan import plan_command
from conveyor.cli.render import render_command
from conveyor.config import docker_instructions, dockerfile_image, mappings, meta, stapel
from conveyor.jobs import result
from conveyor.shell import settings, telemetry

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OPERATIONS = (DOCS / "operations.md").read_text()
PROTOCOL = (DOCS / "stage-task.md").read_text()
PAGES = sorted([ROOT / "README.md", *DOCS.rglob("*.md")])


def first_cells(text: str) -> set[str]:
    """The words in backticks that rows of tables begin with."""
    return set(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE))


def section(text: str, title: str) -> str:
    """The text below a heading, up to the next one of the same level."""
    found = re.search(
        rf"^(#+) {re.escape(title)}\n(.*?)(?=^\1 |\Z)", text, re.DOTALL | re.MULTILINE
    )
    assert found, title
    return found[2]


def metric_names() -> set[str]:
    metrics = [it for it in vars(telemetry).values() if isinstance(it, MetricWrapperBase)]
    found = [family for metric in metrics for family in metric.collect()]
    return {it.name + ("_total" if it.type == "counter" else "") for it in found}


def test_every_reason_has_a_row_that_says_what_to_do() -> None:
    rows = first_cells(section(OPERATIONS, "Reasons and what to do"))
    assert rows == {reason.value for reason in Reason}


def test_every_metric_is_explained() -> None:
    assert metric_names()
    rows = {name for name in first_cells(OPERATIONS) if name.startswith("conveyor_")}
    assert rows == metric_names()


def test_every_setting_is_explained() -> None:
    rows = {name for name in first_cells(OPERATIONS) if name.startswith("CONVEYOR_")}
    assert rows == {f"CONVEYOR_{variable}" for variable, _ in settings._VARIABLES.values()}


def test_every_variable_of_the_containers_is_explained() -> None:
    source = "".join(path.read_text() for path in (ROOT / "operator/conveyor/builder").glob("*.py"))
    named = set(re.findall(r'environ(?:ment)?\.get\(\s*"(CONVEYOR_[A-Z_]+)"', source))
    assert first_cells(section(PROTOCOL, "Environment")) == named


def test_every_step_is_explained() -> None:
    assert first_cells(section(PROTOCOL, "Steps")) == set(_OPERATIONS)


def test_every_reason_of_a_result_is_explained() -> None:
    table = section(PROTOCOL, "Reasons of failures")
    rows = [line.split("|")[1:-1] for line in table.splitlines() if re.match(r"\| `[A-Z]", line)]
    told = {
        word: (cells[2].strip() == "yes", cells[3].strip(" `"))
        for cells in rows
        for word in re.findall(r"`(\w+)`", cells[0])
    }
    known = inspect.getdoc(failure.StageFailure), inspect.getdoc(courier_errors)
    words = {
        word
        for text in known
        for word in re.findall(r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)*\b", text or "")
    }
    assert set(result._REASONS) <= set(told)
    assert set(told) <= words
    for word, (again, reason) in told.items():
        text = json.dumps({"failure": {"reason": word, "message": "m"}})
        parsed = result.parse_result(text)
        assert parsed is not None
        assert parsed.failure is not None
        assert (not parsed.failure.final, parsed.failure.reason.value) == (again, reason), word


def test_modules_of_the_architecture_exist() -> None:
    text = "".join((DOCS / name).read_text() for name in ("architecture.md", "stage-task.md"))
    named = set(
        re.findall(r"`((?:api|config|plan|jobs|adapters|shell|builder|cli)/\w+\.py)`", text)
    )
    missing = {name for name in named if not (ROOT / "operator/conveyor" / name).is_file()}
    assert len(named) > 50
    assert missing == set()


def test_every_decision_is_listed() -> None:
    files = {path.name for path in (DOCS / "adr").glob("0*.md")}
    listed = re.findall(r"\]\((0[\w-]+\.md)\)", (DOCS / "adr/README.md").read_text())
    assert set(listed) == files
    assert len(listed) == len(files)
    numbers = sorted(int(name[:4]) for name in files)
    assert len(set(numbers)) == len(numbers)


def anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


COMPATIBILITY = (DOCS / "compatibility.md").read_text()


def compatibility_keys(title: str) -> set[str]:
    """All words in backticks of the first cells below a heading."""
    rows = re.findall(r"^\| (.*?) \|", section(COMPATIBILITY, title), re.MULTILINE)
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row)}


@pytest.mark.parametrize(
    ("title", "keys"),
    [
        ("Stapel images and artifacts", stapel._KEYS),
        ("Dockerfile images", dockerfile_image._KEYS),
        ("docker", docker_instructions._KEYS),
        (
            "import",
            [*mappings.EXPORT_KEYS, "image", "from", "artifact", "before", "after", "stage"],
        ),
        ("git", [*mappings.EXPORT_KEYS, *mappings._REMOTE_KEYS, "url", "basicAuth"]),
        ("Meta section", [*meta._KEYS[:2], *meta._KEYS[3:]]),
        ("Meta section", [f"build.{key}" for key in meta._BUILD_KEYS]),
    ],
)
def test_every_directive_is_in_the_table(title: str, keys: list[str]) -> None:
    assert set(keys) - compatibility_keys(title) == set()


def test_every_template_case_that_differs_is_listed() -> None:
    told = json.loads((ROOT / "tests/data/gotemplate-differences.json").read_text())
    text = section(COMPATIBILITY, "Template cases that differ")
    listed = {row.replace("\\|", "|") for row in re.findall(r"^\| `(.*?)` \| ", text, re.MULTILINE)}
    assert listed == {*told["werf"], *told["gotpl"]}


def test_every_option_of_the_command_line_is_described() -> None:
    text = (DOCS / "cli.md").read_text()
    for command in (build_command, plan_command, render_command):
        for option in (name for param in command.params for name in param.opts):
            assert f"`{option}" in text or f" {option}" in text, option
