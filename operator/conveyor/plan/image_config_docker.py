"""What `docker:` of a stapel image does to the image config, and what every stapel stage restores.

In: the config of a stage and the directive, None when there is none. Out: the config. werf commits
every stage with CMD, ENTRYPOINT, USER and WORKDIR put back to those of the base (werf-semantics
11.1); here they were never touched, so only the rules of 11.2 are applied.
"""

import json
from collections.abc import Iterator, Mapping, Sequence

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.config.docker_instructions import health_of
from conveyor.config.dockerfile_values import parse_port, port_problems
from conveyor.config.dockerfile_words import ExpansionError, expand_word, expand_words
from conveyor.config.model_image_config import DockerInstructions
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
    within_limit,
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
    known = variables(part)
    part["WorkingDir"] = absolute(part, _value(given.workdir, known, exact=False))
    if given.user:
        part["User"] = _value(given.user, known, exact=False)
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
    cmd = _command(part, given.cmd, given.cmd_words) if given.cmd else []
    if given.entrypoint:
        entrypoint = _command(part, given.entrypoint, given.entrypoint_words)
        return {"Entrypoint": entrypoint or None, "Cmd": cmd}
    if given.cmd:
        return {"Entrypoint": list(base_entrypoint if keep else NO_ENTRYPOINT), "Cmd": cmd}
    # Docker forgets an inherited CMD when it is told an ENTRYPOINT, so a base without CMD keeps none.
    if not base_cmd and base_entrypoint != NO_ENTRYPOINT and base.get("Cmd") is None:
        return {"Entrypoint": list(base_entrypoint), "Cmd": None}
    return {"Entrypoint": list(base_entrypoint), "Cmd": base_cmd}


def _command(part: Config, written: str, items: Sequence[str] | None) -> list[str]:
    """Return the words of a CMD or ENTRYPOINT: a list as it was written, a JSON list, or text for the shell."""
    if items is not None:
        return list(items)
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
    known = variables(part)
    paths = (
        (path, "")
        for written in given.volumes
        for path in _paths(written, known, exact=given.exact_values)
    )
    volumes.update((path, {}) for path, _ in within_limit(paths))
    words = [word for written in given.expose for word in _words(written, known)]
    ports.update((port, {}) for port in _ports(words))
    return {"Volumes": volumes or None, "ExposedPorts": ports or None}


def _paths(written: str, known: Mapping[str, str], *, exact: bool) -> Sequence[str]:
    if exact:
        return [written]
    words = _json_words(written)
    return _words(written, known) if words is None else words


def _words(written: str, known: Mapping[str, str]) -> Sequence[str]:
    """Return the words that Docker splits a text into, variables replaced."""
    try:
        return expand_words(written, known)
    except ExpansionError:
        return written.split()


def _ports(words: Sequence[str]) -> Iterator[str]:
    """Return the ports; what variables stand for is known only now."""
    for problem in port_problems(words):
        raise UserError(INVALID, f"docker.EXPOSE: {problem}")
    return (port for word in words for port in parse_port(word))


def _env(part: Part, given: DockerInstructions) -> Part:
    env = with_env(texts(part.get("Env")), _variables(part, given))
    return {"Env": env} if env else {}


def _variables(part: Part, given: DockerInstructions) -> Iterator[tuple[str, str]]:
    """Each knows those before it."""
    known = variables(part)
    for name, written in sorted(given.env.items()):
        known[name] = _value(written, known, exact=given.exact_values)
        yield name, known[name]


def _labels(part: Part, given: DockerInstructions) -> Part:
    if not given.labels:
        return {}
    known = variables(part)
    added = (
        (name, _value(written, known, exact=given.exact_values))
        for name, written in sorted(given.labels.items())
    )
    return {"Labels": {**table(part.get("Labels")), **dict(within_limit(added))}}


def _value(written: str, known: Mapping[str, str], *, exact: bool) -> str:
    """Return a value as Docker reads it: variables replaced and quotes removed unless it is exact."""
    if exact:
        return written
    try:
        return expand_word(written, known)
    except ExpansionError:
        return written


def _health(written: str) -> dict[str, object]:
    try:
        return health_json(health_of(written))
    except ValueError as problem:
        raise UserError(INVALID, f"docker.HEALTHCHECK: {problem}") from None
