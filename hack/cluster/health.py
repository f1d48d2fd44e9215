"""Is the cluster healthy? Asked, not assumed.

In: what runs. Out: a list of problems, empty when all is well; and a proof from inside: a pod on
every node that resolves names and reaches the services.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cluster import engine, node_network, nodes, services, settings, tools
from cluster.console import Console, Failure

if TYPE_CHECKING:
    from cluster.settings import Addresses

# Asked for half a minute: just after a restart kube-proxy and CoreDNS need a moment themselves.
# Exit code 7: all is well but for the world outside, which a closed network may forbid.
PROBE = """
inside() {{
  getent hosts kubernetes.default.svc.cluster.local &&
    : 3<>/dev/tcp/{registry_ip}/5000 4<>/dev/tcp/{git_ip}/80 5<>/dev/tcp/kubernetes.default/443
}}
outside() {{
  mirror=$(sed -n 's#.*://\\([^/ ]*\\)/.*#\\1#p' /etc/apt/sources.list | head -n 1)
  getent hosts "$mirror" && : 6<>"/dev/tcp/$mirror/80"
}}
export -f inside outside
try() {{ for _ in $(seq "$2"); do timeout 5 bash -c "$1" && return; sleep 0.5; done; return 1; }}
try inside 60 || exit 1
try outside 4 || exit 7
"""


def problems(console: Console) -> list[str]:
    """Everything that is wrong, in the order in which it should be repaired."""
    if not engine.answers(console):
        return ["no Docker Engine answers"]
    try:
        found = services.addresses(console)
    except Failure as failure:
        return [str(failure)]
    checks = (services.registry_problem, services.base_images_problem, services.git_problem)
    wrong = [problem for check in checks if (problem := check(found))]
    return wrong + _node_problems(console, found)


def _node_problems(console: Console, found: Addresses) -> list[str]:
    containers = nodes.containers(console)
    workers = nodes.planned_workers()
    if workers is None or len(containers) != workers + 1:
        return ["the cluster is not complete"]
    if dead := [c.name for c in containers if not c.running]:
        return [f"not running: {', '.join(dead)}"]
    try:
        wrong = _kubernetes_problems(console, workers + 1)
    except Failure as failure:
        return [f"the API server does not answer ({failure})"]
    script = f"curl --silent --fail --max-time 5 --output /dev/null http://{found.registry}/v2/"
    for container in containers:
        code, _ = console.call(["docker", "exec", container.name, "sh", "-c", script], timeout=60)
        if code:
            wrong.append(f"{container.name} does not reach the registry")
    return wrong


def _kubernetes_problems(console: Console, count: int) -> list[str]:
    out = tools.kubectl(console, "get", "nodes", "--output", "json", timeout=60)
    items = json.loads(out)["items"]
    wrong = [f"{n['metadata']['name']} is not Ready" for n in items if not _is_ready(n)]
    if len(items) != count:
        wrong.append(f"the API server knows {len(items)} nodes instead of {count}")
    field = "jsonpath={.status.availableReplicas}"
    command = ("-n", "kube-system", "get", "deployment", "coredns", "--output", field)
    if tools.kubectl(console, *command, timeout=60) in ("", "0"):
        wrong.append("CoreDNS is not available")
    return wrong


def _is_ready(node: dict) -> bool:  # type: ignore[type-arg]
    conditions = node["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def prove(console: Console, found: Addresses) -> None:
    """Run a pod on every node that uses the registry, DNS, the API and the git server.

    Raises:
        Failure: a pod did not succeed; the message names its node.
    """
    names = sorted(node_network.addresses_of_nodes(console))
    pods = [_pod(node, found) for node in names]
    with console.step("trying a pod on every node (registry, DNS, git, API)"):
        _delete_probes(console)
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": pods}).encode()
        apply = [tools.program("kubectl"), "apply", "--filename", "-"]
        env = {"KUBECONFIG": str(settings.kubeconfig())}
        # The default service account appears a moment after the namespace.
        console.wait_for(
            "pods can be made",
            lambda: console.call(apply, timeout=30, data=text, env=env)[0] == 0,
            timeout=60,
        )
        try:
            _wait_for_probes(console, len(pods))
        finally:
            _delete_probes(console)


def _delete_probes(console: Console) -> None:
    flags = ("--ignore-not-found", "--grace-period=0", "--wait=true", "--timeout=20s")
    tools.kubectl(
        console, "delete", "pods", "--selector", "app=conveyor-probe", *flags, check=False
    )


def _pod(node: str, found: Addresses) -> dict[str, object]:
    script = PROBE.format(registry_ip=found.registry_ip, git_ip=found.git_ip)
    container = {
        "name": "probe",
        "image": f"{found.registry}/library/debian:{settings.SUITE}",
        "command": ["bash", "-c", script],
    }
    spec = {
        "nodeName": node,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
    }
    # The control plane's taint is for the scheduler; nodeName passes it by.
    metadata = {"name": f"conveyor-probe-{node}", "labels": {"app": "conveyor-probe"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _wait_for_probes(console: Console, count: int) -> None:
    codes: dict[str, int] = {}

    def finished() -> bool:
        out = tools.kubectl(
            console, "get", "pods", "--selector", "app=conveyor-probe", "--output", "json"
        )
        for pod in json.loads(out)["items"]:
            for status in pod["status"].get("containerStatuses", []):
                if ended := status["state"].get("terminated"):
                    codes[pod["spec"]["nodeName"]] = ended["exitCode"]
        return len(codes) == count

    try:
        console.wait_for("the pods that try the network end", finished, timeout=180, every=0.5)
    except Failure:
        tools.kubectl(console, "describe", "pods", "--selector", "app=conveyor-probe", check=False)
        raise
    if bad := [node for node, code in codes.items() if code not in (0, 7)]:
        tools.kubectl(console, "logs", "--selector", "app=conveyor-probe", check=False)
        raise Failure(f"pods on {', '.join(bad)} do not reach what they must")
    if 7 in codes.values():
        console.say("note: pods reach the cluster's services, but not Debian's packages")
