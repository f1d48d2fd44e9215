"""What `imageSpec` does to an image config.

In: the config of the stage before, with the labels of this stage, and the spec. Out: the config. Source: werf
pkg/build/stage/image_spec.go and pkg/image/spec_config.go. What is not given stays as it is; an ENTRYPOINT without a CMD
takes the CMD away, as in a Dockerfile. `expose` replaces the ports of the parent, everything else that is a list or a map is
added to it.
"""

from collections.abc import Mapping

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.config.dockerfile_values import Health, parse_port
from conveyor.config.dockerfile_words import ExpansionError, expand_word
from conveyor.config.image_spec import ESSENTIAL_LABELS, name_matcher
from conveyor.config.model_image_config import HealthSpec, ImageSpec
from conveyor.plan.image_config_parts import (
    Config,
    health_json,
    inner,
    table,
    texts,
    with_env,
    with_inner,
)

_SECOND = 10**9
# werf 2.x leaves these behind when it builds with buildah.
_SERVICE_ENV = ("WERF_COMMIT_HASH", "WERF_COMMIT_TIME_HUMAN", "WERF_COMMIT_TIME_UNIX")
_SERVICE_SOCKET = "SSH_AUTH_SOCK=/.werf/tmp/ssh-auth-sock"
Part = dict[str, object]


def apply_image_spec(config: Config, spec: ImageSpec) -> dict[str, object]:
    """Return the config after the spec.

    Args:
        config: With the labels of the stage, for those may be removed too.
        spec: Its labels without templates.

    Raises:
        UserError: InvalidWerfConfig: a value of `env` asks for a variable that is not there (`${NAME?}`).
    """
    part = dict(inner(config))
    known = {str(key): str(value) for key, value in table(part.get("Labels")).items()}
    part["Labels"] = spec_labels(known, spec) or None
    part["Env"] = _env(texts(part.get("Env")), spec) or None
    part["Volumes"] = _volumes(part, spec) or None
    part |= _cleared(spec) | _given(spec)
    result = with_inner(config, part)
    if spec.author:
        result["author"] = spec.author
    if spec.clear_history:
        result["history"] = []
    return result


def spec_labels(known: Mapping[str, str], spec: ImageSpec) -> dict[str, str]:
    """Return the labels of the stage: the known ones without those to be removed, and the new ones."""
    removed = name_matcher(spec.remove_labels)
    kept = {
        key: value for key, value in known.items() if key in ESSENTIAL_LABELS or not removed(key)
    }
    return {**kept, **spec.labels}


def kept_labels(spec: ImageSpec) -> tuple[str, ...]:
    """Return the essential labels that the spec asks to remove, () when it says that they may stay."""
    if spec.keep_essential_labels:
        return ()
    return tuple(filter(name_matcher(spec.remove_labels), ESSENTIAL_LABELS))


def _env(before: list[str], spec: ImageSpec) -> list[str]:
    known = dict(entry.split("=", 1) for entry in before if "=" in entry)
    removed = name_matcher((*spec.remove_env, *_SERVICE_ENV))
    env = [
        entry
        for entry in before
        if not removed(entry.partition("=")[0]) and entry != _SERVICE_SOCKET
    ]
    given = sorted(spec.env.items())
    return with_env(env, ((name, _expanded(spec, name, text, known)) for name, text in given))


def _expanded(spec: ImageSpec, name: str, written: str, known: Mapping[str, str]) -> str:
    try:
        return expand_word(written, known)
    except ExpansionError as error:
        text = f"{spec.at}: imageSpec.config.env.{name}: {error}"
        raise UserError(Reason.INVALID_WERF_CONFIG, text) from None


def _volumes(part: Config, spec: ImageSpec) -> Part:
    volumes = table(part.get("Volumes"))
    kept = {path: value for path, value in volumes.items() if path not in spec.remove_volumes}
    return {**kept, **{path: {} for path in spec.volumes}}


def _cleared(spec: ImageSpec) -> Part:
    """None takes a value away; CMD and ENTRYPOINT become empty lists."""
    part: Part = {}
    if "user" in spec.clear:
        part["User"] = None
    if "workingDir" in spec.clear:
        part["WorkingDir"] = None
    if "cmd" in spec.clear or (spec.entrypoint and not spec.cmd):
        part["Cmd"] = []
    if "entrypoint" in spec.clear:
        part["Entrypoint"] = []
    return part


def _given(spec: ImageSpec) -> Part:
    part: Part = {
        "Cmd": list(spec.cmd),
        "Entrypoint": list(spec.entrypoint),
        "ExposedPorts": {port: {} for word in spec.expose for port in parse_port(word)},
        "StopSignal": spec.stop_signal,
        "User": spec.user,
        "WorkingDir": spec.working_dir,
    }
    if spec.healthcheck is not None:
        part["Healthcheck"] = _health(spec.healthcheck)
        return {key: value for key, value in part.items() if value or key == "Healthcheck"}
    return {key: value for key, value in part.items() if value}


def _health(health: HealthSpec) -> Part:
    return health_json(
        Health(
            test=health.test,
            interval=health.interval * _SECOND,
            timeout=health.timeout * _SECOND,
            start_period=health.start_period * _SECOND,
            retries=health.retries,
        )
    )
