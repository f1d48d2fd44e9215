"""Malformed and hostile Dockerfiles, and the whole message that is shown for them before anything starts.

Every file of tests/golden/dockerfile holds a Dockerfile, a line `### error`, and the reason and message; a Dockerfile that is too
large or is no text stands in `MADE` here instead. After a wanted change of messages run with CONVEYOR_UPDATE_GOLDEN=1 and
read the difference.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from conveyor.api.errors import UserError
from conveyor.config.model import DockerfileImage
from conveyor.plan.answers import Answer, BaseImage
from conveyor.plan.dockerfile import BlockPlan, plan_dockerfile
from conveyor.plan.facts import Facts
from conveyor.plan.questions import BaseImageInfo, ContextChecksum, FileText, Question

FOLDER = Path(__file__).parents[2] / "golden" / "dockerfile"
GOLDEN = sorted(FOLDER.glob("*.txt"))
SEPARATOR = "### error\n"


def _doubling(levels: int) -> str:
    """Each variable is the one before, ten times."""
    lines = "".join(f"ENV A{n}={f'$A{n - 1}' * 10}\n" for n in range(1, levels))
    return f"FROM debian\nENV A0=0123456789\n{lines}"


MADE: dict[str, Callable[[], str]] = {
    "ten-thousand-instructions": lambda: "FROM debian\n" + "RUN true\n" * 10_000,
    "a-thousand-stages": lambda: "FROM debian\n" * 1000,
    "two-megabytes": lambda: "FROM debian\n" + "# comment\n" * 200_000,
    "megabyte-of-continuations": lambda: "FROM debian\nRUN true \\\n" + " x \\\n" * 250_000 + "y\n",
    "long-line": lambda: "FROM debian\nRUN echo " + "x" * 100_000 + "\n",
    "zero-byte": lambda: "FROM debian\nRUN echo a\0b\n",
    "not-utf-8": lambda: b"FROM debian\n\nLABEL a=caf\xe9\n".decode("utf-8", "surrogateescape"),
    "expansion-bomb": lambda: _doubling(9),
    "argument-bomb": lambda: _doubling(9).replace("ENV", "ARG"),
    "nested-expansion": lambda: "FROM debian\nENV A=" + "${A:-" * 2000 + "x" + "}" * 2000 + "\n",
    "onbuild-in-onbuild": lambda: "FROM debian\n" + "ONBUILD " * 5000 + "RUN true\n",
    "many-heredocs": lambda: "FROM debian\nRUN " + " ".join(f"<<E{n}" for n in range(3000)) + "\n",
    "many-brackets": lambda: "FROM debian\nSHELL " + "[" * 20_000 + "]" * 20_000 + "\n",
    "ports-without-end": lambda: (
        "FROM debian\n" + "EXPOSE 0-65535 0-65535/udp 0-65535/sctp 1/tcp\n" * 2
    ),
}


def test_there_are_enough() -> None:
    assert len(GOLDEN) >= 100
    assert {path.stem for path in GOLDEN} >= set(MADE)


@pytest.mark.parametrize("name", sorted({path.stem for path in GOLDEN} | set(MADE)))
def test_message(name: str) -> None:
    path = FOLDER / f"{name}.txt"
    text, _, wanted = (
        path.read_text(encoding="utf-8").partition(SEPARATOR) if path.exists() else ("",) * 3
    )
    found = _refusal(MADE[name]() if name in MADE else text)
    if os.environ.get("CONVEYOR_UPDATE_GOLDEN"):
        path.write_text(text + SEPARATOR + found, encoding="utf-8")
        wanted = found
    assert found == wanted


def _refusal(text: str) -> str:
    try:
        plans = _plan(text)
    except UserError as error:
        return f"{error.reason}\n{error.message}\n"
    refused = [plan.refused for plan in plans if plan.refused]
    assert refused, "this Dockerfile would be built"
    return f"NotSupported\n{refused[0]}\n"


def _plan(text: str) -> tuple[BlockPlan, ...]:
    image = DockerfileImage(name="app", dockerfile="Dockerfile")
    answers: dict[Question, Answer] = {}
    while True:
        asked = plan_dockerfile(image, Facts(commit="c" * 40, answers=answers), project_dir="")
        if isinstance(asked, tuple):
            return asked
        answers |= {question: _answer(question, text) for question in asked}


def _answer(question: Question, text: str) -> Answer:
    match question:
        case FileText():
            return text if question.path == "Dockerfile" else None
        case BaseImageInfo():
            return BaseImage(digest="sha256:1", config={})
        case ContextChecksum():
            return "" if "absent" in question.sources else "0" * 64
    raise AssertionError(question)
