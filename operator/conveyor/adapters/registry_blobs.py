"""Blobs of a registry: read, upload, mount, copy; always streaming, always verified.

In: a `Transport`, references, digests, bytes or streams of bytes. Out: descriptors and streams.
Memory does not grow with the blob. Source: distribution/spec "Pulling blobs", "Pushing blobs",
"Mounting a blob from another repository".
"""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote

from conveyor.adapters.oci_ref import ImageRef
from conveyor.adapters.registry_call import Call
from conveyor.adapters.registry_endpoints import (
    Endpoint,
    RegistryOptions,
    endpoint_of,
    pull_endpoints,
)
from conveyor.adapters.registry_errors import RegistryError, UnexpectedReplyError
from conveyor.adapters.registry_http import Transport
from conveyor.adapters.registry_streams import Progress, Tally, Verified

_OCTETS: Final = {"Content-Type": "application/octet-stream"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedBlob:
    """What became of a stream of unknown length: its digest and size in bytes."""

    digest: str
    size: int


def scope(repository: str, actions: str) -> str:
    """What a token must allow, `repository:app:pull,push`."""
    return f"repository:{repository}:{actions}"


class Blobs:
    """Blob operations of one client."""

    def __init__(self, transport: Transport, options: RegistryOptions) -> None:
        self._transport = transport
        self._options = options

    async def head(self, repo: ImageRef, digest: str) -> int | None:
        """Size of a blob in bytes, or None when the repository does not have it."""
        endpoint = self._own(repo)
        call = _get(endpoint, repo, digest)
        call = replace(call, method="HEAD", good=frozenset({200, 404}))
        reply = await self._transport.call(endpoint, call)
        length = reply.headers.get("content-length", "")
        if reply.status == 404:
            return None
        return int(length) if length.isdigit() else 0

    async def read(self, repo: ImageRef, digest: str, size: int | None) -> AsyncIterator[bytes]:
        """Stream a blob, from the mirror if there is one; verified when read to its end.

        Raises:
            RegistryError: after some bytes too; what was read is then worthless.
        """
        endpoints = pull_endpoints(repo.registry, self._options)
        for endpoint in endpoints:
            body = self._transport.stream(endpoint, _get(endpoint, repo, digest))
            verified = Verified(body, digest, size)
            try:
                async for chunk in verified:
                    yield chunk
            except RegistryError:
                if verified.size or endpoint is endpoints[-1]:
                    raise
            else:
                return

    async def mount(self, repo: ImageRef, digest: str, source: ImageRef) -> bool:
        """Share a blob of another repository of the same registry; False: it would not."""
        query = f"mount={quote(digest, safe='')}&from={quote(source.repository, safe='')}"
        scopes = (scope(repo.repository, "pull,push"), scope(source.repository, "pull"))
        start = _start(repo)
        call = replace(start, url=f"{start.url}?{query}", scopes=scopes, good=frozenset({201, 202}))
        reply = await self._transport.call(self._own(repo), call)
        if reply.status == 202 and "location" in reply.headers:
            await self._cancel(repo, reply.headers["location"])
        return reply.status == 201

    async def upload(self, repo: ImageRef, data: bytes, digest: str) -> None:
        """Upload bytes that fit into memory; tried again from the start of the upload."""
        async for attempt in self._transport.retries():
            with attempt:
                location = await self._location(repo)
                await self._transport.once(self._own(repo), _finish(repo, location, digest, data))

    async def upload_known(
        self, repo: ImageRef, chunks: AsyncIterable[bytes], digest: str, size: int
    ) -> None:
        """Upload a stream of known digest and size in one request; it is not tried again here.

        An exception that `chunks` raises ends the upload and is raised again.
        """
        location = await self._location(repo)
        verified = Verified(chunks, digest, size)
        put = _finish(repo, location, digest, aiter(verified))
        put = replace(put, headers={**put.headers, "Content-Length": str(size)})
        await self._sent(repo, location, put, verified)

    async def upload_stream(self, repo: ImageRef, chunks: AsyncIterable[bytes]) -> StreamedBlob:
        """Upload a stream while it is being produced; it is not tried again here.

        An exception that `chunks` raises ends the upload and is raised again.
        """
        location = await self._location(repo)
        tally = Tally(chunks)
        patch = _upload(repo, "PATCH", location, aiter(tally))
        location = await self._sent(repo, location, patch, tally)
        put = _finish(repo, location, tally.digest, b"")
        await self._transport.once(self._own(repo), put)
        return StreamedBlob(digest=tally.digest, size=tally.size)

    async def _sent(self, repo: ImageRef, location: str, call: Call, tally: Tally) -> str:
        """Send a stream; gives the upload up when that fails. Returns the next location."""
        try:
            reply = await self._transport.once(self._own(repo), call)
        except RegistryError:
            await self._cancel(repo, location)
            if tally.failure is not None:
                raise tally.failure from None
            raise
        return reply.headers.get("location", location)

    async def _cancel(self, repo: ImageRef, location: str) -> None:
        """Give an upload up, so that the registry can forget it sooner; best effort."""
        try:
            await self._transport.once(self._own(repo), _upload(repo, "DELETE", location, None))
        except RegistryError:
            return

    async def copy(
        self,
        source: ImageRef,
        digest: str,
        size: int,
        target: ImageRef,
        progress: Progress | None = None,
    ) -> None:
        """Copy a blob: nothing to do, or mount, or stream it, then with a retry of the whole."""
        if await self.head(target, digest) is not None:
            return
        near = self._near(source, target)
        if near is not None and await self._mounted(target, digest, near):
            return
        async for attempt in self._transport.retries():
            with attempt:
                chunks = Tally(self.read(source, digest, size), progress)
                await self.upload_known(target, chunks, digest, size)

    def _near(self, source: ImageRef, target: ImageRef) -> ImageRef | None:
        """The repository of the target's own registry that has what the source has: the same registry, or a mirror there."""
        host = self._own(target).host
        for endpoint in pull_endpoints(source.registry, self._options):
            if endpoint.host == host:
                return replace(
                    source, registry=target.registry, repository=endpoint.repository(source)
                )
        return None

    async def _mounted(self, target: ImageRef, digest: str, source: ImageRef) -> bool:
        try:
            return await self.mount(target, digest, source)
        except RegistryError:
            return False  # some registries refuse the second scope; a copy needs it at another time

    async def _location(self, repo: ImageRef) -> str:
        reply = await self._transport.once(self._own(repo), _start(repo))
        if "location" not in reply.headers:
            raise UnexpectedReplyError(f"registry {repo.registry}: upload started without Location")
        return reply.headers["location"]

    def _own(self, repo: ImageRef) -> Endpoint:
        return endpoint_of(repo.registry, self._options)


def _get(endpoint: Endpoint, repo: ImageRef, digest: str) -> Call:
    repository = endpoint.repository(repo)
    return Call(
        method="GET",
        url=f"/v2/{repository}/blobs/{digest}",
        repository=repository,
        scopes=(scope(repository, "pull"),),
        doing=f"get blob {digest} of {repository}",
        transfer=True,
    )


def _start(repo: ImageRef) -> Call:
    return Call(
        method="POST",
        url=f"/v2/{repo.repository}/blobs/uploads/",
        repository=repo.repository,
        scopes=(scope(repo.repository, "pull,push"),),
        doing=f"push to {repo.repository}",
        good=frozenset({202}),
    )


def _upload(
    repo: ImageRef, method: str, location: str, body: bytes | AsyncIterator[bytes] | None
) -> Call:
    good = {202} if method == "PATCH" else {200, 201, 202, 204}
    return replace(
        _start(repo),
        method=method,
        url=location,
        headers=_OCTETS,
        body=body,
        good=frozenset(good),
        transfer=True,
    )


def _finish(repo: ImageRef, location: str, digest: str, body: bytes | AsyncIterator[bytes]) -> Call:
    mark = "&" if "?" in location else "?"
    return _upload(repo, "PUT", f"{location}{mark}digest={quote(digest, safe='')}", body)
