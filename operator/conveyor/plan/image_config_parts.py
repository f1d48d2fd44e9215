"""Reading the parts of an image config, whatever a foreign builder put there.

In: JSON values. Out: typed ones; what has the wrong type counts as absent.
"""

import posixpath
from collections.abc import Mapping, Sequence

from conveyor.config.dockerfile_values import Health
from conveyor.plan.dockerfile_steps import DEFAULT_PATH

Config = Mapping[str, object]
DEFAULT_SHELL = ("/bin/sh", "-c")


def inner(config: Config) -> Config:
    """Return the `config` part of an image config, with Env, Cmd, Labels and so on."""
    part = config.get("config")
    return part if isinstance(part, Mapping) else {}


def with_inner(config: Config, part: Mapping[str, object]) -> dict[str, object]:
    """Return the image config with another `config` part; keys whose value is None are left out."""
    return {**config, "config": {key: value for key, value in part.items() if value is not None}}


def text(value: object) -> str:
    """Return a string, "" for anything else."""
    return value if isinstance(value, str) else ""


def texts(value: object) -> list[str]:
    """Return a list of strings, empty for anything else."""
    if not isinstance(value, list | tuple):
        return []
    return [one for one in value if isinstance(one, str)]


def mappings(value: object) -> list[Config]:
    """Return a list of objects, empty for anything else."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def table(value: object) -> dict[str, object]:
    """Return a copy of an object, empty for anything else."""
    return dict(value) if isinstance(value, Mapping) else {}


def variables(part: Config) -> dict[str, str]:
    """Return Env as a mapping, with Docker's default PATH when there is none."""
    pairs = (entry.partition("=") for entry in texts(part.get("Env")))
    return {"PATH": DEFAULT_PATH} | {name: value for name, _, value in pairs}


def entrypoint(config: Config) -> tuple[str, ...]:
    """Return the ENTRYPOINT of an image config; `[""]`, Docker's and werf's way to write "none", is () too."""
    words = tuple(texts(inner(config).get("Entrypoint")))
    return words if any(words) else ()


def shell(part: Config) -> tuple[str, ...]:
    """Return the words that go before a command text."""
    return tuple(texts(part.get("Shell"))) or DEFAULT_SHELL


def with_env(env: Sequence[str], name: str, value: str) -> list[str]:
    """Return Env with a variable set: in its place when it is there, else at the end."""
    entry = f"{name}={value}"
    names = [one.partition("=")[0] for one in env]
    if name not in names:
        return [*env, entry]
    at = names.index(name)
    return [*env[:at], entry, *env[at + 1 :]]


def absolute(part: Config, path: str) -> str:
    """Return a path seen from the working directory, clean and absolute."""
    joined = posixpath.join("/", text(part.get("WorkingDir")), path)
    return posixpath.normpath("/" + joined.lstrip("/"))


def health_json(health: Health) -> dict[str, object]:
    """Return a health check as image configs store it; zero values are left out."""
    values: dict[str, object] = {
        "Test": list(health.test),
        "Interval": health.interval,
        "Timeout": health.timeout,
        "StartPeriod": health.start_period,
        "StartInterval": health.start_interval,
        "Retries": health.retries,
    }
    return {key: value for key, value in values.items() if value}
