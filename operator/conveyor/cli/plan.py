"""`conveyor plan`: what building a commit would mean.

In: options. Out: the plan on stdout, as text or JSON; with --assume-built also the storage file as it would be afterwards.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from conveyor.adapters.machine import own_platform
from conveyor.api.dockerfile_mode import DockerfileMode
from conveyor.api.errors import UserError
from conveyor.cli.options import (
    debug_option,
    dockerfile_mode_option,
    platforms_of,
    project_of,
    project_options,
    remotes_of,
)
from conveyor.cli.plan_json import explanation_json, plan_json
from conveyor.cli.plan_text import explanation_lines, plan_lines
from conveyor.cli.planning import Planned, plan_project
from conveyor.cli.project import Project, ProjectOptions
from conveyor.cli.questions import open_questions
from conveyor.cli.storage_file import Storage, read_storage, write_storage
from conveyor.config.platforms import is_platform, normal_platform
from conveyor.plan.assume import assume_built
from conveyor.plan.buildable import check_built
from conveyor.plan.explain import StageChange, explain

_FILE = click.Path(dir_okay=False, path_type=Path)

_HELP = """Print what building a commit would mean: sets of images, their stages, and of each stage
the digest and whether it is stored (Cached), has to be built (ToBuild), or waits for an answer
that only something built can give (Unknown).

No cluster and no registry is asked: the file of --stages says what is stored. Without it nothing is.

\b
Plan the last commit of the repository here:
  conveyor plan

\b
Plan two commits, the second as if the first had been built:
  conveyor plan --commit v1.0 --stages s.json --assume-built s.json
  conveyor plan --commit v1.1 --stages s.json --assume-built s.json

\b
Say why stages change between two commits:
  conveyor plan --commit v1.1 --explain v1.0

\b
A project in a subdirectory, one of its images, for a program to read:
  conveyor plan --git repo.git --commit main --dir services/api --image api --json

\b
A git mapping of another repository, from a clone on disk instead of the network:
  conveyor plan --remote https://git.example.com/team/lib.git=../lib

Exit codes: 0 fine; 2 somebody has to change the config, the repository or the arguments; 1 anything else.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    project: ProjectOptions
    images: tuple[str, ...]
    stages: Path | None
    assume: Path | None
    explain: str
    require_built: bool
    as_json: bool


@click.command("plan", help=_HELP, short_help="Print what building a commit would mean.")
@project_options
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="NAME",
    help="Plan this image and what it needs; repeatable; patterns as in werf, ~ is the nameless one.",
)
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="OS/ARCH",
    help="Plan every image for this platform instead of its own.",
)
@click.option(
    "--repo",
    default="",
    metavar="REPO",
    help="Name of the stages repository: part of the references that `dependencies` hand over. "
    "It is not asked.",
)
@click.option(
    "--virtual-merge",
    is_flag=True,
    help="The commit stands for a merge that is only proposed, as with werf's option of that name.",
)
@dockerfile_mode_option
@click.option(
    "--build-platform",
    default=own_platform(),
    show_default="that of this machine",
    metavar="OS/ARCH",
    help="BUILDPLATFORM of Dockerfiles: what the operator has as buildPlatform, by default the platform of its own machine.",
)
@click.option(
    "--stages",
    type=_FILE,
    help="Storage file: the stages that count as stored, and answers to open questions. "
    "A missing file is empty storage.",
)
@click.option(
    "--assume-built",
    "assume",
    type=_FILE,
    help="Write the storage file as if the plan had been carried out; may be that of --stages.",
)
@click.option(
    "--explain",
    default="",
    metavar="COMMIT",
    help="Plan as if COMMIT had been built before, and say of every stage why it is another one.",
)
@click.option(
    "--remote",
    "remotes",
    multiple=True,
    metavar="URL=DIR",
    help="Local clone of a remote repository that git mappings name; repeatable. "
    "Without one, git fetches it.",
)
@click.option(
    "--require-built-images",
    "require_built",
    is_flag=True,
    help="Fail, with exit code 2, unless every stage is stored.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/cli.md).")
@debug_option
def plan_command(**given: Any) -> None:
    """Run the command."""
    if given["explain"] and given["assume"]:
        raise click.UsageError("--explain only looks: it cannot be used with --assume-built")
    asked = _Asked(
        project=project_of(
            given,
            platforms=platforms_of(given["platforms"]),
            remotes=remotes_of(given["remotes"]),
            repo=given["repo"],
            virtual_merge=given["virtual_merge"],
            dockerfile_mode=DockerfileMode(given["dockerfile_mode"]),
            build_platform=_platform(given["build_platform"], "--build-platform"),
        ),
        images=tuple("" if name == "~" else name for name in given["images"]),
        stages=given["stages"],
        assume=given["assume"],
        explain=given["explain"],
        require_built=given["require_built"],
        as_json=given["as_json"],
    )
    storage = read_storage(asked.stages) if asked.stages else Storage()
    planned, changes = asyncio.run(_plan(asked, storage))
    for warning in planned.warnings:
        click.echo(f"Warning: {warning}", err=True)
    if asked.assume:
        built, last = asyncio.run(_carried_out(asked, storage, planned))
        _write(asked.assume, built, last)
    _print(asked, planned, changes)
    if asked.require_built:
        check_built(planned.plan)


def _platform(name: str, option: str) -> str:
    if not is_platform(name):
        raise click.BadParameter(f"{name!r} is not OS/ARCH such as linux/arm64", param_hint=option)
    return normal_platform(name)


async def _plan(asked: _Asked, storage: Storage) -> tuple[Planned, tuple[StageChange, ...]]:
    if not asked.explain:
        project = await Project.open(asked.project)
        return await plan_project(project, storage, asked.images), ()
    before = await _before(asked, storage)
    built = storage.with_stages(assume_built(before.plan, timestamp=_next_time(storage)))
    project = await Project.open(asked.project)
    planned = await plan_project(project, built, asked.images)
    return planned, explain(before.plan, planned.plan)


async def _before(asked: _Asked, storage: Storage) -> Planned:
    """Plan the commit that is compared with; what is wrong there is told as such."""
    try:
        project = await Project.open(replace(asked.project, commit=asked.explain))
        return await plan_project(project, storage, asked.images)
    except UserError as error:
        raise UserError(error.reason, f"at {asked.explain}: {error.message}") from None


async def _carried_out(
    asked: _Asked, storage: Storage, planned: Planned
) -> tuple[Storage, Planned]:
    """Return storage after the plan, and the plan that remains: what is built answers questions of other stages."""
    # An image can only wait for others: as many rounds as there are images answer all that can be.
    for _ in planned.plan.images:
        built = assume_built(planned.plan, timestamp=_next_time(storage))
        storage = storage.with_stages(built)
        if not built or not open_questions(planned.plan):
            break
        planned = await plan_project(await Project.open(asked.project), storage, asked.images)
    return storage, planned


def _write(path: Path, storage: Storage, planned: Planned) -> None:
    write_storage(path, storage)
    waiting = open_questions(planned.plan)
    if waiting:
        click.echo(
            f"Warning: stages that wait for an answer are not in {path}; "
            f"open questions: {len(waiting)}",
            err=True,
        )


def _next_time(storage: Storage) -> int:
    """Return now in Unix milliseconds, and in any case later than what is stored."""
    stored = max((stage_id.timestamp for stage_id in storage.stages), default=0)
    return max(time.time_ns() // 1_000_000, stored + 1)


def _print(asked: _Asked, planned: Planned, changes: tuple[StageChange, ...]) -> None:
    if asked.as_json:
        document = plan_json(planned.commit, planned.plan)
        if asked.explain:
            document["explanation"] = explanation_json(asked.explain, changes)
        click.echo(json.dumps(document, indent=1))
        return
    colour = sys.stdout.isatty()
    lines = (
        explanation_lines(planned.plan, changes, colour=colour)
        if asked.explain
        else plan_lines(planned.plan, colour=colour)
    )
    text = "\n".join([f"commit {planned.commit}", *lines])
    click.echo(text.encode("utf-8", "backslashreplace"))
