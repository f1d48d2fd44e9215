"""Room on the disk: what is removed, and what is said when that is not enough."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster.console import Console, Failure

from cluster import engine, room


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    console = Console(tmp_path / "log")
    yield console
    console._log.close()


def _disk(monkeypatch: pytest.MonkeyPatch, *free: int) -> list[str]:
    """A disk with so much free before and after the removal; answers what was removed."""
    removed: list[str] = []
    monkeypatch.setattr(room, "_free", lambda _: free[bool(removed)])
    monkeypatch.setattr(room, "_clear", lambda _: removed.append("cluster"))
    monkeypatch.setattr(engine, "answers", lambda _: True)
    return removed


def test_enough_room_removes_nothing(monkeypatch: pytest.MonkeyPatch, console: Console) -> None:
    removed = _disk(monkeypatch, 10, 10)
    room.ensure(console, needed=10)
    assert not removed


def test_the_old_cluster_makes_room(monkeypatch: pytest.MonkeyPatch, console: Console) -> None:
    removed = _disk(monkeypatch, 5, 50)
    room.ensure(console, needed=10)
    assert removed == ["cluster"]


def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch, console: Console) -> None:
    _disk(monkeypatch, 1 * 10**9, 2 * 10**9)
    with pytest.raises(Failure, match=r"3 GB are needed in .*, 2 GB are free: .*docker system df"):
        room.ensure(console, needed=3 * 10**9)
