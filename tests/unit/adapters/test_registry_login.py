"""Headers from challenges and tokens; streams that are checked while they pass."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from conveyor.adapters.oci_ref import sha256_digest
from conveyor.adapters.registry_auth import Credentials, TokenRequest
from conveyor.adapters.registry_errors import DigestMismatchError, TooLargeError
from conveyor.adapters.registry_login import Login, Need
from conveyor.adapters.registry_streams import Tally, Verified

BEARER = ['Bearer realm="https://auth.example/t",service="s"']
NEED = Need(
    origin="https://r.example",
    registry="r.example",
    repository="a",
    scopes=("repository:a:pull",),
)
KNOWN = Credentials.parse(
    [json.dumps({"auths": {"r.example": {"username": "u", "password": "p"}}})]
)


class Tokens:
    """Gives t1, t2, …; remembers the requests."""

    def __init__(self, seconds: int = 300) -> None:
        self.requests: list[TokenRequest] = []
        self.seconds = seconds

    async def __call__(self, request: TokenRequest, registry: str) -> bytes:
        assert registry == "r.example"
        self.requests.append(request)
        await asyncio.sleep(0)
        token = f"t{len(self.requests)}"
        return json.dumps({"token": token, "expires_in": self.seconds}).encode()


async def test_nothing_is_sent_unasked() -> None:
    tokens = Tokens()
    assert await Login(KNOWN, tokens).header(NEED) is None
    assert tokens.requests == []


async def test_a_token_is_kept_until_it_is_refused() -> None:
    tokens = Tokens()
    login = Login(KNOWN, tokens)
    assert await login.answer(NEED, BEARER, None) == "Bearer t1"
    assert await login.header(NEED) == "Bearer t1"
    assert await login.answer(NEED, BEARER, "Bearer t1") == "Bearer t2"
    assert "Authorization" in tokens.requests[0].headers


async def test_an_expired_token_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("conveyor.adapters.registry_login.time.monotonic", lambda: now[0])
    login = Login(KNOWN, Tokens(seconds=60))
    assert await login.answer(NEED, BEARER, None) == "Bearer t1"
    now[0] += 54
    assert await login.header(NEED) == "Bearer t1"
    now[0] += 2
    assert await login.header(NEED) == "Bearer t2"


async def test_tokens_are_by_scope() -> None:
    login = Login(KNOWN, Tokens())
    push = Need(
        origin=NEED.origin,
        registry=NEED.registry,
        repository="a",
        scopes=("repository:a:pull,push",),
    )
    assert await login.answer(NEED, BEARER, None) == "Bearer t1"
    assert await login.header(push) == "Bearer t2"
    assert await login.header(NEED) == "Bearer t1"


async def test_basic_needs_a_credential_and_is_tried_once() -> None:
    login = Login(KNOWN, Tokens())
    header = await login.answer(NEED, ["Basic realm=x"], None)
    assert header is not None
    assert header.startswith("Basic ")
    assert await login.answer(NEED, ["Basic realm=x"], header) is None
    assert await Login(Credentials(), Tokens()).answer(NEED, ["Basic realm=x"], None) is None
    assert await login.answer(NEED, ["Negotiate"], None) is None


async def source(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_a_tally_counts_and_hashes() -> None:
    seen: list[int] = []
    tally = Tally(source(b"ab", b"c"), seen.append)
    assert [chunk async for chunk in tally] == [b"ab", b"c"]
    assert (tally.size, tally.digest, seen) == (3, sha256_digest(b"abc"), [2, 3])
    assert tally.failure is None


@pytest.mark.parametrize(
    ("data", "size", "error"),
    [
        (b"abc", 3, None),
        (b"abc", None, None),
        (b"abd", 3, DigestMismatchError),
        (b"ab", 3, DigestMismatchError),
        (b"abcd", 3, TooLargeError),
        (b"", 0, DigestMismatchError),
    ],
)
async def test_a_verified_stream(
    data: bytes, size: int | None, error: type[Exception] | None
) -> None:
    verified = Verified(source(data), sha256_digest(b"abc"), size)
    if error is None:
        assert b"".join([chunk async for chunk in verified]) == b"abc"
        return
    with pytest.raises(error):
        [chunk async for chunk in verified]
    assert isinstance(verified.failure, error)
