"""Two things at once: both results, or nothing goes on."""

import asyncio

import pytest

from conveyor.adapters.together import both


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
