"""The program of the child process in which templates are rendered: `python -m conveyor.config.render_child`.

In: one JSON line on standard input (`Job` as a mapping), then answers to its own questions, one JSON line each.
Out: JSON lines on standard output: `{"ask": …, "about": …}` for a file, last `{"text": …}`, `{"error": [reason,
message]}` or `{"limit": what, "where": file:line}` when memory or time ran out. It limits its own memory and time
before it reads anything, and opens no file and no socket. The other end is `conveyor.adapters.renderer`.
"""

import json
import resource
import signal
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Final, NoReturn, TextIO, cast

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.config.commit import CommitInfo
from conveyor.config.render import Stopped, Stops, render

RECURSION: Final = 3000
# A function in C does not notice the soft limit of processor time; this much later the process is killed.
_GRACE_SECONDS: Final = 1
# What is needed to say so when memory ran out.
_LAST_BYTES: Final = 32 * 1024 * 1024
_RESERVED_BYTES: Final = 1024 * 1024
_reserve: list[bytes] = []
_LIMITS: Final = {signal.SIGXCPU: "cpu", signal.SIGALRM: "wall"}


class FileRefusedError(ValueError):
    """A file that the parent does not read; a template that asks for it fails like any call of a function."""


class PipedFiles:
    """`Files` that asks the parent process."""

    def __init__(self, questions: TextIO, answers: TextIO) -> None:
        self._questions = questions
        self._answers = answers

    def _ask(self, what: str, about: str) -> object:
        # Git may take its time: that is not the template's.
        left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
        self._questions.write(json.dumps({"ask": what, "about": about}) + "\n")
        self._questions.flush()
        line = self._answers.readline()
        signal.setitimer(signal.ITIMER_REAL, left)
        answer = json.loads(line)
        if "refused" in answer:
            raise FileRefusedError(answer["refused"])
        return answer["answer"]

    def get(self, path: str) -> str | None:
        """See `conveyor.config.files.Files`."""
        return cast("str | None", self._ask("get", path))

    def glob(self, pattern: str) -> Mapping[str, str]:
        """See `conveyor.config.files.Files`."""
        return cast("Mapping[str, str]", self._ask("glob", pattern))

    def exists(self, path: str) -> bool:
        """See `conveyor.config.files.Files`."""
        return bool(self._ask("exists", path))

    def is_dir(self, path: str) -> bool:
        """See `conveyor.config.files.Files`."""
        return bool(self._ask("is_dir", path))


class OutOfTime(BaseException):
    """Raised wherever the process is when its time is up; no template function may catch it."""


def limit(*, memory: int, cpu_seconds: int, wall_seconds: float) -> None:
    """Limit this process for good: bytes of address space, seconds (0: no wall time), no files, no core dump."""
    _reserve.append(bytes(_RESERVED_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    for number in _LIMITS:
        signal.signal(number, _stop)
    signal.setitimer(signal.ITIMER_REAL, wall_seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + _GRACE_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory + _LAST_BYTES))


def _last_words() -> None:
    """Make room for the result: the work is done, nothing may interrupt it any more."""
    # First, because the rest needs a little memory itself.
    _reserve.clear()
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    raise OutOfTime(_LIMITS[signal.Signals(number)])


def answer(job: Mapping[str, object], files: PipedFiles) -> dict[str, object]:
    """Render what the job asks for; every way to fail becomes a value."""
    try:
        return {"text": _rendered(job, files)}
    except UserError as error:
        return {"error": [error.reason, error.message]}
    except FileRefusedError as error:
        # Asked for by rendering itself: the config, a policy, a file of templates.
        return {"error": [Reason.INVALID_WERF_CONFIG, str(error)]}
    except Stopped as stop:
        return _limit_reached(stop.__cause__, stop.where)


def _limit_reached(why: BaseException | None, where: str = "") -> dict[str, object]:
    _last_words()
    return {"limit": str(why) if isinstance(why, OutOfTime) else "memory", "where": where}


def _rendered(job: Mapping[str, object], files: PipedFiles) -> str:
    commit = cast("Mapping[str, object]", job["commit"])
    return render(
        files,
        config_path=str(job["config_path"]),
        env=cast("Mapping[str, str]", job["env"]),
        environment=str(job["environment"]),
        commit=CommitInfo(
            hash=str(commit["hash"]), date=cast("int", commit["date"]), zone=str(commit["zone"])
        ),
        now=cast("int | None", job["now"]),
        stops=Stops(kinds=(OutOfTime, MemoryError), over=_last_words),
    )


def main(memory: int, cpu_seconds: int, wall_seconds: float) -> None:
    """Serve one job."""
    limit(memory=memory, cpu_seconds=cpu_seconds, wall_seconds=wall_seconds)
    sys.setrecursionlimit(RECURSION)
    try:
        job = json.loads(sys.stdin.readline())
        result = answer(job, PipedFiles(sys.stdout, sys.stdin))
    except (OutOfTime, MemoryError) as stop:
        # Not in a template: while the job was read, or modules were.
        result = _limit_reached(stop)
    _last_words()
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
