"""Stages as pods: what a stage costs beyond its command, in both executions, and what a cached build costs.

In: the lab. Out: rows and the time line of a stage Job. docs/benchmarks.md says what each row means.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from bench import projects
from bench.lab import BenchError
from bench.operator import Meter
from bench.table import Row, row
from bench.timeline import MOMENTS, timeline

if TYPE_CHECKING:
    from bench.lab import Built, Lab

SLEEP = 1.0
STAGE_PER_JOB, IMAGE_PER_JOB = "StagePerJob", "ImagePerJob"


@dataclass(slots=True)
class Chains:
    """What chains of four one-second stages showed."""

    overheads: list[float] = field(default_factory=list)
    periods: list[float] = field(default_factory=list)
    lines: list[dict[str, float]] = field(default_factory=list)


async def chains(lab: Lab, runs: int) -> Chains:
    """Build chains of four `sleep 1` stages, StagePerJob, into one repository; the first is not counted."""
    found, repo = Chains(), lab.repo("chain")
    for number in range(runs + 1):
        config = projects.chain(f"{lab.id}-{number}", f"sleep {SLEEP:g}")
        built = await lab.build({"repo": repo, "config": config, "execution": STAGE_PER_JOB})
        if number:
            await _add_chain(lab, built, found)
    return found


async def _add_chain(lab: Lab, built: Built, found: Chains) -> None:
    lines = [
        await timeline(lab, built, index, f"app/{stage}:")
        for index, stage in enumerate(projects.STAGES)
    ]
    found.lines += lines
    found.overheads += [line["published"] - SLEEP for line in lines]
    found.periods += [line["next"] - SLEEP for line in lines if "next" in line]


def chain_rows(found: Chains) -> list[Row]:
    """The overhead of one stage Job, alone and as seen in a chain."""
    return [
        row("stage Job: created → stage published, less its command", found.overheads, bar=2.0),
        row(
            "stage Job in a chain: created → next one created, less its command",
            found.periods,
            bar=2.0,
        ),
    ]


def profile(found: Chains) -> list[tuple[str, str, str]]:
    """Lines of the second table: moment, seconds since the Job was created, seconds since the moment before."""
    lines, before = [], 0.0
    logged = [line for line in found.lines if "pushed" in line]  # pods that are gone have no log
    for key, what in MOMENTS:
        values = [line[key] for line in logged if key in line]
        if not values:
            continue
        at = median(values)
        aside = what.startswith("(")
        lines.append((what, f"{at:.2f}", "" if aside else f"{at - before:+.2f}"))
        before = before if aside else at
    return lines


async def sixes(lab: Lab, runs: int) -> list[Row]:
    """Six stages and two stages, cold, in both executions; then the same builds again, cached."""
    found: list[Row] = []
    for execution in (STAGE_PER_JOB, IMAGE_PER_JOB):
        # One after the other, so that both of a pair meet the same machine.
        pairs = [
            (await _cold(lab, execution, 6), await _cold(lab, execution, 2)) for _ in range(runs)
        ]
        six, two = [a for a, _ in pairs], [b for _, b in pairs]
        further = [(a.seconds - b.seconds) / 4 for a, b in pairs]
        found += [
            row(f"6 stages cold, {execution}: apply → Ready", [b.seconds for b in six]),
            row(f"2 stages cold, {execution}: apply → Ready", [b.seconds for b in two]),
            _further(execution, further),
        ]
    return found


def _further(execution: str, values: list[float]) -> Row:
    bar = 0.4 if execution == IMAGE_PER_JOB else None
    return row(f"each further stage, {execution}: (6 stages - 2 stages) / 4", values, bar=bar)


async def _cold(lab: Lab, execution: str, stages: int) -> Built:
    word = lab.fresh(f"{lab.id}-cold")
    source = await lab.project(
        f"cold{stages}", (projects.six if stages == 6 else projects.two)(word)
    )
    built = await lab.build({"repo": lab.repo("cold"), "source": source, "execution": execution})
    expected = stages - 1 if execution == STAGE_PER_JOB else 1
    _expect(built, stages, jobs=expected)
    return built


def _expect(built: Built, stages: int, *, jobs: int) -> None:
    counted = built.status["counts"]["total"]
    if (counted, len(built.jobs)) != (stages, jobs):
        raise BenchError(
            f"{counted} stages in {len(built.jobs)} Jobs instead of {stages} in {jobs}"
        )


def _expect_cached(built: Built) -> None:
    counts = built.status["counts"]
    if counts["cached"] != counts["total"]:
        raise BenchError(f"only {counts['cached']} of {counts['total']} stages were cached")


async def cached(lab: Lab, runs: int) -> list[Row]:
    """A new ImageBuild of the same commit: nothing is built."""
    source = await lab.project("cached", projects.six(lab.fresh(lab.id)))
    spec = {"repo": lab.repo("cached"), "source": source}
    await lab.build(spec)
    meter = await Meter.find(lab.cluster)
    built, calls = [], []
    for _ in range(runs):
        await asyncio.sleep(1)
        before = await meter.api_calls()
        built.append(await lab.build(spec))
        _expect_cached(built[-1])
        calls.append(await meter.api_calls() - before)
    return [
        row("6 stages, all cached: apply → Ready", [b.seconds for b in built], bar=3.0),
        row("… Jobs", [len(b.jobs) for b in built], bar=0, unit="", digits=0),
        row("… requests to the API server (operator)", calls, unit="", digits=0),
    ]
