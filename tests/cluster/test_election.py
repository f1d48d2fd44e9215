"""Two operators: one works, the other waits, and takes over when the first goes away."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.cluster.builds import digests_of
from tests.cluster.harness import Harness
from tests.cluster.kube import eventually
from tests.cluster.operator_pod import NAMESPACE
from tests.cluster.registry import doubled

SLOW = (
    "project: e2e\nconfigVersion: 1\n---\nimage: slow\nfrom: debian:bookworm\nshell:\n"
    "  install: sleep 12; date +%s%N > /when\n  setup: cat /when > /again\n"
)


@pytest.fixture
def two(lab: Harness) -> Iterator[Harness]:
    """The Deployment has two ready pods, one of which leads."""
    with _scaled(lab, 2):
        yield lab


def test_the_other_waits(two: Harness) -> None:
    """Only the leader touches a build."""
    build = two.build(config=SLOW)
    build.wait_ready()
    leader = two.operator.leader()
    (other,) = {pod["metadata"]["name"] for pod in two.operator.pods()} - {leader}
    assert build.name in two.operator.log_of(leader)
    assert build.name not in two.operator.log_of(other)


@pytest.mark.parametrize("end", ["killed", "told to stop"])
def test_the_other_takes_over(two: Harness, end: str) -> None:
    """The leader goes away while a stage runs: the stage is published once, by the other."""
    build = two.build(config=SLOW)
    build.wait_jobs()
    operator = two.operator
    before = {pod["metadata"]["name"] for pod in operator.pods()}
    first = operator.kill_leader() if end == "killed" else operator.stop_leader()
    eventually("the other leads", 60, lambda: operator.leader() in before - {first})
    build.wait_ready()
    built = [digest for job in build.jobs() for digest in digests_of(job)]
    assert len(built) == len(set(built)) == 2
    assert doubled(two.registry.stages(build.repo)) == []


@contextmanager
def _scaled(lab: Harness, replicas: int) -> Iterator[None]:
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/conveyor"
    lab.kube.patch(path, {"spec": {"replicas": replicas}})
    try:
        eventually(f"{replicas} operators are ready", 120, lambda: _ready(lab, path) == replicas)
        lab.operator.wait_leading()
        yield
    finally:
        lab.kube.patch(path, {"spec": {"replicas": 1}})
        eventually("one operator is left", 120, lambda: len(lab.operator.pods()) == 1)
        lab.operator.wait_leading()


def _ready(lab: Harness, path: str) -> int:
    found = lab.kube.get(path) or {}
    return int((found.get("status") or {}).get("readyReplicas") or 0)
