"""A command in a running container of a Docker Engine, with its standard input and output.

In: an Engine, a container, a command. Out: a `Pipe`. The Engine turns the connection of such a request over to the command, which
an HTTP client has no way for: the request is written by hand.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

from conveyor.adapters.engine_api import (
    OUTPUT,
    Endpoint,
    EngineApi,
    EngineError,
    read_piece,
    tls_context,
)

_SECONDS: Final = 30.0


class Pipe:
    """Both ends of a command: `writer` is its standard input."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._left = b""
        self.writer = writer

    async def read(self, size: int) -> bytes:
        """Return so many bytes of its standard output; b"" when it has ended."""
        while len(self._left) < size:
            try:
                stream, data = await read_piece(self._reader)
            except (asyncio.IncompleteReadError, ConnectionError):
                return b""
            self._left += data if stream == OUTPUT else b""
        found, self._left = self._left[:size], self._left[size:]
        return found


@asynccontextmanager
async def execute(api: EngineApi, container: str, command: Sequence[str]) -> AsyncIterator[Pipe]:
    """Run a command in a container as a context; at its end the connection is closed.

    Raises:
        EngineError: The Engine does not do it.
        OSError: It cannot be reached.
    """
    body = {"AttachStdin": True, "AttachStdout": True, "Cmd": list(command)}
    made = await api.post(f"/containers/{container}/exec", body)
    reader, writer = await asyncio.wait_for(_connect(api.endpoint), _SECONDS)
    try:
        await _start(reader, writer, str(made["Id"]))
        yield Pipe(reader, writer)
    finally:
        writer.close()


async def _connect(endpoint: Endpoint) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if endpoint.socket:
        return await asyncio.open_unix_connection(endpoint.socket)
    parts = urlsplit(endpoint.url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    context = tls_context(endpoint.tls) if secure else None
    return await asyncio.open_connection(parts.hostname, port, ssl=context)


async def _start(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, found: str) -> None:
    body = json.dumps({"Detach": False, "Tty": False}).encode()
    head = (
        f"POST /exec/{found}/start HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\n"
        f"Upgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await writer.drain()
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _SECONDS)
    status = int(answer.split()[1])
    if status not in (101, 200):
        raise EngineError(status, "the Docker Engine does not run a command in a container")
