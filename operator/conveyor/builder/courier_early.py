"""Tars of the stage container are pushed: when they are complete, or, large layers, while they are still being written.

In: looks at the shared directory, names of complete tars. Out: blobs; a push under way is found again by the file that it reads.
While a large layer is captured no command runs, and one processor is enough for it; what is compressed then is out of the next
run's way.
"""

import asyncio
import os
from collections.abc import Mapping
from typing import BinaryIO, Final

from conveyor.builder.courier_errors import CourierError
from conveyor.builder.courier_io import Exchange
from conveyor.builder.courier_push import BlobPusher
from conveyor.builder.courier_report import PushedBlob
from conveyor.builder.courier_tars import complete_tar, growing_tar
from conveyor.builder.handover import GROWING
from conveyor.builder.layer_check import TarFigures, check_figures

LEAST: Final = 8 << 20  # a smaller layer is complete before anybody has looked


class EarlyPush:
    """One layer under way; the file is open as long as this exists, so no other one can have its inode."""

    def __init__(self, file: BinaryIO, exchange: Exchange, pusher: BlobPusher) -> None:
        self._file = file
        self._pushing = asyncio.create_task(self._push(exchange, pusher))

    @property
    def inode(self) -> int:
        """Of the file."""
        return os.fstat(self._file.fileno()).st_ino

    @property
    def under_way(self) -> bool:
        """Whether it is not pushed yet."""
        return not self._pushing.done()

    async def pushed(self, claimed: Mapping[str, object]) -> PushedBlob:
        """The layer, once it is pushed.

        Args:
            claimed: what the stage program says of it now that it is complete.

        Raises:
            CourierError: LayerInvalid.
            RegistryError: it could not be pushed.
        """
        blob, found = await self._pushing
        check_figures(found, claimed)
        return blob

    async def give_up(self) -> None:
        """End it."""
        self._pushing.cancel()
        await asyncio.gather(self._pushing, return_exceptions=True)
        self._file.close()

    async def _push(self, exchange: Exchange, pusher: BlobPusher) -> tuple[PushedBlob, TarFigures]:
        found: list[TarFigures] = []  # of each attempt
        descriptor = self._file.fileno()
        blob = await pusher.push(lambda: growing_tar(exchange, descriptor), found.append)
        return blob, found[-1]


class Pushes:
    """Of one courier; one early push at a time: a layer that begins to grow meanwhile is pushed when it is complete."""

    def __init__(self, exchange: Exchange, pusher: BlobPusher) -> None:
        self._exchange = exchange
        self._pusher = pusher
        self._early: list[EarlyPush] = []

    def look(self) -> None:
        """Begin to push what is being written, if that is large."""
        inode = self._exchange.growing()
        if inode is None or any(push.under_way or push.inode == inode for push in self._early):
            return
        try:
            file, size = self._exchange.open_output(GROWING)
        except CourierError:  # complete in the meantime
            return
        if size < LEAST:
            file.close()
            return
        self._early.append(EarlyPush(file, self._exchange, self._pusher))

    async def push(
        self, name: str, claimed: Mapping[str, object], *, bundle: bool = False
    ) -> PushedBlob:
        """Push `out/<name>`, which is complete, or wait until that is done.

        Args:
            claimed: what the stage program says of it: size, entries, whiteouts.
            bundle: see `BlobPusher.push`.

        Raises:
            CourierError: LayerInvalid.
            RegistryError: it could not be pushed.
        """
        if (early := self._of(name)) is not None:
            return await early.pushed(claimed)
        return await self._pusher.push(
            lambda: complete_tar(self._exchange, name),
            lambda found: check_figures(found, claimed),
            bundle=bundle,
        )

    def _of(self, name: str) -> EarlyPush | None:
        file, _ = self._exchange.open_output(name)
        with file:
            inode = os.fstat(file.fileno()).st_ino
        return next((push for push in self._early if push.inode == inode), None)

    async def give_up(self) -> None:
        """End what nobody has asked for."""
        await asyncio.gather(*(push.give_up() for push in self._early))
