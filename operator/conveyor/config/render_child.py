"""The program of the child process in which templates are rendered: `python -m conveyor.config.render_child`.

In: one JSON line on standard input (`Job` as a mapping), then answers to its own questions, one JSON line each.
Out: JSON lines on standard output: `{"ask": …, "about": …}` for a file, last `{"text": …}` or `{"error": [reason,
message]}`. It limits its own memory and processor time before it reads anything, and opens no file and no socket.
The other end is `conveyor.adapters.renderer`.
"""

import json
import resource
import sys
from collections.abc import Mapping
from typing import TextIO, cast

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.config.render import CommitInfo, render

RECURSION = 3000


class FileRefusedError(ValueError):
    """A file that the parent does not read; a template that asks for it fails like any call of a function."""


class PipedFiles:
    """`Files` that asks the parent process."""

    def __init__(self, questions: TextIO, answers: TextIO) -> None:
        self._questions = questions
        self._answers = answers

    def _ask(self, what: str, about: str) -> object:
        self._questions.write(json.dumps({"ask": what, "about": about}) + "\n")
        self._questions.flush()
        answer = json.loads(self._answers.readline())
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


def limit(*, memory: int, seconds: int) -> None:
    """Limit this process for good: bytes of address space, seconds of processor time, no files, no core dump."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def answer(job: Mapping[str, object], files: PipedFiles) -> dict[str, object]:
    """Render what the job asks for; every way to fail becomes a value."""
    commit = cast("Mapping[str, object]", job["commit"])
    try:
        text = render(
            files,
            config_path=str(job["config_path"]),
            env=cast("Mapping[str, str]", job["env"]),
            environment=str(job["environment"]),
            commit=CommitInfo(hash=str(commit["hash"]), date=cast("int", commit["date"])),
            now=cast("int | None", job["now"]),
        )
    except UserError as error:
        return {"error": [error.reason, error.message]}
    except (
        FileRefusedError
    ) as error:  # asked for by rendering itself: the config, a policy, a file of templates
        return {"error": [Reason.INVALID_WERF_CONFIG, str(error)]}
    except MemoryError:
        return {"memory": True}
    return {"text": text}


def main(memory: int, seconds: int) -> None:
    """Serve one job."""
    limit(memory=memory, seconds=seconds)
    sys.setrecursionlimit(RECURSION)
    job = json.loads(sys.stdin.readline())
    result = answer(job, PipedFiles(sys.stdout, sys.stdin))
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
