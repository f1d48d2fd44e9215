"""How long a commit takes from git to plan, without a cluster: large configs and repositories, templates that ask for too much.

In: how often. Out: rows. Repositories are made anew in a directory that is gone afterwards; commands are those a user types.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.lab import BenchError
from bench.planned import IMAGES
from bench.repositories import BOMBS, META, make, many_files, many_images
from bench.table import Row, row
from conveyor.adapters.configs import ConfigSource
from conveyor.adapters.renderer import Renderer
from conveyor.cli.planning import plan_project
from conveyor.cli.project import Project, ProjectOptions
from conveyor.cli.storage_file import Storage, write_storage
from conveyor.config.files import MemoryFiles
from conveyor.config.render import CommitInfo
from conveyor.plan.answers import ImportRecord
from conveyor.plan.assume import assume_built
from conveyor.plan.facts import Facts
from conveyor.plan.planner import plan

if TYPE_CHECKING:
    from conveyor.plan.answers import Answer
    from conveyor.plan.model import BuildPlan
    from conveyor.plan.questions import Question

COMMITS, FILES = 15_000, 2_500
BOMB_SECONDS, BOMB_MIB = 10.0, 256.0
_TIME = 1_700_000_000_000

# Runs a command and says what it took: seconds, MiB of its largest process, exit code, stderr.
_MEASURED = """
import json, resource, subprocess, sys, time
begun = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
took = time.perf_counter() - begun
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(json.dumps([took, peak, done.returncode, done.stderr]))
"""


@dataclass(frozen=True, slots=True)
class Command:
    """What a command took."""

    seconds: float
    mib: float
    code: int
    stderr: str


def command(*args: str) -> Command:
    """Run `conveyor` in a process of its own."""
    conveyor = [sys.executable, "-m", "conveyor", *args]
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", _MEASURED, *conveyor], capture_output=True, text=True, check=True
    )
    return Command(*json.loads(done.stdout))


def rows(runs: int) -> list[Row]:
    """Measure all of it."""
    with tempfile.TemporaryDirectory(prefix="conveyor-bench-") as name:
        directory = Path(name)
        return [
            *images_rows(directory, runs),
            *history_rows(directory, runs),
            *bomb_rows(directory, runs),
        ]


def images_rows(directory: Path, runs: int, images: int = IMAGES) -> list[Row]:
    """A werf.yaml of many images: reading it, then reading and planning it, and the command."""
    files = many_images(images)
    path = directory / "images.git"
    commit = make(path, files)[-1]
    options = ProjectOptions(git=path, commit=commit)
    storage, built = asyncio.run(_built(options))
    count = sum(len(image.stages) for image in built.images)
    what = f"werf.yaml of {images} images, {count} stages"
    answers = asyncio.run(_all_answers(options, storage))
    facts = Facts(commit=commit, stages=storage.by_digest(), answers=answers)
    stored = directory / "images.json"
    args = ("plan", "--git", str(path), "--commit", commit, "--stages", str(stored))
    write_storage(stored, storage)
    return [
        row(
            f"{what}: read, checked and planned, git's answers at hand",
            [_config_and_plan(files, facts) for _ in range(runs)],
            bar=1.0,
        ),
        row(f"{what}: conveyor plan, all stored", [_fine(*args).seconds for _ in range(runs)]),
    ]


def _config_and_plan(files: dict[str, str], facts: Facts) -> float:
    source = ConfigSource(
        files=MemoryFiles(files),
        path="werf.yaml",
        commit=CommitInfo(hash=facts.commit, date=_TIME // 1000),
    )
    begun = time.perf_counter()
    config = asyncio.run(source.load(Renderer()))
    result = plan(config, facts)
    took = time.perf_counter() - begun
    if isinstance(result, frozenset):
        raise BenchError(f"{len(result)} questions are open")
    return took


def history_rows(
    directory: Path, runs: int, commits: int = COMMITS, files: int = FILES
) -> list[Row]:
    """A long history: the next commit planned after the one before was built."""
    path = directory / "history.git"
    ids = make(path, many_files(files), commits)
    storage, _ = asyncio.run(_built(ProjectOptions(git=path, commit=ids[-2])))
    old, _ = asyncio.run(_built(ProjectOptions(git=path, commit=ids[len(ids) // 20])))
    what = f"{commits} commits, {files} files, warm clone, re-plan"
    options = ProjectOptions(git=path, commit=ids[-1])
    stored = directory / "history.json"
    write_storage(stored, storage)
    args = ("plan", "--git", str(path), "--commit", ids[-1], "--stages", str(stored))
    return [
        row(f"{what} of the next commit", _planned_times(options, storage, runs), bar=1.0),
        row(
            f"{what} {commits - commits // 20} commits later",
            _planned_times(options, old, runs),
            bar=1.0,
        ),
        row(f"{what}: conveyor plan", [_fine(*args).seconds for _ in range(runs)], bar=1.0),
    ]


def bomb_rows(directory: Path, runs: int) -> list[Row]:
    """Templates that would take all time or memory: stopped, with an error that names the file."""
    found: list[Row] = []
    for number, (what, template) in enumerate(BOMBS.items()):
        path = directory / f"bomb{number}.git"
        make(path, {"werf.yaml": META + template + "\n"})
        stopped = [command("render", "--git", str(path)) for _ in range(runs)]
        for one in stopped:
            if one.code != 2 or "werf.yaml" not in one.stderr:
                raise BenchError(f"{what}: exit code {one.code}: {one.stderr}")
        label = f"template bomb, {what}: stopped"
        found.append(row(label, [one.seconds for one in stopped], bar=BOMB_SECONDS))
        mib = [one.mib for one in stopped]
        found.append(row("… largest process", mib, bar=BOMB_MIB, unit="MiB", digits=0))
    return found


def _planned_times(options: ProjectOptions, storage: Storage, runs: int) -> list[float]:
    times: list[float] = []
    for _ in range(runs):
        begun = time.perf_counter()
        asyncio.run(_plan(options, storage))
        times.append(time.perf_counter() - begun)
    return times


async def _plan(options: ProjectOptions, storage: Storage) -> BuildPlan:
    return (await plan_project(await Project.open(options), storage, ())).plan


async def _built(options: ProjectOptions) -> tuple[Storage, BuildPlan]:
    """Storage after the commit was built, every import with some checksum."""
    storage = Storage()
    while True:
        result = await _plan(options, storage)
        asked: dict[Question, Answer] = {
            stage.question: ImportRecord(checksum="d" * 32, source_stage_id=f"{'e' * 56}-1")
            for image in result.images
            for stage in image.stages
            if stage.question
        }
        if not asked:
            stages = assume_built(result, timestamp=_TIME)
            return storage.with_stages(stages), result
        storage = Storage(stages=storage.stages, answers={**storage.answers, **asked})


async def _all_answers(options: ProjectOptions, storage: Storage) -> dict[Question, Answer]:
    """What git and storage answer to all that the planner asks of a commit."""
    project = await Project.open(options)
    config = await project.config()
    answers = storage.known()
    async with project.git_answers() as git:
        while True:
            facts = Facts(commit=project.commit, stages=storage.by_digest(), answers=answers)
            outcome = plan(config, facts)
            if not isinstance(outcome, frozenset):
                return answers
            for question in outcome:
                known = git.handles(question)
                answers[question] = (await git.answer(question)) if known else None


def _fine(*args: str) -> Command:
    done = command(*args)
    if done.code:
        raise BenchError(f"conveyor {' '.join(args)}: {done.stderr}")
    return done
