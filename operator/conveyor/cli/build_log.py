"""What the commands of stages write, as lines of `conveyor build`.

In: an Engine, the stage containers that start, the status. Out: `[2/7] app/setup | LINE` for every line as it comes. The end of
a progress bar stands for all of it, and of control characters only colours are passed on.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Final

from conveyor.adapters.engine_api import EngineApi, EngineError
from conveyor.api.errors import NotYet

_MOST: Final = 8192
_END_SECONDS: Final = 2.0
_CONTROL: Final = re.compile("\x1b(?!\\[[0-9;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f\x80-\x9f]")
_COLOUR: Final = re.compile("\x1b\\[[0-9;]*m")


class BuildLog:
    """Logs of stage containers.

    Args:
        api: The Engine.
        tell: Is given the Job's name and a line.
        colour: Whether colours are passed on.
    """

    def __init__(self, api: EngineApi, tell: Callable[[str, str], None], *, colour: bool) -> None:
        self._api = api
        self._tell = tell
        self._colour = colour
        self._tasks: set[asyncio.Task[None]] = set()

    def follow(self, job: str, container: str) -> None:
        """Begin to tell what a container writes."""
        task = asyncio.create_task(self._follow(job, container))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Tell what is left, for a moment, and end."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_END_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _follow(self, job: str, container: str) -> None:
        async for line in lines_of(self._api.logs(container)):
            self._tell(job, shown(line, colour=self._colour))


async def lines_of(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield lines without their ends, long ones in parts, until there are no more; why is told by the status."""
    left = b""
    # When the container is gone, what it wrote last is still told.
    with suppress(EngineError, NotYet):
        async for piece in pieces:
            *whole, left = (left + piece).split(b"\n")
            for line in whole:
                yield line
            if len(left) > _MOST:
                yield left
                left = b""
    if left:
        yield left


def shown(line: bytes, *, colour: bool) -> str:
    """Return a line as it may stand in a terminal."""
    last = line.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2]
    text = _CONTROL.sub("", last)
    coloured = "\x1b" in text
    if not colour:
        return _COLOUR.sub("", text)
    return f"{text}\x1b[0m" if coloured else text
