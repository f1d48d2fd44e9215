"""The corpus: Dockerfiles with what belongs to them, read from `cases/*.txt`.

In: text files; `cases/README.md` shows their form. Out: `Case`s; `write_context` puts one on disk as the reference builders
get it, `case_files` gives it as files of a git repository, as Conveyor gets it.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.projects import Content, Executable, Link
from tests.corpus.context import CONTEXTS

FOLDER = Path(__file__).parent / "cases"
# werf packs files of a commit like this, and hands them to its builders like this.
_MODES = {"folder": 0o775, "file": 0o644, "program": 0o755}
# Times of context files are no part of a commit: any time that does not look chosen.
_TIME = 1_700_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One build.

    Attributes:
        group: Name of the file that has it.
        about: What it shows.
        args: Build arguments.
        files: Path to content, the Dockerfile among them; names are bytes shown with surrogate escapes.
    """

    name: str
    group: str
    about: str
    target: str = ""
    args: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    files: dict[str, Content]


def read_cases() -> dict[str, Case]:
    """Every case by name, in the order of the files.

    Raises:
        ValueError: A name is there twice, or a line is not understood.
    """
    found: dict[str, Case] = {}
    for path in sorted(FOLDER.glob("*.txt")):
        for text in path.read_text(encoding="utf-8").split("\n== ")[1:]:
            case = _case(path.stem, text)
            if case.name in found:
                raise ValueError(f"{path.name}: {case.name} is there twice")
            found[case.name] = case
    return found


def write_context(case: Case, folder: Path) -> None:
    """Write the build context into an empty folder."""
    for name, content in case.files.items():
        _write(folder / name, content)
    for root, folders, _ in os.walk(os.fsencode(folder)):
        for one in folders:
            _settle(os.path.join(root, one), _MODES["folder"])  # noqa: PTH118 - bytes
    _settle(os.fsencode(folder), _MODES["folder"])


def case_files(case: Case) -> dict[str, Content]:
    """Files of a repository: the context in the folder of the case's name."""
    return {f"{case.name}/{name}": content for name, content in case.files.items()}


def _case(group: str, text: str) -> Case:
    head, *parts = text.split("\n-- ")
    name, *lines = head.split("\n")
    about = [line for line in lines if line and not line.startswith("@")]
    options = [line[1:].partition(" ") for line in lines if line.startswith("@")]
    values: dict[str, list[str]] = {}
    for key, _, value in options:
        values.setdefault(key, []).append(value)
    files = dict(CONTEXTS[values.pop("context", ["common"])[0]])
    files |= dict(_section(part) for part in parts)
    case = Case(
        name=name.strip(),
        group=group,
        about=" ".join(about),
        target=values.pop("target", [""])[0],
        args=_pairs(values.pop("arg", [])),
        secrets=_pairs(values.pop("secret", [])),
        files=files,
    )
    if values or "Dockerfile" not in files or not case.about:
        raise ValueError(f"{group}.txt: {case.name}: {values or 'no Dockerfile or no text'}")
    return case


def _pairs(lines: list[str]) -> dict[str, str]:
    return dict(line.split("=", 1) for line in lines)


def _section(text: str) -> tuple[str, Content]:
    head, _, body = text.partition("\n")
    name, *marks = head.split()
    body = body if body.endswith("\n") or not body else body + "\n"
    body = "" if "empty" in marks else body
    body = body.replace("\n", "\r\n") if "crlf" in marks else body
    body = "\ufeff" + body if "bom" in marks else body
    if "program" in marks:
        return name, Executable(body)
    return name, Link(body.strip()) if "link" in marks else body


def _write(path: Path, content: Content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    match content:
        case Link(target=target):
            path.symlink_to(target)
        case Executable(text=text):
            path.write_bytes(text.encode())
        case bytes():
            path.write_bytes(content)
        case _:
            path.write_bytes(str(content).encode())
    if not isinstance(content, Link):
        program = isinstance(content, Executable)
        _settle(os.fsencode(path), _MODES["program" if program else "file"])


def _settle(path: bytes, mode: int) -> None:
    if not os.path.islink(path):  # noqa: PTH114 - bytes
        os.chmod(path, mode)  # noqa: PTH101 - the same
        os.utime(path, (_TIME, _TIME))


def groups() -> Iterator[str]:
    """Names of the files."""
    return (path.stem for path in sorted(FOLDER.glob("*.txt")))
