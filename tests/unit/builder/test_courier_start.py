"""A courier that nobody waits for lets others start first."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conveyor.builder import courier_start
from conveyor.builder.courier_start import hold_back, node_is_busy


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path


def _waits(place: Path, seconds: float = 0.1) -> bool:
    """Whether it waits for as long as it may."""
    begun = time.monotonic()
    shared = hold_back(str(place), seconds)
    assert shared is not None
    assert os.listdir(shared) == ["out"]  # noqa: PTH208 - a descriptor
    os.close(shared)
    return time.monotonic() - begun >= seconds


@pytest.mark.parametrize(
    ("busy", "there", "waits"),
    [
        (False, "", True),  # the stage has not even begun
        (False, "began.json", False),
        (True, "began.json", True),
        (True, "0.json", False),
        (True, "done.json", False),
    ],
)
def test_how_long(
    place: Path, monkeypatch: pytest.MonkeyPatch, *, busy: bool, there: str, waits: bool
) -> None:
    monkeypatch.setattr(courier_start, "node_is_busy", lambda: busy)
    if there:
        (place / "out" / there).touch()
    assert _waits(place) is waits


def test_there_is_no_directory(tmp_path: Path) -> None:
    assert hold_back("", 0.05) is None
    assert hold_back(str(tmp_path / "missing"), 0.05) is None


@pytest.mark.parametrize(
    ("text", "busy"),
    [("0.1 0.2 0.3 {n}/99 7\n", True), ("0.1 0.2 0.3 1/99 7\n", False), ("", False)],
)
def test_a_busy_node_has_more_to_run_than_processors(
    tmp_path: Path, text: str, *, busy: bool
) -> None:
    (tmp_path / "loadavg").write_text(text.format(n=(os.cpu_count() or 1) + 1))
    assert node_is_busy(str(tmp_path / "loadavg")) is busy


def test_it_imports_next_to_nothing() -> None:
    """What it is for: a courier's imports wait."""
    code = "import sys, conveyor.builder.courier_start; print(*sys.modules)"
    run = subprocess.run(  # noqa: S603 - our own Python
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    heavy = {"json", "typing", "dataclasses", "asyncio", "aiohttp", "pathlib", "re", "signal"}
    assert not heavy & set(run.stdout.split())
