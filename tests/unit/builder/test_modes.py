"""`--chmod`, from its text to a file's mode, against what BuildKit's own library makes of it."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from conveyor.builder.modes import changed_mode
from conveyor.builder.tarformat import DIR, FILE, Entry
from conveyor.config.dockerfile_modes import mode_changes, octal_mode

MODES = json.loads(
    (Path(__file__).parents[2] / "data/dockerfile/modes.json").read_text(encoding="utf-8")
)["modes"]


@pytest.mark.parametrize("text", sorted(text for text, rows in MODES.items() if rows))
def test_same_mode(text: str) -> None:
    assert octal_mode(text) is None
    changes = [asdict(change) for change in mode_changes(text)]
    for before, is_dir, after in MODES[text]:
        entry = Entry(b"x", DIR if is_dir else FILE, before)
        assert changed_mode(entry, changes) == after


@pytest.mark.parametrize("text", sorted(text for text, rows in MODES.items() if rows is None))
def test_refused(text: str) -> None:
    with pytest.raises(ValueError, match="mode"):
        octal_mode(text)


@pytest.mark.parametrize(("text", "mode"), [("0", 0), ("644", 0o644), ("007777", 0o7777)])
def test_octal(text: str, mode: int) -> None:
    assert octal_mode(text) == mode


def test_length_is_limited() -> None:
    with pytest.raises(ValueError, match="256 are allowed"):
        octal_mode("+" * 257)
