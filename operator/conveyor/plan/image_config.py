"""Image configs of stages, as pure functions on their JSON.

In: the parent's OCI (or Docker) image config, and what a stage adds. Out: a new config; the given
one is never changed. Nothing here knows registries or clocks: the same input gives the same config,
and `created` is an argument.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from conveyor.plan.image_config_docker import apply_docker_directive
from conveyor.plan.image_config_parts import (
    Config,
    absolute,
    entrypoint,
    inner,
    mappings,
    shell,
    table,
    text,
    texts,
    variables,
    with_env,
    with_inner,
)
from conveyor.plan.image_config_spec import apply_image_spec, kept_labels
from conveyor.plan.image_config_steps import apply_instruction
from conveyor.plan.model import BlockStep

__all__ = [
    "Config",
    "Layer",
    "RunCommand",
    "apply_docker_directive",
    "apply_environment",
    "apply_image_spec",
    "apply_instruction",
    "child_config",
    "entrypoint",
    "environment",
    "exec_argv",
    "execution_config",
    "for_platform",
    "image_labels",
    "kept_labels",
    "run_command",
]

# What Docker's own configs say about the container they were committed from.
_NOT_INHERITED = frozenset({"container", "container_config", "docker_version", "id", "parent"})
_PLATFORM = ("architecture", "os", "variant", "os.version", "os.features")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer that a stage adds: `diff_id` is `sha256:…` of its tar, `created_by` its line of history."""

    diff_id: str
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCommand:
    """A RUN as a process: argument vector, whole environment, `user[:group]` ("" is root), directory."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    user: str
    workdir: str


def child_config(
    parent: Config | None,
    *,
    created: str,
    layers: Sequence[Layer] = (),
    labels: Mapping[str, str] | None = None,
    created_by: str = "",
    platform: str = "linux/amd64",
) -> dict[str, object]:
    """Return the config of an image that adds layers and labels to its parent.

    Args:
        parent: None for scratch.
        created: RFC 3339.
        layers: Bottom first.
        labels: Merged over the parent's.
        created_by: Line of history for a change without a layer; "" for none.
        platform: `os/arch[/variant]`, used where the parent does not say.
    """
    given = parent or {}
    config: dict[str, object] = {} if "architecture" in given else _platform(platform)
    config.setdefault("os", platform.partition("/")[0])
    config |= {key: value for key, value in given.items() if key not in _NOT_INHERITED}
    diff_ids = _diff_ids(given)
    config["created"] = created
    config["rootfs"] = {"type": "layers", "diff_ids": diff_ids + [one.diff_id for one in layers]}
    config["history"] = _history(given, len(diff_ids)) + _added(created, layers, created_by)
    config["config"] = _labelled(inner(given), labels or {})
    return config


def for_platform(config: Config, platform: str) -> Config:
    """Return the config as that of an image for this platform, whatever it was built on; "" changes nothing."""
    if not platform:
        return config
    kept = {key: value for key, value in config.items() if key not in _PLATFORM}
    return {**kept, **_platform(platform)}


def apply_environment(config: Config, values: Mapping[str, str]) -> dict[str, object]:
    """Return the config with variables set in its environment, in the given order."""
    env = texts(inner(config).get("Env"))
    env = with_env(env, values.items())
    return with_inner(config, {**inner(config), "Env": env or None})


def execution_config(config: Config, *tools_diff_ids: str) -> dict[str, object]:
    """Return the config of the image that commands run in (docs: the execution image).

    Same platform and ENV, the tools layers below all others; no VOLUME, USER, ENTRYPOINT, CMD,
    health check, triggers or labels, working directory `/`. It depends on nothing else, so that one
    stage has one execution image.
    """
    result: dict[str, object] = {key: config[key] for key in _PLATFORM if config.get(key)}
    result["config"] = {"Env": texts(inner(config).get("Env")), "WorkingDir": "/"}
    result["rootfs"] = {"type": "layers", "diff_ids": [*tools_diff_ids, *_diff_ids(config)]}
    return result


def _platform(platform: str) -> dict[str, object]:
    system, _, rest = platform.partition("/")
    architecture, _, variant = rest.partition("/")
    found: dict[str, object] = {"os": system, "architecture": architecture}
    return {**found, "variant": variant} if variant else found


def environment(config: Config) -> dict[str, str]:
    """Return the environment of a process in the image; PATH has Docker's default when it is not set."""
    return variables(inner(config))


def image_labels(config: Config) -> dict[str, str]:
    """Return the labels of the image."""
    return {name: text(value) for name, value in table(inner(config).get("Labels")).items()}


def exec_argv(step: BlockStep, config: Config) -> tuple[str, ...]:
    """Return the argument vector of a RUN: the exec form as it is, text by way of the image's SHELL."""
    args = step.instruction.args
    return args if step.instruction.json else (*shell(inner(config)), " ".join(args))


def run_command(config: Config, step: BlockStep) -> RunCommand:
    """Return what a RUN executes on the image."""
    part = inner(config)
    return RunCommand(
        argv=exec_argv(step, config),
        env={**environment(config), **step.env},
        user=text(part.get("User")),
        workdir=absolute(part, "."),
    )


def _diff_ids(config: Config) -> list[str]:
    rootfs = config.get("rootfs")
    return texts(rootfs.get("diff_ids")) if isinstance(rootfs, Mapping) else []


def _history(config: Config, layers: int) -> list[object]:
    """Return the parent's history with a line for every layer; some images have none."""
    history = mappings(config.get("history"))
    missing = layers - sum(not line.get("empty_layer") for line in history)
    return [{"created_by": "unknown"} for _ in range(missing)] + list(history)


def _added(created: str, layers: Sequence[Layer], created_by: str) -> list[object]:
    if layers:
        return [{"created": created, "created_by": layer.created_by} for layer in layers]
    if not created_by:
        return []
    return [{"created": created, "created_by": created_by, "empty_layer": True}]


def _labelled(part: Config, labels: Mapping[str, str]) -> dict[str, object]:
    if not labels:
        return dict(part)
    known = part.get("Labels")
    return {**part, "Labels": {**(known if isinstance(known, Mapping) else {}), **labels}}
