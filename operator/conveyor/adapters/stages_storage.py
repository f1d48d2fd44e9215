"""Stages in a registry repository: which there are, what they say, and how one is written.

In: a registry client and the repository. Out: `StageDesc`, `ParentImage`. Tags and labels are werf's
(werf-compatible: `DIGEST-TS`), so werf and Conveyor use each other's stages. The list of tags can change and is never
remembered. What else lies in the repository has modules of its own: `base_images`, `execution_images`, `export_records`,
`outline_records`, `image_indexes`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence

from conveyor.adapters.base_images import BaseImages
from conveyor.adapters.execution_images import ExecutionImages, Tools
from conveyor.adapters.export_records import ExportRecords
from conveyor.adapters.image_exports import ImageExports
from conveyor.adapters.image_indexes import ImageIndexes
from conveyor.adapters.oci import Descriptor
from conveyor.adapters.oci_ref import ImageRef, OciFormatError
from conveyor.adapters.outline_records import OutlineRecords
from conveyor.adapters.registry import RegistryClient
from conveyor.adapters.registry_errors import (
    DigestMismatchError,
    NotFoundError,
    UnexpectedReplyError,
)
from conveyor.adapters.repository_images import (
    Config,
    ImageCache,
    RepositoryImages,
    Stored,
    labels_of,
    parent_of,
    scratch,
)
from conveyor.adapters.secondary_repos import SecondaryRepos
from conveyor.adapters.stage_tags import stage_tags
from conveyor.jobs.model import LayerRef, ParentImage
from conveyor.plan.answers import StageDesc, StageDigest, StageID
from conveyor.plan.digest import DEFAULT_PLATFORM
from conveyor.plan.image_config import entrypoint


class StagesStorage:
    """The stages repository of one ImageBuild, seen with its credentials."""

    def __init__(
        self,
        registry: RegistryClient,
        repo: str,
        tools: Mapping[str, Tools],
        cache: ImageCache,
        *,
        secondary_repos: Sequence[str] = (),
    ) -> None:
        self._registry = registry
        self._repo = ImageRef.parse(repo)
        self._images = RepositoryImages(registry, self._repo, cache)
        self.base_images = BaseImages(self._images)
        self.execution_images = ExecutionImages(self._images, tools)
        self.indexes = ImageIndexes(self._images)
        self._secondaries = SecondaryRepos(self._images, secondary_repos)
        self.records = ExportRecords(self._images, self._secondaries)
        self.outlines = OutlineRecords(self._images)
        self.image_exports = ImageExports(self._images)

    async def stages(self) -> dict[StageDigest, tuple[int, ...]]:
        """All usable stages: timestamps (ms) by digest, oldest first, then those that only secondary repositories have.

        Asks the registry each time.
        """
        own = stage_tags(await self._registry.list_tags(self._repo))
        return await self._secondaries.added_to(own)

    async def stage(self, stage_id: StageID) -> StageDesc | None:
        """What is stored under a stage id; None when it vanished or cannot be read as an image."""
        try:
            stored = await self._secondaries.home(stage_id).tagged(str(stage_id))
        except (NotFoundError, OciFormatError, UnexpectedReplyError, DigestMismatchError):
            return None
        return _desc(stage_id, stored)

    async def bring(self, stage_ids: Iterable[StageID]) -> Mapping[str, str]:
        """Copy stages of the last list that only a secondary repository has; returns ids and where they came from."""
        return await self._secondaries.bring(stage_ids)

    async def parent(
        self, manifest_digest: str, stage_id: str = "", *, platform: str = DEFAULT_PLATFORM
    ) -> ParentImage:
        """An image of this repository by digest; "" is scratch for that platform."""
        if not manifest_digest:
            return scratch(platform)
        return parent_of(await self._images.by_digest(manifest_digest), stage_id)

    async def publish(
        self, stage_id: StageID, parent: ParentImage, config: Config, layers: Sequence[LayerRef]
    ) -> StageDesc:
        """Write config and manifest of a stage and tag it."""
        stored = await self._images.write(str(stage_id), parent.layers, config, layers)
        return _desc(stage_id, stored)

    async def blob_text(self, digest: str) -> str:
        """A small JSON blob as text: a courier's result that was too long for a termination message."""
        size = await self._registry.head_blob(self._repo, digest) or 0
        blob = Descriptor(media_type="application/json", digest=digest, size=size)
        return json.dumps(await self._registry.get_blob_json(self._repo, blob))

    def reference(self, manifest_digest: str) -> str:
        """The pullable reference by digest."""
        return str(self._repo.with_digest(manifest_digest))


def _desc(stage_id: StageID, stored: Stored) -> StageDesc:
    return StageDesc(
        id=stage_id,
        manifest_digest=stored.manifest.digest,
        image_id=stored.manifest.config.digest,
        labels=labels_of(stored.config),
        layers=tuple(layer.digest for layer in stored.manifest.layers),
        entrypoint=entrypoint(stored.config),
    )
