"""Images under references of the user's own.

In: an image of the repository, its config as others are to see it, a reference. Out: the image there, and its digest. The
manifest depends on the image alone, so that doing it again changes nothing.
"""

from conveyor.adapters.oci_ref import ImageRef
from conveyor.adapters.repository_images import Config, RepositoryImages


class ImageExports:
    """Exports from one repository."""

    def __init__(self, images: RepositoryImages) -> None:
        self._images = images

    async def config(self, manifest_digest: str) -> Config:
        """The image's config as it is stored."""
        return (await self._images.by_digest(manifest_digest)).config

    async def write(self, manifest_digest: str, config: Config, reference: str) -> str:
        """Write the image with another config under a reference; returns the reference by digest."""
        registry, to = self._images.registry, ImageRef.parse(reference)
        stored = await self._images.by_digest(manifest_digest)
        for layer in stored.manifest.layers:
            await registry.copy_blob(self._images.repo, layer, to)
        target = RepositoryImages(registry, to, self._images.cache)
        manifest = await target.put(config, list(stored.manifest.layers), to)
        return str(to.with_digest(manifest.digest))
