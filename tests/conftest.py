"""What all tests share."""

import asyncio

from hypothesis import settings

_LOOP = asyncio.new_event_loop()


def pytest_configure() -> None:
    """Give synchronous tests a loop that is closed in the end: looptime leaves one open otherwise.

    No example of a property has a deadline: machines under load take their time.
    """
    asyncio.set_event_loop(_LOOP)
    settings.register_profile("patient", deadline=None)
    settings.load_profile("patient")


def pytest_unconfigure() -> None:
    """Close it."""
    _LOOP.close()
