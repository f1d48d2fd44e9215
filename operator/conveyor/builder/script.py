"""werf's user commands as one script of the tools' own bash.

In: commands of a shell section. Out: the script's text, how it is started, and which command a
failure came from. The rules are werf's (docker backend): header `#!…/bash -e`, commands one per
line, one process for all, no pipefail; started by a bash that decodes its one service command
from base64.
"""

from __future__ import annotations

import base64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

BASH = "/.conveyor/bin/bash"
BASE64 = "/.conveyor/bin/base64"
_FIRST_LINE = 3  # line of the first command: after the header and the trap
_MOST = 512

# werf leaves the second line empty. The trap notes where a command failed: depth of the call stack,
# line of the outermost caller, line; it changes neither status nor options, and `-e` still decides.
_TRAP = (
    """trap 'printf "%s " "${{#BASH_LINENO[@]}}" "${{BASH_LINENO[@]: -2:1}}" "$LINENO" """
    """2>/dev/null >|{note}' ERR"""
)


def text(commands: Sequence[str], note: str) -> str:
    """The script for `commands`; it notes a failing line in the file `note`."""
    return "\n".join((f"#!{BASH} -e", _TRAP.format(note=note), *commands)) + "\n"


def argv(script: str) -> list[str]:
    """How the script file is started."""
    encoded = base64.b64encode(script.encode()).decode()
    return [BASH, "-ec", f'eval "$(echo {encoded} | {BASE64} -d)"']


def failed_command(commands: Sequence[str], note: str) -> str:
    """The command that a note points to, at most 512 characters.

    Without a note (an explicit `exit`, a failure inside a function) a single command is the one;
    of several, their text is given.
    """
    numbers = [int(word) for word in note.split() if word.isdigit()]
    line = 0
    if len(numbers) > 1:
        line = numbers[-1] if numbers[0] == 1 else numbers[1]
    at = _FIRST_LINE
    for command in commands:
        after = at + command.count("\n") + 1
        if at <= line < after:
            return command.strip()[:_MOST]
        at = after
    return "\n".join(commands).strip()[:_MOST]
