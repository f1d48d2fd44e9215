"""The pod network of the nodes, without a daemon, and what their containerd knows of registries.

In: nodes that the API server knows. Out: on each node a CNI configuration, routes to the other
nodes' pods, a masquerade for the way out, and hosts files; CoreDNS asks the host's name servers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from cluster import images, services, settings, tools

if TYPE_CHECKING:
    from cluster.console import Console
    from cluster.settings import Addresses


def addresses_of_nodes(console: Console) -> dict[str, tuple[str, str]]:
    """Node name -> (pod CIDR, address)."""
    out = tools.kubectl(console, "get", "nodes", "--output", "json")
    result = {}
    for node in json.loads(out)["items"]:
        addresses = node["status"].get("addresses", [])
        ip = next((a["address"] for a in addresses if a["type"] == "InternalIP"), "")
        result[node["metadata"]["name"]] = (node["spec"].get("podCIDR", ""), ip)
    return result


def set_up(console: Console, found: Addresses, image: str) -> None:
    """Give every node its pod network, its routes and the registries; harmless when repeated."""
    own = images.is_built_here(image)
    if own:
        _set_up_dns(console)
    networks = addresses_of_nodes(console)
    for name, (cidr, _) in networks.items():
        peers = {c: ip for peer, (c, ip) in networks.items() if peer != name}
        script = _registries_script(found, closed=own)
        script += _network_script(console, cidr, peers) if own else ""
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


def _registries_script(found: Addresses, *, closed: bool) -> str:
    script = "".join(_hosts_toml(registry, registry) for registry in found.registries)
    # Where Docker's own registry cannot be reached, `image: debian` still means something.
    return script + (_hosts_toml("docker.io", found.registry) if closed else "")


def _hosts_toml(name: str, host: str) -> str:
    folder = f"/etc/containerd/certs.d/{name}"
    text = f'[host."http://{host}"]\n  capabilities = ["pull", "resolve", "push"]\n'
    return f"mkdir -p {folder}\ncat > {folder}/hosts.toml <<'EOF'\n{text}EOF\n"


def _set_up_dns(console: Console) -> None:
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
