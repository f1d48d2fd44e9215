"""Where a value stands in a config.

In: nothing. Out: `SourceLine`, for messages.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLine:
    """Where a value stands in the rendered config: `file` as shown to the user, 1-based line."""

    file: str = "werf.yaml"
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file
