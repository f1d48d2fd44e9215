"""Images of one repository: read by digest or tag, written, and remembered.

In: a registry client, the repository, the process's `ImageCache`. Out: `Stored`: manifest and config. What is immutable
(manifests and configs by digest) is remembered; what can change is asked for each time.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from conveyor.adapters.cache import KeyedLocks, LruCache
from conveyor.adapters.oci import (
    DOCKER_LAYER_GZIP,
    OCI_CONFIG,
    OCI_LAYER_GZIP,
    Descriptor,
    ImageIndex,
    Manifest,
    Platform,
    new_manifest,
)
from conveyor.adapters.oci_ref import ImageRef
from conveyor.adapters.registry import RegistryClient
from conveyor.adapters.registry_errors import NotFoundError, RegistryError
from conveyor.jobs.model import LayerRef, ParentImage

Config = Mapping[str, Any]

_UNKNOWN_FOR_A_MOMENT: Final = (0.1, 0.4, 1.6, 6.4)  # pauses in seconds

SCRATCH: Final[Config] = {
    "architecture": "amd64",
    "os": "linux",
    "config": {},
    "rootfs": {"type": "layers", "diff_ids": []},
}


@dataclass(frozen=True, slots=True)
class Stored:
    """An image of the repository: manifest and config."""

    manifest: Manifest
    config: Config


class ImageCache:
    """Manifests with configs by (repository, digest); shared by all storages of the process."""

    def __init__(self, size: int = 4096) -> None:
        self.images: LruCache[tuple[str, str], Stored] = LruCache(size)
        self.tags: LruCache[tuple[str, str], str] = LruCache(size)
        self.execution: LruCache[tuple[str, ...], str] = LruCache(size)
        self.tools: set[tuple[str, str]] = set()
        self.making: KeyedLocks[tuple[str, ...]] = KeyedLocks()


class RepositoryImages:
    """The images of one repository, seen with its credentials."""

    def __init__(self, registry: RegistryClient, repo: ImageRef, cache: ImageCache) -> None:
        self.registry = registry
        self.repo = repo
        self.cache = cache

    async def read(self, ref: ImageRef, manifest: Manifest) -> Stored:
        """The image of a manifest, which may be another repository's."""
        key = (ref.name, manifest.digest)
        stored = self.cache.images.get(key)
        if stored is None:
            config = await self.registry.get_blob_json(ref, manifest.config)
            stored = Stored(manifest, config)
            self.cache.images[key] = stored
        return stored

    async def by_digest(self, manifest_digest: str) -> Stored:
        """The image of a digest.

        Raises:
            NotFoundError: There is none, or it is an index.
        """
        stored = self.cache.images.get((self.repo.name, manifest_digest))
        return stored or await self._get(self.repo.with_digest(manifest_digest))

    async def tagged(self, tag: str, *, fresh: bool = False) -> Stored:
        """The image under a tag. A stage's tag never moves, a record's may."""
        key = (self.repo.name, tag)
        known = None if fresh else self.cache.tags.get(key)
        stored = self.cache.images.get((self.repo.name, known)) if known else None
        if stored is not None:
            return stored
        stored = await self._get(self.repo.with_tag(tag))
        self.cache.tags[key] = stored.manifest.digest
        return stored

    async def write(
        self,
        tag: str,
        parent_layers: Sequence[Mapping[str, object]],
        config: Config,
        layers: Sequence[LayerRef],
    ) -> Stored:
        """Write config and manifest of an image and tag it."""
        below = [descriptor_of(layer) for layer in parent_layers]
        own = [_layer_descriptor(layer) for layer in layers]
        manifest = await self.put(config, below + own, self.repo.with_tag(tag))
        return self._remember(tag, Stored(manifest, config))

    async def put(self, config: Config, layers: list[Descriptor], ref: ImageRef) -> Manifest:
        """Write config and manifest of layers that are there, under a tag or a digest."""
        data = canonical(config)
        # Most tell when they were made, so nobody has them, and all are small.
        blob = await self.registry.upload_blob(self.repo, data, OCI_CONFIG, ask=False)
        manifest = new_manifest(blob, [_as_oci(layer) for layer in layers])
        await self.put_manifest(ref, manifest)
        return manifest

    async def take(self, source: "RepositoryImages", tag: str) -> Stored:
        """Copy what another repository has under a tag, byte for byte, under the same tag.

        Raises:
            NotFoundError: It is not there.
        """
        stored = await source.tagged(tag, fresh=True)
        manifest = stored.manifest
        async with self.cache.making.of((self.repo.name, manifest.digest)):
            for blob in (manifest.config, *manifest.layers):
                await self.registry.copy_blob(source.repo, blob, self.repo)
            await self.put_manifest(self.repo.with_tag(tag), manifest)
        return self._remember(tag, stored)

    def _remember(self, tag: str, stored: Stored) -> Stored:
        self.cache.images[self.repo.name, stored.manifest.digest] = stored
        self.cache.tags[self.repo.name, tag] = stored.manifest.digest
        return stored

    async def _get(self, ref: ImageRef) -> Stored:
        manifest = await self.registry.get_manifest(ref)
        if not isinstance(manifest, Manifest):
            raise NotFoundError(f"{ref} is an index, not an image")
        return await self.read(self.repo, manifest)

    async def put_manifest(self, ref: ImageRef, manifest: Manifest | ImageIndex) -> None:
        """Push a manifest of blobs, or an index of manifests, that are there.

        A registry that is being sent one of the blobs by somebody else may know it only a moment later.
        """
        for pause in _UNKNOWN_FOR_A_MOMENT:
            try:
                await self.registry.put_manifest(ref, manifest)
            except RegistryError as error:
                if "BLOB_UNKNOWN" not in str(error):
                    raise
                await asyncio.sleep(pause)
            else:
                return
        await self.registry.put_manifest(ref, manifest)


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


def descriptor_of(layer: Mapping[str, object]) -> Descriptor:
    """A layer of a `ParentImage`."""
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


def parent_of(stored: Stored, stage_id: str = "") -> ParentImage:
    """The image as something to build upon."""
    return ParentImage(
        manifest_digest=stored.manifest.digest,
        config=stored.config,
        layers=tuple(layer.to_json() for layer in stored.manifest.layers),
        stage_id=stage_id,
    )


def scratch(platform: str) -> ParentImage:
    """Nothing, for a platform, as something to build upon."""
    wanted = Platform.parse(platform).to_json()
    return ParentImage(manifest_digest="", config={**SCRATCH, **wanted}, layers=())
