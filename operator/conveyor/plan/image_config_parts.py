"""Reading the parts of an image config, whatever a foreign builder put there.

In: JSON values. Out: typed ones; what has the wrong type counts as absent.
"""

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.config.dockerfile_values import Health
from conveyor.plan.dockerfile_steps import DEFAULT_PATH

Config = Mapping[str, object]
DEFAULT_SHELL = ("/bin/sh", "-c")
MAX_VALUES: Final = 4 * 1024 * 1024


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


def with_env(env: Sequence[str], values: Iterable[tuple[str, str]]) -> list[str]:
    """Return Env with variables set: each in its place when it is there, else at the end.

    Raises:
        UserError: As `within_limit` does.
    """
    entries = {one.partition("=")[0]: one for one in env}
    entries.update((name, f"{name}={value}") for name, value in within_limit(values))
    return list(entries.values())


def within_limit(values: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield names and values for as long as they fit into an image config; a short text can stand for a long one.

    Raises:
        UserError: InvalidWerfConfig: they are longer than 4 MiB in all.
    """
    size = 0
    for name, value in values:
        size += len(name) + len(value)
        if size > MAX_VALUES:
            raise UserError(
                Reason.INVALID_WERF_CONFIG,
                f"{name[:60]}: the image config would have more than {MAX_VALUES} characters of "
                "variables, labels or volumes; put long texts into files",
            )
        yield name, value


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
