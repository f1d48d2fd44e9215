"""Reading and writing the status of an ImageBuild.

In: a build and what its status should be. Out: a write if that differs from what is there: the whole status at once, of this very
object, whatever else changed meanwhile (ADR 8). Which writes were ours is remembered: their events tell us nothing.
"""

import logging
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from conveyor.adapters.cache import LruCache
from conveyor.adapters.cluster import BUILDS, ApiError
from conveyor.adapters.objects_api import ObjectsApi
from conveyor.api import names
from conveyor.api.compact import compact_status
from conveyor.api.errors import NotYet
from conveyor.api.names import Reason
from conveyor.api.v1alpha1 import ImageBuild, ImageBuildStatus
from conveyor.jobs.run import Run

Json = dict[str, Any]

_REMEMBERED: Final = 4096

log = logging.getLogger(__name__)


class Statuses:
    """Statuses of builds, through the API server."""

    def __init__(self, cluster: ObjectsApi) -> None:
        self._cluster = cluster
        self._versions: LruCache[str, str] = LruCache(_REMEMBERED)

    def wrote(self, uid: str, version: str) -> bool:
        """Whether this resourceVersion of an ImageBuild is there because of a write of ours, and nothing else."""
        return self._versions.get(uid) == version

    async def reread(self, build: ImageBuild) -> ImageBuild:
        """The object again, for its status; a spec that changed meanwhile waits for the next look."""
        body = await self._cluster.get(
            BUILDS, names.PLURAL, build.metadata.namespace, build.metadata.name
        )
        return _same(build, body)

    async def recorded(self, build: ImageBuild, run: Run) -> tuple[ImageBuild, Run]:
        """The build as this look has left it, and the commits of its run: an error must not forget what is worked on."""
        with suppress(NotYet):
            build = await self.reread(build)
            known = build.status
            if known.started_at == run.started_at:
                run = replace(run, commit=known.commit or "", remotes=known.remotes)
        return build, run

    async def refresh(self, build: ImageBuild, new: ImageBuildStatus) -> ImageBuild:
        """Write status and answer the object as it is then, as `reread` does."""
        body = await self._put(build, new)
        return _same(build, body) if body is not None else await self.reread(build)

    async def write(self, build: ImageBuild, new: ImageBuildStatus) -> None:
        """Write status, only if it differs from what is there."""
        await self._put(build, new)

    async def _put(self, build: ImageBuild, new: ImageBuildStatus) -> Json | None:
        """The object with its new status; None when nothing was written."""
        new = compact_status(new)
        if new == build.status:
            return None
        meta = build.metadata
        try:
            body = await self._cluster.put_status(
                BUILDS, names.PLURAL, meta.namespace, meta.name, meta.uid, new.to_json()
            )
        except ApiError as error:
            if error.status not in (404, 409, 422):
                raise
            log.info("status of a vanished ImageBuild was not written: %s", error.message)
            return None
        if _wish(body) == (meta.generation, build.requested_at):
            self._versions[meta.uid] = str(body["metadata"].get("resourceVersion"))
        return body


def _wish(body: Json) -> tuple[int, str | None] | None:
    """What tells a run from another; None of an object that is being deleted."""
    meta = body["metadata"]
    if "deletionTimestamp" in meta:
        return None
    return meta["generation"], (meta.get("annotations") or {}).get(names.ANNOTATION_REQUESTED_AT)


def _same(build: ImageBuild, body: Json | None) -> ImageBuild:
    if body is None or body["metadata"]["uid"] != build.metadata.uid:
        raise NotYet(Reason.PROGRESSING, "the ImageBuild is gone", after=1.0)
    if body["metadata"]["generation"] != build.metadata.generation:
        raise NotYet(Reason.PROGRESSING, "the spec has changed", after=0.05)
    return ImageBuild.from_object(body)
