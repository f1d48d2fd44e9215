"""Tars of the stage container, complete or still being written.

In: names in the shared directory. Out: their bytes, block by block. The stage program writes every layer as `out/layer.part` and
renames it when it is complete; that is the same file by another name, so who has begun to read it goes on.
"""

import os
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final, Self

from conveyor.builder.courier_io import Exchange

_PAUSE: Final = 0.004


class Tar:
    """An open tar; close it, or use it in `with`.

    Args:
        file: of which the position is of no matter.
        complete: whether nobody is writing to it any more.
    """

    def __init__(self, file: BinaryIO, complete: Callable[[], bool]) -> None:
        self._file = file
        self._complete = complete

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def size(self) -> int:
        """Bytes that are there now."""
        return os.fstat(self._file.fileno()).st_size

    def blocks(self, length: int) -> Iterator[bytes]:
        """All of it in blocks of `length` bytes, the last one shorter; waits for what is not there yet."""
        at, end = 0, None
        while end is None or at < end:
            if end is None and self._complete():
                # Not beyond the size seen now: hostile code may go on appending.
                end = self.size()
            ready = (self.size() if end is None else end) - at
            if end is None and ready < length:
                time.sleep(_PAUSE)
                continue
            data = os.pread(self._file.fileno(), min(length, ready), at)
            if not data:
                return
            at += len(data)
            yield data


OpenTar = Callable[[], Tar]


def complete_tar(exchange: Exchange, name: str) -> Tar:
    """Open `out/<name>`, which is complete.

    Raises:
        CourierError: LayerInvalid, it is missing or is no regular file.
    """
    return Tar(exchange.open_output(name)[0], lambda: True)


def growing_tar(exchange: Exchange, descriptor: int) -> Tar:
    """Open once more what is, or was, being written as `out/layer.part`."""
    inode = os.fstat(descriptor).st_ino
    file = os.fdopen(os.dup(descriptor), "rb", buffering=0)
    return Tar(file, lambda: exchange.growing() != inode)
