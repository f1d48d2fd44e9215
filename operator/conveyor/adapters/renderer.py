"""Renders a config's templates in a child process with limited memory and time.

In: what `conveyor.config.render.render` takes. Out: the rendered text, or the same errors. A config without templates
is returned as it is, without a child. The child (`conveyor.config.render_child`) gets nothing of this process: no
environment, no open files; it asks for files over its pipes. This module blocks: call it in a thread.
"""

import json
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

import conveyor
from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.config.commit import CommitInfo
from conveyor.config.files import Files
from conveyor.config.raw import shorten
from conveyor.config.render import DEFAULT_PATH, needs_rendering, read_config
from conveyor.config.report import INVALID

_LONGEST_LINE: Final = 64_000_000
_GRACE_SECONDS: Final = 1.0
# Python's exit code when not even the last output could be written, for want of memory.
_SILENT: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one rendering may use.

    Attributes:
        memory: Bytes of address space; Python and the template engine need about 35 MiB of it.
        cpu_seconds: Processor time; a function that cannot be interrupted may take one second more.
        wall_seconds: Time, without what reading files takes.
        files_seconds: Time that reading files takes; a clone may have to fetch them.
        file_bytes: All text of files that templates read.
        questions: How often templates may ask for files.
    """

    memory: int = 192 * 1024 * 1024
    cpu_seconds: int = 6
    wall_seconds: float = 8.0
    files_seconds: float = 60.0
    file_bytes: int = 32_000_000
    questions: int = 20_000


class RenderingFailed(Exception):  # noqa: N818 - says what happened
    """The child ended in a way that is nobody's template's fault; worth a retry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renderer:
    """Renders configs, every one in a child process of its own."""

    limits: Limits = field(default_factory=Limits)

    def render(
        self,
        files: Files,
        *,
        config_path: str = DEFAULT_PATH,
        env: Mapping[str, str],
        environment: str,
        commit: CommitInfo,
        now: int | None = None,
    ) -> str:
        """Render a config; arguments and errors as for `conveyor.config.render.render`.

        Raises:
            UserError: InvalidWerfConfig, also when the templates need more memory, time or files than the limits.
            RenderingFailed: The child broke for another reason.
        """
        path, text = read_config(files, config_path)
        if not needs_rendering(text, files):
            return text
        job = {
            "config_path": path,
            "env": dict(env),
            "environment": environment,
            "commit": {"hash": commit.hash, "date": commit.date, "zone": commit.zone},
            "now": now,
        }
        with tempfile.TemporaryFile() as complaints, _started(self.limits, complaints) as child:
            return _Conversation(child, files, self.limits, path, complaints).hold(job)


@contextmanager
def _started(limits: Limits, complaints: IO[bytes]) -> Iterator[subprocess.Popen[str]]:
    """Start the child; it is gone and its pipes are closed afterwards, whatever happened."""
    child = _start(limits, complaints)
    try:
        yield child
    finally:
        child.kill()
        for pipe in (child.stdin, child.stdout):
            # Closing flushes, and a dead child does not read any more.
            with suppress(BrokenPipeError):
                if pipe is not None:
                    pipe.close()
        child.wait()


def _start(limits: Limits, complaints: IO[bytes]) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-m", "conveyor.config.render_child"]
    source = Path(conveyor.__file__).parents[1]
    return subprocess.Popen(  # noqa: S603 - our own program with numbers as arguments
        [*command, str(limits.memory), str(limits.cpu_seconds), str(limits.wall_seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=complaints,
        encoding="utf-8",
        env={"PYTHONPATH": str(source), "PYTHONUTF8": "1", "TZ": "UTC"},
        cwd="/",
    )


class _Conversation:
    """One job: the questions of the child are answered until it gives the result or dies."""

    def __init__(
        self,
        child: subprocess.Popen[str],
        files: Files,
        limits: Limits,
        path: str,
        complaints: IO[bytes],
    ) -> None:
        self._child = child
        self._files = files
        self._limits = limits
        self._path = path
        self._complaints = complaints
        self._bytes = 0
        self._reading = 0.0
        self._timed_out = False

    def hold(self, job: Mapping[str, object]) -> str:
        try:
            return self._result(job)
        except EOFError:
            raise self._death() from None

    def _send(self, message: Mapping[str, object]) -> None:
        if self._child.stdin is None:
            raise AssertionError("the child was started with a pipe")
        # A child whose time is up reads no more, but has left its last words.
        with suppress(BrokenPipeError):
            self._child.stdin.write(json.dumps(message) + "\n")
            self._child.stdin.flush()

    def _receive(self) -> Mapping[str, object]:
        if self._child.stdout is None:
            raise AssertionError("the child was started with a pipe")
        self._await(self._child.stdout)
        line = self._child.stdout.readline(_LONGEST_LINE)
        if not line.endswith("\n"):
            raise EOFError
        message: Mapping[str, object] = json.loads(line)
        return message

    def _await(self, answers: IO[str]) -> None:
        """Wait for an answer; a child that cannot be interrupted is killed after a second of grace."""
        poll = select.poll()
        poll.register(answers, select.POLLIN)
        if not poll.poll((self._limits.wall_seconds + _GRACE_SECONDS) * 1000):
            self._timed_out = True
            self._child.kill()

    def _result(self, job: Mapping[str, object]) -> str:
        self._send(job)
        for _ in range(self._limits.questions):
            message = self._receive()
            if "ask" not in message:
                return self._outcome(message)
            self._send(self._answer(str(message["ask"]), str(message["about"])))
        raise self._too_much(f"ask for files more than {self._limits.questions} times")

    def _outcome(self, message: Mapping[str, object]) -> str:
        match message:
            case {"text": str(text)}:
                return text
            case {"error": [str(reason), str(said)]}:
                raise UserError(Reason(reason), said)
            case {"limit": str(what), "where": str(where)}:
                raise self._too_much(self._limit(what), where)
            case _:
                raise RenderingFailed(f"the process that renders templates says {message}")

    def _limit(self, what: str) -> str:
        match what:
            case "cpu":
                return f"take more than {self._limits.cpu_seconds} s of processor time"
            case "wall":
                return f"take longer than {self._limits.wall_seconds:g} s"
            case _:
                return f"need more than {self._limits.memory >> 20} MiB of memory"

    def _answer(self, what: str, about: str) -> Mapping[str, object]:
        start = time.monotonic()
        try:
            answer = {"answer": self._read(what, about)}
        except (ValueError, UserError) as error:
            answer = {"refused": str(error)}
        self._reading += time.monotonic() - start
        if self._reading > self._limits.files_seconds:
            limit = f"{self._limits.files_seconds:g} s"
            raise self._too_much(f"read files for longer than {limit}, last {shorten(about)}")
        return answer

    def _read(self, what: str, about: str) -> object:
        match what:
            case "get":
                return self._count(self._files.get(about))
            case "glob":
                found = self._files.glob(about)
                for text in found.values():
                    self._count(text)
                return dict(found)
            case "exists":
                return self._files.exists(about)
            case _:
                return self._files.is_dir(about)

    def _count(self, text: str | None) -> str | None:
        self._bytes += len(text or "")
        if self._bytes > self._limits.file_bytes:
            raise ValueError(
                f"templates read files of more than {self._limits.file_bytes} characters in all"
            )
        return text

    def _too_much(self, what: str, where: str = "") -> UserError:
        return UserError(INVALID, f"{where or self._path}: the templates {what}; make them do less")

    def _death(self) -> Exception:
        """Say why the child is gone."""
        code = self._child.wait()
        if self._timed_out:
            return self._too_much(self._limit("wall"))
        if code in (-signal.SIGXCPU, -signal.SIGKILL):
            return self._too_much(self._limit("cpu"))
        self._complaints.seek(0)
        said = self._complaints.read()[-2000:].decode(errors="replace")
        if "MemoryError" in said or code in (-signal.SIGSEGV, _SILENT):
            return self._too_much(self._limit("memory"))
        return RenderingFailed(f"the process that renders templates ended with {code}: {said}")
