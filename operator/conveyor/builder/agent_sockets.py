"""Sockets of the SSH agent where a RUN wants them.

In: paths, owners, and the agent's own socket. Out: sockets that lead to it. The agent speaks with root alone, so a process of
ours listens for everybody else. It lives for one command; sockets are never part of a layer.
"""
# The tools layer has no time for pathlib.
# ruff: noqa: PTH101, PTH120

from __future__ import annotations

import os
import select
import signal
from _socket import AF_UNIX, MSG_DONTWAIT, SOCK_STREAM, socket  # the tools have no `socket`

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from conveyor.builder.rootfs import Rootfs

_WAITING = 64
_PIECE = 64 << 10


class AgentSockets:
    """Listening sockets at the places of the task.

    Attributes:
        first: Where the first one is: what SSH_AUTH_SOCK says.
    """

    def __init__(self, rootfs: Rootfs, sockets: list[dict[str, Any]]) -> None:
        self.first = str(sockets[0]["path"])
        self._child = 0
        self._listening = {_listen(rootfs, one): str(one["agent"]) for one in sockets}

    def serve(self) -> None:
        """Begin to serve, in a process that ends with `stop` or with all others of the command."""
        self._child = os.fork()
        if self._child:
            return
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _Relay(self._listening).run()
        finally:
            os._exit(1)

    def stop(self) -> None:
        """End it; whoever has killed the command's processes may have done so already."""
        child, self._child = self._child, 0
        if not child:
            return
        try:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        except (ProcessLookupError, ChildProcessError):
            return


class _Relay:
    """Passes bytes between clients and the agent."""

    def __init__(self, listening: dict[int, str]) -> None:
        self._listening = {
            number: (socket(fileno=number), agent) for number, agent in listening.items()
        }
        self._peers: dict[int, tuple[socket, socket]] = {}
        self._poll = select.poll()
        for number in self._listening:
            self._poll.register(number, select.POLLIN)

    def run(self) -> None:
        """Serve for ever."""
        while True:
            for number, _ in self._poll.poll():
                if number in self._listening:
                    self._accept(*self._listening[number])
                elif number in self._peers:
                    self._pass(*self._peers[number])

    def _accept(self, listening: socket, agent: str) -> None:
        number, _ = listening._accept()  # type: ignore[attr-defined]  # noqa: SLF001
        client = socket(fileno=number)
        upstream = socket(AF_UNIX, SOCK_STREAM)
        try:
            upstream.connect(agent)
        except OSError:
            client.close()
            upstream.close()
            return
        for one, other in ((client, upstream), (upstream, client)):
            self._peers[one.fileno()] = (one, other)
            self._poll.register(one, select.POLLIN)

    def _pass(self, one: socket, other: socket) -> None:
        try:
            data = one.recv(_PIECE, MSG_DONTWAIT)
            if data:
                other.sendall(data)
                return
        except BlockingIOError:
            return  # the number was another socket's when poll() told of it
        except OSError:
            data = b""
        for end in (one, other):
            self._poll.unregister(end)
            del self._peers[end.fileno()]
            end.close()


def _listen(rootfs: Rootfs, one: dict[str, Any]) -> int:
    """Make a listening socket; it is open for as long as this program lives."""
    real = rootfs.resolve(str(one["path"]).encode("utf-8", "surrogateescape"))
    rootfs.make_dirs(os.path.dirname(real))
    rootfs.remove(real)
    listening = socket(AF_UNIX, SOCK_STREAM)
    listening.bind(real)
    os.chmod(real, int(one["mode"]))
    os.chown(real, int(one["uid"]), int(one["gid"]))
    listening.listen(_WAITING)
    return listening.detach()
