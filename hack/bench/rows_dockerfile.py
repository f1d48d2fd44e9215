"""The multi-stage example for `--target stage2`, built cold by Conveyor, BuildKit and Docker's legacy builder.

In: the lab. Out: rows. Every builder has the base image; every build of Conveyor goes to a repository of its own.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bench import projects
from bench.lab import run
from bench.reference import buildkit, docker_legacy, version
from bench.table import Row, row

if TYPE_CHECKING:
    from pathlib import Path

    from bench.lab import Lab

TARGET = "stage2"


async def rows(lab: Lab, runs: int) -> list[Row]:
    """Conveyor in both executions, then the others."""
    source = await lab.project("seed", projects.seed())
    found: list[Row] = []
    for execution in ("StagePerJob", "ImagePerJob"):
        built = [
            await lab.build({"repo": lab.repo("seed"), "source": source, "execution": execution})
            for _ in range(runs + 1)
        ][1:]
        jobs = max(len(b.jobs) for b in built)
        what = f"multi-stage Dockerfile to stage2, {execution} ({jobs} Jobs): apply → Ready, pushed"
        found.append(row(what, [b.seconds for b in built]))
    return found + await asyncio.to_thread(_others, lab, runs)


def _others(lab: Lab, runs: int) -> list[Row]:
    return [_buildkit(lab, runs), _legacy(lab, runs)]


def _context(lab: Lab, word: str, base: str) -> Path:
    folder = lab.folder / lab.fresh(word)
    folder.mkdir()
    (folder / "Dockerfile").write_text(projects.SEED.format(base=base))
    return folder


def _buildkit(lab: Lab, runs: int) -> Row:
    context = _context(lab, "buildkit", projects.SEED_BASE)
    repo = lab.repo("buildkit")
    with buildkit(lab.registry) as builder:
        found = [builder.build(context, TARGET, f"{repo}:{n}") for n in range(runs + 1)][1:]
    return row(f"… BuildKit {version()}, pushed", found)


def _legacy(lab: Lab, runs: int) -> Row:
    base = f"{lab.registry}/library/{projects.SEED_BASE}:latest"
    run(["docker", "pull", "--quiet", base])
    context = _context(lab, "legacy", base)
    found = [docker_legacy(context, TARGET, f"bench-{lab.id}:{n}") for n in range(runs + 1)][1:]
    return row("… docker build, legacy builder, not pushed", found)
