"""Images by platform: an image of several platforms is planned once for each, as an image of its own.

In: images of a config. Out: `Target`s, the names of their plans, and the index that joins the platforms of one image. Images
that need each other match by platform (werf-semantics 15.6); `conveyor.config.relations` has checked that they can.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from conveyor.config.model import Image, WerfConfig
from conveyor.plan.digest import DEFAULT_PLATFORM, sha3_args
from conveyor.plan.images import needed_images
from conveyor.plan.model import BuildPlan, PlannedImage


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedIndex:
    """What joins the images of several platforms: `members` by platform, `tag` once all of them are stored, else ""."""

    image: str
    members: tuple[PlannedImage, ...]
    tag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An image for one platform.

    Attributes:
        name: Of the planned image.
    """

    image: Image
    platform: str
    name: str

    def named(self, row: PlannedImage) -> PlannedImage:
        """Return the image's plan, or that of one of its blocks, with its name in werf.yaml."""
        if self.name == self.image.name:
            return row
        return replace(row, config_name=self.image.name + row.name.removeprefix(self.name))

    def needed(
        self, config: WerfConfig, planned: Mapping[str, PlannedImage]
    ) -> dict[str, PlannedImage]:
        """Return the planned images that this one needs, for its own platform, by their names in werf.yaml."""
        images = {name: config.image(name) for name in needed_images(self.image)}
        names = {name: planned_name(image, config, self.platform) for name, image in images.items()}
        return {name: planned[key] for name, key in names.items() if key in planned}


def platforms_of(image: Image, config: WerfConfig) -> tuple[str, ...]:
    """Return the platforms that an image is built for, each once, in the order of the config."""
    platforms = image.platforms or config.meta.platforms or (DEFAULT_PLATFORM,)
    return tuple(dict.fromkeys(platforms))


def targets_of(image: Image, config: WerfConfig) -> tuple[Target, ...]:
    """Return an image once for each of its platforms."""
    return tuple(
        Target(image=image, platform=platform, name=planned_name(image, config, platform))
        for platform in platforms_of(image, config)
    )


def planned_name(image: Image, config: WerfConfig, platform: str) -> str:
    """Return the name of an image's plan: with the platform only where there are several."""
    if len(platforms_of(image, config)) == 1:
        return image.name
    return f"{image.name or '~'} [{platform}]"


def indexes_of(plan: BuildPlan) -> tuple[PlannedIndex, ...]:
    """Return an index for every final image of several platforms, in the order of the plan."""
    members: dict[str, list[PlannedImage]] = {}
    for image in plan.images:
        if image.config_name is not None and image.final and not image.block_of:
            members.setdefault(image.image, []).append(image)
    return tuple(
        PlannedIndex(image=name, members=tuple(images), tag=_tag(images))
        for name, images in members.items()
    )


def _tag(images: Sequence[PlannedImage]) -> str:
    """Return the tag that werf gives the index: a digest of stage ids, in the order of the platforms' names."""
    ids = [
        str(image.stages[-1].stored.id)
        for image in sorted(images, key=lambda image: image.platform)
        if image.ready and image.stages[-1].stored is not None
    ]
    return sha3_args(*ids) if len(ids) == len(images) else ""
