"""The nodes: a kind cluster with a pod network that needs no daemon.

In: a node image, a number of workers, the addresses of the services. Out: nodes that are Ready,
know the registry, and whose pods reach each other, the services and the world.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster import images, node_network, settings, tools
from cluster.console import Console, Failure

if TYPE_CHECKING:
    from pathlib import Path

LABEL = f"io.x-k8s.kind.cluster={settings.CLUSTER}"
KIND_ENV = {"KIND_EXPERIMENTAL_DOCKER_NETWORK": settings.NETWORK}


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A node as Docker sees it.

    Args:
        name: of the container and of the node.
        running: whether its processes live.
        image: the image it was made from.
        address: the fixed address in the cluster's network, "" when none was set.
        started: when its processes were started last.
    """

    name: str
    running: bool
    image: str
    address: str
    started: str


def containers(console: Console) -> list[Container]:
    """All node containers, running or not."""
    listed = ["docker", "ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={LABEL}"]
    ids = console.run(listed, timeout=90).split()
    if not ids:
        return []
    found = [
        _container(raw) for raw in json.loads(console.run(["docker", "inspect", *ids], timeout=90))
    ]
    return sorted(found, key=lambda container: container.name)


def _container(raw: dict) -> Container:  # type: ignore[type-arg]
    network = raw["NetworkSettings"]["Networks"].get(settings.NETWORK) or {}
    return Container(
        name=raw["Name"].removeprefix("/"),
        running=raw["State"]["Running"] and not raw["State"]["Paused"],
        image=raw["Config"]["Image"],
        address=(network.get("IPAMConfig") or {}).get("IPv4Address", ""),
        started=raw["State"]["StartedAt"],
    )


def _plan_file() -> Path:
    return settings.cache_folder() / "cluster.json"


def _plan() -> dict[str, object]:
    try:
        plan = json.loads(_plan_file().read_text())
    except (OSError, ValueError):
        return {}
    return plan if isinstance(plan, dict) else {}


def planned_workers() -> int | None:
    """How many workers the cluster was made with, None when there is no whole cluster."""
    workers = _plan().get("workers")
    return workers if isinstance(workers, int) else None


def is_proved(console: Console) -> bool:
    """Whether pods on every node have shown that all works since the nodes were started.

    Right after a restart the API server still tells how things were before it.
    """
    return _plan().get("proved") == _starts(console)


def mark_proved(console: Console) -> None:
    """Remember that they have."""
    _plan_file().write_text(json.dumps({**_plan(), "proved": _starts(console)}))


def _starts(console: Console) -> dict[str, str]:
    return {container.name: container.started for container in containers(console)}


def reason_to_create(found: list[Container], image: str, workers: int) -> str | None:
    """Why the nodes that exist cannot be used; None when they can."""
    planned = planned_workers()
    reasons = {
        "there is none": not found,
        "an earlier run did not finish it": planned is None,
        f"it has {planned} workers, {workers} are wanted": planned != workers,
        f"{len(found)} of its {workers + 1} nodes are left": len(found) != workers + 1,
        "its node image is of another version": any(c.image != image for c in found),
        "a node has no fixed address": any(not c.address for c in found),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def create(console: Console, image: str, workers: int) -> None:
    """Create the cluster, removing what is there under its name."""
    delete(console)
    text = f"creating the cluster: 1 control plane, {workers} worker{'s' * (workers != 1)}"
    with console.step(text, slow="half a minute"):
        command = [tools.program("kind"), "create", "cluster", "--name", settings.CLUSTER]
        command += ["--image", image, "--kubeconfig", str(settings.kubeconfig()), "--config", "-"]
        config = json.dumps(_kind_config(image, workers)).encode()
        code, _ = console.call([*command, "--retain"], timeout=420, data=config, env=KIND_ENV)
        if code:
            _log_nodes(console)
            raise Failure("kind could not create the cluster")
        for container in containers(console):
            _fix_address(console, container.name)
    _plan_file().write_text(json.dumps({"workers": workers, "image": image}))


def _kind_config(image: str, workers: int) -> dict[str, object]:
    nodes = [{"role": "control-plane"}] + [{"role": "worker"}] * workers
    own_network = images.is_built_here(image)
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "networking": {"disableDefaultCNI": own_network, "podSubnet": settings.POD_SUBNET},
        "nodes": nodes,
    }


def _log_nodes(console: Console) -> None:
    for container in containers(console):
        console.run(["docker", "logs", "--tail", "50", container.name], timeout=90, check=False)
        journal = ["docker", "exec", container.name, "journalctl", "--no-pager", "-n", "80"]
        console.run(journal, timeout=90, check=False)


def _fix_address(console: Console, name: str) -> None:
    """Have Docker give the node the same address after a restart: certificates name it."""
    field = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    address = console.run(["docker", "inspect", "--format", field, name], timeout=90)
    console.run(["docker", "network", "disconnect", settings.NETWORK, name], timeout=90)
    connect = ["docker", "network", "connect", "--ip", address, settings.NETWORK, name]
    console.run(connect, timeout=90)


def delete(console: Console) -> None:
    """Remove the cluster, whatever is left of it."""
    _plan_file().unlink(missing_ok=True)
    found = containers(console)
    if not found:
        return
    with console.step("removing the old cluster"):
        names = [container.name for container in found]
        command = ["docker", "rm", "--force", "--volumes", *names]
        console.run(command, timeout=settings.REMOVAL_SECONDS)
        settings.kubeconfig().unlink(missing_ok=True)


def start(console: Console, found: list[Container]) -> None:
    """Start the nodes that do not run."""
    stopped = [container.name for container in found if not container.running]
    if not stopped:
        return
    with console.step(f"starting {', '.join(stopped)}"):
        console.run(["docker", "unpause", *stopped], timeout=60, check=False)
        console.run(["docker", "start", *stopped], timeout=120)


def ensure_kubeconfig(console: Console) -> None:
    """Write the kubeconfig again if it is lost or of another cluster."""
    if settings.kubeconfig().exists():
        code, _ = console.call(
            [tools.program("kubectl"), "get", "--raw", "/readyz"],
            timeout=15,
            env={"KUBECONFIG": str(settings.kubeconfig())},
        )
        if code == 0:
            return
    command = [tools.program("kind"), "export", "kubeconfig", "--name", settings.CLUSTER]
    command += ["--kubeconfig", str(settings.kubeconfig())]
    console.run(command, timeout=60, env=KIND_ENV)


def wait_for_api(console: Console, workers: int) -> None:
    """Wait until the API server answers and knows every node with its pod network."""

    def known() -> bool:
        found = node_network.addresses_of_nodes(console)
        return len(found) == workers + 1 and all(cidr and ip for cidr, ip in found.values())

    console.wait_for("the API server knows all nodes", known, timeout=120)


def wait_until_ready(console: Console, *, timeout: float) -> None:
    """Wait for all nodes Ready and CoreDNS available."""
    seconds = f"--timeout={timeout:.0f}s"
    tools.kubectl(
        console, "wait", "nodes", "--all", "--for=condition=Ready", seconds, timeout=timeout + 10
    )
    tools.kubectl(
        console,
        *("-n", "kube-system", "rollout", "status", "deployment/coredns", seconds),
        timeout=timeout + 10,
    )
