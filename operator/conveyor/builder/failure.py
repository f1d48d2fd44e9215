"""Why a stage ended badly, as one value.

In: a reason, a sentence, and what the user's command left. Out: an exception that the stage
program turns into `done.json` for the courier. Standard library only: this module is part of the
tools layer.
"""

from __future__ import annotations


class StageFailure(Exception):  # noqa: N818 - an ending that is reported, not a defect
    """The stage cannot be finished.

    Attributes:
        reason: CamelCase word: CommandFailed, OutOfMemory, InputMissing, NoSuchUser, NoSuchShell, LayerInvalid,
            StepInvalid, Terminated, Internal.
        message: What happened and what would be right.
        exit_code: The user command's exit code (0-255), None when no command ended by itself.
        signal: Number of the signal that ended the command, else None.
        command: Text of the failing command.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        exit_code: int | None = None,
        signal: int | None = None,
        command: str = "",
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.exit_code = exit_code
        self.signal = signal
        self.command = command
