"""Base images: what an external one is now, and bringing one into the stages repository.

In: a reference and a platform. Out: `BaseImage` for the planner, `ParentImage` to build upon.
"""

from collections.abc import Mapping

from conveyor.adapters.oci import Manifest, Platform
from conveyor.adapters.oci_ref import ImageRef, OciFormatError
from conveyor.adapters.registry_errors import NotFoundError
from conveyor.adapters.repository_images import Config, RepositoryImages, parent_of
from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.config.platforms import machine_of
from conveyor.jobs.model import ParentImage
from conveyor.plan.answers import BaseImage


class BaseImages:
    """External images, seen from the repository that they are brought into."""

    def __init__(self, images: RepositoryImages) -> None:
        self._images = images

    async def look_up(self, reference: str, platform: str) -> BaseImage:
        """Look up an external image; raises UserError BaseImageNotFound."""
        ref, manifest = await self._resolve(reference, platform)
        stored = await self._images.read(ref, manifest)
        _check_platform(reference, stored.config, platform)
        inner = stored.config.get("config")
        return BaseImage(
            digest=manifest.digest,
            id=manifest.config.digest,
            config=inner if isinstance(inner, Mapping) else {},
        )

    async def adopt(self, reference: str, platform: str, digest: str = "") -> ParentImage:
        """Bring an external base image into the repository: blobs mounted or copied once, manifest untagged.

        Args:
            digest: Manifest digest to take instead of what the reference means now, "" for none.
        """
        ref, manifest = await self._resolve(reference, platform, digest)
        stored = await self._images.read(ref, manifest)
        _check_platform(reference, stored.config, platform)
        repo, known = self._images.repo, self._images.cache.images
        key = (repo.name, manifest.digest)
        async with self._images.cache.making.of(key):
            if known.get(key) is None:
                await self._copy(ref, manifest)
                known[key] = stored
        return parent_of(stored)

    async def _copy(self, ref: ImageRef, manifest: Manifest) -> None:
        registry, repo = self._images.registry, self._images.repo
        target = repo.with_digest(manifest.digest)
        if await registry.head_manifest(target) is None:
            for blob in (manifest.config, *manifest.layers):
                await registry.copy_blob(ref, blob, repo)
            await self._images.put_manifest(target, manifest)

    async def _resolve(
        self, reference: str, platform: str, digest: str = ""
    ) -> tuple[ImageRef, Manifest]:
        try:
            parsed = ImageRef.parse(reference)
            if digest:
                parsed = parsed.with_digest(digest)
            return await self._images.registry.resolve(parsed, Platform.parse(platform))
        except OciFormatError as error:
            raise UserError(Reason.BASE_IMAGE_NOT_FOUND, str(error)) from None
        except NotFoundError as error:
            raise UserError(
                Reason.BASE_IMAGE_NOT_FOUND, f"base image {reference}: {error}"
            ) from None


def _check_platform(reference: str, config: Config, platform: str) -> None:
    """Refuse an image that is for one other platform; its manifest alone does not tell."""
    have = [str(config.get(key) or "") for key in ("os", "architecture")]
    if all(have) and "/".join(have) != machine_of(platform):
        raise UserError(
            Reason.BASE_IMAGE_NOT_FOUND,
            f"base image {reference} has no image for {platform}; it has: {'/'.join(have)}",
        )
