"""Entries of git trees and contents of git objects.

In: a running `git cat-file --batch`. Out: bytes, piece by piece.
"""

import subprocess
from dataclasses import dataclass
from io import BufferedReader
from typing import Self, cast

from conveyor.builder.courier_errors import CourierError


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeEntry:
    """A file, symlink or submodule of a tree.

    Attributes:
        path: from the root of the repository, bytes as git has them.
        mode: `100644`, `100755`, `120000`, `160000`.
        oid: object id.
    """

    path: bytes
    mode: str
    oid: str


class GitObjects:
    """Contents of objects, one after the other, through one `git cat-file --batch`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._left = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def open(self, oid: str) -> int:
        """Go to an object; returns its size in bytes."""
        while self._left:
            self.read()
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101 - it was started with a pipe
        stdin.write(f"{oid}\n".encode())
        stdin.flush()
        words = stdout(self._process).readline().split()
        if len(words) != 3:
            raise CourierError("InputMissing", f"object {oid} is missing from the repository")
        self._left = int(words[2]) + 1
        return int(words[2])

    def read(self) -> bytes:
        """The next bytes of the present object; empty at its end."""
        data = stdout(self._process).read(min(self._left, 1 << 20))
        if self._left and not data:
            raise CourierError("Internal", "git cat-file ended early")
        self._left -= len(data)
        return data if self._left else data[:-1]

    def whole(self, oid: str, most: int) -> bytes:
        """A small object.

        Raises:
            CourierError: InputTooLarge.
        """
        size = self.open(oid)
        if size > most:
            raise CourierError(
                "InputTooLarge", f"object {oid} has {size} bytes, {most} are allowed"
            )
        parts = []
        while self._left:
            parts.append(self.read())
        return b"".join(parts)


def stdout(process: subprocess.Popen[bytes]) -> BufferedReader:
    """The output of a process that was started with a pipe."""
    return cast("BufferedReader", process.stdout)
