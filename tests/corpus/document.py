"""docs/dockerfile-conformance.md, made of the list of differences.

In: differences.json, what is recorded. Out: the page's text. Nobody edits the page; a test compares.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.corpus.cases import read_cases
from tests.corpus.comparison import BUILDERS, read_recorded
from tests.corpus.results import Json

PAGE = Path(__file__).parents[2] / "docs/dockerfile-conformance.md"
_LONGEST, _MOST_LINES = 220, 6
_NAMES = {"buildkit": "BuildKit", "legacy": "the legacy builder"}
_HEAD = """\
# Dockerfiles beside the reference builders

{count} Dockerfiles in [tests/corpus/cases](../tests/corpus/cases/README.md), one for each feature and the awkward combinations,
are built by {versions} (the legacy builder where it knows the syntax) and by Conveyor.
Compared are the image config (Env, Cmd, Entrypoint, WorkingDir, User, Volumes, Labels without werf's, ExposedPorts,
Healthcheck, StopSignal, Shell, OnBuild) and the whole file tree: type, mode, owner, content, link target, hard links,
extended attributes, device numbers, and times where the Dockerfile chose them. Trees are read from the layers in the
registry by a strict reader of our own.

The results of the reference builders are data (tests/corpus/recorded; `make corpus-record` makes them anew). `make conformance`
builds the corpus on the development cluster and prints the table; the lane `corpus` of `make test` fails when a difference
is not listed here, or is listed and gone. `make corpus-update` makes tests/corpus/differences.json, and this page of it.

The context is what werf hands to its builders: modes 0644 and 0755 for files, 0775 for directories. `not known to it` in the
table is syntax that the legacy builder does not have, and is no difference. What both refuse is equal, whatever the words.
"""
_LEFT_AND_RIGHT = """\
## What is different

Left Conveyor, right the other builder; `as in base` is a path that is as in the base image, or is in neither.
"""


def text(listed: Mapping[str, dict[str, Json]]) -> str:
    """The page."""
    head = _HEAD.format(count=len(read_cases()), versions=versions())
    return "\n".join([head, *_refused(listed), *_different(listed)])


def versions() -> str:
    """Both reference builders as they tell their version."""
    return " and ".join(str(read_recorded(one)["version"]) for one in BUILDERS)


def _refused(listed: Mapping[str, dict[str, Json]]) -> Iterator[str]:
    if not listed["refused"]:
        return
    yield f"## What Conveyor refuses\n\n{listed['reasons']['refused']}\n"
    yield "| case | Conveyor says |\n|---|---|"
    for name, known in listed["refused"].items():
        yield f"| `{name}` | {_cell(str(known['says']))} |"
    yield ""


def _different(listed: Mapping[str, dict[str, Json]]) -> Iterator[str]:
    yield _LEFT_AND_RIGHT
    for word, sentence in listed["reasons"].items():
        rows = list(_rows(listed["different"], word))
        if rows:
            yield f"### {sentence}\n\n| case | beside | what |\n|---|---|---|"
            yield from rows
            yield ""


def _rows(different: Mapping[str, Json], word: str) -> Iterator[str]:
    for name, builders in different.items():
        groups: dict[tuple[str, ...], list[str]] = {}
        for builder, known in builders.items():
            assert isinstance(known, dict)
            if known["reason"] == word:
                groups.setdefault(tuple(known["lines"]), []).append(_NAMES[builder])
        for lines, beside in groups.items():
            yield f"| `{name}` | {', '.join(beside)} | {_lines(lines)} |"


def _lines(lines: tuple[str, ...]) -> str:
    shown = [_cell(line) for line in lines[:_MOST_LINES]]
    more = len(lines) - len(shown)
    return "<br>".join(shown + ([f"and {more} more"] if more else []))


def _cell(line: str) -> str:
    text = line.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
    return text.encode("utf-8", "backslashreplace").decode()[:_LONGEST]
