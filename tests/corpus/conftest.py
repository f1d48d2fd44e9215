"""Fixtures of the corpus lane: the development cluster as the cluster lane has it, and what Conveyor built on it.

In: `hack/cluster.py env`. Out: `built`: results by name, all cases built at once. CONVEYOR_CORPUS="NAME NAME" builds some.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

from tests.cluster.conftest import cluster_env, kube, namespace  # noqa: E402, F401 - fixtures
from tests.cluster.harness import Addresses, Harness  # noqa: E402
from tests.cluster.kube import Kube  # noqa: E402
from tests.cluster.operator_pod import OperatorPod  # noqa: E402
from tests.cluster.registry import Registry  # noqa: E402
from tests.corpus.cases import read_cases  # noqa: E402
from tests.corpus.conveyor_builds import build_all  # noqa: E402
from tests.corpus.results import Json  # noqa: E402


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(scope="session")
def lab(
    cluster_env: dict[str, str],  # noqa: F811 - the fixture
    kube: Kube,  # noqa: F811
    namespace: str,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Harness]:
    """The lane's view of the cluster; at the end no build may have met a defect."""
    at = Addresses.from_env(cluster_env)
    operator = OperatorPod(kube=kube)
    harness = Harness(
        kube=kube,
        at=at,
        namespace=namespace,
        folder=tmp_path_factory.mktemp("corpus"),
        operator=operator,
        registry=Registry(host=at.registry),
    )
    yield harness
    names = {build.name for build in harness.builds}
    found = [defect for name in names for defect in operator.defects(namespace, name)]
    assert found == []
    assert operator.crashes() == []


@pytest.fixture(scope="session")
def built(lab: Harness) -> dict[str, Json]:
    """Every case as Conveyor built it."""
    wanted = os.environ.get("CONVEYOR_CORPUS", "").split()
    cases = read_cases()
    return dict(build_all(lab, [cases[name] for name in wanted or cases]))
