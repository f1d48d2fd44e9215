"""zstd, unpacked by the system's own library, for the standard library knows it only from Python 3.14 on.

In: packed bytes. Out: plain ones, a piece at a time. The interface is that of the standard library's decompressors.
"""

import ctypes
import functools
from typing import Any, Final

from conveyor.builder.courier_errors import CourierError

_NAME: Final = "libzstd.so.1"
_WINDOW_LOG: Final = 27  # 128 MiB, what the zstd program itself accepts
_WINDOW_LOG_MAX: Final = 100  # ZSTD_d_windowLogMax


class ZstdError(Exception):
    """The data is broken."""


class _Buffer(ctypes.Structure):
    """ZSTD_inBuffer and ZSTD_outBuffer."""

    _fields_ = (("at", ctypes.c_void_p), ("size", ctypes.c_size_t), ("pos", ctypes.c_size_t))


class Decompressor:
    """One frame.

    Raises:
        CourierError: StepInvalid, there is no library.
    """

    def __init__(self) -> None:
        self._library = _library()
        self._stream = self._library.ZSTD_createDStream()
        self._library.ZSTD_DCtx_setParameter(self._stream, _WINDOW_LOG_MAX, _WINDOW_LOG)
        self._data = b""
        self.eof = False
        self._full = False

    def __del__(self) -> None:
        if getattr(self, "_stream", None):
            self._library.ZSTD_freeDStream(self._stream)

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes without further input."""
        return not self.eof and not self._data and not self._full

    @property
    def unused_data(self) -> bytes:
        """What follows the frame."""
        return self._data if self.eof else b""

    def decompress(self, data: bytes, max_length: int = 1 << 20) -> bytes:
        """At most `max_length` bytes more.

        Raises:
            ZstdError: The data is broken.
        """
        self._data += data
        place = ctypes.create_string_buffer(max_length)
        source = ctypes.create_string_buffer(self._data, len(self._data) or 1)
        out = _Buffer(ctypes.addressof(place), max_length, 0)
        taken = _Buffer(ctypes.addressof(source), len(self._data), 0)
        code = self._library.ZSTD_decompressStream(
            self._stream, ctypes.byref(out), ctypes.byref(taken)
        )
        if self._library.ZSTD_isError(code):
            raise ZstdError(self._library.ZSTD_getErrorName(code).decode("ascii", "replace"))
        self._data = self._data[taken.pos :]
        self.eof = code == 0
        self._full = out.pos == max_length
        return place.raw[: out.pos]


@functools.cache
def _library() -> Any:
    try:
        library = ctypes.CDLL(_NAME)
    except OSError as error:
        text = f"a file is packed with zstd, and {_NAME} is not installed beside the courier"
        raise CourierError("StepInvalid", text) from error
    size, place = ctypes.c_size_t, ctypes.c_void_p
    library.ZSTD_createDStream.restype = place
    library.ZSTD_freeDStream.argtypes = [place]
    library.ZSTD_DCtx_setParameter.argtypes = [place, ctypes.c_int, ctypes.c_int]
    library.ZSTD_DCtx_setParameter.restype = size
    library.ZSTD_decompressStream.argtypes = [place, place, place]
    library.ZSTD_decompressStream.restype = size
    library.ZSTD_isError.argtypes = [size]
    library.ZSTD_getErrorName.argtypes = [size]
    library.ZSTD_getErrorName.restype = ctypes.c_char_p
    return library
