"""An SSH agent that runs elsewhere: on the machine of `conveyor build`.

In: the socket to make; standard input and output, which lead to that machine. Out: a socket that answers as the agent does.
Frames on both: number of the connection and number of bytes (both 4 bytes, big-endian), then these bytes as they are; without
bytes the connection has ended. The keys stay where they are, and so does the agent's socket.
"""

import os
import socket
import struct
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO, Final

AGENT: Final = "agent"
"""File of a key's Secret that stands for an agent that runs elsewhere."""
HEAD: Final = struct.Struct(">II")
PIECE: Final = 1 << 16
_START_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.02


def await_agent(path: str) -> bool:
    """Wait until somebody has made the socket; False when nobody does."""
    deadline = time.monotonic() + _START_SECONDS
    while not Path(path).is_socket():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


class Relay:
    """Connections of the socket, by their numbers."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._open: dict[int, socket.socket] = {}

    def accept(self, listening: socket.socket) -> None:
        """Take connections until the process ends."""
        number = 0
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return  # the socket is closed
            number = (number + 1) % (1 << 32)
            with self._lock:
                self._open[number] = connection
            threading.Thread(target=self._pump, args=(number, connection), daemon=True).start()

    def deliver(self, number: int, data: bytes) -> None:
        """Give a connection what the agent says; its end without any."""
        with self._lock:
            connection = self._open.get(number)
        try:
            if connection is not None and data:
                connection.sendall(data)
            elif connection is not None:
                connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # who asked has gone

    def _pump(self, number: int, connection: socket.socket) -> None:
        data = b"x"
        while data:
            try:
                data = connection.recv(PIECE)
            except OSError:
                data = b""
            with self._lock:
                self._out.write(HEAD.pack(number, len(data)) + data)
                self._out.flush()
        with self._lock:
            self._open.pop(number, None)
        connection.close()


def main(path: str, given: BinaryIO, out: BinaryIO) -> int:
    """Serve until the other end is closed; returns the exit code."""
    with socket.socket(socket.AF_UNIX) as listening:
        # The stage program connects as root, and so may nobody else: it makes sockets for the users of a RUN.
        old = os.umask(0o177)
        listening.bind(path)
        os.umask(old)
        listening.listen(64)
        relay = Relay(out)
        threading.Thread(target=relay.accept, args=(listening,), daemon=True).start()
        while len(head := given.read(HEAD.size)) == HEAD.size:
            number, size = HEAD.unpack(head)
            relay.deliver(number, given.read(size))
    Path(path).unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.stdin.buffer, sys.stdout.buffer))
