"""A point in time inside templates: what sprig's date functions take, with the methods Go's `time.Time` has.

In: an aware datetime. Out: `TemplateTime`; `{{ now.Year }}` and `{{ (toDate …).Format "2006" }}` work on it.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

METHODS: Final = (
    "Day",
    "Format",
    "Hour",
    "Minute",
    "Month",
    "Second",
    "Unix",
    "Weekday",
    "Year",
    "YearDay",
)
# The functions of sprig that return a time.
RETURNING: Final = (
    "now",
    "toDate",
    "mustToDate",
    "dateModify",
    "date_modify",
    "mustDateModify",
    "must_date_modify",
)


class TemplateTime(datetime):
    """A datetime with Go's method names."""

    def Year(self) -> int:  # noqa: N802, D102 - Go's names are what a template writes
        return self.year

    def Month(self) -> str:  # noqa: N802, D102
        return f"{self:%B}"

    def Day(self) -> int:  # noqa: N802, D102
        return self.day

    def Hour(self) -> int:  # noqa: N802, D102
        return self.hour

    def Minute(self) -> int:  # noqa: N802, D102
        return self.minute

    def Second(self) -> int:  # noqa: N802, D102
        return self.second

    def Weekday(self) -> str:  # noqa: N802, D102
        return f"{self:%A}"

    def YearDay(self) -> int:  # noqa: N802, D102
        return self.timetuple().tm_yday

    def Unix(self) -> int:  # noqa: N802, D102
        return int(self.timestamp())

    def Format(self, layout: str) -> str:  # noqa: N802, D102
        from gotpl.funcs.sprig.dates import date_in_zone  # noqa: PLC0415 - gotpl is slow to import

        return date_in_zone(layout, self, "UTC")


def from_unix(seconds: int) -> TemplateTime:
    """Return the time of a Unix timestamp, in UTC."""
    return TemplateTime.fromtimestamp(seconds, tz=UTC)


def returning_times(
    functions: Mapping[str, Callable[..., object]],
) -> dict[str, Callable[..., object]]:
    """Wrap those of sprig's functions that return a time, so that it has Go's methods."""
    return {name: _wrapped(functions[name]) for name in RETURNING if name in functions}


def _wrapped(function: Callable[..., object]) -> Callable[..., object]:
    def call(*arguments: object) -> object:
        result = function(*arguments)
        if not isinstance(result, datetime):
            return result
        return TemplateTime(
            result.year,
            result.month,
            result.day,
            result.hour,
            result.minute,
            result.second,
            result.microsecond,
            tzinfo=result.tzinfo,
        )

    return call
