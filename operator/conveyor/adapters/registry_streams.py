"""Streams of bytes on their way to or from a registry: verified, tallied, reported.

In: an async stream of bytes. Out: the same stream, whose failure is kept aside, because an HTTP
client that sends a stream says only "broken" when the stream raises.
"""

import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Callable
from pathlib import Path
from typing import Final

from conveyor.adapters.registry_errors import DigestMismatchError, TooLargeError

_FILE_CHUNK: Final = 1 << 20

Progress = Callable[[int], None]


class Tally:
    """Hashes and counts what passes.

    Attributes:
        size: bytes so far.
        failure: what the source raised.
    """

    def __init__(self, chunks: AsyncIterable[bytes], progress: Progress | None = None) -> None:
        self._chunks = chunks
        self._hash = hashlib.sha256()
        self._progress = progress
        self.size = 0
        self.failure: Exception | None = None

    @property
    def digest(self) -> str:
        """Digest of the bytes so far."""
        return f"sha256:{self._hash.hexdigest()}"

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._chunks:
                self._take(chunk)
                yield chunk
            self._finish()
        except Exception as error:
            self.failure = error
            raise

    def _take(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self.size += len(chunk)
        if self._progress is not None:
            self._progress(self.size)

    def _finish(self) -> None:
        """Called at the end of the stream."""


class Verified(Tally):
    """A stream that must have a digest and, if known, a size; raises at its end if it has not."""

    def __init__(
        self,
        chunks: AsyncIterable[bytes],
        digest: str,
        size: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        super().__init__(chunks, progress)
        self._want = digest
        self._want_size = size

    def _take(self, chunk: bytes) -> None:
        super()._take(chunk)
        if self._want_size is not None and self.size > self._want_size:
            raise TooLargeError(f"blob {self._want} has more than its {self._want_size} bytes")

    def _finish(self) -> None:
        if self.digest != self._want or self._want_size not in {None, self.size}:
            raise DigestMismatchError(
                f"the bytes of {self._want} are not those its digest promises"
            )


async def file_chunks(path: Path) -> AsyncIterator[bytes]:
    """A file, piece by piece."""
    with path.open("rb") as file:
        while chunk := file.read(_FILE_CHUNK):
            yield chunk
