"""Images under references of the user's own.

In: an image of the repository, or one for each of several platforms, how others are to see its config, a reference. Out: the
image (or an index) there, and its digest. The manifest depends on the image alone, so that doing it again changes nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from conveyor.adapters.image_indexes import Member, put_index
from conveyor.adapters.oci import Manifest
from conveyor.adapters.oci_ref import ImageRef
from conveyor.adapters.repository_images import Config, RepositoryImages


class ImageExports:
    """Exports from one repository."""

    def __init__(self, images: RepositoryImages) -> None:
        self._images = images

    async def write(
        self, members: Sequence[Member], shown: Callable[[Config], Config], reference: str
    ) -> str:
        """Write the image with another config under a reference; returns the reference by digest.

        Args:
            members: The image; of several platforms there will be an index.
            shown: Makes the new config of the stored one.
            reference: With a tag.
        """
        to = ImageRef.parse(reference)
        target = RepositoryImages(self._images.registry, to, self._images.cache)
        if len(members) == 1:
            return str(to.with_digest((await self._copy(target, members[0], shown, to)).digest))
        untagged = replace(to, tag=None)
        copied = [
            Member(
                manifest_digest=(await self._copy(target, member, shown, untagged)).digest,
                platform=member.platform,
            )
            for member in members
        ]
        return str(to.with_digest((await put_index(target, copied, to)).digest))

    async def _copy(
        self,
        target: RepositoryImages,
        member: Member,
        shown: Callable[[Config], Config],
        to: ImageRef,
    ) -> Manifest:
        stored = await self._images.by_digest(member.manifest_digest)
        for layer in stored.manifest.layers:
            await self._images.registry.copy_blob(self._images.repo, layer, to)
        return await target.put(shown(stored.config), list(stored.manifest.layers), to)
