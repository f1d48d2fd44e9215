"""The operator's own pod: its log, its end, its successor.

In: the cluster. Out: what it logged, whether it ever crashed, and a real SIGKILL.
"""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from tests.cluster.kube import CORE, LEASES, Json, Kube, eventually

NAMESPACE = "conveyor-system"
SERVICE_ACCOUNT = "conveyor"
_SELECTOR = "app.kubernetes.io/name=conveyor,app.kubernetes.io/component=operator"
_SIGKILL = 137


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorPod:
    """The pods of the operator's Deployment."""

    kube: Kube

    def pods(self) -> list[Json]:
        """Those that are not going away."""
        found = self.kube.list(f"{CORE}/namespaces/{NAMESPACE}/pods", selector=_SELECTOR)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def log(self, tail: int = 0) -> str:
        """What the living pods logged."""
        return "".join(
            self.kube.log(NAMESPACE, pod["metadata"]["name"], "operator", tail=tail)
            for pod in self.pods()
        )

    def defects(self, namespace: str, build: str) -> list[str]:
        """Logged failures of the reconcile of one build: there must be none, whatever the user wrote."""
        return [
            str(line.get("exc_info", line))
            for line in self._lines()
            if line.get("level") == "ERROR"
            and (line.get("namespace"), line.get("build")) == (namespace, build)
        ]

    def crashes(self) -> list[str]:
        """Ends of operator containers that were no SIGKILL of ours."""
        return [
            f"{pod['metadata']['name']}: {ended}"
            for pod in self.pods()
            for status in pod["status"].get("containerStatuses") or []
            if (ended := (status.get("lastState") or {}).get("terminated"))
            and (ended["exitCode"] != _SIGKILL or ended.get("reason") == "OOMKilled")
        ]

    def kill(self) -> None:
        """SIGKILL the process; a new pod takes over at once instead of after the kubelet's back-off.

        Raises:
            AssertionError: No process was there to be killed: a kill that did not happen proves nothing.
        """
        eventually("an operator was killed", 60, self.kill_what_runs)

    def kill_what_runs(self) -> int:
        """SIGKILL what runs right now, and remove those pods; answers how many processes were hit.

        A pod that is only starting stays: who removed it in a loop would wait for its successor for ever.
        """
        hit = {pod["metadata"]["name"]: self._sigkill(pod) for pod in self.pods()}
        for name in (name for name, count in hit.items() if count):
            self._remove(name)
        return sum(hit.values())

    def kill_all(self) -> None:
        """SIGKILL what runs, and remove every pod, those too that are only starting."""
        for pod in self.pods():
            self._sigkill(pod)
            self._remove(pod["metadata"]["name"])

    def _sigkill(self, pod: Json) -> int:
        return sum(
            _sigkill(pod["spec"]["nodeName"], status["containerID"])
            for status in pod["status"].get("containerStatuses") or []
            if "running" in status["state"]
        )

    def _remove(self, name: str) -> None:
        self.kube.delete(f"{CORE}/namespaces/{NAMESPACE}/pods/{name}", grace=0)

    def kill_leader(self) -> str:
        """SIGKILL the one that leads, and remove its pod; answers its name."""
        name = self.leader()
        pod = next(pod for pod in self.pods() if pod["metadata"]["name"] == name)
        assert self._sigkill(pod) == 1
        self._remove(name)
        return name

    def stop_leader(self) -> str:
        """Delete the leader's pod as a drain or a rollout does: SIGTERM, with time to finish; answers its name."""
        name = self.leader()
        self.kube.delete(f"{CORE}/namespaces/{NAMESPACE}/pods/{name}")
        return name

    def log_of(self, name: str) -> str:
        """What one of the pods logged."""
        return self.kube.log(NAMESPACE, name, "operator")

    def leader(self) -> str:
        """Name of the pod that holds the leader's Lease, "" for none."""
        lease = self.kube.get(f"{LEASES}/namespaces/{NAMESPACE}/leases/conveyor-leader")
        return str(lease["spec"].get("holderIdentity") or "") if lease else ""

    def wait_leading(self, seconds: float = 90) -> None:
        """Wait until a living pod holds the leader's Lease."""
        eventually("an operator leads", seconds, self._leads)

    def _leads(self) -> bool:
        return self.leader() in {pod["metadata"]["name"] for pod in self.pods()}

    def _lines(self) -> Iterator[Json]:
        for line in self.log().splitlines():
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, dict):
                yield found


def _sigkill(node: str, container: str) -> bool:
    """Only the node's own tool reaches the process: inside the container nobody may signal process 1 with 9.

    False when the container's task is gone already; every other trouble is an error.
    """
    ident = container.removeprefix("containerd://")
    command = ["docker", "exec", node, "ctr", "-n", "k8s.io", "tasks", "kill", "-s", "SIGKILL"]
    done = subprocess.run(  # noqa: S603 - our own arguments
        [*command, ident], check=False, capture_output=True, text=True, timeout=60
    )
    # No such task, or a task whose process has ended: another test's kill was quicker.
    ends = (ident, "process already finished", "deleted process")
    gone = "not found" in done.stderr and any(end in done.stderr for end in ends)
    assert done.returncode == 0 or gone, done.stderr
    return done.returncode == 0
