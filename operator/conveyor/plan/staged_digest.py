"""What each instruction of a staged Dockerfile depends on, as named arguments.

In: an instruction with its variables replaced, checksums and references that somebody looked up. Out: the arguments of the
stage's StageDependencies in hash order (werf: pkg/build/stage/instruction; werf-semantics 4.9).
"""

from collections.abc import Iterable, Mapping

from conveyor.config.dockerfile import Instruction
from conveyor.config.dockerfile_mounts import RunMount
from conveyor.config.dockerfile_values import parse_health
from conveyor.plan.digest import named
from conveyor.plan.model import Component
from conveyor.plan.staged_words import StagedInstruction

_HEADS: Mapping[str, str] = {
    "ENV": "Env",
    "LABEL": "Labels",
    "EXPOSE": "Ports",
    "SHELL": "Shell",
    "USER": "User",
    "STOPSIGNAL": "Signal",
    "VOLUME": "Volumes",
    "WORKDIR": "Path",
    "ONBUILD": "Expression",
    "MAINTAINER": "Maintainer",
    "CMD": "Cmd",
    "ENTRYPOINT": "Entrypoint",
}
_COMMANDS = frozenset({"CMD", "ENTRYPOINT"})
_HEALTH_FLAGS = ("interval", "timeout", "start-period", "start-interval", "retries")
_UNITS = ((1, "ns"), (1_000, "µs"), (1_000_000, "ms"))
_SECOND = 1_000_000_000


def from_components(reference: str, cache_version: str) -> list[Component]:
    """Return what FROM depends on when it is a stage (v2); `reference` is "" for another stage."""
    parts = _tokens("BaseImageReference", [reference])
    return parts + (_tokens("ImageCacheVersion", [cache_version]) if cache_version else [])


def plain_components(instruction: Instruction) -> list[Component]:
    """Return what an instruction depends on that takes nothing from files or other images."""
    if instruction.keyword == "HEALTHCHECK":
        return _health(instruction)
    head = _HEADS[instruction.keyword]
    parts = _tokens(head, instruction.args)
    return parts + _shell(instruction) if instruction.keyword in _COMMANDS else parts


def run_components(
    staged: StagedInstruction, mounts: Iterable[RunMount], checksum: str | None
) -> list[Component]:
    """Return what a RUN depends on.

    Args:
        staged: The RUN; the body of a here-document is not hashed (werf: only CmdLine is).
        mounts: Its mounts, `source_image` being a reference.
        checksum: Of the context's files that are mounted; None when there are none.
    """
    instruction = staged.instruction
    parts = _tokens("Env", sorted(f"{name}={value}" for name, value in staged.env.items()))
    parts += _tokens("Command", instruction.args) + _shell(instruction)
    parts += _tokens("Network", [instruction.flag("network") or "default"])
    parts += _tokens("Security", [instruction.flag("security") or "sandbox"])
    listed = [part for mount in mounts for part in _mount(mount)]
    if listed:
        parts += [named("Mounts", "Mounts"), *listed]
    return parts + _checksum(checksum)


def copy_components(
    instruction: Instruction, reference: str, checksum: str | None
) -> list[Component]:
    """Return what a COPY or ADD depends on; `reference` is that of `--from`, `checksum` that of the context's files."""
    copied = instruction.keyword == "COPY"
    parts = _tokens("From", [instruction.flag("from")]) if copied else []
    parts += _tokens("Sources", instruction.args[:-1]) + _tokens("Dest", instruction.args[-1:])
    parts += _tokens("Chown", [instruction.flag("chown")])
    parts += _tokens("Chmod", [instruction.flag("chmod")])
    parts += _tokens("ExpandedFrom", [reference]) if copied else []
    return parts + _checksum(checksum)


def _tokens(head: str, values: Iterable[str]) -> list[Component]:
    return [named(head, head), *(named(head, value) for value in values)]


def _checksum(checksum: str | None) -> list[Component]:
    return [] if checksum is None else _tokens("SourcesChecksum", [checksum])


def _shell(instruction: Instruction) -> list[Component]:
    return _tokens("PrependShell", [_bool(not instruction.json)])


def _bool(value: object) -> str:
    return "true" if value else "false"


def _mount(mount: RunMount) -> list[Component]:
    rows = (
        ("Type", mount.type),
        ("From", mount.source_image),
        ("Source", mount.source),
        ("Target", mount.target),
        ("ReadOnly", _bool(mount.read_only)),
        ("CacheID", mount.cache_id),
        ("CacheSharing", mount.sharing),
        ("Required", _bool(mount.required)),
    )
    optional = (("Mode", mount.mode), ("UID", mount.uid), ("GID", mount.gid))
    parts = [part for head, value in rows for part in _tokens(head, [value])]
    for head, number in optional:
        parts += [] if number is None else _tokens(head, [str(number)])
    return parts


def _health(instruction: Instruction) -> list[Component]:
    flags = {name: instruction.flag(name) for name in _HEALTH_FLAGS if instruction.flag(name)}
    health = parse_health(instruction.args, flags, json=instruction.json)
    parts = _tokens("Test", health.test)
    parts += _tokens("Interval", [go_duration(health.interval)])
    parts += _tokens("Timeout", [go_duration(health.timeout)])
    parts += _tokens("StartPeriod", [go_duration(health.start_period)])
    return parts + _tokens("Retries", [str(health.retries)])


def go_duration(nanoseconds: int) -> str:
    """Return the duration as Go prints it: `0s`, `1m30s`, `1.5s`, `500ms`."""
    if not nanoseconds:
        return "0s"
    if abs(nanoseconds) < _SECOND:
        size, unit = next(pair for pair in reversed(_UNITS) if abs(nanoseconds) >= pair[0])
        return _decimal(nanoseconds, size) + unit
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    minutes, rest = divmod(rest, 60 * _SECOND)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{text}{_decimal(rest, _SECOND)}s"


def _decimal(value: int, size: int) -> str:
    whole, fraction = divmod(abs(value), size)
    digits = f"{fraction:0{len(str(size)) - 1}d}".rstrip("0") if fraction else ""
    return f"{'-' if value < 0 else ''}{whole}{'.' if digits else ''}{digits}"
