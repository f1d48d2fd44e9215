"""What all tests share."""

import asyncio

_LOOP = asyncio.new_event_loop()


def pytest_configure() -> None:
    """Give synchronous tests a loop that is closed in the end: looptime leaves one open otherwise."""
    asyncio.set_event_loop(_LOOP)


def pytest_unconfigure() -> None:
    """Close it."""
    _LOOP.close()
