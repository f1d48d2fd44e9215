"""Names, versions, paths and addresses of the development cluster.

In: the environment (XDG_CACHE_HOME). Out: constants, and `Addresses` computed from the subnet of
the cluster's Docker network.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ipaddress

CLUSTER = "conveyor"
NETWORK = "conveyor"
KUBERNETES = "v1.34.4"
KIND = "v0.30.0"
SUITE = "bookworm"

# The node image that kind v0.30.0 publishes for Kubernetes 1.34, as its release notes pin it.
PUBLISHED_NODE_IMAGE = (
    "kindest/node:v1.34.0@sha256:7416a61b42b1662ca6ca89f02028ac133a309a2a30ba309614e8ec94d976dc5a"
)

# The first of these that no route of this machine overlaps becomes the cluster's network.
SUBNETS = ("10.203.0.0/24", "192.168.203.0/24", "172.31.203.0/24")
POD_SUBNET = "10.244.0.0/16"

# Tens of gigabytes in small files, on a slow disk.
REMOVAL_SECONDS = 900

REGISTRY_CONTAINER = "conveyor-registry"
REGISTRY_VOLUME = "conveyor-registry"
GIT_CONTAINER = "conveyor-git"
GIT_VOLUME = "conveyor-git"
# A development cluster on a private bridge: these are no secrets, tests and docs repeat them.
USER = "conveyor"
PASSWORD = "first-light"  # noqa: S105

HERE = Path(__file__).resolve().parent
OS_IMAGE = "conveyor-os:local"


def cache_folder() -> Path:
    """The folder that holds everything worth keeping between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "conveyor"


def kubeconfig() -> Path:
    """Where the cluster's kubeconfig is written; the user's own is never touched."""
    return cache_folder() / "kubeconfig"


def tools_folder() -> Path:
    """The folder for PATH: kubectl, helm and kind."""
    return cache_folder() / "bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the services answer, from the host, from pods and from nodes alike.

    Args:
        subnet: the IPv4 subnet of the Docker network; its lower half is left to the nodes.
    """

    subnet: ipaddress.IPv4Network

    @property
    def node_range(self) -> str:
        """The half of the subnet from which Docker may give addresses to nodes."""
        return str(next(self.subnet.subnets(prefixlen_diff=1)))

    @property
    def gateway(self) -> str:
        """The bridge's own address."""
        return str(self.subnet.network_address + 1)

    @property
    def registry_ip(self) -> str:
        """Address of the registry container."""
        return str(self.subnet.broadcast_address - 5)

    @property
    def git_ip(self) -> str:
        """Address of the git server container."""
        return str(self.subnet.broadcast_address - 4)

    @property
    def registry(self) -> str:
        """Open registry, read and write."""
        return f"{self.registry_ip}:5000"

    @property
    def registry_auth(self) -> str:
        """The same content behind basic auth, read and write."""
        return f"{self.registry_ip}:5001"

    @property
    def registry_readonly(self) -> str:
        """The same content, open, but every push is refused."""
        return f"{self.registry_ip}:5002"

    @property
    def registries(self) -> tuple[str, str, str]:
        """All three, for the settings of containerd and dockerd."""
        return (self.registry, self.registry_auth, self.registry_readonly)

    @property
    def git_url(self) -> str:
        """Base URL of the repositories, anonymous read and push."""
        return f"http://{self.git_ip}/git"

    @property
    def git_auth_url(self) -> str:
        """Base URL of the same repositories behind basic auth."""
        return f"http://{self.git_ip}/private"
