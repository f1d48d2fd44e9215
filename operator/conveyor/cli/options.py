"""Options that `conveyor render`, `conveyor plan` and `conveyor build` share.

In: click. Out: decorators, and `ProjectOptions` from what was given.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import click

from conveyor.api.dockerfile_mode import DockerfileMode
from conveyor.cli.project import ProjectOptions
from conveyor.config.platforms import is_platform, normal_platform

Command = Callable[..., None]

_OPTIONS: Final = (
    click.option(
        "--git",
        default=".",
        show_default="this directory",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Local repository, bare or with a work tree. Only its commits are read.",
    ),
    click.option(
        "--commit",
        default="HEAD",
        show_default=True,
        help="Commit: id, branch, tag, HEAD~2, … as git reads it.",
    ),
    click.option(
        "--dir",
        "directory",
        default="",
        metavar="SUBDIR",
        help="Project directory in the repository, if it is not the root.",
    ),
    click.option(
        "--config",
        default="",
        metavar="PATH",
        help="The config in the project directory, if it is not werf.yaml or werf.yml.",
    ),
    click.option(
        "--env",
        "environment",
        default="",
        metavar="ENVIRONMENT",
        help="What `.Env` is in templates.",
    ),
)


def project_options(command: Command) -> Command:
    """Add the options that name a project."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def dockerfile_mode_option(command: Command) -> Command:
    """Add --dockerfile-mode, whose value is one of `DockerfileMode`."""
    return click.option(
        "--dockerfile-mode",
        type=click.Choice([mode.value for mode in DockerfileMode]),
        default=DockerfileMode.BUILDKIT.value,
        show_default=True,
        help="FROM blocks of a Dockerfile: those that the target needs, or every one up to it in order.",
    )(command)


def debug_option(command: Command) -> Command:
    """Add --debug, which `conveyor.cli.main.run` reads."""
    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=_note_debug,
        help="Show the traceback of an unexpected error.",
    )(command)


def _note_debug(context: click.Context, _: click.Parameter, value: object) -> None:
    if value and isinstance(context.obj, dict):
        context.obj["debug"] = True


def project_of(given: dict[str, Any], **more: Any) -> ProjectOptions:
    """Return the options of `project_options` as a value; templates may know this process's environment."""
    return ProjectOptions(
        git=given["git"],
        commit=given["commit"],
        directory=given["directory"],
        config=given["config"],
        environment=given["environment"],
        env=dict(os.environ),
        **more,
    )


def remotes_of(given: Sequence[str]) -> dict[str, Path]:
    """Return the directory by URL of every `URL=DIR` of --remote."""
    remotes: dict[str, Path] = {}
    for text in given:
        url, equals, directory = text.rpartition("=")
        if not (equals and url and Path(directory).is_dir()):
            raise click.BadParameter(
                f"{text!r} is not URL=DIR with a directory that exists", param_hint="--remote"
            )
        remotes[url] = Path(directory)
    return remotes


def platforms_of(given: Sequence[str]) -> tuple[str, ...]:
    """Return the platforms of every --platform, several with commas, in their usual names."""
    names = tuple(name for text in given for name in text.split(","))
    for name in names:
        if not is_platform(name):
            raise click.BadParameter(
                f"{name!r} is not OS/ARCH such as linux/arm64", param_hint="--platform"
            )
    return tuple(dict.fromkeys(map(normal_platform, names)))
