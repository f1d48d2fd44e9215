"""What the courier is asked to do: environment text in, `CourierTask` out.

The text is JSON, or `z:` and base64 of zlib of JSON where that is too long for a variable. It was written
by the operator (`conveyor.jobs.task`), so a mistake in it is a defect and is reported as TaskInvalid.
Pure; imports nothing heavy, because the stage container waits for the first marker.
"""

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from conveyor.builder.courier_errors import CourierError
from conveyor.builder.courier_fields import Fields, invalid
from conveyor.builder.courier_inputs import StageInput, stage_input
from conveyor.builder.courier_remote import remote_policy
from conveyor.config.remote_policy import RemotePolicy

_VERSION: Final = 2
_MAX_TASK: Final = 64 << 20
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class GitAccess:
    """The repository and the directory of a mounted secret, or None."""

    url: str
    credentials: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SshAgent:
    """Directories of mounted secrets with a key each, and what is made for the stage container."""

    keys: tuple[str, ...]
    socket: str
    known_hosts: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is accepted from hostile hands: bytes of a layer's and an input's tar, entries of either, seconds for the
    stage container to appear, for a remote source to come, and for the next of its bytes.
    """  # noqa: D205 - one sentence

    layer_bytes: int = 32 << 30
    entries: int = 2_000_000
    input_bytes: int = 8 << 30
    start_seconds: int = 900
    remote_seconds: int = 480
    remote_stall_seconds: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class CourierTask:
    """All of it; see `docs/stage-task.md` for the JSON."""

    repo: str
    runs: int
    inputs: tuple[StageInput, ...] = ()
    exports: tuple[str, ...] = ()
    git: tuple[GitAccess, ...] = ()
    insecure: frozenset[str] = frozenset()
    mirrors: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    ca_file: str | None = None
    docker_configs: tuple[str, ...] = ()
    callback_url: str | None = None
    callback_token: str = field(default="", repr=False)
    ssh: SshAgent | None = None
    remote: RemotePolicy = field(default_factory=RemotePolicy)
    limits: Limits = Limits()

    def inputs_of(self, run: int) -> tuple[StageInput, ...]:
        """The inputs that run waits for."""
        return tuple(item for item in self.inputs if item.run == run)


def parse_task(text: str) -> CourierTask:
    """Read the task.

    Raises:
        CourierError: TaskInvalid, with the path of the field.
    """
    fields = Fields(read_json(text), "task")
    if fields.number("version") != _VERSION:
        raise invalid("task.version", f"{_VERSION}: operator and courier image differ in version")
    mirrors, callback = fields.inner("mirrors"), fields.inner("callback")
    git = tuple(_git(Fields(item, f"task.git[{i}]")) for i, item in enumerate(fields.items("git")))
    ssh = fields.inner("ssh")
    return CourierTask(
        repo=fields.text("repo"),
        runs=fields.number("runs"),
        inputs=tuple(
            stage_input(item, i, len(git)) for i, item in enumerate(fields.items("inputs"))
        ),
        exports=fields.texts("exports"),
        git=git,
        insecure=frozenset(fields.texts("insecure")),
        mirrors=mirrors.strings() if mirrors is not None else _NOTHING,
        ca_file=fields.optional("caFile"),
        docker_configs=fields.one_or_more("dockerConfig"),
        callback_url=callback.text("url") if callback is not None else None,
        callback_token=callback.optional("token") or "" if callback is not None else "",
        ssh=_ssh(ssh) if ssh is not None else None,
        remote=remote_policy(fields.inner("remote")),
        limits=_limits(fields.inner("limits")),
    )


def read_json(text: str) -> object:
    """Read a task's JSON, packed or not. Raises CourierError (TaskInvalid)."""
    try:
        if text.startswith("z:"):
            unpacked = zlib.decompressobj().decompress(base64.b64decode(text[2:]), _MAX_TASK)
            text = unpacked.decode()
        value: object = json.loads(text)
    except (ValueError, zlib.error) as error:
        raise CourierError("TaskInvalid", f"the task is not readable: {error}") from None
    return value


def _git(fields: Fields) -> GitAccess:
    return GitAccess(url=fields.text("url"), credentials=fields.optional("credentials"))


def _ssh(fields: Fields) -> SshAgent:
    return SshAgent(
        keys=fields.texts("keys"),
        socket=fields.text("socket"),
        known_hosts=fields.text("knownHosts"),
    )


def _limits(fields: Fields | None) -> Limits:
    if fields is None:
        return Limits()
    usual = Limits()
    return Limits(
        layer_bytes=fields.number("layerBytes", usual.layer_bytes),
        entries=fields.number("entries", usual.entries),
        input_bytes=fields.number("inputBytes", usual.input_bytes),
        start_seconds=fields.number("startSeconds", usual.start_seconds),
        remote_seconds=fields.number("remoteSeconds", usual.remote_seconds),
        remote_stall_seconds=fields.number("remoteStallSeconds", usual.remote_stall_seconds),
    )
