"""Why the courier could not do its part, as one exception.

In: a reason of the list below and a sentence. Out: what ends up as `failure` in the StageResult.

GitUnreachable, GitAuthFailed, CommitNotFound, RegistryDenied, RegistryUnreachable, LayerInvalid, InputMissing,
InputTooLarge, RemoteForbidden, RemoteUnreachable, ChecksumMismatch, SecretInvalid, TaskInvalid, Terminated, Internal
are the courier's own; StageDied and StageNeverStarted say what it saw of the stage container.
"""

from typing import Final

STAGE_REASONS: Final = frozenset({"StageDied", "StageNeverStarted"})


class CourierError(Exception):
    """The stage's result cannot be delivered.

    Attributes:
        reason: CamelCase word, see the module.
        message: What happened and what would be right.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
