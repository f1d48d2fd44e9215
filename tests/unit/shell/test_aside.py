"""Work beside the looks: done without being waited for, waited for when told, told when it fails."""

import asyncio

import pytest

from conveyor.shell import aside
from conveyor.shell.aside import Aside


async def test_it_goes_on_beside_and_is_waited_for() -> None:
    beside, done = Aside(), []

    async def work() -> None:
        await asyncio.sleep(0.01)
        done.append("told")

    beside.begin(work())
    assert not done
    await beside.settled()
    assert done == ["told"]


async def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "_SETTLE_SECONDS", 0.01)
    beside, never = Aside(), asyncio.Event()

    async def work() -> None:
        await never.wait()

    beside.begin(work())
    await beside.settled()
    never.set()
    await beside.settled()


async def test_a_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    beside = Aside()

    async def work() -> None:
        raise OSError("no route")

    beside.begin(work())
    await beside.settled()
    await asyncio.sleep(0)
    assert "no route" in caplog.text
