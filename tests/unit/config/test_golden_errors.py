"""Malformed configs and the whole message that is shown for them.

Every file of tests/golden/config holds a config, a line `### error`, and the reason and message. After a wanted change
of messages run with CONVEYOR_UPDATE_GOLDEN=1 and read the difference.
"""

import os
from pathlib import Path

import pytest

from conveyor.api.errors import UserError
from conveyor.config.parse import parse

GOLDEN = sorted((Path(__file__).parents[2] / "golden" / "config").glob("*.txt"))
SEPARATOR = "### error\n"


def test_there_are_enough() -> None:
    assert len(GOLDEN) >= 110


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_message(path: Path) -> None:
    config, _, wanted = path.read_text(encoding="utf-8").partition(SEPARATOR)
    with pytest.raises(UserError) as raised:
        parse(config)
    found = f"{raised.value.reason}\n{raised.value.message}\n"
    if os.environ.get("CONVEYOR_UPDATE_GOLDEN"):
        path.write_text(config + SEPARATOR + found, encoding="utf-8")
        wanted = found
    assert found == wanted
