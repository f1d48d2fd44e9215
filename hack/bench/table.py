"""Figures and the table that they stand in.

In: samples. Out: `Row`s with median, least and greatest; Markdown.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured thing.

    Attributes:
        samples: One value a run.
        bar: The median must not be greater; None when there is no bar.
        unit: Written behind each value; "" for counts.
    """

    what: str
    samples: tuple[float, ...]
    unit: str = "s"
    bar: float | None = None
    digits: int = 2

    @property
    def median(self) -> float:
        """The middle value."""
        return median(self.samples)

    @property
    def verdict(self) -> str:
        """`ok` or `MISSED` against the bar, "" without one."""
        if self.bar is None:
            return ""
        return "ok" if round(self.median, self.digits) <= self.bar else "MISSED"

    def cells(self) -> tuple[str, ...]:
        """What stands in the table."""
        bar = "" if self.bar is None else f"≤ {self.bar:g}{self._unit}"
        spread = f"{self._number(min(self.samples))}-{self._number(max(self.samples))}"
        found = f"{self._number(self.median)}{self._unit}"
        return (self.what, found, spread, str(len(self.samples)), bar, self.verdict)

    @property
    def _unit(self) -> str:
        return f" {self.unit}" if self.unit else ""

    def _number(self, value: float) -> str:
        return f"{value:.{self.digits}f}"


def row(
    what: str,
    samples: Sequence[float],
    *,
    bar: float | None = None,
    unit: str = "s",
    digits: int = 2,
) -> Row:
    """Make a row of samples."""
    return Row(what=what, samples=tuple(samples), bar=bar, unit=unit, digits=digits)


HEAD = ("what", "median", "min-max", "runs", "bar", "")


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns are aligned for a terminal too."""
    widths = [max(len(cell) for cell in column) for column in zip(head, *lines, strict=True)]
    rule = ["-" * width for width in widths]
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |"
        for line in (head, rule, *lines)
    )
