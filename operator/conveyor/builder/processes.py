"""The user's commands as processes of this container.

In: a command with its user, directory and environment. Out: how it ended, its output passed
through to our own and the end of it kept. As process 1 of the container we also bury every
orphan, and when a command has ended we kill whatever it left running, as the kernel does when a
container's first process ends.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import time

from conveyor.builder.failure import StageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from conveyor.builder.users import Identity

_TAIL = 8 << 10
_READ = 64 << 10
_KILL_SECONDS = 30.0
_DRAIN_MS = 500


class Command:
    """What to run: argument vector, identity, working directory, whole environment.

    `confine` is called last of all, in the child; what it takes away the command never gets back.
    """

    __slots__ = ("argv", "confine", "environ", "identity", "workdir")

    def __init__(
        self,
        argv: list[str],
        identity: Identity,
        workdir: bytes,
        environ: dict[str, str],
        confine: Callable[[], None] | None = None,
    ) -> None:
        self.argv = argv
        self.confine = confine
        self.identity = identity
        self.workdir = workdir
        self.environ = environ


class Output:
    """Passes output through to a descriptor and keeps the last 8 KiB."""

    def __init__(self, out: int = 1) -> None:
        self._out = out
        self._tail = bytearray()

    def feed(self, data: bytes) -> None:
        """Take output of the command."""
        self._tail += data
        del self._tail[:-_TAIL]
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._out, view) :]
        except OSError:  # nobody reads our output: the build goes on
            return

    def end_line(self) -> None:
        """After a command: what follows begins on a line of its own, and whoever reads lines has the last one now."""
        if self._tail and not self._tail.endswith(b"\n"):
            self.feed(b"\n")

    def tail(self, most: int = 2 << 10) -> str:
        """The last `most` bytes as valid text, from the beginning of a line where possible."""
        data = bytes(self._tail[-most:])
        if len(self._tail) > most:
            data = data.partition(b"\n")[2] or data
        text = data.decode("utf-8", "replace").replace("\0", "\ufffd")
        while len(text.encode()) > most:
            text = text[max(1, (len(text.encode()) - most) // 4) :]
        return text


class Runner:
    """Runs one command after another; made once, by the process that is to own all others."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self._wake, self._signalled = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._signalled, warn_on_full_buffer=False)

    def run(self, command: Command) -> int:
        """Run to the end, then kill what it left.

        Returns:
            Its exit code, or minus the number of the signal that ended it.

        Raises:
            StageFailure: NoSuchShell or CommandFailed when it cannot be started, with Docker's
                exit codes 127 and 126; StepInvalid when it cannot be confined.
        """
        out, child_out = os.pipe2(os.O_CLOEXEC)
        report, child_report = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if not pid:
            _become(command, child_out, child_report)
        os.close(child_out)
        os.close(child_report)
        try:
            status = self._follow(pid, out)
            self._bury(pid)
            self._drain(out)
            self.output.end_line()
            _check_started(command, os.read(report, 100))
        finally:
            os.close(out)
            os.close(report)
        return os.waitstatus_to_exitcode(status)

    def _follow(self, pid: int, out: int) -> int:
        poll = select.poll()
        poll.register(out, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while (status := _reap(pid)) is None:
            for ready, _ in poll.poll(1000):
                if ready == self._wake:
                    os.read(self._wake, _READ)
                elif data := os.read(out, _READ):
                    self.output.feed(data)
                else:
                    poll.unregister(out)
        return status

    def _drain(self, out: int) -> None:
        """What was written before the end; whoever could write more is dead."""
        poll = select.poll()
        poll.register(out, select.POLLIN)
        while poll.poll(_DRAIN_MS):
            data = os.read(out, _READ)
            if not data:
                return
            self.output.feed(data)

    def _bury(self, pid: int) -> None:
        """Kill and reap everything of this container but ourselves.

        Raises:
            StageFailure: Internal, a process does not die, so the files may still change.
        """
        limit = time.monotonic() + _KILL_SECONDS
        while time.monotonic() < limit:
            try:
                # Outside a container of our own, -1 would be everybody: take the session only.
                os.kill(-1 if os.getpid() == 1 else -pid, signal.SIGKILL)
            except ProcessLookupError:
                return
            _reap(0)
            time.sleep(0.001)
        raise StageFailure("Internal", "a process that the commands left running cannot be killed")


def _become(command: Command, out: int, report: int) -> None:
    """In the child: turn into the command, or tell why not and end."""
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        null = os.open(b"/dev/null", os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.umask(0o022)
        os.chdir(command.workdir)  # before giving up rights, as runc does
        if os.getuid() == 0:
            os.setgroups(command.identity.groups)
            os.setgid(command.identity.gid)
            os.setuid(command.identity.uid)
        _confine(command, report)
        os.execvpe(command.argv[0], command.argv, command.environ)  # noqa: S606 - that is the job
    except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
        os.write(report, b"%d" % (getattr(error, "errno", None) or errno.EINVAL))
    finally:
        os._exit(127)


def _confine(command: Command, report: int) -> None:
    try:
        if command.confine is not None:
            command.confine()
    except OSError as error:
        os.write(report, b"-%d" % (error.errno or errno.EINVAL))
        os._exit(127)


def _reap(pid: int) -> int | None:
    """Bury every child that has ended; the status of `pid` if it is one of them."""
    found = None
    try:
        while True:
            ended, status = os.waitpid(-1, os.WNOHANG)
            if not ended:
                return found
            if ended == pid:
                found = status
    except ChildProcessError:
        return found


def _check_started(command: Command, report: bytes) -> None:
    if not report:
        return
    number, name = int(report), command.argv[0]
    if number < 0:
        raise StageFailure(
            "StepInvalid",
            f"RUN --network=none: this node has no filters of system calls ({os.strerror(-number)}); "
            "use another node, or leave it out",
            command=" ".join(command.argv),
        )
    if number == errno.ENOENT and name in ("/bin/sh", "sh", "/bin/bash", "bash"):
        raise StageFailure(
            "NoSuchShell",
            f"no {name} in this image: RUN in shell form needs a shell; use the exec form "
            'RUN ["/program", "argument"] or a base image that has one',
            exit_code=127,
            command=" ".join(command.argv),
        )
    reason = (
        "not found (or its interpreter or loader is)"
        if number == errno.ENOENT
        else os.strerror(number)
    )
    raise StageFailure(
        "CommandFailed",
        f"cannot run {name!r}: {reason}",
        exit_code=127 if number == errno.ENOENT else 126,
        command=" ".join(command.argv),
    )
