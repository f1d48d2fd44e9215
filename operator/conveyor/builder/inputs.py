"""Everything a run needs before it starts, put into `in/`, then its ready marker.

In: the inputs of the task. Out: tars in the shared directory and `in/ready-<run>` in the order of the runs.
Git is blocking and runs in a thread; all commits of a repository are fetched at once, by the first run that needs one.
"""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from typing import BinaryIO, Final

from conveyor.adapters.oci_ref import ImageRef
from conveyor.adapters.registry import RegistryClient
from conveyor.adapters.registry_errors import NotFoundError
from conveyor.builder.courier_errors import CourierError
from conveyor.builder.courier_inputs import BlobInput, ContextCopy, GitInput, GitPatch, StageInput
from conveyor.builder.courier_io import Exchange
from conveyor.builder.courier_remote import GitTreeInput, HttpInput, RemoteInput
from conveyor.builder.courier_task import CourierTask
from conveyor.builder.inputs_archive import write_archive, write_patch
from conveyor.builder.inputs_context import write_context
from conveyor.builder.inputs_git import GitStore
from conveyor.builder.inputs_git_tree import write_git_tree
from conveyor.builder.inputs_http import write_http
from conveyor.builder.remote_hosts import Gate
from conveyor.builder.remote_http import Visitor
from conveyor.config.remote_source import shown_url

_PIECE: Final = 1 << 20


class InputProvider:
    """Provides the inputs of one task."""

    def __init__(self, task: CourierTask, exchange: Exchange, registry: RegistryClient) -> None:
        self._task = task
        self._exchange = exchange
        self._registry = registry
        self._git: dict[int, GitStore] = {}

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
            await self._remote(item)
        else:
            await asyncio.to_thread(self._from_git, item)

    async def _remote(self, item: RemoteInput) -> None:
        task = self._task
        url = item.url if isinstance(item, HttpInput) else task.git[item.repository].url
        gate = Gate(policy=task.remote, place=f"{item.at}: {shown_url(url)}")
        visitor = Visitor(gate=gate, limits=task.limits, ca_file=task.ca_file)
        with self._exchange.create_input(item.file) as out:
            if isinstance(item, HttpInput):
                await write_http(item, out, visitor)
            else:
                await write_git_tree(item, task.git[item.repository], out, visitor)

    def _from_git(self, item: GitInput) -> None:
        store = self._fetched(item.repository)
        with self._exchange.create_input(item.file) as out:
            if isinstance(item, ContextCopy):
                described = write_context(
                    store,
                    item,
                    out,
                    self._task.limits,
                    lambda number: self._exchange.create_input(f"{item.file}.{number}"),
                )
                self._json(f"{item.file}.json", described)
            elif isinstance(item, GitPatch):
                deleted = write_patch(store, item, out, self._task.limits)
                self._json(f"{item.file}.deletes", deleted)
            else:
                write_archive(store, item, out, self._task.limits)

    def _json(self, name: str, value: object) -> None:
        with self._exchange.create_input(name) as out:
            out.write(json.dumps(value, separators=(",", ":")).encode())

    def _fetched(self, repository: int) -> GitStore:
        if repository not in self._git:
            store = GitStore.create()
            commits = _commits(self._task, repository)
            store.fetch(self._task.git[repository], commits, ca_file=self._task.ca_file)
            self._git[repository] = store
        return self._git[repository]

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


def _commits(task: CourierTask, repository: int) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for item in task.inputs:
        if not isinstance(item, GitInput) or item.repository != repository:
            continue
        if isinstance(item, GitPatch):
            found[item.start] = None
        found[item.commit] = None
    return tuple(found)
