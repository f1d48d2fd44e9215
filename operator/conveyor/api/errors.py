"""The errors that reach a user, as values.

In: a reason (a constant of `conveyor.api.names.Reason`) and a sentence. Out: an exception whose
kind says how it is handled: `UserError` becomes condition Stalled and is not retried, `NotYet` is
looked at again after a while, everything else is a defect or an outage and is retried with backoff.

    ConveyorError
    ├── UserError   somebody has to change the spec, the repository or the cluster
    └── NotYet      the answer will come by itself
"""

from conveyor.api.names import Reason


class ConveyorError(Exception):
    """Base of the errors that are explained to a user.

    Attributes:
        reason: CamelCase word, the `reason` of the condition that will show it.
        message: One or more sentences; names the file, line and key where there is one.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return self.message


class UserError(ConveyorError):
    """Final until somebody changes something."""


class NotYet(ConveyorError):  # noqa: N818 - not an error in the everyday sense: a postponement
    """Look again after `after` seconds."""

    def __init__(self, reason: Reason, message: str, *, after: float) -> None:
        super().__init__(reason, message)
        self.after = after
