"""The machine that was measured.

In: /proc and the cluster. Out: one line for people.
"""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bench.lab import run
from conveyor.adapters.cluster import CORE

if TYPE_CHECKING:
    from conveyor.adapters.cluster import Cluster


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "?"


async def describe(cluster: Cluster) -> str:
    """Cores, memory, kernel and versions."""
    nodes, _ = await cluster.list(CORE, "nodes")
    info = nodes[0]["status"]["nodeInfo"]
    engine = run(["docker", "version", "--format", "{{.Server.Version}}"]).strip()
    memory = int(_field("/proc/meminfo", "MemTotal").split()[0]) / 2**20
    cpu = _field("/proc/cpuinfo", "model name")
    return (
        f"{os.cpu_count()} cores ({cpu}), {memory:.0f} GiB memory, Linux {platform.release()}; "
        f"Kubernetes {info['kubeletVersion']} with {len(nodes)} nodes (containers of this machine), "
        f"{info['containerRuntimeVersion'].replace('://', ' ')}; Docker Engine {engine}"
    )


def load() -> str:
    """The load average of the last minute, and the date."""
    today = datetime.now(UTC).date()  # noqa: TID251 - a benchmark reads the clock
    return f"{today}, load average {os.getloadavg()[0]:.1f}"
