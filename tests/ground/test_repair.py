"""`hack/cluster.py up` brings the development cluster back, whatever happened to it; what is in it stays.

In: the healthy development cluster. Out: damage, repair, and a look at whether it is the same cluster.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLUSTER = [sys.executable, str(ROOT / "hack" / "cluster.py")]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "conveyor"
PID_FILE = Path("/var/run/docker.pid")
MARK = "ground-test"

pytestmark = pytest.mark.timeout(900)


def run(*command: str) -> str:
    """Run a command that must succeed; answers its output."""
    done = subprocess.run(  # noqa: S603 - our own arguments
        command, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def up() -> str:
    """Bring the cluster up; afterwards `status` must find nothing wrong."""
    said = run(*CLUSTER, "up")
    run(*CLUSTER, "status")
    return said


def kubectl(*words: str) -> str:
    return run(str(CACHE / "bin" / "kubectl"), "--kubeconfig", str(CACHE / "kubeconfig"), *words)


def nodes() -> list[str]:
    """The node containers, running or not, workers last."""
    label = "label=io.x-k8s.kind.cluster=conveyor"
    names = run("docker", "ps", "-a", "--filter", label, "--format", "{{.Names}}").split()
    return sorted(names)


@pytest.fixture
def marked() -> Iterator[None]:
    """A ConfigMap lies in the cluster before; it must be the same cluster after."""
    up()
    kubectl("delete", "configmap", MARK, "--ignore-not-found")
    kubectl("create", "configmap", MARK)
    yield
    assert MARK in kubectl("get", "configmap", MARK, "-o", "name")
    kubectl("delete", "configmap", MARK)


def our_dockerd() -> int:
    """Process id of the Docker Engine that `up` started."""
    file = CACHE / "dockerd.pid"
    if not file.exists():
        pytest.skip("Docker Engine is the machine's own, not ours to kill")
    return int(file.read_text())


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and _state(pid) != "Z":
        assert time.monotonic() < end, f"{pid} does not end"
        time.sleep(0.1)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


def kill_dockerd() -> None:
    kill(our_dockerd())


def stop_nodes() -> None:
    run("docker", "stop", "-t", "0", *nodes())


def freeze_worker() -> None:
    run("docker", "pause", nodes()[-1])


def delete_bridges() -> None:
    for device in ("docker0", "conveyor0"):
        run("ip", "link", "delete", device)


DAMAGE = [kill_dockerd, stop_nodes, freeze_worker, delete_bridges]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda function: function.__name__)
@pytest.mark.usefixtures("marked")
def test_comes_back(damage: Callable[[], None]) -> None:
    damage()
    assert "anew" not in up()


@pytest.mark.usefixtures("marked")
def test_a_stale_pid_file_names_somebody_else() -> None:
    """The process that has dockerd's old number by now is left alone."""
    kill(our_dockerd())
    with subprocess.Popen(["sleep", "600"]) as bystander:  # noqa: S607
        PID_FILE.write_text(f"{bystander.pid}\n")
        up()
        assert bystander.poll() is None
        bystander.kill()


def test_healthy_is_left_alone() -> None:
    """The second run finds all healthy: the nodes are the same, started at the same time."""
    up()
    before = run("docker", "inspect", "--format", "{{.Id}} {{.State.StartedAt}}", *nodes())
    said = up()
    assert "repairing" not in said
    assert before == run("docker", "inspect", "--format", "{{.Id}} {{.State.StartedAt}}", *nodes())


def test_a_lost_node_costs_the_cluster_but_not_the_registry() -> None:
    """A node container that is gone cannot come back: a new cluster, with the same registry."""
    up()
    run("docker", "rm", "-f", "-v", nodes()[-1])
    registry = run("docker", "inspect", "--format", "{{.Id}}", "conveyor-registry")
    assert "making the cluster anew" in up()
    assert registry == run("docker", "inspect", "--format", "{{.Id}}", "conveyor-registry")
