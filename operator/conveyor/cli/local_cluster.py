"""What the operator's code asks an API server for, on a machine that has none.

In: one ImageBuild, Secrets. Out: the same objects, in memory: the build with its status, the Secrets, ConfigMaps that are
written, Events handed to whoever tells them. Jobs are not here: they run in an Engine.
"""

import base64
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from conveyor.adapters.cache import KeyedLocks
from conveyor.adapters.cluster import BUILDS, ApiError

Json = dict[str, Any]
Objects = list[dict[str, Any]]


class LocalCluster:
    """`ObjectsApi` of one build.

    Args:
        build: The ImageBuild.
        secrets: Bytes by key, by name of the Secret.
        tell: Is given every Event.
        changed: Is given the build when its status was written.
    """

    def __init__(
        self,
        build: Json,
        secrets: Mapping[str, Mapping[str, bytes]],
        tell: Callable[[Json], None],
        changed: Callable[[Json], None],
    ) -> None:
        self.calls = 0
        self.build = build
        self._secrets = secrets
        self._config_maps: dict[str, Json] = {}
        self._tell = tell
        self._changed = changed
        self._told: set[str] = set()

    def config_map(self, name: str) -> Mapping[str, str]:
        """Return the data of a ConfigMap that was written."""
        data: Mapping[str, str] = self._config_maps[name]["data"]
        return data

    async def get(self, prefix: str, plural: str, namespace: str, name: str) -> Json | None:
        """Return the build, a Secret or a ConfigMap."""
        if prefix == BUILDS:
            return self.build
        if plural == "secrets" and name in self._secrets:
            encoded = {
                key: base64.b64encode(value).decode() for key, value in self._secrets[name].items()
            }
            return {"metadata": {"name": name}, "data": encoded}
        return self._config_maps.get(name) if plural == "configmaps" else None

    async def list(
        self, prefix: str, plural: str, namespace: str = "", *, selector: str = "", field: str = ""
    ) -> tuple[Objects, str]:
        """Return nothing: there is no list that a build of its own needs."""
        return [], ""

    async def create(self, prefix: str, plural: str, namespace: str, body: Json) -> Json:
        """Take an Event or a ConfigMap."""
        name = str(body["metadata"]["name"])
        if plural == "events":
            if name not in self._told:
                self._told.add(name)
                self._tell(body)
        elif plural == "configmaps":
            self._config_maps[name] = body
        else:
            raise ApiError(404, "NotFound", f"there are no {plural} without a cluster")
        return body

    async def replace(
        self, prefix: str, plural: str, namespace: str, name: str, body: Json
    ) -> Json:
        """Replace a ConfigMap."""
        return await self.create(prefix, plural, namespace, body)

    async def merge(self, prefix: str, plural: str, namespace: str, name: str, body: Json) -> None:
        """Nothing is merged but Jobs."""
        raise ApiError(404, "NotFound", f"there are no {plural} without a cluster")

    async def delete(
        self, prefix: str, plural: str, namespace: str, name: str, **preconditions: str
    ) -> bool:
        """Nothing is deleted but Jobs."""
        return False

    async def put_status(
        self,
        prefix: str,
        plural: str,
        namespace: str,
        name: str,
        uid: str,
        status: Mapping[str, object],
    ) -> Json:
        """Write the build's status."""
        self.build = self.build | {"status": dict(status)}
        self._changed(self.build)
        return self.build


class LocalLocks:
    """Locks of this process alone: between processes only werf's optimistic rule holds (ADR 23)."""

    def __init__(self) -> None:
        self._locks: KeyedLocks[str] = KeyedLocks()

    def local(self, name: str) -> AbstractAsyncContextManager[None]:
        """Hold a lock: they are all of this process."""
        return self._locks.of(name)

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncIterator[Callable[[], bool]]:
        """Hold a lock."""
        async with self._locks.of(name):
            yield lambda: True
