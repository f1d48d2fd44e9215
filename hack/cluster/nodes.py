"""The nodes: a kind cluster with a pod network that needs no daemon.

In: a node image, a number of workers, the addresses of the services. Out: nodes that are Ready,
know the registry, and whose pods reach each other, the services and the world.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cluster import images, services, settings, tools
from cluster.console import Console, Failure
from cluster.settings import Addresses

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
    """

    name: str
    running: bool
    image: str
    address: str


def containers(console: Console) -> list[Container]:
    """All node containers, running or not."""
    listed = ["docker", "ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={LABEL}"]
    ids = console.run(listed, timeout=30).split()
    if not ids:
        return []
    found = [_container(raw) for raw in json.loads(console.run(["docker", "inspect", *ids], timeout=30))]
    return sorted(found, key=lambda container: container.name)


def _container(raw: dict) -> Container:  # type: ignore[type-arg]
    network = raw["NetworkSettings"]["Networks"].get(settings.NETWORK) or {}
    return Container(
        name=raw["Name"].removeprefix("/"),
        running=raw["State"]["Running"] and not raw["State"]["Paused"],
        image=raw["Config"]["Image"],
        address=(network.get("IPAMConfig") or {}).get("IPv4Address", ""),
    )


def _plan_file() -> Path:
    return settings.cache_folder() / "cluster.json"


def planned_workers() -> int | None:
    """How many workers the cluster was made with, None when there is no whole cluster."""
    try:
        return int(json.loads(_plan_file().read_text())["workers"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def reason_to_create(found: list[Container], image: str, workers: int) -> str | None:
    """Why the nodes that exist cannot be used; None when they can."""
    if not found:
        return "there is none"
    if planned_workers() is None:
        return "an earlier run did not finish it"
    if planned_workers() != workers:
        return f"it has {planned_workers()} workers, {workers} are wanted"
    if len(found) != workers + 1:
        return f"{len(found)} of its {workers + 1} nodes are left"
    if any(container.image != image for container in found):
        return "its node image is of another version"
    if any(not container.address for container in found):
        return "a node has no fixed address"
    return None


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
        console.run(["docker", "logs", "--tail", "50", container.name], timeout=30, check=False)
        journal = ["docker", "exec", container.name, "journalctl", "--no-pager", "-n", "80"]
        console.run(journal, timeout=30, check=False)


def _fix_address(console: Console, name: str) -> None:
    """Have Docker give the node the same address after a restart: certificates name it."""
    field = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    address = console.run(["docker", "inspect", "--format", field, name], timeout=30)
    console.run(["docker", "network", "disconnect", settings.NETWORK, name], timeout=30)
    connect = ["docker", "network", "connect", "--ip", address, settings.NETWORK, name]
    console.run(connect, timeout=30)


def delete(console: Console) -> None:
    """Remove the cluster, whatever is left of it."""
    _plan_file().unlink(missing_ok=True)
    found = containers(console)
    if not found:
        return
    with console.step("removing the old cluster"):
        names = [container.name for container in found]
        console.run(["docker", "rm", "--force", "--volumes", *names], timeout=120)
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
        found = node_networks(console)
        return len(found) == workers + 1 and all(cidr and ip for cidr, ip in found.values())

    console.wait_for("the API server knows all nodes", known, timeout=120)


def node_networks(console: Console) -> dict[str, tuple[str, str]]:
    """Node name -> (pod CIDR, address)."""
    out = tools.kubectl(console, "get", "nodes", "--output", "json")
    result = {}
    for node in json.loads(out)["items"]:
        addresses = node["status"].get("addresses", [])
        ip = next((a["address"] for a in addresses if a["type"] == "InternalIP"), "")
        result[node["metadata"]["name"]] = (node["spec"].get("podCIDR", ""), ip)
    return result


def set_up_network(console: Console, found: Addresses, image: str) -> None:
    """Give every node its pod network, its routes and the registries; harmless when repeated."""
    own = images.is_built_here(image)
    if own:
        set_up_dns(console)
    networks = node_networks(console)
    for name, (cidr, _) in networks.items():
        peers = {c: ip for peer, (c, ip) in networks.items() if peer != name}
        script = _registries_script(found) + (_network_script(console, cidr, peers) if own else "")
        console.run(["docker", "exec", "-i", name, "sh", "-eu"], data=script.encode(), timeout=60)


def _network_script(console: Console, cidr: str, peers: dict[str, str]) -> str:
    ipam = {"type": "host-local", "ranges": [[{"subnet": cidr}]], "routes": [{"dst": "0.0.0.0/0"}]}
    ptp = {"type": "ptp", "ipMasq": False, "mtu": services.mtu(console), "ipam": ipam}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    conf = {"cniVersion": "0.3.1", "name": "pods", "plugins": [ptp, ports]}
    rule = f"POSTROUTING -s {cidr} ! -d {settings.POD_SUBNET} -j MASQUERADE"
    routes = "".join(f"ip route replace {c} via {ip}\n" for c, ip in peers.items())
    return (
        f"iptables -w -t nat -C {rule} 2>/dev/null || iptables -w -t nat -A {rule}\n{routes}"
        f"mkdir -p /etc/cni/net.d\necho '{json.dumps(conf)}' > /etc/cni/net.d/.new\n"
        "mv /etc/cni/net.d/.new /etc/cni/net.d/10-ptp.conflist\n"
    )


def _registries_script(found: Addresses) -> str:
    script = ""
    for registry in found.registries:
        folder = f"/etc/containerd/certs.d/{registry}"
        script += f"mkdir -p {folder}\n"
        script += f"printf 'server = \"http://{registry}\"\\n' > {folder}/hosts.toml\n"
    return script


def set_up_dns(console: Console) -> None:
    """Point CoreDNS at the host's name servers: pods cannot use Docker's resolver of the node."""
    upstream = _nameservers()
    if not upstream:
        console.say("no name server found in resolv.conf: pods will only resolve cluster names")
        return
    out = tools.kubectl(
        console, "-n", "kube-system", "get", "configmap", "coredns", "--output", "json"
    )
    corefile = json.loads(out)["data"]["Corefile"]
    lines = corefile.splitlines()
    wanted = "\n".join(_forward(line, upstream) for line in lines) + "\n"
    if wanted != corefile:
        patch = json.dumps({"data": {"Corefile": wanted}})
        tools.kubectl(
            console, "-n", "kube-system", "patch", "configmap", "coredns", "--patch", patch
        )


def _forward(line: str, upstream: list[str]) -> str:
    words = line.split()
    if words[:2] != ["forward", "."]:
        return line
    indent = line[: len(line) - len(line.lstrip())]
    return f"{indent}forward . {' '.join(upstream)}{' {' * line.rstrip().endswith('{')}"


def _nameservers() -> list[str]:
    for path in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        if not path.exists():
            continue
        pairs = [line.split() for line in path.read_text().splitlines()]
        found = [p[1] for p in pairs if len(p) > 1 and p[0] == "nameserver"]
        usable = [ip for ip in found if not ip.startswith("127.") and "%" not in ip and ip != "::1"]
        if usable:
            return usable[:3]
    return []


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
