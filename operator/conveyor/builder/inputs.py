"""Everything a run needs before it starts, put into `in/`, then its ready marker.

In: the inputs of the task. Out: tars in the shared directory and `in/ready-<run>` in the order of the runs.
What git and remote sources take is imported when there are such inputs: pods of the same node start at the same time.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, BinaryIO, Final

from conveyor.adapters.oci_ref import ImageRef
from conveyor.adapters.registry import RegistryClient
from conveyor.adapters.registry_errors import NotFoundError
from conveyor.builder.courier_errors import CourierError
from conveyor.builder.courier_inputs import BlobInput, GitInput, StageInput
from conveyor.builder.courier_io import Exchange
from conveyor.builder.courier_remote import GitTreeInput, HttpInput
from conveyor.builder.courier_task import CourierTask

if TYPE_CHECKING:
    from conveyor.builder.inputs_repositories import GitInputs

_PIECE: Final = 1 << 20


def load(items: tuple[StageInput, ...]) -> None:
    """Import what these inputs take: for whoever has time for it before they are asked for."""
    if any(isinstance(item, GitInput) for item in items):
        import conveyor.builder.inputs_repositories  # noqa: PLC0415
    if any(isinstance(item, HttpInput | GitTreeInput) for item in items):
        import conveyor.builder.inputs_remote  # noqa: F401, PLC0415


class InputProvider:
    """Provides the inputs of one task."""

    def __init__(self, task: CourierTask, exchange: Exchange, registry: RegistryClient) -> None:
        self._task = task
        self._exchange = exchange
        self._registry = registry
        self._git: GitInputs | None = None

    async def provide(self, first: int) -> None:
        """Provide for every run from `first` on; its marker appears as soon as it has all.

        Raises:
            CourierError: an input cannot be had.
            RegistryError: a bundle cannot be had.
        """
        for run in range(first, self._task.runs):
            for item in self._task.inputs_of(run):
                await self._one(item)
            self._exchange.ready(run)

    async def _one(self, item: StageInput) -> None:
        if isinstance(item, BlobInput):
            await self._blob(item)
        elif isinstance(item, HttpInput | GitTreeInput):
            from conveyor.builder.inputs_remote import write_remote  # noqa: PLC0415 - see `load`

            await write_remote(self._task, self._exchange, item)
        else:
            await asyncio.to_thread(self._from_git, item)

    def _from_git(self, item: GitInput) -> None:
        from conveyor.builder.inputs_repositories import GitInputs  # noqa: PLC0415 - see `load`

        self._git = self._git or GitInputs(self._task, self._exchange)
        self._git.write(item)

    async def _blob(self, item: BlobInput) -> None:
        repo = ImageRef.parse(self._task.repo)
        chunks = self._registry.read_blob(repo, item.digest, item.size)
        try:
            with self._exchange.create_input(item.file) as out:
                await self._write(chunks, out, item)
        except NotFoundError as error:
            raise CourierError("InputMissing", f"bundle {item.digest}: {error}") from None

    async def _write(self, chunks: AsyncIterator[bytes], out: BinaryIO, item: BlobInput) -> None:
        unpacker = _Gunzip(self._task.limits.input_bytes, packed=item.gzip)
        async for chunk in chunks:
            at = 0
            while at < len(chunk) or unpacker.more:
                data = unpacker.feed(chunk[at:])
                at = len(chunk)
                await asyncio.to_thread(out.write, data)
        if not unpacker.complete:
            raise CourierError("InputMissing", f"bundle {item.digest} is not a whole gzip stream")


class _Gunzip:
    """Unpacks with a limit; at most 1 MiB at a time, so that a bomb costs nothing."""

    def __init__(self, limit: int, *, packed: bool) -> None:
        self._limit = limit
        self._packer = zlib.decompressobj(31) if packed else None
        self._size = 0

    @property
    def more(self) -> bool:
        """Whether there is output to be had without further input."""
        return self._packer is not None and bool(self._packer.unconsumed_tail)

    @property
    def complete(self) -> bool:
        return self._packer is None or self._packer.eof

    def feed(self, chunk: bytes) -> bytes:
        data = chunk
        if self._packer is not None:
            try:
                data = self._packer.decompress(self._packer.unconsumed_tail + chunk, _PIECE)
            except zlib.error as error:
                raise CourierError("InputMissing", f"a bundle is not gzip: {error}") from None
        self._size += len(data)
        if self._size > self._limit:
            raise CourierError("InputTooLarge", f"a bundle has more than {self._limit} bytes")
        return data
