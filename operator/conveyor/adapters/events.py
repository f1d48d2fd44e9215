"""Kubernetes Events about ImageBuilds.

In: what happened, as reason and sentence. Out: an Event object. An event's name is made of what it says, so the same
thing of the same run is told once, however often it is decided; a failure to write one is logged, never a reason to stop.
"""

import hashlib
import logging
from datetime import UTC, datetime
from typing import Any

import aiohttp

from conveyor.adapters.cluster import CORE, ApiError
from conveyor.adapters.objects_api import ObjectsApi
from conveyor.api.names import API_VERSION, EVENT_COMPONENT, KIND, Reason
from conveyor.api.v1alpha1 import ImageBuild

log = logging.getLogger(__name__)


class EventRecorder:
    """Writes Events."""

    def __init__(self, cluster: ObjectsApi) -> None:
        self._cluster = cluster

    async def post(
        self, build: ImageBuild, reason: Reason, message: str, *, warning: bool = False
    ) -> None:
        """Tell about a build."""
        meta = build.metadata
        text = f"{meta.uid}/{meta.generation}/{build.requested_at}/{reason}/{message}"
        name = f"{meta.name[:200]}.{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        try:
            await self._write(name, build, reason, message, warning=warning)
        except (ApiError, aiohttp.ClientError, OSError, TimeoutError) as error:
            log.warning("Event %s was not written: %s", reason, error)

    async def _write(
        self, name: str, build: ImageBuild, reason: Reason, message: str, *, warning: bool
    ) -> None:
        meta = build.metadata
        try:
            await self._cluster.create(
                CORE,
                "events",
                meta.namespace,
                _event(name, build, reason, message, warning=warning),
            )
        except ApiError as error:
            if error.status != 409:  # told already
                raise


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: TID251 - the shell's clock


def _event(
    name: str, build: ImageBuild, reason: Reason, message: str, *, warning: bool
) -> dict[str, Any]:
    meta = build.metadata
    return {
        "metadata": {"name": name, "namespace": meta.namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": meta.name,
            "namespace": meta.namespace,
            "uid": meta.uid,
        },
        "reason": reason.value,
        "message": message[:1024],
        "type": "Warning" if warning else "Normal",
        "count": 1,
        "firstTimestamp": _now(),
        "lastTimestamp": _now(),
        "source": {"component": EVENT_COMPONENT},
        "reportingComponent": EVENT_COMPONENT,
    }
