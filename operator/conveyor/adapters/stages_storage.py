"""Stages in a registry repository: which there are, what they say, and how one is written.

In: a registry client and the repository. Out: `StageDesc`, `ParentImage`, `Bundle`. Tags and labels are werf's
(werf-compatible: `DIGEST-TS`, `import-metadata-…`), so werf and Conveyor use each other's stages. What is immutable
(manifests and configs by digest) is remembered; what can change (the list of tags) never is.
"""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from conveyor.adapters.cache import LruCache
from conveyor.adapters.oci import (
    DOCKER_LAYER_GZIP,
    OCI_CONFIG,
    OCI_LAYER_GZIP,
    Descriptor,
    Manifest,
    Platform,
    new_manifest,
)
from conveyor.adapters.oci_ref import ImageRef, OciFormatError
from conveyor.adapters.registry import RegistryClient
from conveyor.adapters.registry_errors import (
    DigestMismatchError,
    NotFoundError,
    RegistryError,
    UnexpectedReplyError,
)
from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.jobs.model import Bundle, ExportResult, LayerRef, ParentImage
from conveyor.plan.facts import BaseImage, ImportRecord, StageDesc, StageDigest, StageID
from conveyor.plan.image_config import entrypoint, execution_config

Config = Mapping[str, Any]

_STAGE_TAG: Final = re.compile(r"([0-9a-f]{56})-([0-9]{13})(-rejected)?")
_SCRATCH: Final[Config] = {
    "architecture": "amd64",
    "os": "linux",
    "config": {},
    "rootfs": {"type": "layers", "diff_ids": []},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolsLayer:
    """The stapel tools, or those of ansible: a gzip layer that holds only `/.conveyor`."""

    path: Path
    digest: str
    diff_id: str
    size: int

    @classmethod
    def load(cls, folder: Path, name: str = "tools") -> "ToolsLayer":
        """Read `NAME.json` beside `NAME.tar.gz`, both made with the operator's image."""
        data = json.loads((folder / f"{name}.json").read_text())
        return cls(
            path=folder / f"{name}.tar.gz",
            digest=data["digest"],
            diff_id=data["diffID"],
            size=int(data["size"]),
        )

    @property
    def descriptor(self) -> Descriptor:
        """The layer as it stands in a manifest."""
        return Descriptor(media_type=OCI_LAYER_GZIP, digest=self.digest, size=self.size)


@dataclass(frozen=True, slots=True)
class _Stored:
    """An image of the repository: manifest and config."""

    manifest: Manifest
    config: Config


class ImageCache:
    """Manifests with configs by (repository, digest); shared by all storages of the process."""

    def __init__(self, size: int = 4096) -> None:
        self.images: LruCache[tuple[str, str], _Stored] = LruCache(size)
        self.tags: LruCache[tuple[str, str], str] = LruCache(size)
        self.execution: LruCache[tuple[str, ...], str] = LruCache(size)
        self.tools: set[tuple[str, str]] = set()


class StagesStorage:
    """The stages repository of one ImageBuild, seen with its credentials."""

    def __init__(
        self,
        registry: RegistryClient,
        repo: str,
        tools: ToolsLayer,
        cache: ImageCache,
        *,
        ansible: ToolsLayer | None = None,
    ) -> None:
        self._registry = registry
        self._repo = ImageRef.parse(repo)
        self._tools = tools
        self._ansible = ansible
        self._cache = cache

    async def stages(self) -> dict[StageDigest, tuple[int, ...]]:
        """All usable stages: timestamps (ms) by digest, oldest first. Asks the registry each time."""
        found: dict[str, set[int]] = {}
        rejected: set[tuple[str, int]] = set()
        for tag in await self._registry.list_tags(self._repo):
            match = _STAGE_TAG.fullmatch(tag)
            if match is None:
                continue
            digest, timestamp = match[1], int(match[2])
            if match[3]:
                rejected.add((digest, timestamp))
            else:
                found.setdefault(digest, set()).add(timestamp)
        return {
            StageDigest(digest): tuple(sorted(t for t in times if (digest, t) not in rejected))
            for digest, times in found.items()
        }

    async def stage(self, stage_id: StageID) -> StageDesc | None:
        """What is stored under a stage id; None when it vanished or cannot be read as an image."""
        try:
            stored = await self._tagged(str(stage_id))
        except (NotFoundError, OciFormatError, UnexpectedReplyError, DigestMismatchError):
            return None
        return StageDesc(
            id=stage_id,
            manifest_digest=stored.manifest.digest,
            image_id=stored.manifest.config.digest,
            labels=labels_of(stored.config),
            layers=tuple(layer.digest for layer in stored.manifest.layers),
            entrypoint=entrypoint(stored.config),
        )

    async def base_image(self, reference: str, platform: str) -> BaseImage:
        """Look up an external image; raises UserError BaseImageNotFound."""
        ref, manifest = await self._resolve(reference, platform)
        stored = await self._read(ref, manifest)
        inner = stored.config.get("config")
        return BaseImage(
            digest=manifest.digest,
            id=manifest.config.digest,
            config=inner if isinstance(inner, Mapping) else {},
        )

    async def parent(self, manifest_digest: str, stage_id: str = "") -> ParentImage:
        """An image of this repository by digest ("" is scratch)."""
        if not manifest_digest:
            return _parent(_SCRATCH_IMAGE, stage_id)
        ref = self._repo.with_digest(manifest_digest)
        stored = self._cache.images.get((self._repo.name, manifest_digest))
        if stored is None:
            manifest = await self._registry.get_manifest(ref)
            if not isinstance(manifest, Manifest):
                raise NotFoundError(f"{ref} is an index, not an image")
            stored = await self._read(ref, manifest)
        return _parent(stored, stage_id)

    async def adopt(self, reference: str, platform: str, digest: str = "") -> ParentImage:
        """Bring an external base image into the repository: blobs mounted or copied once, manifest untagged.

        Args:
            digest: Manifest digest to take instead of what the reference means now, "" for none.
        """
        ref, manifest = await self._resolve(reference, platform, digest)
        stored = await self._read(ref, manifest)
        key = (self._repo.name, manifest.digest)
        if self._cache.images.get(key) is None:
            target = self._repo.with_digest(manifest.digest)
            if await self._registry.head_manifest(target) is None:
                for blob in (manifest.config, *manifest.layers):
                    await self._registry.copy_blob(ref, blob, self._repo)
                await self._registry.put_manifest(target, manifest)
            self._cache.images[key] = stored
        return _parent(stored)

    async def execution_image(self, parent: ParentImage, *, ansible: bool = False) -> str:
        """Publish the execution image of a parent (config and manifest only); return its reference by digest.

        Args:
            parent: What it starts from.
            ansible: Whether tasks of ansible are to run in it.
        """
        tools = [self._tools, *((self._ansible_layer(),) if ansible else ())]
        key = (self._repo.name, parent.manifest_digest, *(layer.digest for layer in tools))
        known = self._cache.execution.get(key)
        if known is None:
            for layer in tools:
                await self._ensure(layer)
            config = execution_config(parent.config, *(layer.diff_id for layer in tools))
            layers = [layer.descriptor for layer in tools]
            layers += [_descriptor(layer) for layer in parent.layers]
            manifest = await self._put(config, layers, self._repo)
            known = self.reference(manifest.digest)
            self._cache.execution[key] = known
        return known

    async def publish(
        self, stage_id: StageID, parent: ParentImage, config: Config, layers: Sequence[LayerRef]
    ) -> StageDesc:
        """Write config and manifest of a stage and tag it."""
        stored = await self._write(str(stage_id), parent.layers, config, layers)
        return StageDesc(
            id=stage_id,
            manifest_digest=stored.manifest.digest,
            image_id=stored.manifest.config.digest,
            labels=labels_of(config),
            layers=tuple(layer.digest for layer in stored.manifest.layers),
            entrypoint=entrypoint(config),
        )

    async def record(
        self, key: str, result: ExportResult, labels: Mapping[str, str], created: str
    ) -> None:
        """Record a bundle: an image whose only layer holds the files (werf: import metadata)."""
        config: Config = {
            **_SCRATCH,
            "created": created,
            "config": {"Labels": dict(labels)},
            "rootfs": {"type": "layers", "diff_ids": [result.layer.diff_id]},
        }
        await self._write(key, (), config, [result.layer])

    async def bundle(self, key: str) -> Bundle | None:
        """The recorded files of an export; None when nobody exported them (or werf did, without files)."""
        try:
            stored = await self._tagged(key, fresh=True)
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
            stored = await self._tagged(f"import-metadata-{source_id}", fresh=True)
        except NotFoundError:
            return None
        labels = labels_of(stored.config)
        if not labels.get("checksum"):
            return None
        return ImportRecord(
            checksum=labels["checksum"], source_stage_id=labels.get("source-stage-id", "")
        )

    async def blob_text(self, digest: str) -> str:
        """A small JSON blob as text: a courier's result that was too long for a termination message."""
        size = await self._registry.head_blob(self._repo, digest) or 0
        blob = Descriptor(media_type="application/json", digest=digest, size=size)
        return json.dumps(await self._registry.get_blob_json(self._repo, blob))

    def reference(self, manifest_digest: str) -> str:
        """The pullable reference by digest."""
        return str(self._repo.with_digest(manifest_digest))

    # --- helpers ------------------------------------------------------------------------------------------------------

    async def _resolve(
        self, reference: str, platform: str, digest: str = ""
    ) -> tuple[ImageRef, Manifest]:
        try:
            parsed = ImageRef.parse(reference)
            if digest:
                parsed = parsed.with_digest(digest)
            return await self._registry.resolve(parsed, Platform.parse(platform))
        except OciFormatError as error:
            raise UserError(Reason.BASE_IMAGE_NOT_FOUND, str(error)) from None
        except NotFoundError as error:
            raise UserError(
                Reason.BASE_IMAGE_NOT_FOUND, f"base image {reference}: {error}"
            ) from None

    async def _read(self, ref: ImageRef, manifest: Manifest) -> _Stored:
        key = (ref.name, manifest.digest)
        stored = self._cache.images.get(key)
        if stored is None:
            config = await self._registry.get_blob_json(ref, manifest.config)
            stored = _Stored(manifest, config)
            self._cache.images[key] = stored
        return stored

    async def _tagged(self, tag: str, *, fresh: bool = False) -> _Stored:
        """The image under a tag. A stage's tag never moves, a record's may."""
        key = (self._repo.name, tag)
        known = None if fresh else self._cache.tags.get(key)
        stored = self._cache.images.get((self._repo.name, known)) if known else None
        if stored is not None:
            return stored
        ref = self._repo.with_tag(tag)
        manifest = await self._registry.get_manifest(ref)
        if not isinstance(manifest, Manifest):
            raise NotFoundError(f"{ref} is an index, not an image")
        self._cache.tags[key] = manifest.digest
        return await self._read(self._repo, manifest)

    async def _write(
        self,
        tag: str,
        parent_layers: Sequence[Mapping[str, object]],
        config: Config,
        layers: Sequence[LayerRef],
    ) -> _Stored:
        below = [_descriptor(layer) for layer in parent_layers]
        own = [_layer_descriptor(layer) for layer in layers]
        manifest = await self._put(config, below + own, self._repo.with_tag(tag))
        stored = _Stored(manifest, config)
        self._cache.images[self._repo.name, manifest.digest] = stored
        self._cache.tags[self._repo.name, tag] = manifest.digest
        return stored

    async def _put(self, config: Config, layers: list[Descriptor], ref: ImageRef) -> Manifest:
        data = canonical(config)
        blob = await self._registry.upload_blob(self._repo, data, OCI_CONFIG)
        manifest = new_manifest(blob, [_as_oci(layer) for layer in layers])
        await self._put_manifest(ref, manifest)
        return manifest

    async def _put_manifest(self, ref: ImageRef, manifest: Manifest) -> None:
        """Push a manifest; blobs that others push at the same time may be unknown for a moment."""
        for pause in (0.1, 0.4, 1.6):
            try:
                await self._registry.put_manifest(ref, manifest)
            except RegistryError as error:
                if "BLOB_UNKNOWN" not in str(error):
                    raise
                await asyncio.sleep(pause)
            else:
                return
        await self._registry.put_manifest(ref, manifest)

    def _ansible_layer(self) -> ToolsLayer:
        if self._ansible is None:
            raise LookupError("this operator was made without the ansible layer")
        return self._ansible

    async def _ensure(self, tools: ToolsLayer) -> None:
        key = (self._repo.name, tools.digest)
        if key not in self._cache.tools:
            await self._registry.upload_file(self._repo, tools.path)
            self._cache.tools.add(key)


def canonical(config: Config) -> bytes:
    """JSON bytes that depend on the values alone."""
    return json.dumps(config, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def labels_of(config: Config) -> Mapping[str, str]:
    """Labels of an image config; {} when it has none or they are no strings."""
    inner = config.get("config")
    labels = inner.get("Labels") if isinstance(inner, Mapping) else None
    if not isinstance(labels, Mapping):
        return {}
    return {str(key): str(value) for key, value in labels.items()}


def diff_ids_of(config: Config) -> list[str]:
    """Layer ids of an image config; [] when it is no image's."""
    rootfs = config.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, Mapping) else None
    return [str(diff_id) for diff_id in diff_ids] if isinstance(diff_ids, list) else []


def _descriptor(layer: Mapping[str, object]) -> Descriptor:
    return Descriptor(
        media_type=str(layer["mediaType"]),
        digest=str(layer["digest"]),
        size=int(str(layer["size"])),
    )


def _layer_descriptor(layer: LayerRef) -> Descriptor:
    return Descriptor(media_type=OCI_LAYER_GZIP, digest=layer.digest, size=layer.size)


def _as_oci(layer: Descriptor) -> Descriptor:
    """Docker's gzip layers are OCI's: the same bytes under another name."""
    if layer.media_type != DOCKER_LAYER_GZIP:
        return layer
    return Descriptor(media_type=OCI_LAYER_GZIP, digest=layer.digest, size=layer.size)


def _parent(stored: _Stored, stage_id: str = "") -> ParentImage:
    scratch = stored is _SCRATCH_IMAGE
    return ParentImage(
        manifest_digest="" if scratch else stored.manifest.digest,
        config=stored.config,
        layers=tuple(layer.to_json() for layer in stored.manifest.layers),
        stage_id=stage_id,
    )


_SCRATCH_IMAGE: Final = _Stored(
    new_manifest(Descriptor(media_type=OCI_CONFIG, digest=f"sha256:{0:064}", size=2), []), _SCRATCH
)
