"""Work beside the looks: done without being waited for, waited for when told, told when it fails."""

import asyncio

import pytest

from conveyor.shell import aside
from conveyor.shell.aside import Aside, both


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


async def test_both_are_waited_for() -> None:
    assert await both(asyncio.sleep(0.01, "a"), asyncio.sleep(0, "b")) == ("a", "b")


@pytest.mark.parametrize("fails_first", [True, False])
async def test_when_one_fails_the_other_is_given_up(*, fails_first: bool) -> None:
    ended = asyncio.Event()

    async def fail() -> None:
        await asyncio.sleep(0)
        raise OSError("refused")

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    with pytest.raises(OSError, match="refused"):
        await (both(fail(), wait()) if fails_first else both(wait(), fail()))
    assert ended.is_set()
