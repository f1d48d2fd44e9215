"""What `docker:` of a stapel image does to the image config, and what every stapel stage restores.

In: the config of a stage and the directive, None when there is none. Out: the config. werf commits
every stage with CMD, ENTRYPOINT, USER and WORKDIR put back to those of the base (werf-semantics
11.1); here they were never touched, so only the rules of 11.2 are applied.
"""

import json
from collections.abc import Mapping

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.config.dockerfile_syntax import parse_instructions
from conveyor.config.dockerfile_values import parse_health, parse_port
from conveyor.config.dockerfile_words import ExpansionError, expand_word
from conveyor.config.model import DockerInstructions
from conveyor.plan.image_config_parts import (
    Config,
    absolute,
    health_json,
    inner,
    shell,
    table,
    texts,
    variables,
    with_env,
    with_inner,
)

INVALID = Reason.INVALID_WERF_CONFIG
NO_ENTRYPOINT = [""]
Part = dict[str, object]


def apply_docker_directive(
    config: Config,
    instructions: DockerInstructions | None,
    base_config: Config | None = None,
    *,
    keep_entrypoint_with_cmd: bool = False,
) -> dict[str, object]:
    """Return the config after the directive.

    Args:
        config: Config of the stage.
        instructions: None when the stage has no `docker:`; CMD and ENTRYPOINT are completed even
            then.
        base_config: Where CMD and ENTRYPOINT come from when the directive does not set them;
            `config` by default.
        keep_entrypoint_with_cmd: What real werf does: a CMD in the directive leaves the base's
            ENTRYPOINT as it is.
            Without it such a CMD resets the ENTRYPOINT.

    Raises:
        UserError: InvalidWerfConfig: a port or the health check is wrong.
    """
    given = instructions or DockerInstructions()
    part = dict(inner(config))
    part |= _sets(part, given)
    part |= _env(part, given)
    part |= _labels(part, given)
    part["WorkingDir"] = absolute(part, given.workdir)
    if given.user:
        part["User"] = given.user
    base = inner(config if base_config is None else base_config)
    part |= _commands(part, base, given, keep=keep_entrypoint_with_cmd)
    if given.healthcheck:
        part["Healthcheck"] = _health(given.healthcheck)
    return with_inner(config, part)


def _commands(part: Part, base: Config, given: DockerInstructions, *, keep: bool) -> Part:
    """Return CMD and ENTRYPOINT; None takes a value away."""
    base_entrypoint = [word for word in texts(base.get("Entrypoint")) if word]
    base_entrypoint = texts(base.get("Entrypoint")) if base_entrypoint else NO_ENTRYPOINT
    base_cmd = texts(base.get("Cmd"))
    if given.entrypoint:
        cmd = _command(part, given.cmd) if given.cmd else []
        return {"Entrypoint": _command(part, given.entrypoint) or None, "Cmd": cmd}
    if given.cmd:
        entrypoint = base_entrypoint if keep else NO_ENTRYPOINT
        return {"Entrypoint": list(entrypoint), "Cmd": _command(part, given.cmd)}
    # Docker forgets an inherited CMD when it is told an ENTRYPOINT, so a base without CMD keeps none.
    if not base_cmd and base_entrypoint != NO_ENTRYPOINT and base.get("Cmd") is None:
        return {"Entrypoint": list(base_entrypoint), "Cmd": None}
    return {"Entrypoint": list(base_entrypoint), "Cmd": base_cmd}


def _command(part: Config, written: str) -> list[str]:
    """Return the words of a stored CMD or ENTRYPOINT: a JSON list, or text for the shell."""
    words = _json_words(written)
    return [*shell(part), written] if words is None else words


def _json_words(written: str) -> list[str] | None:
    if not written.lstrip().startswith("["):
        return None
    try:
        value = json.loads(written)
    except ValueError:
        return None
    valid = isinstance(value, list) and all(isinstance(word, str) for word in value)
    return value if valid else None


def _sets(part: Part, given: DockerInstructions) -> Part:
    volumes, ports = table(part.get("Volumes")), table(part.get("ExposedPorts"))
    for written in given.volumes:
        for path in _paths(written, exact=given.exact_values):
            volumes[path] = {}
    for written in given.expose:
        for word in written.split():
            ports |= {port: {} for port in _ports(word)}
    return {"Volumes": volumes or None, "ExposedPorts": ports or None}


def _paths(written: str, *, exact: bool) -> list[str]:
    words = _json_words(written)
    if words is not None:
        return words
    return [written] if exact else written.split()


def _ports(word: str) -> tuple[str, ...]:
    try:
        return parse_port(word)
    except ValueError as problem:
        raise UserError(INVALID, f"docker.EXPOSE: {problem}") from None


def _env(part: Part, given: DockerInstructions) -> Part:
    env = texts(part.get("Env"))
    for name, written in sorted(given.env.items()):
        known = variables({"Env": env})
        env = with_env(env, name, _value(written, known, exact=given.exact_values))
    return {"Env": env} if env else {}


def _labels(part: Part, given: DockerInstructions) -> Part:
    if not given.labels:
        return {}
    known = variables(part)
    added = {
        name: _value(written, known, exact=given.exact_values)
        for name, written in sorted(given.labels.items())
    }
    return {"Labels": {**table(part.get("Labels")), **added}}


def _value(written: str, known: Mapping[str, str], *, exact: bool) -> str:
    """Return a value as Docker reads it: variables replaced and quotes removed unless it is exact."""
    if exact:
        return written
    try:
        return expand_word(written, known)
    except ExpansionError:
        return written


def _health(written: str) -> dict[str, object]:
    """Return the health check of Docker's syntax; `CMD-SHELL x` is `CMD x`."""
    line = written.strip().replace("CMD-SHELL ", "CMD ", 1)
    found = parse_instructions(f"HEALTHCHECK {line}", file="docker.HEALTHCHECK")
    if len(found) != 1 or not found[0].args:
        raise UserError(INVALID, "docker.HEALTHCHECK: write one line: CMD … or NONE")
    pairs = (flag.removeprefix("--").partition("=")[::2] for flag in found[0].flags)
    try:
        health = parse_health(found[0].args, dict(pairs), json=found[0].json)
    except ValueError as problem:
        raise UserError(INVALID, f"docker.HEALTHCHECK: {problem}") from None
    return health_json(health)
