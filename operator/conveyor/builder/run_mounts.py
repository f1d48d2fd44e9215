"""What a RUN mounts, made ready for it and given back after it.

In: the field `mounts` of the stage task; the volumes are there already. Out: directories with their mode and owner, empty
tmpfs, locked caches, sockets of the SSH agent, and the environment with secrets in it. Nothing of it is told to anybody.
"""
# The tools layer has no time for pathlib.
# ruff: noqa: PTH101, PTH123, PTH208

from __future__ import annotations

import fcntl
import os

from conveyor.builder.failure import StageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from conveyor.builder.agent_sockets import AgentSockets
    from conveyor.builder.processes import Output
    from conveyor.builder.rootfs import Rootfs

_TMPFS_MODE = 0o1777
_MAX_SECRET = 1 << 20


class RunMounts:
    """The mounts that all RUNs of a task have in common."""

    def __init__(self, rootfs: Rootfs, mounts: dict[str, Any], output: Output) -> None:
        self._rootfs = rootfs
        self._output = output
        self._caches = list(mounts.get("caches", ()))
        self._tmpfs = [str(path) for path in mounts.get("tmpfs", ())]
        self._variables = {str(k): str(v) for k, v in mounts.get("variables", {}).items()}
        self._locks: list[int] = []
        self._sockets: AgentSockets | None = None
        if mounts.get("sockets"):
            from conveyor.builder.agent_sockets import AgentSockets  # noqa: PLC0415 - start-up time

            self._sockets = AgentSockets(rootfs, mounts["sockets"])
        rootfs.covered = tuple(self._real(one["path"]) for one in mounts.get("sockets", ()))

    def prepare(self, environ: dict[str, str]) -> dict[str, str]:
        """Make everything ready for one command.

        Returns:
            Its environment.

        Raises:
            StageFailure: StepInvalid: a secret is no text, or a cache cannot be locked.
        """
        for lock in sorted({str(cache["lock"]) for cache in self._caches if cache.get("lock")}):
            self._locks.append(self._lock(lock))
        for cache in self._caches:
            if "mode" in cache:  # else it is what it began with
                self._own(self._real(cache["path"]), cache)
        for path in self._tmpfs:
            real = self._real(path)
            self._rootfs.empty(real)
            os.chmod(real, _TMPFS_MODE)
        added = {name: _secret(name, path) for name, path in self._variables.items()}
        if self._sockets is not None:
            self._sockets.serve()
            added = {"SSH_AUTH_SOCK": environ.get("SSH_AUTH_SOCK", self._sockets.first), **added}
        return {**environ, **added}

    def release(self) -> None:
        """After the command: let others have the caches."""
        if self._sockets is not None:
            self._sockets.stop()
        while self._locks:
            os.close(self._locks.pop())

    def _real(self, path: object) -> bytes:
        return self._rootfs.resolve(str(path).encode("utf-8", "surrogateescape"))

    def _own(self, real: bytes, cache: dict[str, Any]) -> None:
        """A new cache gets mode and owner; one that has been used is as its users left it."""
        held = [os.path.relpath(mount, real) for mount in self._rootfs.mounts]
        stubs = {path.split(b"/", 1)[0] for path in held}
        if set(os.listdir(real)) <= stubs:
            os.chown(real, int(cache["uid"]), int(cache["gid"]))
            os.chmod(real, int(cache["mode"]))

    def _lock(self, path: str) -> int:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._output.feed(b"conveyor: waiting for a cache that another build uses\n")
                fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            os.close(lock)
            raise StageFailure(
                "StepInvalid",
                f"the volume of spec.mounts.cache has no locks ({error.strerror}); "
                "use another volume, or sharing=shared",
            ) from error
        except BaseException:
            os.close(lock)
            raise
        return lock


def _secret(name: str, path: str) -> str:
    with open(path, "rb") as file:
        value = file.read(_MAX_SECRET + 1)
    if b"\0" in value or len(value) > _MAX_SECRET:
        raise StageFailure(
            "StepInvalid",
            f"the secret for the variable {name} has zero bytes or is over 1 MiB; mount it as a file",
        )
    return value.decode("utf-8", "surrogateescape")
