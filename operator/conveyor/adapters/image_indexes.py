"""Indexes: the images of several platforms under one reference.

In: a tag, the manifests of the platforms' images. Out: the reference by digest. The tag names the members (werf: a digest of
their stage ids), so an index is written once, by whoever comes first; one that werf wrote is as good as ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from conveyor.adapters.oci import Descriptor, ImageIndex, Platform, new_index
from conveyor.adapters.oci_ref import ImageRef
from conveyor.adapters.registry_errors import NotFoundError
from conveyor.adapters.repository_images import RepositoryImages


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One platform's image: its manifest in the repository, and what it was built for."""

    manifest_digest: str
    platform: str


class ImageIndexes:
    """The indexes of one repository."""

    def __init__(self, images: RepositoryImages) -> None:
        self._images = images

    async def find(self, tag: str, members: Sequence[Member]) -> str | None:
        """The reference of the stored index; None when there is none, or not one of exactly these images."""
        try:
            found = await self._images.registry.get_manifest(self._images.repo.with_tag(tag))
        except NotFoundError:
            return None
        wanted = {member.manifest_digest for member in members}
        same = isinstance(found, ImageIndex) and wanted == {one.digest for one in found.manifests}
        return str(self._images.repo.with_digest(found.digest)) if same else None

    async def publish(self, tag: str, members: Sequence[Member]) -> None:
        """Write the index and tag it; the same members always make the same bytes."""
        await put_index(self._images, members, self._images.repo.with_tag(tag))


async def put_index(
    images: RepositoryImages, members: Sequence[Member], ref: ImageRef
) -> ImageIndex:
    """Write an index of images of a repository under a reference there."""
    index = new_index([await _descriptor(images, member) for member in members])
    await images.put_manifest(ref, index)
    return index


async def _descriptor(images: RepositoryImages, member: Member) -> Descriptor:
    """The member as its own config describes it; the variant that was asked for where that does not say."""
    stored = await images.by_digest(member.manifest_digest)
    asked, config = Platform.parse(member.platform), stored.config
    return Descriptor(
        media_type=stored.manifest.media_type,
        digest=stored.manifest.digest,
        size=len(stored.manifest.raw),
        platform=Platform(
            os=str(config.get("os") or asked.os),
            architecture=str(config.get("architecture") or asked.architecture),
            variant=str(config.get("variant") or "") or asked.variant,
        ),
    )
