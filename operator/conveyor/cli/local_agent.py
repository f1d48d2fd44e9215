"""The SSH agent of this machine for commands of stages.

In: the agent's socket, a courier's container. Out: the agent answers there, through the Engine's connection: no socket and no key
goes to the Engine's machine. Commands may list keys and have things signed; they can neither add keys nor remove or lock any.
"""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from conveyor.adapters.engine_api import EngineApi, EngineError
from conveyor.adapters.engine_exec import Pipe, execute
from conveyor.api.errors import NotYet
from conveyor.builder.courier_agent import HEAD
from conveyor.jobs.ssh import COURIER_PATH, SOCKET

_COMMAND: Final = ("/opt/conveyor/bin/python3", "-I", "-m", "conveyor.builder.courier_agent")
_LENGTH: Final = struct.Struct(">I")
_MOST: Final = 256 << 10
# Of the protocol of SSH agents: list the keys, sign.
_ALLOWED: Final = frozenset({11, 13})
_FAILURE: Final = _LENGTH.pack(1) + bytes([5])


async def serve_agent(api: EngineApi, container: str, agent: Path) -> None:
    """Answer until the container is gone."""
    try:
        async with execute(api, container, (*_COMMAND, f"{COURIER_PATH}/{SOCKET}")) as pipe:
            await _Serving(pipe, agent).run()
    except (EngineError, NotYet, OSError):
        return  # the courier tells that it has no agent


class _Serving:
    """The connections of one container."""

    def __init__(self, pipe: Pipe, agent: Path) -> None:
        self._pipe = pipe
        self._agent = agent
        self._lock = asyncio.Lock()
        self._asked: dict[int, asyncio.Queue[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        try:
            while head := await self._pipe.read(HEAD.size):
                number, size = HEAD.unpack(head)
                data = await self._pipe.read(size) if size else b""
                if number not in self._asked:
                    self._begin(number)
                self._asked[number].put_nowait(data)
                if not data:
                    del self._asked[number]
        finally:
            for task in self._tasks:
                task.cancel()

    def _begin(self, number: int) -> None:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._asked[number] = queue

        async def answer(data: bytes) -> None:
            async with self._lock:
                self._pipe.writer.write(HEAD.pack(number, len(data)) + data)
                await self._pipe.writer.drain()

        task = asyncio.create_task(_converse(self._agent, queue, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _converse(
    agent: Path, queue: "asyncio.Queue[bytes]", answer: Callable[[bytes], Awaitable[None]]
) -> None:
    """One connection of a client, on one connection to the agent."""
    try:
        reader, writer = await asyncio.open_unix_connection(agent)
    except OSError:
        await answer(b"")
        return
    try:
        left = b""
        while data := await queue.get():
            left += data
            while (request := _request(left)) is not None:
                left = left[len(request) :]
                await answer(await _asked(reader, writer, request))
    except (ValueError, asyncio.IncompleteReadError, OSError):
        await answer(b"")
    finally:
        writer.close()


def _request(data: bytes) -> bytes | None:
    """The first whole request, None while it is not there."""
    if len(data) < _LENGTH.size:
        return None
    size = _LENGTH.size + int(_LENGTH.unpack_from(data)[0])
    if not _LENGTH.size < size <= _MOST:
        raise ValueError("no request of a client of an agent")
    return data[:size] if len(data) >= size else None


async def _asked(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> bytes:
    if request[_LENGTH.size] not in _ALLOWED:
        return _FAILURE
    writer.write(request)
    await writer.drain()
    head = await reader.readexactly(_LENGTH.size)
    (size,) = _LENGTH.unpack(head)
    if size > _MOST:
        raise ValueError("no answer of an agent")
    return head + await reader.readexactly(size)
