"""A Docker Engine over its HTTP API.

In: an endpoint as DOCKER_HOST has it, with the folder of a client certificate for TLS. Out: parsed JSON, archives, events;
`EngineError` with the Engine's own sentence otherwise, `NotYet` when it does not answer. aiohttp speaks to the socket itself:
the client library of Docker knows no asyncio, and a dozen calls need none (ADR 23).
"""

import asyncio
import base64
import json
import ssl
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol, Self
from urllib.parse import quote, urlsplit

import aiohttp

from conveyor.adapters.registry_auth import Credential
from conveyor.api.errors import NotYet, UserError
from conveyor.api.names import Reason

Json = dict[str, Any]

_SECONDS: Final = 60.0
_PULL_SECONDS: Final = 3600.0
_MAX_ARCHIVE: Final = 4 << 20
_AGAIN: Final = 5.0
# Before every piece of what a container writes: which stream it is of, three unused bytes, how long it is.
_PIECE: Final = struct.Struct(">B3xI")
OUTPUT: Final = 1
"""The stream of standard output."""


class Bytes(Protocol):
    """A stream that is read in whole parts."""

    async def readexactly(self, count: int, /) -> bytes:
        """Return so many bytes. Raises asyncio.IncompleteReadError at the end."""
        ...


async def read_piece(stream: Bytes) -> tuple[int, bytes]:
    """Return the next piece of what a container writes, and the stream it is of. Raises asyncio.IncompleteReadError."""
    kind, count = _PIECE.unpack(await stream.readexactly(_PIECE.size))
    return kind, await stream.readexactly(count)


_CERTIFICATES: Final = ("ca.pem", "cert.pem", "key.pem")


class EngineError(Exception):
    """The Engine said no. `status` is the HTTP status, 0 for an error in the course of a pull."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where an Engine listens.

    Attributes:
        url: Base of request URLs.
        socket: Path of the socket, "" for TCP.
        tls: Folder with ca.pem, cert.pem and key.pem, "" without TLS.
    """

    shown: str
    url: str
    socket: str = ""
    tls: str = ""

    @classmethod
    def parse(cls, text: str, tls: str = "") -> Self:
        """Read what DOCKER_HOST may be: unix:///PATH or tcp://HOST:PORT.

        Raises:
            UserError: InvalidSpec, it is something else.
        """
        parts = urlsplit(text)
        if parts.scheme == "unix" and parts.path and not parts.netloc:
            return cls(shown=text, url="http://engine", socket=parts.path)
        if parts.scheme in ("tcp", "http", "https") and parts.netloc and not parts.username:
            scheme = "https" if tls or parts.scheme == "https" else "http"
            return cls(shown=text, url=f"{scheme}://{parts.netloc}", tls=tls)
        raise UserError(
            Reason.INVALID_SPEC,
            f"{text!r} is not the address of a Docker Engine: unix:///PATH or tcp://HOST:PORT",
        )


class EngineApi:
    """Requests against one Engine; connections are opened by the first of them."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def ping(self) -> None:
        """Ask whether anybody is there."""
        await self._send("GET", "/_ping")

    async def get(self, path: str, **query: object) -> Any:
        """GET parsed JSON; None when there is no such thing."""
        try:
            return json.loads(await self._send("GET", path, query=query))
        except EngineError as error:
            if error.status == 404:
                return None
            raise

    async def post(self, path: str, body: Json | None = None, **query: object) -> Json:
        """POST, return the parsed answer, {} where there is none."""
        data = await self._send("POST", path, query=query, body=json.dumps(body or {}).encode())
        answer: Json = json.loads(data) if data.strip() else {}
        return answer

    async def delete(self, path: str, **query: object) -> bool:
        """DELETE; False when it was gone, or somebody else is just removing it."""
        try:
            await self._send("DELETE", path, query=query)
        except EngineError as error:
            if error.status in (404, 409):
                return False
            raise
        return True

    async def pull(self, reference: str, credential: Credential | None) -> None:
        """Pull an image by digest or tag.

        Raises:
            EngineError: It cannot be had; the Engine says that in the course of its answer.
        """
        name, _, digest = reference.partition("@")
        query = {"fromImage": name, "tag": digest} if digest else {"fromImage": name}
        headers = {"X-Registry-Auth": _auth(credential)}
        said = await self._send(
            "POST", "/images/create", query=query, headers=headers, seconds=_PULL_SECONDS
        )
        for line in filter(None, said.splitlines()):
            if error := json.loads(line).get("error"):
                raise EngineError(0, str(error))

    async def put_archive(self, container: str, path: str, tar: BinaryIO) -> None:
        """Unpack a tar in a directory of a container, in its volumes too, whether it runs or not."""
        headers = {"Content-Type": "application/x-tar"}
        await self._send(
            "PUT",
            f"/containers/{container}/archive",
            query={"path": path},
            body=tar,
            headers=headers,
            seconds=_PULL_SECONDS,
        )

    async def get_archive(self, container: str, path: str, limit: int = _MAX_ARCHIVE) -> bytes:
        """Return a tar of a path of a container, cut after `limit` bytes.

        Raises:
            EngineError: 404 when there is no such path.
        """
        found = b""
        archive = f"/containers/{container}/archive"
        async with self._answer("GET", archive, query={"path": path}) as response:
            async for piece in response.content.iter_chunked(1 << 16):
                found += piece
                if len(found) > limit:
                    break
        return found[:limit]

    async def stat(self, container: str, path: str) -> Json | None:
        """What a path of a container is (`name`, `mode` in Go's words, …), links not followed; None when it is not there."""
        archive = f"/containers/{container}/archive"
        try:
            async with self._answer("HEAD", archive, query={"path": path}) as response:
                told = response.headers.get("X-Docker-Container-Path-Stat", "")
                found: Json = json.loads(base64.b64decode(told))
                return found
        except EngineError as error:
            if error.status == 404:
                return None
            raise

    async def logs(self, container: str) -> AsyncIterator[bytes]:
        """Yield what a container writes, in pieces, until it ends."""
        path, query = f"/containers/{container}/logs", {"follow": 1, "stdout": 1, "stderr": 1}
        async with self._answer("GET", path, query=query, seconds=0.0) as response:
            while True:
                try:
                    yield (await read_piece(response.content))[1]
                except asyncio.IncompleteReadError:
                    return

    async def events(self, filters: Mapping[str, list[str]]) -> AsyncIterator[Json]:
        """Yield events until the connection ends."""
        query = {"filters": json.dumps(dict(filters))}
        async with self._answer("GET", "/events", query=query, seconds=0.0) as response:
            async for line in response.content:
                yield json.loads(line)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: bytes | BinaryIO | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = _SECONDS,
    ) -> bytes:
        async with self._answer(
            method, path, query=query or {}, body=body, headers=headers, seconds=seconds
        ) as answer:
            return await answer.read()

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object],
        body: bytes | BinaryIO | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = _PULL_SECONDS,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request as a context in which its answer is read."""
        try:
            async with self._connected().request(
                method,
                self.endpoint.url + quote(path, safe="/:@"),
                params={key: str(value) for key, value in query.items()},
                data=body,
                headers={"Content-Type": "application/json", **(headers or {})},
                timeout=aiohttp.ClientTimeout(total=seconds or None, connect=10),
            ) as response:
                if response.status >= 400:
                    raise EngineError(response.status, _message(await response.read()))
                yield response
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            where, what = self.endpoint.shown, str(error) or type(error).__name__
            text = f"the Docker Engine at {where} does not answer: {what}"
            raise NotYet(Reason.ENGINE_UNREACHABLE, text, after=_AGAIN) from error

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            where = self.endpoint
            connector = (
                aiohttp.UnixConnector(where.socket)
                if where.socket
                else aiohttp.TCPConnector(ssl=tls_context(where.tls))
            )
            self._session = aiohttp.ClientSession(connector=connector)
        return self._session


def _message(data: bytes) -> str:
    try:
        return str(json.loads(data)["message"])
    except (ValueError, KeyError, TypeError):
        return data[:300].decode("utf-8", "replace")


def _auth(credential: Credential | None) -> str:
    value: dict[str, str] = {}
    if credential is not None:
        value = {"username": credential.username, "password": credential.password}
        if credential.identity_token:
            value = {"identitytoken": credential.identity_token}
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def tls_context(folder: str) -> ssl.SSLContext:
    """Return what TLS to an Engine is made of.

    Args:
        folder: Has ca.pem, without which the system's authorities are trusted, and cert.pem with key.pem; "" for none.
    """
    ca, cert, key = (Path(folder) / name for name in _CERTIFICATES)
    context = ssl.create_default_context(cafile=str(ca) if folder and ca.is_file() else None)
    if folder and cert.is_file():
        context.load_cert_chain(cert, key)
    return context
