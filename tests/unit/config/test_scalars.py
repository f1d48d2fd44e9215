import math
from typing import Any

import pytest

from conveyor.config.scalars import go_text, resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("y", True),
        ("On", True),
        ("off", False),
        ("N", False),
        ("1", 1),
        ("-7", -7),
        ("1_000", 1000),
        ("0x1f", 31),
        ("0b101", 5),
        ("0o17", 15),
        ("0777", 511),
        ("089", 89.0),
        ("1.20", 1.2),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("-.inf", -math.inf),
        ("1:30", "1:30"),
        ("2024-01-02", "2024-01-02"),
        ("v1.2", "v1.2"),
        ("1.2.3", "1.2.3"),
        ("yEs", "yEs"),
        ("9" * 30, float("9" * 30)),
        ("9" * 100, "9" * 100),
        ("18446744073709551615", 2**64 - 1),
        ("+", "+"),
        (".", "."),
        ("-", "-"),
    ],
)
def test_resolve_as_yaml_v2(text: str, value: Any) -> None:
    found = resolve(text)
    assert found == value
    assert type(found) is type(value)


def test_not_a_number() -> None:
    value = resolve(".nan")
    assert isinstance(value, float)
    assert math.isnan(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "<nil>"),
        (True, "true"),
        (False, "false"),
        (3, "3"),
        ("x", "x"),
        (1.2, "1.2"),
        (3.0, "3"),
        (0.0, "0"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (100000.5, "100000.5"),
        (1000000.0, "1e+06"),
        (12345678.9, "1.23456789e+07"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (-2.5e-7, "-2.5e-07"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
    ],
)
def test_go_text(value: Any, text: str) -> None:
    assert go_text(value) == text
