"""A commit as werf.yaml and commands see it.

In: its id, the author's time and time zone. Out: `CommitInfo`, with the time as Go prints it.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

_ZONE: Final = re.compile(r"([+-])([0-9]{2})([0-9]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitInfo:
    """A commit: full id, the author's time in Unix seconds, and the time zone as git keeps it (`+0530`)."""

    hash: str
    date: int
    zone: str = "+0000"

    @property
    def human(self) -> str:
        """The time as Go's time.Time prints it in a zone without a name, which is what werf shows."""
        match = _ZONE.fullmatch(self.zone)
        sign, hours, minutes = match.groups() if match else ("+", "00", "00")
        offset = timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1)
        time = datetime.fromtimestamp(self.date, UTC) + offset
        zone = f"{sign}{hours}{minutes}"
        return f"{time:%Y-%m-%d %H:%M:%S} {zone} {zone}"
