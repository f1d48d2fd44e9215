"""A Dockerfile as data: instructions, FROM blocks, and the error that names a line.

In: nothing; these values are made by `conveyor.config.dockerfile`. Out: what the planner reads. No
variable is expanded here.
"""

from dataclasses import dataclass

from conveyor.api.errors import UserError
from conveyor.api.names import Reason

INVALID = Reason.INVALID_DOCKERFILE
NOT_SUPPORTED = Reason.NOT_SUPPORTED
MAX_TRIGGERS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Heredoc:
    """The body of a here-document; `name` is its closing word.

    As parsed, the body is what stands in the file. Of a planned RUN or COPY it is the text as it is used: leading tabs
    removed for `<<-`, variables replaced.
    """

    name: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One instruction as written.

    Attributes:
        keyword: Upper case: RUN, COPY…
        args: The parsed words; for shell form of RUN, CMD and ENTRYPOINT one text; for ENV and
            LABEL names and values
            in turn; for ONBUILD the whole trigger instruction as one text.
        flags: `--name=value` flags as written, in order.
        json: The JSON (exec) form was used.
        original: Source text of the instruction, continuation lines joined as BuildKit's parser
            does, no heredoc bodies.
        line: 1-based first line.
        heredocs: Bodies of the here-documents that `args` mention, in order.
        resets_cmd: Of a planned ENTRYPOINT: no CMD stands before it in its block.
        trigger_of: The base whose ONBUILD this is, "" for what the block says itself; `line` is that of the FROM.
    """

    keyword: str
    args: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    json: bool = False
    original: str = ""
    line: int = 0
    heredocs: tuple[Heredoc, ...] = ()
    resets_cmd: bool = False
    trigger_of: str = ""

    def flag(self, name: str) -> str:
        """Return the value of `--name=value`, "true" for a bare `--name`, "" when it is not given."""
        for flag in self.flags:
            key, equals, value = flag.removeprefix("--").partition("=")
            if key == name:
                return value if equals else "true"
        return ""

    def flag_values(self, name: str) -> tuple[str, ...]:
        """Return the values of a flag that may be given several times, in order."""
        start = f"--{name}="
        return tuple(flag.removeprefix(start) for flag in self.flags if flag.startswith(start))

    def is_set(self, name: str) -> bool:
        """Return whether a flag that is true or false was given and is not `false`."""
        return self.flag(name).lower() == "true"

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The names and values of ENV and LABEL."""
        return tuple(zip(self.args[::2], self.args[1::2], strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One FROM and what follows it.

    Attributes:
        name: Lower case, "" when there is no AS.
        base, platform: As written, variables not expanded; platform "" when not given.
    """

    index: int
    name: str = ""
    base: str
    platform: str = ""
    line: int
    instructions: tuple[Instruction, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dockerfile:
    """A checked Dockerfile.

    Attributes:
        file: Name for messages.
        args: ARG instructions before the first FROM.
        escape: The escape character, a backslash unless the file says otherwise.
        notes: What is read and has no effect, each with its line.
    """

    file: str
    args: tuple[Instruction, ...]
    blocks: tuple[Block, ...]
    escape: str = "\\"
    notes: tuple[tuple[int, str], ...] = ()

    def error(self, line: int, text: str, *, reason: Reason = INVALID) -> UserError:
        """Return the error that names this file and the line."""
        return UserError(reason, f"{self.file}:{line}: {text}")
