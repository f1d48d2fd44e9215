"""Docker images cached by content, also as files that survive the loss of Docker's own store.

In: a name, a key and a way to build. Out: an image `conveyor-NAME:KEY` in Docker's store and its
archive in the cache folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster import cache, settings
from cluster.console import Console, Failure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAMES = ("ansible", "base", "node", "os", "services")


def exists(console: Console, image: str) -> bool:
    """Whether Docker's store has the image."""
    command = ["docker", "image", "inspect", "--format", "{{.Id}}", image]
    return console.call(command, timeout=90)[0] == 0


def ensure(
    console: Console, name: str, key: str, build: Callable[[str], None], *, slow: str
) -> str:
    """Have the image in Docker's store: as it is, from the cache, or built.

    Args:
        console: runs the commands.
        name: short name, e.g. "base".
        key: key of everything the image is made from.
        build: makes the image with the tag it is given.
        slow: how long a build takes, for the user.

    Returns:
        The tag.
    """
    image = f"conveyor-{name}:{key}"
    archive = settings.cache_folder() / "images" / f"{name}-{key}.tar"
    if exists(console, image):
        if not cache.is_sealed(archive):
            save(console, image, archive)
        return image
    if not _load(console, image, archive):
        with console.step(f"building image {image}", slow=slow):
            build(image)
        save(console, image, archive)
    return image


def _load(console: Console, image: str, archive: Path) -> bool:
    if not archive.exists():
        return False
    with console.step(f"loading image {image} from the cache"):
        if not cache.is_whole(archive):
            console.note(f"{archive} is damaged; building again")
            return False
        try:
            console.run(["docker", "load", "--quiet", "--input", str(archive)], timeout=900)
        except Failure:
            return False
    return exists(console, image)


def save(console: Console, image: str, archive: Path) -> None:
    """Write the image's archive into the cache, dropping archives of older keys."""
    name = archive.name.rsplit("-", 1)[0]
    with console.step(f"caching image {image}"), cache.scratch(settings.cache_folder()) as scratch:
        made = scratch / "image.tar"
        console.run(["docker", "save", "--output", str(made), image], timeout=900)
        cache.store(made, archive)
        cache.forget_others(archive, f"{name}-*.tar*")
    _forget_older(console, image)


def _forget_older(console: Console, image: str) -> None:
    """Remove images of older keys from Docker's store, but for those still in use."""
    repository = image.split(":", maxsplit=1)[0]
    listed = ["docker", "images", "--format", "{{.Repository}}:{{.Tag}}", repository]
    for other in console.run(listed, timeout=90).split():
        if other != image and not other.endswith(":local"):
            console.run(["docker", "rmi", other], timeout=60, check=False)


def build(
    console: Console, image: str, folder: Path, arguments: dict[str, str], *, timeout: float
) -> None:
    """Run `docker build` on a folder, with the host's network (the only one sure to work).

    Args:
        console: runs the command.
        image: tag to give.
        folder: the build context, with its Dockerfile.
        arguments: build arguments.
        timeout: seconds.
    """
    command = ["docker", "build", "--force-rm", "--network", "host", "--tag", image]
    for name, value in arguments.items():
        command += ["--build-arg", f"{name}={value}"]
    output = console.run([*command, str(folder)], timeout=timeout)
    console.note(output[-2000:])


def remove_all(console: Console) -> None:
    """Remove our images from Docker's store, but for those that others still use."""
    listed = ["docker", "images", "--format", "{{.Repository}}:{{.Tag}}"]
    for image in console.run(listed, timeout=90).split():
        if image.split(":")[0] in {f"conveyor-{name}" for name in NAMES}:
            console.run(["docker", "rmi", image], timeout=60, check=False)
