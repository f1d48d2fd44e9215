"""One request to a registry and its whole reply.

In: an HTTP response. Out: a `Reply` of limited size or a `RegistryError`.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import aiohttp

from conveyor.adapters.registry_errors import (
    Reply,
    TooLargeError,
    UnreachableError,
    error_of,
)

CHUNK: Final = 256 << 10
_MAX_ERROR_BODY: Final = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request.

    Attributes:
        method: HTTP method.
        url: path from `/v2/` on, or the absolute URL a registry gave us (upload locations).
        repository: name at the endpoint, for the choice of the credential.
        scopes: what a token must allow.
        doing: for messages, "get manifest app:1".
        headers: further headers.
        body: bytes, or a stream, which is sent once and never again.
        limit: bytes of the reply that are accepted.
        good: statuses that are an answer and not an error.
        transfer: the reply is a blob: the long time limit holds.
    """

    method: str
    url: str
    repository: str
    doing: str
    scopes: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    body: bytes | AsyncIterator[bytes] | None = field(default=None, repr=False)
    limit: int = _MAX_ERROR_BODY
    good: frozenset[int] = frozenset({200})
    transfer: bool = False


@contextmanager
def broken_is_unreachable(host: str, doing: str) -> Iterator[None]:
    """Turn whatever a broken connection raises into `UnreachableError`."""
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise UnreachableError(f"registry {host}: {doing}: {_why(error)}", host=host) from error


def _why(error: Exception) -> str:
    """The cause in a person's words; aiohttp's text of a failed connection shows objects of Python."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect: {error.os_error.strerror or error.os_error}"
    if isinstance(error, TimeoutError):
        return str(error)[:300] or "timed out"
    return str(error)[:300] or type(error).__name__


async def whole_reply(response: aiohttp.ClientResponse, host: str, call: Call) -> Reply:
    """Read a reply to its end.

    Raises:
        RegistryError: its status is none of `call.good`, or it is larger than `call.limit`.
    """
    good = response.status in call.good
    limit = call.limit if good else _MAX_ERROR_BODY
    body = await _read(response, limit, complete=good, what=f"registry {host}: {call.doing}")
    headers = {name.lower(): value for name, value in response.headers.items()}
    reply = Reply(status=response.status, headers=headers, body=body)
    if not good:
        raise error_of(reply, host=host, doing=call.doing)
    return reply


async def _read(
    response: aiohttp.ClientResponse, limit: int, *, complete: bool, what: str
) -> bytes:
    """Read a body of at most `limit` bytes.

    Raises:
        TooLargeError: there is more, and `complete` says that a part is no use.
    """
    parts, size = [], 0
    async for chunk in response.content.iter_chunked(CHUNK):
        size += len(chunk)
        if size > limit:
            if complete:
                raise TooLargeError(f"{what}: the reply is larger than {limit} bytes")
            break
        parts.append(chunk)
    return b"".join(parts)
