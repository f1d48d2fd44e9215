"""A tar of the stage container into a blob of the registry: one reading, constant memory.

In: an open file and what the stage program said of it. Out: digest, diffID and size of the blob. Every
byte is read once: checked (`layer_check`), hashed (diffID), deflated, hashed (digest), sent. A blob that
fits into 4 MiB is looked up first and not sent when it is there; a larger one is sent while it is being
deflated, which is faster than to know its digest before.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from conveyor.adapters.oci import OCI_LAYER_GZIP
from conveyor.adapters.oci_ref import ImageRef
from conveyor.adapters.registry import RegistryClient
from conveyor.builder import courier_gzip
from conveyor.builder.courier_errors import CourierError
from conveyor.builder.courier_report import PushedBlob
from conveyor.builder.courier_tars import OpenTar, Tar
from conveyor.builder.courier_task import Limits
from conveyor.builder.layer_check import LayerCheck, TarFigures

_IN_MEMORY: Final = 4 << 20
_PIECE: Final = 1 << 20
_HEADERS_SHARE: Final = 2048  # bytes of headers and padding that an entry may need on average


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where blobs go and within which limits."""

    registry: RegistryClient
    repo: ImageRef
    limits: Limits


Compare = Callable[[TarFigures], None]
"""Takes what was found in a tar; raises when that is not what was said of it."""


class TarSource:
    """Reads a tar while checking and hashing it.

    A thread may still be reading for an attempt that was given up when the next one starts.
    """

    def __init__(self, tar: Tar, limits: Limits, *, bundle: bool) -> None:
        self._tar = tar
        self._limits = limits
        self.check = LayerCheck(limits, bundle=bundle)
        self.diff_id = hashlib.sha256()
        self._within(tar.size())

    def __iter__(self) -> Iterator[bytes]:
        with self._tar as tar:
            for data in tar.blocks(courier_gzip.BLOCK):
                self.check.feed(data)
                self._within(self.check.size)
                self.diff_id.update(data)
                yield data

    def _within(self, size: int) -> None:
        limit = self._limits.layer_bytes
        if size > limit + _HEADERS_SHARE * self._limits.entries:
            self._tar.close()
            raise CourierError("LayerInvalid", f"the layer has {size} bytes, {limit} are allowed")


class Begun:
    """A tar of which the first pieces are compressed; `rest` is None when these are all."""

    def __init__(
        self, source: TarSource, head: list[bytes], rest: AsyncIterator[bytes] | None
    ) -> None:
        self.source = source
        self.head = head
        self.rest = rest

    async def pieces(self) -> AsyncIterator[bytes]:
        """All pieces, once."""
        while self.head:
            yield self.head.pop(0)
        if self.rest is not None:
            async for piece in self.rest:
                yield piece


class BlobPusher:
    """Pushes tars; owns the threads that deflate."""

    def __init__(self, to: Destination) -> None:
        self._to = to
        self._threads = courier_gzip.threads()
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="deflate")

    async def push(
        self, open_tar: OpenTar, compare: Compare, *, bundle: bool = False
    ) -> PushedBlob:
        """Push one tar.

        Args:
            open_tar: opens it, anew for every attempt.
            compare: is asked before the blob is complete.
            bundle: whether it is an export and not a layer.

        Raises:
            CourierError: LayerInvalid.
            RegistryError: it could not be pushed.
        """

        async def begin() -> Begun:
            source = TarSource(open_tar(), self._to.limits, bundle=bundle)
            return await self._begin(source, compare)

        begun = await begin()
        if begun.rest is None:
            data = b"".join(begun.head)
            blob = await self._to.registry.upload_blob(self._to.repo, data)
            return _pushed(begun.source, blob.digest, blob.size)
        return await self._stream(begun, begin)

    async def _stream(self, begun: Begun, again: Callable[[], Awaitable[Begun]]) -> PushedBlob:
        async for attempt in self._to.registry.retries():
            with attempt:
                if not begun.head:  # spent by the attempt before
                    begun = await again()
                blob = await self._to.registry.upload_stream(self._to.repo, begun.pieces())
                return _pushed(begun.source, blob.digest, blob.size)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _begin(self, source: TarSource, compare: Compare) -> Begun:
        """Compress until it is clear whether the blob is small."""
        pieces = _in_thread(self._pieces(source, compare))
        head: list[bytes] = []
        size = 0
        async for piece in pieces:
            head.append(piece)
            size += len(piece)
            if size > _IN_MEMORY:
                return Begun(source, head, pieces)
        return Begun(source, head, None)

    def _pieces(self, source: TarSource, compare: Compare) -> Iterator[bytes]:
        """The gzip stream in pieces of about 1 MiB; fails before its end if the tar is not sound."""
        collected: list[bytes] = []
        size = 0
        for piece in courier_gzip.compress(source, self._pool, 2 * self._threads):
            collected.append(piece)
            size += len(piece)
            if size >= _PIECE:
                yield b"".join(collected)
                collected, size = [], 0
        compare(source.check.finish())
        yield b"".join(collected)


def _pushed(source: TarSource, digest: str, size: int) -> PushedBlob:
    return PushedBlob(
        digest=digest,
        diff_id=f"sha256:{source.diff_id.hexdigest()}",
        size=size,
        media_type=OCI_LAYER_GZIP,
    )


async def _in_thread(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Run a generator in a thread, one piece ahead of its reader."""
    upcoming = _next_of(pieces)
    while (piece := await upcoming) is not None:
        upcoming = _next_of(pieces)
        yield piece


def _next_of(pieces: Iterator[bytes]) -> asyncio.Future[bytes | None]:
    upcoming = asyncio.ensure_future(asyncio.to_thread(next, pieces, None))
    # When the upload breaks nobody waits for this piece any more; its error is then no news.
    upcoming.add_done_callback(lambda done: done.cancelled() or done.exception())
    return upcoming
