"""The OCI distribution client: tags, manifests, configs, blobs of any registry.

In: image references. Out: `Manifest`, `ImageIndex`, `Descriptor`, parsed configs, streams of bytes.
Every manifest and blob that was asked for by digest is verified. Raises only `RegistryError`s.
Source: OCI distribution-spec 1.1. What it does not do: search, catalog, schema 1, referrers.

    async with RegistryClient(credentials, options) as registry:
        ref, manifest = await registry.resolve(ImageRef.parse("ubuntu"), platform)
        config = await registry.get_blob_json(ref, manifest.config)
"""

import hashlib
import json
import re
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote, urlsplit

import stamina

from conveyor.adapters.oci import (
    MANIFEST_TYPES,
    Descriptor,
    ImageIndex,
    Manifest,
    Platform,
    parse_manifest,
)
from conveyor.adapters.oci_ref import ImageRef, OciFormatError, is_digest, sha256_digest
from conveyor.adapters.registry_auth import Credentials
from conveyor.adapters.registry_blobs import Blobs, StreamedBlob, scope
from conveyor.adapters.registry_call import Call
from conveyor.adapters.registry_endpoints import (
    Endpoint,
    RegistryOptions,
    endpoint_of,
    pull_endpoints,
)
from conveyor.adapters.registry_errors import (
    DigestMismatchError,
    NotFoundError,
    RegistryError,
    Reply,
    TooLargeError,
    UnexpectedReplyError,
)
from conveyor.adapters.registry_http import Transport
from conveyor.adapters.registry_streams import Progress, file_chunks

MANIFEST_LIMIT: Final = 4 << 20
JSON_LIMIT: Final = 8 << 20
_TAGS_LIMIT: Final = 16 << 20
_MAX_TAG_PAGES: Final = 1000
_PAGE: Final = 1000
_NEXT: Final = re.compile(r'<([^>]+)>\s*;[^,]*\brel="?next"?')
_ACCEPT: Final = {"Accept": ", ".join(MANIFEST_TYPES)}


class RegistryClient:
    """Client of all registries; an async context manager, safe for concurrent use in one loop."""

    def __init__(
        self, credentials: Credentials | None = None, options: RegistryOptions | None = None
    ) -> None:
        self._options = options or RegistryOptions()
        self._transport = Transport(credentials or Credentials(), self._options)
        self._blobs = Blobs(self._transport, self._options)

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)

    async def list_tags(self, repo: ImageRef) -> tuple[str, ...]:
        """All tags of a repository; empty when it does not exist or holds no tagged manifest."""
        endpoint = endpoint_of(repo.registry, self._options)
        url, tags = f"/v2/{repo.repository}/tags/list?n={_PAGE}", list[str]()
        for _ in range(_MAX_TAG_PAGES):
            reply = await self._transport.call(endpoint, _tags_call(repo, url))
            if reply.status == 404:
                return tuple(tags)
            tags += _tags(reply, repo)
            following = _NEXT.search(reply.headers.get("link", ""))
            if following is None:
                return tuple(tags)
            url = _relative(following[1])
        raise TooLargeError(f"{repo.name} has more than {_MAX_TAG_PAGES * _PAGE} tags")

    async def get_manifest(self, ref: ImageRef) -> Manifest | ImageIndex:
        """The manifest or index at a tag or digest.

        Raises:
            NotFoundError: there is none.
            DigestMismatchError: the registry answered with something else.
        """
        reply = await self._pull(ref, "GET")
        if ref.digest is not None and sha256_digest(reply.body) != ref.digest:
            raise DigestMismatchError(f"{ref}: the manifest does not have this digest")
        try:
            return parse_manifest(reply.body, reply.headers.get("content-type", ""))
        except OciFormatError as error:
            raise UnexpectedReplyError(f"{ref}: {error}") from None

    async def head_manifest(self, ref: ImageRef) -> Descriptor | None:
        """Digest, type and size of what a reference points at; None when there is nothing."""
        try:
            reply = await self._pull(ref, "HEAD")
        except NotFoundError:
            return None
        digest = reply.headers.get("docker-content-digest", "")
        length = reply.headers.get("content-length", "")
        if not is_digest(digest) or not length.isdigit():
            found = await self.get_manifest(ref)  # the header is optional in the specification
            digest, length = found.digest, str(len(found.raw))
        media_type = reply.headers.get("content-type", "")
        return Descriptor(media_type=media_type, digest=digest, size=int(length))

    async def put_manifest(self, ref: ImageRef, manifest: Manifest | ImageIndex) -> Descriptor:
        """Push a manifest under a tag, or untagged when `ref` has its digest or no tag at all."""
        if ref.digest not in {None, manifest.digest}:
            raise DigestMismatchError(f"{ref}: the manifest to push is {manifest.digest}")
        target = ref if ref.tag else ref.with_digest(manifest.digest)
        call = _manifest_call(endpoint_of(ref.registry, self._options), target, "PUT")
        call = replace(
            call,
            url=f"/v2/{ref.repository}/manifests/{target.tag or target.digest}",
            headers={"Content-Type": manifest.media_type},
            body=manifest.raw,
            good=frozenset({200, 201, 202}),
        )
        await self._transport.call(endpoint_of(ref.registry, self._options), call)
        size = len(manifest.raw)
        return Descriptor(media_type=manifest.media_type, digest=manifest.digest, size=size)

    async def resolve(self, ref: ImageRef, platform: Platform) -> tuple[ImageRef, Manifest]:
        """The image for a platform: its reference by digest and its manifest.

        Raises:
            NotFoundError: nothing there, or nothing for this platform.
        """
        found = await self.get_manifest(ref)
        if isinstance(found, Manifest):
            return ref.with_digest(found.digest), found
        chosen = found.select(platform)
        if chosen is None:
            have = ", ".join(sorted({str(d.platform) for d in found.manifests if d.platform}))
            raise NotFoundError(f"{ref} has no image for {platform}; it has: {have or 'none'}")
        exact = ref.with_digest(chosen.digest)
        inner = await self.get_manifest(exact)
        if not isinstance(inner, Manifest):
            raise UnexpectedReplyError(f"{ref}: an index inside an index is not supported")
        return exact, inner

    async def get_blob_json(self, repo: ImageRef, blob: Descriptor) -> Mapping[str, object]:
        """A JSON blob (image config), at most 8 MiB, verified."""
        if blob.size > JSON_LIMIT:
            raise TooLargeError(f"{repo.name}: {blob.digest} is larger than {JSON_LIMIT} bytes")
        data = b""
        async for attempt in self._transport.retries():
            with attempt:
                parts = [part async for part in self._blobs.read(repo, blob.digest, blob.size)]
                data = b"".join(parts)
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise UnexpectedReplyError(f"{repo.name}: {blob.digest} is not a JSON object")
        return value

    async def head_blob(self, repo: ImageRef, digest: str) -> int | None:
        """Size in bytes of a blob, None when the repository does not have it."""
        return await self._blobs.head(repo, digest)

    def read_blob(
        self, repo: ImageRef, digest: str, size: int | None = None
    ) -> AsyncIterator[bytes]:
        """Stream a blob; raises at the end when it is not what `digest` promises."""
        return self._blobs.read(repo, digest, size)

    async def upload_blob(
        self,
        repo: ImageRef,
        data: bytes,
        media_type: str = "application/octet-stream",
        *,
        ask: bool = True,
    ) -> Descriptor:
        """Upload bytes unless they are there already; without `ask` that is not asked."""
        blob = Descriptor(media_type=media_type, digest=sha256_digest(data), size=len(data))
        if not ask or await self._blobs.head(repo, blob.digest) is None:
            await self._blobs.upload(repo, data, blob.digest)
        return blob

    async def upload_file(
        self, repo: ImageRef, path: Path, media_type: str = "application/octet-stream"
    ) -> Descriptor:
        """Upload a file unless it is there already, with constant memory."""
        with path.open("rb") as file:
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            size = file.tell()
        if await self._blobs.head(repo, digest) is None:
            async for attempt in self._transport.retries():
                with attempt:
                    await self._blobs.upload_known(repo, file_chunks(path), digest, size)
        return Descriptor(media_type=media_type, digest=digest, size=size)

    async def upload_stream(self, repo: ImageRef, chunks: AsyncIterable[bytes]) -> StreamedBlob:
        """Upload a stream while it is produced; the caller tries again with a new stream."""
        return await self._blobs.upload_stream(repo, chunks)

    def retries(self) -> AsyncIterator[stamina.Attempt]:
        """Attempts for a caller that must produce its stream anew: `async for a in …: with a:`."""
        return self._transport.retries()

    async def copy_blob(
        self,
        source: ImageRef,
        blob: Descriptor,
        target: ImageRef,
        progress: Progress | None = None,
    ) -> None:
        """Copy a blob: mounted if possible, else streamed; `progress` hears the bytes so far."""
        await self._blobs.copy(source, blob.digest, blob.size, target, progress)

    async def _pull(self, ref: ImageRef, method: str) -> Reply:
        endpoints = pull_endpoints(ref.registry, self._options)
        for endpoint in endpoints[:-1]:
            try:
                call = _manifest_call(endpoint, ref, method)
                return await self._transport.call(endpoint, call, attempts=1)
            except RegistryError:
                continue  # a mirror is a help, not an authority
        call = _manifest_call(endpoints[-1], ref, method)
        return await self._transport.call(endpoints[-1], call)


def _manifest_call(endpoint: Endpoint, ref: ImageRef, method: str) -> Call:
    repository = endpoint.repository(ref)
    actions = "pull" if method in {"GET", "HEAD"} else "pull,push"
    return Call(
        method=method,
        url=f"/v2/{repository}/manifests/{quote(ref.reference, safe=':')}",
        repository=repository,
        scopes=(scope(repository, actions),),
        doing=f"{method.lower()} manifest {repository}:{ref.reference}",
        headers=_ACCEPT,
        limit=MANIFEST_LIMIT,
    )


def _tags_call(repo: ImageRef, url: str) -> Call:
    return Call(
        method="GET",
        url=url,
        repository=repo.repository,
        scopes=(scope(repo.repository, "pull"),),
        doing=f"list tags of {repo.repository}",
        limit=_TAGS_LIMIT,
        good=frozenset({200, 404}),
    )


def _tags(reply: Reply, repo: ImageRef) -> list[str]:
    try:
        tags = json.loads(reply.body)["tags"] or []  # distribution writes null for none
    except (ValueError, KeyError, TypeError, RecursionError):
        tags = None
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise UnexpectedReplyError(f"registry {repo.registry}: the tag list is malformed")
    return tags


def _relative(link: str) -> str:
    """Path and query of a Link; the host is ours, whatever a proxy made of it."""
    parts = urlsplit(link)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
