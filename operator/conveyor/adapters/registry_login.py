"""The Authorization header for a request: challenges remembered, tokens fetched once and kept.

In: the origin we talk to, what the request needs, the registry's challenge. Out: the header's value
or None. The credential is looked up by the registry's own name, never by a redirect's.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

from conveyor.adapters.registry_auth import (
    Challenge,
    Credentials,
    Token,
    TokenRequest,
    choose,
    parse_challenges,
    parse_token,
    token_request,
)

_TOKEN_MARGIN: Final = 5.0

FetchToken = Callable[[TokenRequest, str], Awaitable[bytes]]
"""Performs a token request for a registry (named for messages) and returns the reply's body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What is to be authorized.

    Attributes:
        origin: `https://host[:port]` we are connected to.
        registry: name the credential is filed under.
        repository: repository at that registry.
        scopes: what a token must allow.
    """

    origin: str
    registry: str
    repository: str
    scopes: tuple[str, ...]


class Login:
    """Challenges and tokens of one client."""

    def __init__(self, credentials: Credentials, fetch: FetchToken) -> None:
        self._credentials = credentials
        self._fetch = fetch
        self._challenges: dict[str, Challenge] = {}
        self._tokens: dict[Need, tuple[Token, float]] = {}
        self._fetching = asyncio.Lock()

    async def header(self, need: Need) -> str | None:
        """The header to send at once: None until the registry has asked for one."""
        challenge = self._challenges.get(need.origin)
        if challenge is None:
            return None
        if challenge.scheme == "basic":
            found = self._credentials.find(need.registry, need.repository)
            return found.basic() if found is not None else None
        return f"Bearer {(await self._token(challenge, need)).value}"

    async def answer(self, need: Need, headers: Iterable[str], sent: str | None) -> str | None:
        """The header to try again with after a 401; None when there is no better one.

        Args:
            need: what was refused.
            headers: the values of WWW-Authenticate.
            sent: the header that was refused.
        """
        challenge = choose(parse_challenges(headers))
        if challenge is None:
            return None
        self._challenges[need.origin] = challenge
        known = self._tokens.get(need)
        if known is not None and sent == f"Bearer {known[0].value}":
            del self._tokens[need]
        header = await self.header(need)
        return None if header == sent else header

    async def _token(self, challenge: Challenge, need: Need) -> Token:
        async with self._fetching:  # many requests start at once: one of them fetches
            token, expires = self._tokens.get(need, (None, 0.0))
            if token is None or time.monotonic() >= expires:
                token = await self._fetch_token(challenge, need)
                self._tokens[need] = (token, time.monotonic() + token.seconds - _TOKEN_MARGIN)
            return token

    async def _fetch_token(self, challenge: Challenge, need: Need) -> Token:
        credential = self._credentials.find(need.registry, need.repository)
        plain = need.origin.startswith("http://")
        request = token_request(challenge, need.scopes, credential, plain_http=plain)
        return parse_token(await self._fetch(request, need.registry))
