"""Execution images: what a stage runs in.

In: the image that a stage lies on. Out: a reference by digest: the same layers with the tools below, and a config without
anything that would run. Source: `conveyor.plan.image_config.execution_config`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from conveyor.adapters.oci import OCI_LAYER_GZIP, Descriptor
from conveyor.adapters.repository_images import RepositoryImages, descriptor_of
from conveyor.config.platforms import machine_of
from conveyor.jobs.model import ParentImage
from conveyor.plan.digest import DEFAULT_PLATFORM
from conveyor.plan.image_config import execution_config


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The layers that put the tools of one machine into an image; `ansible` is None where there are none."""

    stage: ToolsLayer
    ansible: ToolsLayer | None = None

    @classmethod
    def load(cls, folder: Path) -> "Tools":
        """Read a folder of tools.

        Raises:
            FileNotFoundError: It has no `tools.json`.
        """
        ansible = (folder / "ansible.json").exists()
        return cls(
            stage=ToolsLayer.load(folder),
            ansible=ToolsLayer.load(folder, "ansible") if ansible else None,
        )

    def layers(self, *, ansible: bool) -> list[ToolsLayer]:
        """Return the layers, lowest first."""
        if not ansible:
            return [self.stage]
        if self.ansible is None:
            raise LookupError("these tools were made without the ansible layer")
        return [self.stage, self.ansible]


class ExecutionImages:
    """Execution images of one repository; each is written once.

    Args:
        images: The repository.
        tools: By machine, `os/architecture`.
    """

    def __init__(self, images: RepositoryImages, tools: Mapping[str, Tools]) -> None:
        self._images = images
        self._tools = tools

    async def prepare(self, *, platform: str = DEFAULT_PLATFORM, ansible: bool = False) -> None:
        """Have the tools in the repository: what `publish` would do first, for whoever must wait for the parent.

        Raises:
            LookupError: As of `publish`.
        """
        for layer in self._tools[machine_of(platform)].layers(ansible=ansible):
            await self._ensure(layer)

    async def publish(
        self, parent: ParentImage, *, platform: str = DEFAULT_PLATFORM, ansible: bool = False
    ) -> str:
        """Publish the execution image of a parent (config and manifest only); return its reference by digest.

        Args:
            parent: What it starts from.
            platform: What it is to run on.
            ansible: Whether tasks of ansible are to run in it.

        Raises:
            LookupError: There are no tools for the platform (`conveyor.jobs.tools` has checked it).
        """
        images, tools = self._images, self._tools[machine_of(platform)].layers(ansible=ansible)
        digests = (layer.digest for layer in tools)
        key = (images.repo.name, parent.manifest_digest, platform, *digests)
        async with images.cache.making.of(key):
            known = images.cache.execution.get(key)
            if known is None:
                known = await self._make(parent, tools)
                images.cache.execution[key] = known
        return known

    async def _make(self, parent: ParentImage, tools: Sequence[ToolsLayer]) -> str:
        for layer in tools:
            await self._ensure(layer)
        config = execution_config(parent.config, *(layer.diff_id for layer in tools))
        layers = [layer.descriptor for layer in tools]
        layers += [descriptor_of(layer) for layer in parent.layers]
        manifest = await self._images.put(config, layers, self._images.repo)
        return str(self._images.repo.with_digest(manifest.digest))

    async def _ensure(self, tools: ToolsLayer) -> None:
        key = (self._images.repo.name, tools.digest)
        async with self._images.cache.making.of(key):
            if key not in self._images.cache.tools:
                await self._images.registry.upload_file(self._images.repo, tools.path)
                self._images.cache.tools.add(key)
