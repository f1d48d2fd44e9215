"""The text of a plain YAML scalar → its value as Go's yaml.v2 sees it, and back to the text Go would print.

In: text. Out: None, bool, int, float or str; `go_text` gives what `fmt.Sprint` of that value gives, which is what
werf hands to build args (`VERSION: 1.20` is `1.2`). Source: gopkg.in/yaml.v2 resolve.go.
"""

import math
import re
from decimal import Decimal
from typing import Final

Value = None | bool | int | float | str

_INT: Final = re.compile(r"([-+]?)(?:0x([0-9a-fA-F]+)|0b([01]+)|0o?([0-7]+)|(0|[1-9][0-9]*))\Z")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_LONGEST_NUMBER: Final = 64


_WORDS: Final[dict[str, Value]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(
        ("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True
    ),
    **dict.fromkeys(
        ("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False
    ),
    **{sign + word: math.inf for sign in ("", "+") for word in (".inf", ".Inf", ".INF")},
    **{f"-{word}": -math.inf for word in (".inf", ".Inf", ".INF")},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}


def resolve(text: str) -> Value:
    """Return the value of a plain (unquoted) scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > _LONGEST_NUMBER or text[0] not in "+-.0123456789":
        return text
    return _number(text)


def _number(text: str) -> int | float | str:
    plain = text.replace("_", "")
    if match := _INT.match(plain):
        sign, hexadecimal, binary, octal, decimal = match.groups()
        pairs = ((hexadecimal, 16), (binary, 2), (octal, 8), (decimal, 10))
        number = next(int(digits, base) for digits, base in pairs if digits is not None)
        value = -number if sign == "-" else number
        if -(2**63) <= value < 2**64:
            return value
    return float(plain) if _FLOAT.match(plain) else text


def go_text(value: Value) -> str:
    """Return what Go's `fmt.Sprint` prints for the value; a null is `<nil>`."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _go_float(value) if isinstance(value, float) else str(value)


def _go_float(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    # strconv's 'g' with the shortest digits: an exponent below -4 or from 6 on is written as one.
    sign, digits, scale = Decimal(repr(value)).normalize().as_tuple()
    exponent = len(digits) + int(scale) - 1
    if value and not -4 <= exponent < 6:
        fraction = "".join(map(str, digits[1:]))
        point = "." if fraction else ""
        return f"{'-' * sign}{digits[0]}{point}{fraction}e{exponent:+03d}"
    return format(Decimal(repr(value)), "f").removesuffix(".0")
