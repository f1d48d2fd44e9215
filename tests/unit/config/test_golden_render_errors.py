"""Mistakes in templates, werf-giterminism.yaml and the files beside werf.yaml, and the whole message for them.

Every file of tests/golden/render holds files, each after a line `### file NAME`, then a line `### error`, reason and
message. A line `### env NAME=VALUE` sets a variable. After a wanted change of messages run with
CONVEYOR_UPDATE_GOLDEN=1 and read the difference.
"""

import os
import re
from pathlib import Path

import pytest

from conveyor.api.errors import UserError
from conveyor.config.commit import CommitInfo
from conveyor.config.dockerignore import Dockerignore
from conveyor.config.files import MemoryFiles
from conveyor.config.giterminism import FILE, check_policy, parse_policy
from conveyor.config.parse import parse
from conveyor.config.render import render, told_of_rendered

GOLDEN = sorted((Path(__file__).parents[2] / "golden" / "render").glob("*.txt"))
SEPARATOR = "### error\n"
COMMIT = CommitInfo(hash="ab" * 20, date=1_600_000_000)


def _load(files: dict[str, str], env: dict[str, str]) -> None:
    memory = MemoryFiles(files)
    text = render(memory, env=env, environment="", commit=COMMIT)
    policy = parse_policy(memory.get(FILE))
    Dockerignore.parse(files.get(".dockerignore", ""))
    try:
        check_policy(parse(text), policy)
    except UserError as error:
        raise told_of_rendered(error, files["werf.yaml"]) from None


def test_there_are_enough() -> None:
    assert len(GOLDEN) >= 30


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_message(path: Path) -> None:
    given, _, wanted = path.read_text(encoding="utf-8").partition(SEPARATOR)
    env = dict(re.findall(r"^### env (\w+)=(.*)\n", given, re.MULTILINE))
    parts = re.split(
        r"^### file (.*)\n", re.sub(r"(?m)^### env .*\n", "", given), flags=re.MULTILINE
    )
    with pytest.raises(UserError) as raised:
        _load(dict(zip(parts[1::2], parts[2::2], strict=True)), env)
    found = f"{raised.value.reason}\n{raised.value.message}\n"
    if os.environ.get("CONVEYOR_UPDATE_GOLDEN"):
        path.write_text(given + SEPARATOR + found, encoding="utf-8")
        wanted = found
    assert found == wanted
