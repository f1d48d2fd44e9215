"""What the operator needs of an API server, as protocols.

In: nothing. Out: `ObjectsApi`, which `conveyor.adapters.cluster.Cluster` is; and its part `JobsApi`, "where Jobs run": the API
server, or a Docker Engine that is made to look like one (`conveyor.adapters.engine_jobs`).
"""

from collections.abc import Mapping
from typing import Any, Protocol

Json = dict[str, Any]


class JobsApi(Protocol):
    """Jobs and their pods; errors are those of `Cluster`."""

    async def list(
        self, prefix: str, plural: str, namespace: str = "", *, selector: str = "", field: str = ""
    ) -> tuple[list[Json], str]:
        """Return all objects, and the resource version of the list."""
        ...

    async def create(self, prefix: str, plural: str, namespace: str, body: Json) -> Json:
        """Create an object; ApiError 409 when the name is taken."""
        ...

    async def merge(self, prefix: str, plural: str, namespace: str, name: str, body: Json) -> None:
        """Merge-patch an object; nothing happens when it is gone."""
        ...

    async def delete(
        self, prefix: str, plural: str, namespace: str, name: str, **preconditions: str
    ) -> bool:
        """Delete an object and what it owns; False when it was gone or is another one by now."""
        ...


class ObjectsApi(JobsApi, Protocol):
    """Objects of every kind."""

    calls: int

    async def get(self, prefix: str, plural: str, namespace: str, name: str) -> Json | None:
        """Return an object, None when there is none."""
        ...

    async def replace(
        self, prefix: str, plural: str, namespace: str, name: str, body: Json
    ) -> Json:
        """Replace an object."""
        ...

    async def put_status(
        self,
        prefix: str,
        plural: str,
        namespace: str,
        name: str,
        uid: str,
        status: Mapping[str, object],
    ) -> Json:
        """Replace the status as a whole, of this very object (uid)."""
        ...
