"""Reading and writing the status of an ImageBuild.

In: a build and what its status should be. Out: a write if that differs from what is there: the whole status at once, of this very
object, whatever else changed meanwhile (ADR 8).
"""

import logging
from contextlib import suppress
from dataclasses import replace

from conveyor.adapters.cluster import BUILDS, ApiError
from conveyor.adapters.objects_api import ObjectsApi
from conveyor.api import names
from conveyor.api.compact import compact_status
from conveyor.api.errors import NotYet
from conveyor.api.names import Reason
from conveyor.api.v1alpha1 import ImageBuild, ImageBuildStatus
from conveyor.jobs.run import Run

log = logging.getLogger(__name__)


class Statuses:
    """Statuses of builds, through the API server."""

    def __init__(self, cluster: ObjectsApi) -> None:
        self._cluster = cluster

    async def reread(self, build: ImageBuild) -> ImageBuild:
        """The object again, for its status; a spec that changed meanwhile waits for the next look."""
        body = await self._cluster.get(
            BUILDS, names.PLURAL, build.metadata.namespace, build.metadata.name
        )
        if body is None or body["metadata"]["uid"] != build.metadata.uid:
            raise NotYet(Reason.PROGRESSING, "the ImageBuild is gone", after=1.0)
        if body["metadata"]["generation"] != build.metadata.generation:
            raise NotYet(Reason.PROGRESSING, "the spec has changed", after=0.05)
        return ImageBuild.from_object(body)

    async def recorded(self, build: ImageBuild, run: Run) -> tuple[ImageBuild, Run]:
        """The build as this look has left it, and the commits of its run: an error must not forget what is worked on."""
        with suppress(NotYet):
            build = await self.reread(build)
            known = build.status
            if known.started_at == run.started_at:
                run = replace(run, commit=known.commit or "", remotes=known.remotes)
        return build, run

    async def write(self, build: ImageBuild, new: ImageBuildStatus) -> None:
        """Write status, only if it differs from what is there."""
        new = compact_status(new)
        if new == build.status:
            return
        meta = build.metadata
        try:
            await self._cluster.put_status(
                BUILDS, names.PLURAL, meta.namespace, meta.name, meta.uid, new.to_json()
            )
        except ApiError as error:
            if error.status not in (404, 409, 422):
                raise
            log.info("status of a vanished ImageBuild was not written: %s", error.message)
