"""The order of images: which need which, in sets that can be built at the same time.

In: `WerfConfig` and the wanted names. Out: sets of image names, every image after the images it needs
(werf: images sets; Kahn layers). Inside a set the order is that of the config.
"""

from collections.abc import Iterable, Mapping

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.config.model import Image, StapelImage, WerfConfig


def needed_images(image: Image) -> tuple[str, ...]:
    """Return the config images that must be complete before this one: base, imports, dependencies."""
    names = [dependency.image for dependency in image.dependencies]
    if isinstance(image, StapelImage):
        base = [image.base] if image.base_internal else []
        names = base + [item.image for item in image.imports if not item.external] + names
    return tuple(dict.fromkeys(names))


def image_sets(config: WerfConfig, selected: Iterable[str] = ()) -> tuple[tuple[str, ...], ...]:
    """Return the sets of the selected images (none: all) and of everything they need.

    Raises:
        UserError: A selected image does not exist, or images need each other in a circle.
    """
    needs = {image.name: needed_images(image) for image in config.images}
    remaining = _closure(needs, tuple(selected) or tuple(needs))
    sets: list[tuple[str, ...]] = []
    done: set[str] = set()
    while remaining:
        ready = tuple(name for name in remaining if done.issuperset(needs[name]))
        if not ready:
            raise _circle(config, needs, remaining)
        sets.append(ready)
        done.update(ready)
        remaining = tuple(name for name in remaining if name not in done)
    return tuple(sets)


def _closure(needs: Mapping[str, tuple[str, ...]], selected: tuple[str, ...]) -> tuple[str, ...]:
    """Return the selected names and all they need, in config order."""
    wanted: set[str] = set()
    waiting = list(selected)
    while waiting:
        name = waiting.pop()
        if name not in needs:
            raise UserError(
                Reason.INVALID_WERF_CONFIG,
                f'image "{name}" is not defined in werf.yaml; it has: {_names(needs)}',
            )
        if name not in wanted:
            wanted.add(name)
            waiting += needs[name]
    return tuple(name for name in needs if name in wanted)


def _names(names: Iterable[str]) -> str:
    return ", ".join(name or "~" for name in names) or "no images"


def _circle(
    config: WerfConfig, needs: Mapping[str, tuple[str, ...]], remaining: tuple[str, ...]
) -> UserError:
    """Follow the first unfinished need of each image until one comes back."""
    path = [remaining[0]]
    while path.count(path[-1]) == 1:
        path.append(next(name for name in needs[path[-1]] if name in remaining))
    circle = path[path.index(path[-1]) :]
    return UserError(
        Reason.INVALID_WERF_CONFIG,
        f"{config.image(circle[0]).at}: images need each other in a circle: {' -> '.join(circle)}",
    )
