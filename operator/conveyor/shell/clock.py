"""The shell's clock: the core gets the time as a value.

Out: the time of this moment, with its zone.
"""

from datetime import UTC, datetime


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the one place
