"""A name that is not known → the known ones that were probably meant.

In: the name and the names that would be right. Out: the end of an error message.
"""

import difflib
from collections.abc import Iterable
from typing import Final

MAX_COMPARED: Final = 500
_LONGEST: Final = 80
_AS_LIKELY: Final = 0.05


def near(name: str, names: Iterable[str]) -> str:
    """Return `; did you mean …?` for a name that looks like one of the names, else ""."""
    if len(name) > _LONGEST:
        return ""
    lowered = {known.lower(): known for known in sorted(set(names))[:MAX_COMPARED]}
    close = difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.6)
    likeness = {match: _likeness(name.lower(), match) for match in close}
    # The runners-up are worth a word only when they are as likely.
    best = [match for match in close if likeness[match] > likeness[close[0]] - _AS_LIKELY]
    return f"; did you mean {' or '.join(f'`{lowered[match]}`' for match in best)}?" if best else ""


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, other, one).ratio()
