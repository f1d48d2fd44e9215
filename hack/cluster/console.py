"""What the user sees, and every command that is run.

In: steps and commands. Out: one line per step with its time on stdout, everything else in a log
file. `run` raises `Failure` when a command fails or outlives its deadline.
"""
# It prints because it is the user interface; commands are lists made by our own code.
# ruff: noqa: S603

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path


class Failure(Exception):  # noqa: N818 (it is what the user reads: a failure, with what to do)
    """A step cannot be done; the message says why and what to do.

    Args:
        message: for the user.
        code: exit code of the program; 2 when the user must act, 1 otherwise.
    """

    def __init__(self, message: str, *, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class Console:
    """Prints steps, keeps the log, runs commands.

    Args:
        log_path: file to append to; its folder is made.
        quiet: print no steps (for commands whose stdout is read by programs).
    """

    def __init__(self, log_path: Path, *, quiet: bool = False) -> None:
        log_path.parent.mkdir(parents=True, exist_ok=True)
        if log_path.exists() and log_path.stat().st_size > 20_000_000:
            log_path.replace(log_path.with_suffix(".old.log"))
        self.log_path = log_path
        self._log: IO[bytes] = log_path.open("ab", buffering=0)
        self._start_of_run = self._log.tell()
        self._began = time.monotonic()
        self._quiet = quiet

    def note(self, text: str) -> None:
        """Write a line into the log only."""
        self._log.write(f"[{time.monotonic() - self._began:8.2f}] {text}\n".encode())

    def say(self, text: str) -> None:
        """Print a line (to stderr when stdout is for programs) and log it."""
        self.note(text)
        print(text, file=sys.stderr if self._quiet else sys.stdout, flush=True)

    @contextmanager
    def step(self, text: str, *, slow: str = "") -> Iterator[None]:
        """Time a step: announced when it may take long, printed with its time when done.

        Args:
            text: what is being done, short.
            slow: how long it may take; printed at the start so that nobody wonders.
        """
        began = time.monotonic()
        self.note(f"step: {text}")
        if slow:
            self.say(f"{self._stamp()}  ...   {text} ({slow})")
        try:
            yield
        except BaseException:
            self.say(f"{self._stamp()}  FAIL  {text}")
            raise
        took = time.monotonic() - began
        self.say(f"{self._stamp()} {took:5.1f}s  {text}")

    def _stamp(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        return f"[{minutes:2d}:{seconds:02d}]"

    @property
    def elapsed(self) -> float:
        """Seconds since the start of the run."""
        return time.monotonic() - self._began

    def log_tail(self, lines: int = 25) -> str:
        """The last lines of this run's log."""
        with self.log_path.open("rb") as log:
            log.seek(self._start_of_run)
            text = log.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def run(
        self,
        command: Sequence[str],
        *,
        timeout: float,
        check: bool = True,
        data: bytes | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> str:
        """Run a command; its stderr goes to the log.

        Args:
            command: program and arguments.
            timeout: seconds until the whole process group is killed.
            check: raise when the exit code is not 0; otherwise the output is returned anyway.
            data: for its stdin.
            env: variables to add to the environment.
            cwd: folder to run in.

        Returns:
            Its stdout, stripped.

        Raises:
            Failure: it failed (and check), was not found, or the time ran out.
        """
        code, out = self.call(command, timeout=timeout, data=data, env=env, cwd=cwd)
        if code and check:
            raise Failure(f"command failed with exit code {code}: {' '.join(command)[:300]}")
        return out

    def call(
        self,
        command: Sequence[str],
        *,
        timeout: float,
        data: bytes | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> tuple[int, str]:
        """As `run`, but answers the exit code instead of raising when the command fails."""
        self.note(f"$ {' '.join(command)[:1000]}")
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if data is not None else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                start_new_session=True,
            )
        except OSError as error:
            raise Failure(f"cannot run {command[0]}: {error.strerror}") from error
        out = self._finish(child, command, data, timeout).decode(errors="replace")
        if out:
            self._log.write(out[-4_000:].encode() + b"\n")
        return child.returncode, out.strip()

    def _finish(
        self,
        child: subprocess.Popen[bytes],
        command: Sequence[str],
        data: bytes | None,
        timeout: float,
    ) -> bytes:
        try:
            return child.communicate(data, timeout=timeout)[0]
        except BaseException as error:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise Failure(
                    f"not finished after {timeout:.0f} s: {' '.join(command)[:300]}"
                ) from error
            raise

    def wait_for(
        self, what: str, ready: Callable[[], bool], *, timeout: float, every: float = 0.3
    ) -> None:
        """Ask until the answer is yes.

        Args:
            what: for the message when the time runs out.
            ready: the question; a `Failure` it raises counts as no.
            timeout: seconds.
            every: seconds between two questions.

        Raises:
            Failure: the time ran out.
        """
        deadline = time.monotonic() + timeout
        while True:
            with suppress(Failure):
                if ready():
                    return
            if time.monotonic() > deadline:
                raise Failure(f"{what}: not so after {timeout:.0f} s")
            time.sleep(every)
