"""What the YAML parser complains about → what is to be done about it.

In: the parser's message, the places it names, the text. Out: text to add to the message, "" when it says enough itself.
"""

from typing import Final

import yaml as pyyaml

_INDENT: Final = "a line does not fit the indentation of the lines before it"
# Parts of the parser's messages and what is to be done about them.
_ADVICE: Final = {
    "mapping values are not allowed": "a text with `: ` in it has to be quoted, and a line must not"
    " be indented deeper than its neighbours",
    "could not find expected ':'": "a key has to be followed by `: `, a text of several lines to be"
    " indented, and only a line `---` separates sections",
    "scanning an alias": "a text that starts with * has to be quoted",
    "scanning an anchor": "a text that starts with & has to be quoted",
    "tab character": "tabs cannot indent; write blanks",
    "quoted scalar": "a quote is left open",
    "flow node": "a `[` or `{` is left open",
    "flow sequence": "a `[` is left open, or a comma is missing",
    "flow mapping": "a `{` is left open, or a comma is missing",
    "expected <document start>": "a line that starts with % has no place here",
    "expected <block end>": _INDENT,
    "did not find expected key": _INDENT,
    "did not find expected '-' indicator": _INDENT,
}


def advice_for(said: str, marks: list[pyyaml.Mark], text: str) -> str:
    """Return the advice, with its semicolon."""
    if "cannot start any token" in said and marks:
        character = text.split("\n")[marks[0].line][marks[0].column]
        if character == "\t":
            return f"; {_ADVICE['tab character']}"
        return f"; a text that starts with {character} has to be quoted"
    return next((f"; {advice}" for part, advice in _ADVICE.items() if part in said), "")
