"""Durations and quantities."""

from decimal import Decimal

import pytest

from conveyor.api.duration import milliseconds, seconds
from conveyor.api.quantity import quantity


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1h", 3600),
        ("1h30m", 5400),
        ("90.5m", 5430),
        ("1ms", 1),
        ("1001ms", 2),
        ("0s", 0),
        ("0.1s0.2s0.7s", 1),
    ],
)
def test_seconds_are_rounded_up(text: str, expected: int) -> None:
    assert seconds(text) == expected


def test_milliseconds_are_exact() -> None:
    assert milliseconds("0.1s0.2s") == 300
    assert milliseconds("999ms") == 999


@pytest.mark.parametrize("text", ["", "1", "1d", "-1s", "1h 2m", "1h\n", "1s" * 20, "s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", "1"),
        ("0.5", "0.5"),
        (".5", "0.5"),
        ("500m", "0.5"),
        ("1k", "1000"),
        ("1Ki", "1024"),
        ("1.5Gi", "1610612736"),
        ("1E", "1000000000000000000"),
        ("1Ei", "1152921504606846976"),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("2e-3", "0.002"),
        ("100n", "0.0000001"),
    ],
)
def test_quantities(text: str, expected: str) -> None:
    assert quantity(text) == Decimal(expected)


@pytest.mark.parametrize("text", ["", "1K", "-1", "1 Gi", "Gi", "1e999", "1" * 65, "0x10"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        quantity(text)
