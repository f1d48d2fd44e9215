"""Kubernetes quantities (`500m`, `1.5Gi`) as numbers, only to compare them.

In: text. Out: `Decimal`. Grammar: k8s.io/apimachinery/pkg/api/resource/quantity.go.
"""

import re
from decimal import Decimal

QUANTITY_PATTERN = (
    r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][-+]?[0-9]{1,2})?$"
)

_BINARY = {f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_SCALES = _BINARY | {suffix: Decimal(10) ** power for suffix, power in _DECIMAL.items()}


def quantity(text: str) -> Decimal:
    """The amount that a quantity means.

    Raises:
        ValueError: It is none.
    """
    match = re.fullmatch(QUANTITY_PATTERN, text)
    if match is None or len(text) > 64:
        raise ValueError(f"not a quantity: {text!r}")
    suffix = match.group(3) or ""
    if len(suffix) > 1 and suffix[0] in "eE" and suffix not in _SCALES:
        return Decimal(text)
    return Decimal(match.group(1)) * _SCALES[suffix]
