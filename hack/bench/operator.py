"""The leading operator's metrics.

In: the cluster. Out: how many requests it has sent. Through the API server's proxy: nothing has to be exposed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.lab import BenchError
from conveyor.adapters.cluster import CORE, LEASES

if TYPE_CHECKING:
    from conveyor.adapters.cluster import Cluster

NAMESPACE = "conveyor-system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """Reads metrics of one pod."""

    cluster: Cluster
    pod: str

    @classmethod
    async def find(cls, cluster: Cluster) -> Meter:
        """The pod that leads.

        Raises:
            BenchError: None does: `make install` first.
        """
        lease = await cluster.get(LEASES, "leases", NAMESPACE, "conveyor-leader")
        pods, _ = await cluster.list(CORE, "pods", NAMESPACE)
        holder = lease["spec"].get("holderIdentity") if lease else None
        if holder not in {pod["metadata"]["name"] for pod in pods}:
            raise BenchError(f"no pod of {NAMESPACE} leads (holder of the Lease: {holder})")
        return cls(cluster=cluster, pod=str(holder))

    async def api_calls(self) -> float:
        """Requests sent to the API server since the start."""
        path = f"{CORE}/namespaces/{NAMESPACE}/pods/{self.pod}:8080/proxy/metrics"
        for line in (await self.cluster.text(path, query={})).splitlines():
            if line.startswith("conveyor_api_calls "):
                return float(line.split()[1])
        raise BenchError("the operator has no metric conveyor_api_calls")
