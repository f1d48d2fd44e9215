"""Durations as Kubernetes users write them: `90s`, `1h30m`, `1.5h`.

In: text. Out: whole seconds or milliseconds. The grammar is Go's `time.ParseDuration` without signs
and without the units below 1 ms.
"""

import math
import re
from decimal import Decimal

DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
"""The same as Flux and the Gateway API use; in the CRD's schema."""

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_UNIT_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}


def milliseconds(duration: str) -> int:
    """Milliseconds of a duration, rounded up.

    Args:
        duration: Text that matches `DURATION_PATTERN`.

    Raises:
        ValueError: It does not match, or has more than 32 characters.
    """
    if not re.fullmatch(DURATION_PATTERN, duration) or len(duration) > 32:
        raise ValueError(f"not a duration: {duration!r}; write it like 90s, 30m or 1h30m")
    parts = _PART.findall(duration)
    return math.ceil(sum(Decimal(number) * _UNIT_MILLISECONDS[unit] for number, unit in parts))


def seconds(duration: str) -> int:
    """Seconds of a duration, rounded up; otherwise as `milliseconds`."""
    return math.ceil(Decimal(milliseconds(duration)) / 1000)
