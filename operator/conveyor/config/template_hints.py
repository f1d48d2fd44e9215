"""What the template engine says is wrong → what is to be done about it.

In: the message, the names that would be right. Out: text to add to the message, "" when it says enough itself.
"""

import re
from collections.abc import Iterable
from typing import Final

from conveyor.config.near import near

_UNKNOWN_FUNCTION: Final = re.compile(r"function '([^'\n]+)' not defined")
_UNKNOWN_TEMPLATE: Final = re.compile(
    r"there is no template \"([^\"\n]+)\"|template '([^'\n]+)' is not defined"
)
_MISSING: Final = re.compile(r"(?:a )?value of type (?:_InvalidValue|_UntypedNil|NoneType)")
_HINTS: Final = {
    "unexpected EOF": "an if, range, with, define or block has no {{ end }}",
    "unexpected end": "there is no if, range, with, define or block that could end here",
    "unexpected else": "there is no if, range or with that it could belong to",
    "missing value for command": "the action {{ }} is empty",
    "unclosed action": "its }} is missing",
    "unterminated quoted string": "its closing quote is missing",
    "wrong number of args for include": 'write {{ include "NAME" . }}',
    "wrong number of args for tpl": "write {{ tpl TEXT . }}",
    "'expandenv' not defined": 'use {{ env "NAME" }}, which asks werf-giterminism.yaml',
    "is not allowed; add it": "",
    "attribute '": "the value has no such field; only mappings have fields",
}


def in_words(message: str) -> str:
    """Return the message without names of the engine's own types."""
    return _MISSING.sub("a missing value", message)


def hint_for(message: str, *, functions: Iterable[str], templates: Iterable[str]) -> str:
    """Return the hint, with its semicolon."""
    for part, hint in _HINTS.items():
        if part in message:
            return f"; {hint}" if hint else ""
    if match := _UNKNOWN_FUNCTION.search(message):
        return near(match[1], functions)
    if match := _UNKNOWN_TEMPLATE.search(message):
        known = frozenset(templates)
        return near(match[1] or match[2], known) or _listed(known)
    return ""


def _listed(names: frozenset[str]) -> str:
    if not names:
        return "; there is none, neither in .werf nor by {{ define }}"
    rest = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"; there are {', '.join(sorted(names)[:10])}{rest}"
