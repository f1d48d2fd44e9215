#!/usr/bin/env python3
"""Measures the operator on the development cluster and prints one table, every row of it from this run.

In: the environment of `hack/cluster.py env`, an installed operator, BENCH_RUNS (default 5). Out: Markdown on stdout; with
`--write` also into docs/benchmarks.md, between its markers. A missed bar is shown as such; exit code 1 only when something broke.
"""
# It prints because it is the user interface.
# ruff: noqa: T201

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench import (
    machine,
    rows_capture,
    rows_commit,
    rows_dockerfile,
    rows_kubernetes,
    rows_plan,
    rows_stages,
)
from bench.lab import BenchError, Lab, Stay
from bench.operator import Meter
from bench.table import HEAD, Row, markdown
from bench.watching import clock
from conveyor.adapters.cluster import Cluster, connect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

DOCUMENT = Path(__file__).parents[2] / "docs/benchmarks.md"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
PROFILE_HEAD = ("where the time of a stage Job goes (its command: sleep 1)", "at s", "after s")


class Report:
    """The rows as they come, told on stderr meanwhile."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.profile: list[tuple[str, str, str]] = []
        self._begun = time.monotonic()

    def add(self, rows: list[Row]) -> None:
        """Take rows in."""
        for row in rows:
            self.rows.append(row)
            what, median, spread, _, bar, verdict = row.cells()
            passed = f"[{time.monotonic() - self._begun:4.0f} s]"
            print(f"{passed} {what}: {median} ({spread}) {bar} {verdict}", file=sys.stderr)

    def text(self, heading: str) -> str:
        """Both tables as Markdown."""
        parts = [heading, markdown(HEAD, [row.cells() for row in self.rows])]
        if self.profile:
            parts.append(markdown(PROFILE_HEAD, self.profile))
        return "\n\n".join(parts)


async def _stages(lab: Lab, runs: int, report: Report) -> None:
    found = await rows_stages.chains(lab, runs)
    report.profile = rows_stages.profile(found)
    report.add(rows_stages.chain_rows(found))


async def _kubernetes(lab: Lab, runs: int, report: Report) -> None:
    report.add(await rows_kubernetes.rows(lab, runs))


async def _sixes(lab: Lab, runs: int, report: Report) -> None:
    report.add(await rows_stages.sixes(lab, runs))


async def _cached(lab: Lab, runs: int, report: Report) -> None:
    report.add(await rows_stages.cached(lab, runs))


async def _dockerfile(lab: Lab, runs: int, report: Report) -> None:
    report.add(await rows_dockerfile.rows(lab, runs))


async def _plan(_: Lab, runs: int, report: Report) -> None:
    report.add(await asyncio.to_thread(rows_plan.rows, runs))


async def _commit(_: Lab, runs: int, report: Report) -> None:
    report.add(await asyncio.to_thread(rows_commit.rows, runs))


async def _capture(lab: Lab, runs: int, report: Report) -> None:
    report.add(await asyncio.to_thread(rows_capture.rows, lab, runs))


PARTS: dict[str, Callable[[Lab, int, Report], Awaitable[None]]] = {
    "floor": _kubernetes,
    "stages": _stages,
    "cold": _sixes,
    "cached": _cached,
    "dockerfile": _dockerfile,
    "plan": _plan,
    "commit": _commit,
    "capture": _capture,
}


async def measure(parts: list[str], runs: int) -> str:
    """Measure; answers the tables.

    Raises:
        BenchError: Something does not work at all.
    """
    report, begun = Report(), clock()
    cluster = await connect()
    try:
        await Meter.find(cluster)
        before = machine.load()
        async with Stay(cluster) as lab:
            for part in parts:
                await PARTS[part](lab, runs, report)
        return report.text(await _heading(cluster, before, clock() - begun))
    finally:
        await cluster.close()


async def _heading(cluster: Cluster, before: str, took: float) -> str:
    about = await machine.describe(cluster)
    return f"Machine: {about}.\n\nMeasured on {before} before the start, in {took:.0f} s."


def write(text: str) -> None:
    """Put the tables into the document, in place of the former ones."""
    document = DOCUMENT.read_text()
    head, _, rest = document.partition(BEGIN)
    _, _, tail = rest.partition(END)
    DOCUMENT.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}")


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="hack/bench.sh", description=__doc__)
    parser.add_argument("--write", action="store_true", help="also into docs/benchmarks.md")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up as after Ctrl-C
    try:
        runs = int(os.environ.get("BENCH_RUNS", "5"))
        text = asyncio.run(measure(options.only, max(1, runs)))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(f"\n{text}")
    if options.write:
        write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
