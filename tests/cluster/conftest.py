"""Fixtures of the cluster lane: the development cluster with the operator installed on it.

In: what `hack/cluster.py env` prints. Out: `lab`, a `Harness`. Nothing is skipped: without a cluster the lane fails and
says so. With CONVEYOR_E2E_KEEP set, namespaces stay for a look at what happened.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

from tests.cluster.harness import Addresses, Harness, make_namespace  # noqa: E402 - path set above
from tests.cluster.kube import CORE, Kube  # noqa: E402
from tests.cluster.operator_pod import NAMESPACE, OperatorPod  # noqa: E402
from tests.cluster.registry import Registry  # noqa: E402


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(1200))


@pytest.fixture(scope="session")
def cluster_env() -> dict[str, str]:
    """The variables of the development cluster, also put into our own environment."""
    command = ["python3", str(ROOT / "hack/cluster.py"), "env"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603
    if done.returncode:
        pytest.fail(f"the cluster lane needs `make install`: {done.stderr}", pytrace=False)
    words = shlex.split(done.stdout.replace(':"$PATH"', f":{shlex.quote(os.environ['PATH'])}"))
    found = dict(word.split("=", 1) for word in words if "=" in word)
    os.environ["PATH"] = found["PATH"]
    return found


@pytest.fixture(scope="session")
def kube(cluster_env: dict[str, str]) -> Kube:
    """The cluster's API; the operator is there and leads."""
    kube = Kube.connect(Path(cluster_env["KUBECONFIG"]))
    found = kube.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/conveyor")
    if found is None:
        pytest.fail("the cluster lane needs the operator: make install", pytrace=False)
    OperatorPod(kube=kube).wait_leading(120)
    return kube


@pytest.fixture(scope="session")
def namespace(kube: Kube) -> Iterator[str]:
    """This process's namespace."""
    name = make_namespace(kube)
    yield name
    _remove(kube, name)


@pytest.fixture
def new_namespace(kube: Kube) -> Iterator[Callable[..., str]]:
    """Makes namespaces of a test's own."""
    made: list[str] = []

    def make(*, credentials: bool = True) -> str:
        made.append(make_namespace(kube, credentials=credentials))
        return made[-1]

    yield make
    for name in made:
        _remove(kube, name)


@pytest.fixture
def lab(
    cluster_env: dict[str, str], kube: Kube, namespace: str, tmp_path: Path
) -> Iterator[Harness]:
    """One test's view of the cluster; at the end no build may have met a defect, and the operator no crash."""
    at = Addresses.from_env(cluster_env)
    operator = OperatorPod(kube=kube)
    harness = Harness(
        kube=kube,
        at=at,
        namespace=namespace,
        folder=tmp_path,
        operator=operator,
        registry=Registry(host=at.registry),
    )
    yield harness
    defects = [
        found for build in harness.builds for found in operator.defects(build.namespace, build.name)
    ]
    if not os.environ.get("CONVEYOR_E2E_KEEP"):
        for build in harness.builds:
            build.delete()
    assert defects == []
    assert operator.crashes() == []


def _remove(kube: Kube, namespace: str) -> None:
    if not os.environ.get("CONVEYOR_E2E_KEEP"):
        kube.delete(f"{CORE}/namespaces/{namespace}")
