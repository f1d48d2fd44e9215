"""Images of a build under references of the user's own (werf: export).

In: `spec.imageExports`, the images that are built, image configs. Out: errors, and configs without what only the stages
repository needs.
"""

from collections.abc import Collection, Mapping

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.api.v1alpha1 import ImageBuildSpec
from conveyor.plan import labels

Config = Mapping[str, object]


def check_image_exports(spec: ImageBuildSpec, images: Collection[str]) -> None:
    """Refuse exports of images that are not built.

    Raises:
        UserError: InvalidSpec.
    """
    unknown = [one.image for one in spec.image_exports if one.image not in images]
    if unknown:
        raise UserError(
            Reason.INVALID_SPEC,
            f"imageExports names {', '.join(map(repr, unknown))}, which this build does not make; "
            f"it makes {', '.join(map(repr, sorted(images)))}",
        )


def exported_config(config: Config) -> Config:
    """Return the config as others see it: without labels whose name starts with `werf` (werf: export)."""
    inner = config.get("config")
    if not isinstance(inner, Mapping):
        return config
    found = inner.get("Labels")
    kept = labels.without_own(found if isinstance(found, Mapping) else {})
    others = {name: value for name, value in inner.items() if name != "Labels"}
    return {**config, "config": {**others, **({"Labels": kept} if kept else {})}}
