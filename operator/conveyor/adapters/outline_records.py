"""Records of outlines: what is known of images' trees, for blocks that are made in other pods.

In: keys. Out: `Outline`s. A record is an image without layers, tagged with the key, that has the outline as a label. A key
tells the image and what is copied into it, so whoever writes a record writes the same; it is remembered.
"""

import json
from typing import Final

from conveyor.adapters.registry_errors import NotFoundError
from conveyor.adapters.repository_images import SCRATCH, Config, RepositoryImages, labels_of
from conveyor.jobs.outline import Outline, outline_of

_LABEL: Final = "conveyor.dev/outline"


class OutlineRecords:
    """The records of one repository."""

    def __init__(self, images: RepositoryImages) -> None:
        self._images = images

    async def write(self, key: str, outline: Outline) -> None:
        """Record an outline."""
        text = json.dumps(outline, separators=(",", ":"))
        config: Config = {**SCRATCH, "config": {"Labels": {_LABEL: text}}}
        await self._images.write(key, (), config, [])

    async def outline(self, key: str) -> Outline:
        """What is recorded under a key; () for nothing."""
        try:
            stored = await self._images.tagged(key)
        except NotFoundError:
            return ()
        try:
            return outline_of(json.loads(labels_of(stored.config).get(_LABEL, "")))
        except (ValueError, RecursionError):
            return ()
