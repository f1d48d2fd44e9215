"""Requests to registries: connections, authorization, redirects, retries, limits.

In: an `Endpoint` and a `Call`. Out: a `Reply`, or a `RegistryError`. Knows HTTP and who we are, not
what manifests and blobs are. An Authorization header is only ever sent to the very origin that the
credential belongs to, and to the token realm which that origin named.
"""

import asyncio
import io
import ssl
from collections.abc import AsyncIterator, Mapping
from functools import cached_property
from types import TracebackType
from typing import Final, Self
from urllib.request import getproxies_environment

import aiohttp
import stamina
from yarl import URL

from conveyor import __version__
from conveyor.adapters.registry_auth import Credentials, TokenRequest
from conveyor.adapters.registry_call import CHUNK, Call, broken_is_unreachable, whole_reply
from conveyor.adapters.registry_endpoints import Endpoint, RegistryOptions
from conveyor.adapters.registry_errors import (
    RateLimitedError,
    Reply,
    ServerError,
    UnexpectedReplyError,
    UnreachableError,
)
from conveyor.adapters.registry_login import Login, Need

_MAX_REDIRECTS: Final = 5
_MAX_TOKEN_BODY: Final = 1 << 20
_CONNECT_SECONDS: Final = 10.0
_STALL_SECONDS: Final = 60.0
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class Transport:
    """Holds the connections, tokens and schemes of one client; an async context manager."""

    def __init__(self, credentials: Credentials, options: RegistryOptions) -> None:
        self._login = Login(credentials, self._fetch_token)
        self._options = options
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(options.concurrency)
        self._schemes: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        # Twice the calls: a copy holds a download open while it uploads.
        connector = aiohttp.TCPConnector(limit=2 * self._options.concurrency)
        self._session = aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            # Asked for each call otherwise, in a thread, together with a file of logins that nobody has.
            trust_env=bool(getproxies_environment()),
            headers={"User-Agent": f"conveyor/{__version__}"},
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, endpoint: Endpoint, call: Call, *, attempts: int | None = None) -> Reply:
        """Perform a call whose body can be sent again; retries what may pass by itself.

        Raises:
            RegistryError: the registry's answer if it is none of `call.good`, or no answer.
        """
        async for attempt in self.retries(attempts):
            with attempt:
                return await self.once(endpoint, call)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def retries(self, attempts: int | None = None) -> AsyncIterator[stamina.Attempt]:
        """The attempts at something that may pass by itself: bounded, with backoff and jitter."""
        return stamina.retry_context(
            on=_worth_a_retry,
            attempts=attempts or self._options.attempts,
            timeout=None,
            wait_initial=0.2,
            wait_max=10.0,
            wait_jitter=0.3,
        ).__aiter__()

    async def once(self, endpoint: Endpoint, call: Call) -> Reply:
        """Perform a call one time."""
        with broken_is_unreachable(endpoint.host, call.doing):
            async with self._slots:
                response = await self._authorized(endpoint, call)
                async with response:
                    return await whole_reply(response, endpoint.host, call)

    async def stream(self, endpoint: Endpoint, call: Call) -> AsyncIterator[bytes]:
        """The body of a successful reply, piece by piece; `call.limit` is left to the reader."""
        with broken_is_unreachable(endpoint.host, call.doing):
            response = await self._authorized(endpoint, call)
        async with response:
            with broken_is_unreachable(endpoint.host, call.doing):
                if response.status not in call.good:
                    await whole_reply(response, endpoint.host, call)
            pieces = response.content.iter_chunked(CHUNK)
            while True:
                with broken_is_unreachable(endpoint.host, call.doing):
                    piece = await anext(pieces, None)
                if piece is None:
                    return
                yield piece

    async def _authorized(self, endpoint: Endpoint, call: Call) -> aiohttp.ClientResponse:
        base = await self._base(endpoint)
        need = Need(
            origin=str(base),
            registry=endpoint.registry,
            repository=call.repository,
            scopes=call.scopes,
        )
        header = await self._login.header(need)
        response = await self._follow(base, call, header)
        if response.status != 401 or response.url.origin() != base:
            return response
        challenges = response.headers.getall("WWW-Authenticate", [])
        renewed = await self._login.answer(need, challenges, header)
        if renewed is None or not isinstance(call.body, bytes | None):
            return response
        response.release()
        return await self._follow(base, call, renewed)

    async def _follow(
        self, base: URL, call: Call, authorization: str | None
    ) -> aiohttp.ClientResponse:
        url = _target(base, call.url)
        for _ in range(_MAX_REDIRECTS):
            headers = dict(call.headers)
            if authorization is not None and url.origin() == base:
                headers["Authorization"] = authorization
            response = await self._send(call, url, headers)
            location = response.headers.get("Location")
            if (
                response.status not in _REDIRECTS
                or location is None
                or call.method not in {"GET", "HEAD"}
            ):
                return response
            response.release()
            url = _redirected(url, location, base)
        raise UnexpectedReplyError(f"registry {base.authority}: {call.doing}: too many redirects")

    async def _send(
        self, call: Call, url: URL, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        streams = call.transfer or not isinstance(call.body, bytes | None)
        total = self._options.transfer_seconds if streams else self._options.call_seconds
        timeout = aiohttp.ClientTimeout(
            total=total, sock_connect=_CONNECT_SECONDS, sock_read=_STALL_SECONDS
        )
        verified = self._schemes.get(url.authority) != "unverified"
        return await self._open_session().request(
            call.method,
            url,
            headers=headers,
            # aiohttp sends bytes in one piece, which would block the loop when there are many.
            data=io.BytesIO(call.body) if isinstance(call.body, bytes) else call.body,
            timeout=timeout,
            allow_redirects=False,
            ssl=self._tls if verified else False,
        )

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Made when it is needed: reading the authorities takes 20 ms, as much as a small layer."""
        return _tls_context(self._options.ca_file)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("RegistryClient is used outside of `async with`")
        return self._session

    async def _base(self, endpoint: Endpoint) -> URL:
        scheme = (
            endpoint.scheme or self._schemes.get(endpoint.host) or await self._probe(endpoint.host)
        )
        return URL(f"{'http' if scheme == 'http' else 'https'}://{endpoint.host}")

    async def _probe(self, host: str) -> str:
        """Find out what an insecure host speaks: TLS with any certificate, or plain http."""
        timeout = aiohttp.ClientTimeout(total=_CONNECT_SECONDS)
        try:
            url = f"https://{host}/v2/"
            async with self._open_session().get(
                url, ssl=False, timeout=timeout, allow_redirects=False
            ):
                self._schemes[host] = "unverified"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            refused = isinstance(error, aiohttp.ClientConnectorError) and not isinstance(
                error, aiohttp.ClientSSLError
            )
            if refused:
                return "http"  # perhaps nobody is there yet: ask again the next time
            self._schemes[host] = "http"
        return self._schemes[host]

    async def _fetch_token(self, request: TokenRequest, registry: str) -> bytes:
        call = Call(
            method="GET" if request.form is None else "POST",
            url=request.url,
            repository="",
            doing=f"get a token from {URL(request.url).authority}",
            headers=request.headers,
            body=None if request.form is None else request.form.encode(),
            limit=_MAX_TOKEN_BODY,
        )
        # No redirects here: the credential is for this realm and nobody else.
        async with await self._send(call, URL(call.url, encoded=True), call.headers) as response:
            return (await whole_reply(response, registry, call)).body


def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context


def _target(base: URL, url: str) -> URL:
    """The absolute URL; our https is kept when a proxy in between hides it from the registry."""
    target = URL(url, encoded=True) if "://" in url else URL(f"{base}{url}", encoded=True)
    downgraded = target.host == base.host and (target.scheme, base.scheme) == ("http", "https")
    return target.with_scheme("https") if downgraded else target


def _redirected(url: URL, location: str, base: URL) -> URL:
    target = url.join(URL(location, encoded=True))
    if target.scheme not in {"http", "https"} or (base.scheme, target.scheme) == ("https", "http"):
        raise UnexpectedReplyError(f"registry {base.authority} redirects to {target.scheme}://")
    return target


def _worth_a_retry(error: Exception) -> bool | float:
    if isinstance(error, RateLimitedError):
        return True if error.after is None else error.after
    return isinstance(error, UnreachableError | ServerError)
