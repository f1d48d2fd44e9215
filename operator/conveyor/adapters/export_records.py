"""Records of exported files, which werf calls import metadata.

In: the key of an export, its result. Out: `Bundle`, `ImportRecord`. A record is an image of the repository, tagged with
the key (werf-compatible: `import-metadata-…`), whose only layer holds the files. It may be replaced, so it is never
remembered. One that only a secondary repository has is copied.
"""

from collections.abc import Mapping

from conveyor.adapters.registry_errors import NotFoundError
from conveyor.adapters.repository_images import (
    SCRATCH,
    Config,
    RepositoryImages,
    diff_ids_of,
    labels_of,
)
from conveyor.adapters.secondary_repos import SecondaryRepos
from conveyor.jobs.model import Bundle, ExportResult, LayerRef
from conveyor.plan.answers import ImportRecord


class ExportRecords:
    """The records of one repository."""

    def __init__(self, images: RepositoryImages, secondaries: SecondaryRepos) -> None:
        self._images = images
        self._secondaries = secondaries

    async def write(
        self, key: str, result: ExportResult, labels: Mapping[str, str], created: str
    ) -> None:
        """Record a bundle: an image whose only layer holds the files (werf: import metadata)."""
        config: Config = {
            **SCRATCH,
            "created": created,
            "config": {"Labels": dict(labels)},
            "rootfs": {"type": "layers", "diff_ids": [result.layer.diff_id]},
        }
        await self._images.write(key, (), config, [result.layer])

    async def bundle(self, key: str) -> Bundle | None:
        """The recorded files of an export; None when nobody exported them (or werf did, without files)."""
        try:
            stored = await self._secondaries.record(key)
        except NotFoundError:
            return None
        diff_ids = diff_ids_of(stored.config)
        if not stored.manifest.layers or not diff_ids:
            return None
        layer, labels = stored.manifest.layers[-1], labels_of(stored.config)
        return Bundle(
            layer=LayerRef(
                digest=layer.digest,
                diff_id=diff_ids[-1],
                size=layer.size,
            ),
            checksum=labels.get("checksum", ""),
            source_stage_id=labels.get("source-stage-id", ""),
        )

    async def import_record(self, source_id: str) -> ImportRecord | None:
        """What is known of an import's files. An empty checksum is no answer (werf: pitfall 20)."""
        try:
            stored = await self._secondaries.record(f"import-metadata-{source_id}")
        except NotFoundError:
            return None
        labels = labels_of(stored.config)
        if not labels.get("checksum"):
            return None
        return ImportRecord(
            checksum=labels["checksum"], source_stage_id=labels.get("source-stage-id", "")
        )
