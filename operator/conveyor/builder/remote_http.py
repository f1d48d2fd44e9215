"""Asking a server that a Dockerfile names: every redirect judged anew, nothing told about us, limits of time.

In: a URL and a gate. Out: the answer to a GET, to be read by the caller. No login is ever sent, no cookie kept, no
proxy used: an address could not be judged behind one.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp
from yarl import URL

from conveyor import __version__
from conveyor.builder.courier_errors import CourierError
from conveyor.builder.courier_task import Limits
from conveyor.builder.remote_hosts import CheckedResolver, Gate

MAX_REDIRECTS: Final = 10
_CONNECT_SECONDS: Final = 30
_MAX_LINE: Final = 32 << 10
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_HEADERS: Final = {
    "User-Agent": f"conveyor/{__version__}",
    # Servers that pack all the same are unpacked, as BuildKit does.
    "Accept-Encoding": "identity",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Asks servers on behalf of one ADD."""

    gate: Gate
    limits: Limits
    ca_file: str | None

    @asynccontextmanager
    async def get(self, url: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask for a URL and follow where it leads.

        Raises:
            CourierError: RemoteForbidden; RemoteUnreachable for everything that may pass by itself.
        """
        with _Told(self.gate):
            async with asyncio.timeout(self.limits.remote_seconds) as _, self._session() as session:
                response = await self._follow(session, _parsed(url, self.gate))
                async with response:
                    yield response

    def _session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=CheckedResolver(self.gate),
            use_dns_cache=False,
            force_close=True,
            ssl=_tls(self.ca_file),
        )
        timeout = aiohttp.ClientTimeout(
            total=None,
            sock_connect=min(_CONNECT_SECONDS, self.limits.remote_seconds),
            sock_read=self.limits.remote_stall_seconds,
        )
        return aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            auto_decompress=False,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            max_line_size=_MAX_LINE,
            max_field_size=_MAX_LINE,
        )

    async def _follow(self, session: aiohttp.ClientSession, url: URL) -> aiohttp.ClientResponse:
        for _ in range(MAX_REDIRECTS + 1):
            await self.gate.check(
                url
            )  # the resolver is not asked about addresses, and knows no schemes
            response = await session.get(url, allow_redirects=False)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or location is None:
                return response
            response.close()
            url = self._next(url, location)
        raise self.gate.error("InputMissing", f"more than {MAX_REDIRECTS} redirects")

    def _next(self, url: URL, location: str) -> URL:
        target = url.join(_parsed(location, self.gate))
        if (url.scheme, target.scheme) == ("https", "http"):
            text = f"{url.host} leads from https to http; write the http URL if that is meant"
            raise self.gate.error("RemoteForbidden", text)
        return target.with_fragment(None)


class _Told:
    """Turns what can go wrong on a connection into errors that name the instruction."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, TimeoutError):
            text = "the server is too slow, or sends nothing more"
            raise self._gate.error("RemoteUnreachable", text) from None
        if isinstance(error, aiohttp.ClientError | OSError | ValueError):
            raise self._gate.error("RemoteUnreachable", _said(error)) from None


def _said(error: Exception) -> str:
    """What happened, without URLs: their queries may hold a secret."""
    match error:
        case aiohttp.ClientResponseError():
            return f"the server does not speak HTTP: {error.message.splitlines()[0][:100]}"
        case aiohttp.ClientPayloadError():
            return "the content ends early"
        case aiohttp.ClientConnectorError() | ssl.SSLError():
            return str(error)[:500]
        case _:
            return f"the connection was lost ({type(error).__name__})"


def _parsed(text: str, gate: Gate) -> URL:
    try:
        return URL(text)
    except ValueError as error:
        raise gate.error("InputMissing", f"a URL cannot be read: {error}"[:500]) from None


def _tls(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context


def good_status(response: aiohttp.ClientResponse, gate: Gate) -> None:
    """Refuse an answer that is no success.

    Raises:
        CourierError: InputMissing for good; RemoteUnreachable where asking again may help.
    """
    if response.status in range(200, 300):
        return
    passing = response.status in {408, 425, 429} or response.status >= 500
    reason = "RemoteUnreachable" if passing else "InputMissing"
    raise gate.error(reason, f"{response.url.host} answers {response.status}")


def worth_another_try(error: CourierError) -> bool:
    """Whether what happened may pass by itself."""
    return error.reason == "RemoteUnreachable"
