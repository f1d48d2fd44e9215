"""Secondary repositories: read only, asked for what the repository of a build does not have.

In: the repository's images, the names of the others in the order in which they are asked. Out: stages they have, and
copies of what is used, under the same tag (werf: --secondary-repo).
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from conveyor.adapters.oci_ref import ImageRef
from conveyor.adapters.registry_errors import NotFoundError
from conveyor.adapters.repository_images import RepositoryImages, Stored
from conveyor.adapters.stage_tags import StageTags, stage_tags
from conveyor.plan.answers import StageDigest, StageID

_AT_ONCE: Final = 4


class SecondaryRepos:
    """The secondary repositories of one build."""

    def __init__(self, images: RepositoryImages, repos: Sequence[str]) -> None:
        self._images = images
        self._repos = [
            RepositoryImages(images.registry, ImageRef.parse(repo), images.cache) for repo in repos
        ]
        self._homes: dict[str, RepositoryImages] = {}

    async def added_to(self, own: StageTags) -> dict[StageDigest, tuple[int, ...]]:
        """The usable stages of all repositories; of each digest the own ones stand first, then those of the others."""
        found = {digest: list(times) for digest, times in own.items()}
        homes: dict[str, RepositoryImages] = {}
        lists = (repo.registry.list_tags(repo.repo) for repo in self._repos)
        for repo, tags in zip(self._repos, await asyncio.gather(*lists), strict=True):
            for digest, times in stage_tags(tags).items():
                known = found.setdefault(digest, [])
                new = [one for one in times if one not in known]
                known += new
                homes |= {str(StageID(digest=digest, timestamp=one)): repo for one in new}
        self._homes = homes
        return {digest: tuple(times) for digest, times in found.items()}

    def home(self, stage_id: StageID) -> RepositoryImages:
        """Where a listed stage is."""
        return self._homes.get(str(stage_id), self._images)

    async def bring(self, stage_ids: Iterable[StageID]) -> Mapping[str, str]:
        """Copy the stages that only others have; returns their ids, each with the repository it came from."""
        wanted = dict.fromkeys(str(one) for one in stage_ids if str(one) in self._homes)
        limit = asyncio.Semaphore(_AT_ONCE)

        async def copy(tag: str) -> None:
            async with limit:
                await self._images.take(self._homes[tag], tag)

        await asyncio.gather(*(copy(tag) for tag in wanted))
        return {tag: self._homes.pop(tag).repo.name for tag in wanted}

    async def record(self, tag: str) -> Stored:
        """What is under a tag that may be replaced; copied when only another repository has it.

        Raises:
            NotFoundError: Nobody has it.
        """
        try:
            return await self._images.tagged(tag, fresh=True)
        except NotFoundError:
            for repo in self._repos:
                try:
                    return await self._images.take(repo, tag)
                except NotFoundError:
                    continue
            raise
