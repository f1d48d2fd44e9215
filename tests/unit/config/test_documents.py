from typing import Any

import pytest

from conveyor.config.documents import split


def _parts(text: str) -> Any:
    return [(document.line, document.text) for document in split(text)]


def test_lines_are_kept_and_empty_documents_dropped() -> None:
    text = "a: 1\n---\n# only a comment\n---\n\n--- # comment\nb: 2\n"
    assert _parts(text) == [(1, "a: 1"), (7, "b: 2\n")]


@pytest.mark.parametrize("line", ["---", "---   ", "---\t", "--- # why - not", "---#x", "---\r"])
def test_separators(line: int) -> None:
    assert _parts(f"a: 1\n{line}\nb: 2") == [(1, "a: 1"), (3, "b: 2")]


@pytest.mark.parametrize("line", ["----", " ---", "--- a", "--", "x---"])
def test_not_separators(line: int) -> None:
    assert len(split(f"a: 1\n{line}\nb: 2")) == 1


def test_nothing() -> None:
    assert split("") == ()
    assert split("---\n---\n") == ()
    assert split("\ufeffa: 1") == split("a: 1")
