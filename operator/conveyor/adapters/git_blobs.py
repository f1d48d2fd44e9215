"""SHA-256 of many blobs from one `git cat-file --batch`.

In: its output, piece by piece. Out: the sums by object id. No blob is held in memory.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from conveyor.adapters.git_errors import GitFailed


@dataclass(slots=True)
class BlobSums:
    """Reads `OID blob SIZE`, a line feed, the content, a line feed, again and again."""

    found: dict[str, str] = field(default_factory=dict)
    _head: bytes = b""
    _oid: str = ""
    _left: int = 0
    _sum: Any = None

    def feed(self, data: bytes) -> None:
        """Take the next piece of output.

        Raises:
            GitFailed: An object is missing.
        """
        view = memoryview(data)
        while view:
            view = self._content(view) if self._sum is not None else self._header(view)

    def _header(self, view: memoryview) -> memoryview:
        line, found, rest = bytes(view).partition(b"\n")
        self._head += line
        if not found:
            return memoryview(b"")
        words = self._head.decode("ascii").split(" ")
        self._head = b""
        if len(words) != 3:
            raise GitFailed("cat-file", 1, f"object {' '.join(words)}".encode())
        self._oid, self._left, self._sum = words[0], int(words[2]), hashlib.sha256()
        return memoryview(rest)

    def _content(self, view: memoryview) -> memoryview:
        self._sum.update(view[: self._left])
        taken = min(self._left, len(view))
        self._left -= taken
        if self._left or taken == len(view):
            return memoryview(b"")
        self.found[self._oid] = self._sum.hexdigest()
        self._sum = None
        return view[taken + 1 :]  # the line feed after the content
