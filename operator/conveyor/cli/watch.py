"""`conveyor watch`: follow a build until it is over.

In: namespace and name. Out: the picture of the build, drawn anew in a terminal, or one line a change when piped; exit code 0 when
it is ready, 1 when it failed, 3 when the time is over.
"""

import asyncio
import shutil
import sys
from datetime import UTC, datetime
from typing import Final

import click

from conveyor.adapters.cluster import BUILDS, Cluster, connect
from conveyor.api import conditions, names
from conveyor.api.v1alpha1 import ImageBuild, ImageBuildStatus
from conveyor.cli import screen

_POLL: Final = 0.5


def follow(namespace: str, name: str, *, timeout: float) -> int:
    """Follow a build; returns the exit code."""
    return asyncio.run(_follow(namespace, name, timeout))


async def _follow(namespace: str, name: str, limit: float) -> int:
    cluster = await connect()
    try:
        async with asyncio.timeout(limit):
            return await _draw_until_done(cluster, namespace, name)
    except TimeoutError:
        click.echo(f"ImageBuild {namespace}/{name} is not over after {limit:.0f} s", err=True)
        return 3
    finally:
        await cluster.close()


async def _draw_until_done(cluster: Cluster, namespace: str, name: str) -> int:
    drawing = _Drawing(colour=sys.stdout.isatty())
    while True:
        body = await cluster.get(BUILDS, names.PLURAL, namespace, name)
        if body is None:
            click.echo(f"there is no ImageBuild {namespace}/{name}", err=True)
            return 1
        build = ImageBuild.from_object(body)
        drawing.show(_current(build))
        if _over(build):
            return 0 if conditions.is_true(build.status.conditions, "Ready") else 1
        await asyncio.sleep(_POLL)


def _over(build: ImageBuild) -> bool:
    return (
        build.status.observed_generation == build.metadata.generation
        and build.status.last_handled_requested_at == build.requested_at
        and build.status.completed_at is not None
    )


def _current(build: ImageBuild) -> ImageBuildStatus:
    """The status, unless it still tells about an older wish."""
    fresh = build.status.observed_generation == build.metadata.generation
    return build.status if fresh else ImageBuildStatus()


class _Drawing:
    """Draws over itself in a terminal; prints only what changed elsewhere."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour
        self._drawn: list[str] = []

    def show(self, status: ImageBuildStatus) -> None:
        now = datetime.now(UTC)  # noqa: TID251 - a clock for people
        rows = screen.lines(status, now, colour=self._colour)
        if self._colour:
            self._redraw(rows)
        else:
            for row in rows:
                if row not in self._drawn:
                    click.echo(row)
            self._drawn = rows

    def _redraw(self, rows: list[str]) -> None:
        width = shutil.get_terminal_size().columns
        if self._drawn:
            click.echo(f"\x1b[{len(self._drawn)}A\x1b[J", nl=False)
        for row in rows:
            click.echo(row if len(click.unstyle(row)) < width else click.unstyle(row)[: width - 1])
        self._drawn = rows
