"""Rules over all images of a config: unique names, the nameless image, cycles, platforms.

In: the images. Out: nothing; mistakes go to the report. Source: werf pkg/config/werf_config.go.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from conveyor.config.model import Image, StapelImage
from conveyor.config.names import NAMELESS, shown
from conveyor.config.report import Report

DEFAULT_PLATFORM: Final = "linux/amd64"


def check_names(images: tuple[Image, ...], report: Report) -> None:
    """Names are unique, and a nameless image is the only final one."""
    first: dict[str, Image] = {}
    for image in images:
        if image.name in first:
            report.error(
                image.at.line,
                f"the name {shown(image.name)} is given twice; line {first[image.name].at.line} has it already",
            )
        first.setdefault(image.name, image)
    final = [image for image in images if image.final]
    for image in final:
        if image.name == NAMELESS and len(final) > 1:
            report.error(
                image.at.line,
                "image ~ has no name, but there are other final images; give it a name",
            )


def related(image: Image) -> tuple[str, ...]:
    """Return the names of the config's images that have to be built before, in the order they are met."""
    found: list[str] = []
    if isinstance(image, StapelImage):
        if image.base_internal:
            found.append(image.base)
        found.extend(entry.image for entry in image.imports if not entry.external)
    found.extend(entry.image for entry in image.dependencies)
    return tuple(dict.fromkeys(found))


def check_cycles(images: tuple[Image, ...], report: Report) -> None:
    """No image needs itself, not even through others; the first cycle is reported as a path."""
    by_name = {image.name: image for image in images}
    cycle = find_cycle({name: related(image) for name, image in by_name.items()})
    if cycle:
        path = " -> ".join(name or "~" for name in cycle)
        report.error(
            by_name[cycle[0]].at.line,
            f"images need each other in a circle: {path}; remove one of these references",
        )


def find_cycle(graph: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the first cycle as a path that ends where it starts, () when there is none."""
    done: set[str] = set()
    for start in graph:
        path: dict[str, Iterator[str]] = {}
        node = start
        while node not in done:
            path.setdefault(node, iter(graph.get(node, ())))
            following = next(path[node], None)
            if following is None:
                done.add(node)
                path.pop(node)
                node = next(reversed(path), node)
            elif following in path:
                names = list(path)
                return (*names[names.index(following) :], following)
            elif following not in done:
                node = following
    return ()


def check_platforms(images: tuple[Image, ...], report: Report) -> None:
    """An image is built for every platform of the images that need it (werf: image platform cross-references)."""
    by_name = {image.name: image for image in images}
    for image in images:
        _check_names_of_platforms(image, by_name, report)
        for name in related(image):
            source = by_name[name]
            missing = [item for item in _platforms(image) if item not in _platforms(source)]
            if missing:
                _report_platforms(image, source, missing, report)


def _check_names_of_platforms(image: Image, by_name: Mapping[str, Image], report: Report) -> None:
    """Each platform of an image is planned, and shown, as `IMAGE [OS/ARCH]`."""
    several = image.platforms if len(image.platforms) > 1 else ()
    for name in (f"{image.name or '~'} [{platform}]" for platform in several):
        if name in by_name:
            report.error(
                by_name[name].at.line,
                f"the name {shown(name)} is that of a platform of image {shown(image.name)} of line"
                f" {image.at.line}; choose another one",
            )


def _platforms(image: Image) -> tuple[str, ...]:
    return image.platforms or (DEFAULT_PLATFORM,)


def _report_platforms(image: Image, source: Image, missing: list[str], report: Report) -> None:
    both = ", ".join(dict.fromkeys((*_platforms(source), *missing)))
    report.error(
        image.at.line,
        f"image {shown(image.name)} is built for {', '.join(missing)}, but image {shown(source.name)} of line"
        f" {source.at.line}, which it needs, for {', '.join(_platforms(source))} only;"
        f" write `platform: [{both}]` there",
    )
