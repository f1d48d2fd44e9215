"""Lets tests of this folder import each other's helpers, and adds `--update-golden`."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Golden files are written instead of compared; look at the diff before committing."""
    parser.addoption("--update-golden", action="store_true", help="write tests/golden/jobs anew")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Path:
    """Folder of the golden files; with --update-golden tests write into it."""
    return ROOT / "tests" / "golden" / "jobs"


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written."""
    try:
        return bool(request.config.getoption("--update-golden"))
    except ValueError:  # pytest was started for a folder above: the option is not known there
        return False
