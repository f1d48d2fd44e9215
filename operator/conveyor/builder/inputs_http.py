"""A file behind a URL as a bundle of one.

In: the URL, its checksum if there is one. Out: a tar with `0/NAME`: mode 0600, owner 0:0, time of Last-Modified or
1970 (moby/buildkit: source/http). Bytes are written as they come; the header that tells how many there were is
written last. Never unpacked, but for a Content-Encoding that nobody asked for.
"""

import asyncio
import hashlib
import zlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import BinaryIO, Final

import aiohttp

from conveyor.builder import tarformat
from conveyor.builder.courier_errors import CourierError
from conveyor.builder.courier_remote import HttpInput
from conveyor.builder.courier_task import Limits
from conveyor.builder.remote_http import Visitor, good_status, worth_another_try

_ATTEMPTS: Final = 3
_PIECE: Final = 1 << 20
_TIMES: Final = (
    "%a, %d %b %Y %H:%M:%S GMT",
    "%A, %d-%b-%y %H:%M:%S GMT",
    "%a %b %d %H:%M:%S %Y",
)


async def write_http(item: HttpInput, out: BinaryIO, visitor: Visitor) -> None:
    """Fetch the file.

    Raises:
        CourierError: RemoteForbidden, RemoteUnreachable, InputMissing, InputTooLarge, ChecksumMismatch.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return await _once(item, out, visitor)
        except CourierError as error:
            if attempt + 1 == _ATTEMPTS or not worth_another_try(error):
                raise
        await asyncio.sleep(0.5 * (attempt + 1))
        out.seek(0)
        out.truncate()
    return None


async def _once(item: HttpInput, out: BinaryIO, visitor: Visitor) -> None:
    entry = tarformat.Entry(
        b"0/" + item.name.encode("utf-8", "surrogateescape"), tarformat.FILE, 0o600
    )
    digest = hashlib.sha256()
    async with visitor.get(item.url) as response:
        good_status(response, visitor.gate)
        entry.mtime = modified(response.headers.get("Last-Modified", ""))
        out.write(tarformat.header(entry))
        async for data in _body(response, visitor):
            entry.size += len(data)
            digest.update(data)
            await asyncio.to_thread(out.write, data)
    found = f"sha256:{digest.hexdigest()}"
    if item.checksum and item.checksum != found:
        text = f"the content has {found}, and --checksum says {item.checksum}"
        raise visitor.gate.error("ChecksumMismatch", text)
    out.write(tarformat.padding(entry.size) + tarformat.END)
    out.seek(0)
    out.write(tarformat.header(entry))


async def _body(response: aiohttp.ClientResponse, visitor: Visitor) -> AsyncIterator[bytes]:
    """The content, unpacked where the server has packed it, within the limit."""
    packed = response.headers.get("Content-Encoding", "").strip().lower() == "gzip"
    unpacker = _Unpacker() if packed else None
    size = 0
    try:
        async for chunk in response.content.iter_chunked(_PIECE):
            for data in unpacker.feed(chunk) if unpacker else (chunk,):
                size += len(data)
                _check_size(size, visitor.limits, visitor)
                yield data
        if unpacker is not None and not unpacker.complete:
            raise visitor.gate.error("RemoteUnreachable", "the packed content ends early")
    except zlib.error as error:
        text = f"the server says gzip, and the content is none: {error}"
        raise visitor.gate.error("InputMissing", text) from None


def _check_size(size: int, limits: Limits, visitor: Visitor) -> None:
    if size > limits.input_bytes:
        text = f"the content has more than {limits.input_bytes} bytes"
        raise visitor.gate.error("InputTooLarge", text)


class _Unpacker:
    """gzip in members one after the other, 1 MiB at a time: a bomb is noticed while it is small."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(31)

    @property
    def complete(self) -> bool:
        """Whether the last member has ended."""
        return self._member.eof

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what a chunk unpacks to."""
        while chunk:
            if self._member.eof:
                self._member = zlib.decompressobj(31)
            yield self._member.decompress(chunk, _PIECE)
            chunk = self._member.unconsumed_tail or self._member.unused_data


def modified(text: str) -> int:
    """Seconds since 1970 that a Last-Modified stands for, 0 for none that can be read or is before."""
    for form in _TIMES:
        try:
            return max(0, int(datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()))
        except ValueError:
            continue
    return 0
