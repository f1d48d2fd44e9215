"""Room on the disk for a whole run of the tests.

In: what is free where Docker keeps its data. Out: enough of it, if need be by removing the
cluster, the registry's data and untagged images, all of which earlier runs have filled; else a
`Failure` that says how much is missing where.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from cluster import engine, nodes, services, settings
from cluster.console import Console, Failure

# The nodes' images, the registry's data and files of 3 GB that a test commits to Docker.
NEEDED = 35 * 10**9


def ensure(console: Console, needed: int = NEEDED) -> None:
    """See to it that `needed` bytes are free.

    Raises:
        Failure: they are not, and nothing of ours is left to remove (code 2).
    """
    place = _place()
    if _free(place) < needed and engine.answers(console):
        console.say(f"{_gigabytes(_free(place))} free in {place}: the old cluster makes room")
        _clear(console)
    if (free := _free(place)) < needed:
        text = f"{_gigabytes(needed)} are needed in {place}, {_gigabytes(free)} are free"
        raise Failure(f"{text}: see what Docker keeps with `docker system df`", code=2)


def _clear(console: Console) -> None:
    nodes.delete(console)
    services.remove(console, volumes=True)
    console.run(
        ["docker", "image", "prune", "--force"], timeout=settings.REMOVAL_SECONDS, check=False
    )


def _place() -> Path:
    docker = Path("/var/lib/docker")
    return docker if docker.is_dir() else settings.cache_folder()


def _free(place: Path) -> int:
    return shutil.disk_usage(place).free


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.0f} GB"
