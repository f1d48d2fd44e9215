"""What an instruction of a Dockerfile does to the image config.

In: a config and a `BlockStep` with its variables replaced. Out: the config after it (BuildKit's
rules: moby/buildkit dockerfile2llb/convert.go). Instructions that change files only leave the
config as it is.
"""

from collections.abc import Callable, Mapping

from conveyor.api.errors import UserError
from conveyor.config.dockerfile import Instruction
from conveyor.config.dockerfile_model import NOT_SUPPORTED
from conveyor.config.dockerfile_values import parse_health, parse_port
from conveyor.plan.dockerfile_steps import DEFAULT_PATH, SCRATCH
from conveyor.plan.image_config_parts import (
    Config,
    absolute,
    health_json,
    inner,
    shell,
    table,
    text,
    texts,
    with_env,
    with_inner,
)
from conveyor.plan.model import BlockStep

Part = dict[str, object]
_HEALTH_FLAGS = ("interval", "timeout", "start-period", "start-interval", "retries")


def apply_instruction(config: Config, step: BlockStep) -> Config:
    """Return the config after the instruction.

    Raises:
        UserError: NotSupported: a FROM step on an image whose ONBUILD instructions nobody has
            planned.
    """
    instruction = step.instruction
    if instruction.keyword == "MAINTAINER":
        return {**config, "author": instruction.args[0]}
    change = _CHANGES.get(instruction.keyword)
    if change is None:
        return config
    return with_inner(config, change(dict(inner(config)), instruction))


def _from(part: Part, instruction: Instruction) -> Part:
    known = instruction.args[1:]
    if part.pop("OnBuild", None) and not known:
        problem = (
            f"FROM {instruction.args[0]} has got ONBUILD instructions since the build was planned"
        )
        raise UserError(NOT_SUPPORTED, f"line {instruction.line}: {problem}; ask for another try")
    if instruction.args[0] == SCRATCH:
        part = {"WorkingDir": "/", **part}
    env = texts(part.get("Env"))
    if not any(entry.startswith("PATH=") for entry in env):
        part["Env"] = [*env, f"PATH={DEFAULT_PATH}"]
    return part


def _env(part: Part, instruction: Instruction) -> Part:
    return {**part, "Env": with_env(texts(part.get("Env")), instruction.pairs)}


def _label(part: Part, instruction: Instruction) -> Part:
    return {**part, "Labels": {**table(part.get("Labels")), **dict(instruction.pairs)}}


def _cmd(part: Part, instruction: Instruction) -> Part:
    return {**part, "Cmd": _command(part, instruction)}


def _entrypoint(part: Part, instruction: Instruction) -> Part:
    cmd = None if instruction.resets_cmd else part.get("Cmd")
    return {**part, "Entrypoint": _command(part, instruction), "Cmd": cmd}


def _command(part: Part, instruction: Instruction) -> list[str] | None:
    """Return the words of CMD or ENTRYPOINT; `[]` takes the value away."""
    if instruction.json:
        return list(instruction.args) or None
    return [*shell(part), " ".join(instruction.args)]


def _workdir(part: Part, instruction: Instruction) -> Part:
    path = instruction.args[0] or text(part.get("WorkingDir"))
    # BuildKit keeps an absolute path as it is written, `/app/` too.
    return {**part, "WorkingDir": path if path.startswith("/") else absolute(part, path)}


def _user(part: Part, instruction: Instruction) -> Part:
    return {**part, "User": instruction.args[0]}


def _expose(part: Part, instruction: Instruction) -> Part:
    ports = [port for word in instruction.args for port in parse_port(word)]
    return {**part, "ExposedPorts": _set(part.get("ExposedPorts"), ports)}


def _volume(part: Part, instruction: Instruction) -> Part:
    return {**part, "Volumes": _set(part.get("Volumes"), list(instruction.args))}


def _stop_signal(part: Part, instruction: Instruction) -> Part:
    return {**part, "StopSignal": instruction.args[0]}


def _shell(part: Part, instruction: Instruction) -> Part:
    return {**part, "Shell": list(instruction.args)}


def _health(part: Part, instruction: Instruction) -> Part:
    flags = {name: instruction.flag(name) for name in _HEALTH_FLAGS if instruction.flag(name)}
    health = parse_health(instruction.args, flags, json=instruction.json)
    return {**part, "Healthcheck": health_json(health)}


def _onbuild(part: Part, instruction: Instruction) -> Part:
    return {**part, "OnBuild": [*texts(part.get("OnBuild")), instruction.args[0]]}


def _set(known: object, names: list[str]) -> dict[str, object]:
    """Add names to a set as image configs write it: an object with empty objects."""
    return {**table(known), **{name: {} for name in names}}


_CHANGES: Mapping[str, Callable[[Part, Instruction], Part]] = {
    "FROM": _from,
    "ENV": _env,
    "LABEL": _label,
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "WORKDIR": _workdir,
    "USER": _user,
    "EXPOSE": _expose,
    "VOLUME": _volume,
    "STOPSIGNAL": _stop_signal,
    "SHELL": _shell,
    "HEALTHCHECK": _health,
    "ONBUILD": _onbuild,
}
