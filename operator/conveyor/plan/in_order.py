"""The blocks of a Dockerfile one after the other (`dockerfileMode: legacy`).

In: blocks as they are planned, in the order of the file. Out: the same, each waiting for those before it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from conveyor.plan.model import PlannedImage


def one_by_one(images: Iterable[PlannedImage]) -> Iterator[PlannedImage]:
    """Have every block wait for the last one before it that is not stored; that one waits for those before it."""
    before: tuple[str, ...] = ()
    for image in images:
        depends_on = tuple(dict.fromkeys((*image.depends_on, *before)))
        yield replace(image, depends_on=depends_on, in_order=True)
        if not image.ready:
            before = (image.name,)
