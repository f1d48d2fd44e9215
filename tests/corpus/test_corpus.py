"""Every case of the corpus: Conveyor's image is that of the reference builders, or the difference is listed and has a reason."""

import os

import pytest
from tests.corpus.cases import read_cases
from tests.corpus.comparison import rows
from tests.corpus.results import Json

NAMES = os.environ.get("CONVEYOR_CORPUS", "").split() or list(read_cases())


@pytest.mark.cluster
@pytest.mark.parametrize("name", NAMES)
def test_case(name: str, built: dict[str, Json]) -> None:
    wrong = [row.wrong for row in rows({name: built[name]}) if row.wrong]
    assert wrong == [], "\n".join(wrong)
