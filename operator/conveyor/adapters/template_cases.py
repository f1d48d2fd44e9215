"""Renders single templates in a child process with limited memory and time.

In: values, templates. Out: for each `{"output", "error"}`. A template that uses up what it may gets that as its error,
and the next one a new child. This module blocks.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

import conveyor

MEMORY: Final = 192 * 1024 * 1024
CPU_SECONDS: Final = 600
CASE_SECONDS: Final = 10.0
_START_SECONDS: Final = 30.0
_LONGEST_LINE: Final = 64_000_000

Answer = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRunner:
    """Answers templates with one set of values.

    Attributes:
        env: Environment variables that the templates see.
        now: Unix seconds.
        seconds: What one template may take.
    """

    values: object
    now: int
    env: Mapping[str, str] = field(default_factory=dict)
    seconds: float = CASE_SECONDS

    def answers(self, templates: Iterable[str]) -> Iterator[Answer]:
        """Yield an answer for every template, in order."""
        waiting = iter(templates)
        for template in waiting:
            with self._child() as child:
                yield from self._until_death(child, template, waiting)

    def _until_death(
        self, child: subprocess.Popen[str], template: str, waiting: Iterator[str]
    ) -> Iterator[Answer]:
        while True:
            answer = self._ask(child, {"template": template}, self.seconds)
            if answer is None:
                yield {
                    "output": "",
                    "error": f"takes more than {self.seconds:g} s or {MEMORY >> 20} MiB of memory",
                }
                return
            yield answer
            following = next(waiting, None)
            if following is None:
                return
            template = following

    @contextmanager
    def _child(self) -> Iterator[subprocess.Popen[str]]:
        child = _start()
        try:
            job = {"values": self.values, "env": dict(self.env), "now": self.now}
            if self._ask(child, job, _START_SECONDS) is None:
                raise RuntimeError("the process that renders templates did not start")
            yield child
        finally:
            child.kill()
            for pipe in (child.stdin, child.stdout):
                with suppress(BrokenPipeError):
                    if pipe is not None:
                        pipe.close()
            child.wait()

    def _ask(
        self, child: subprocess.Popen[str], message: Mapping[str, object], seconds: float
    ) -> Answer | None:
        """Return what the child says; None when it died or had to be killed."""
        timer = threading.Timer(seconds, child.kill)
        timer.start()
        try:
            _pipe(child.stdin).write(json.dumps(message) + "\n")
            _pipe(child.stdin).flush()
            line = _pipe(child.stdout).readline(_LONGEST_LINE)
        except BrokenPipeError:
            return None
        finally:
            timer.cancel()
        answer: Answer | None = json.loads(line) if line.endswith("\n") else None
        return answer


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise AssertionError("the child was started with pipes")
    return pipe


def _start() -> subprocess.Popen[str]:
    source = Path(conveyor.__file__).parents[1]
    return subprocess.Popen(  # noqa: S603 - our own program with numbers as arguments
        [
            *(sys.executable, "-P", "-m", "conveyor.config.template_cases"),
            *(str(MEMORY), str(CPU_SECONDS)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        cwd="/",
        env={"PYTHONPATH": str(source), "PYTHONUTF8": "1", "TZ": "UTC"},
    )
