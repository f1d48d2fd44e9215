"""Every case of the corpus: Conveyor's image is that of the reference builders, or the difference is listed and has a reason."""

import os

import pytest
from tests.cluster.harness import Harness
from tests.cluster.kube import CORE, eventually
from tests.corpus.cases import read_cases
from tests.corpus.comparison import rows
from tests.corpus.results import Json

NAMES = os.environ.get("CONVEYOR_CORPUS", "").split() or list(read_cases())


@pytest.mark.cluster
@pytest.mark.parametrize("name", NAMES)
def test_case(name: str, built: dict[str, Json]) -> None:
    wrong = [row.wrong for row in rows({name: built[name]}) if row.wrong]
    assert wrong == [], "\n".join(wrong)


@pytest.mark.cluster
def test_nothing_is_left(lab: Harness, built: dict[str, Json]) -> None:
    """Of no case, built or failed, anything still runs."""
    assert built

    def over() -> bool:
        pods = lab.kube.list(f"{CORE}/namespaces/{lab.namespace}/pods")
        return not [pod for pod in pods if pod["status"].get("phase") in ("Pending", "Running")]

    eventually("no pod is left", 60, over)
