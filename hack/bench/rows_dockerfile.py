"""Dockerfiles, built by Conveyor, BuildKit and Docker's legacy builder, by turns.

In: the lab. Out: rows of seconds, and of ratios run by run. Every builder has the base image; every cold build of Conveyor
goes to a repository of its own. A rebuild is the next commit into the repository (cache, store) of the build before.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bench import projects
from bench.lab import run, write
from bench.reference import BuildKit, buildkit, docker_legacy, forget, version
from bench.table import Row, row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bench.lab import Lab
    from bench.projects import Example

LEGACY: Final = "docker build, legacy builder, not pushed"


@dataclass(slots=True)
class Samples:
    """Seconds of each builder, run by run."""

    ours: list[float] = field(default_factory=list)
    buildkit: list[float] = field(default_factory=list)
    legacy: list[float] = field(default_factory=list)
    jobs: int = 0

    def without_first(self) -> Samples:
        """All but the first run, which has nodes and daemons get what they lack."""
        return Samples(self.ours[1:], self.buildkit[1:], self.legacy[1:], self.jobs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Who builds."""

    lab: Lab
    daemon: BuildKit
    tags: list[str] = field(default_factory=list)

    async def cold(self, example: Example, word: str, runs: int) -> Samples:
        """Build from nothing, as often as asked and once before."""
        source = await self.lab.project(word, example.project())
        samples, context, engine = Samples(), *self._contexts(example, word)
        for number in range(runs + 1):
            built = await self.lab.build({"repo": self.lab.repo(word), "source": source})
            samples.ours.append(built.seconds)
            samples.jobs = max(samples.jobs, len(built.jobs))
            image = f"{self.lab.repo(word)}:{number}"
            samples.buildkit.append(await self._buildkit(context, example.target, image))
            samples.legacy.append(await self._legacy(engine, example.target))
        return samples.without_first()

    async def rebuilt(self, example: Example, word: str, runs: int) -> Samples:
        """Build, change a file, build again: what the second time takes."""
        source = await self.lab.project(word, example.project())
        samples, context, engine = Samples(), *self._contexts(example, word)
        spec = {"repo": self.lab.repo(word), "source": source}
        image = self.lab.repo(word)
        await self.lab.build(spec)
        await self._buildkit(context, example.target, f"{image}:first", cache=True)
        await self._legacy(engine, example.target, cache=True)
        for number in range(runs + 1):
            # Of this run alone: the legacy builder remembers what it built in earlier ones.
            remark = f"{example.remark} {self.lab.id} {number}\n"
            files = {path: f"{text}{remark}" for path, text in example.changed.items()}
            spec["source"] = await self.lab.change(spec["source"], files)
            for folder in (context, engine):
                write(folder, files)
            built = await self.lab.build(spec)
            samples.ours.append(built.seconds)
            samples.jobs = max(samples.jobs, len(built.jobs))
            pushed = f"{image}:{number}"
            samples.buildkit.append(
                await self._buildkit(context, example.target, pushed, cache=True)
            )
            samples.legacy.append(await self._legacy(engine, example.target, cache=True))
        return samples.without_first()

    def _contexts(self, example: Example, word: str) -> tuple[Path, Path]:
        """The context for BuildKit, and for the Engine, which knows the base under its full name."""
        pulled = f"{self.lab.registry}/library/{example.base}:{example.tag}"
        run(["docker", "pull", "--quiet", pulled])
        short = f"{example.base}:{example.tag}"
        folders = [self.lab.folder / self.lab.fresh(word) for _ in range(2)]
        for folder, base in zip(folders, (short, pulled), strict=True):
            write(folder, example.context(base))
        return folders[0], folders[1]

    async def _buildkit(
        self, context: Path, target: str, image: str, *, cache: bool = False
    ) -> float:
        return await asyncio.to_thread(self.daemon.build, context, target, image, cache=cache)

    async def _legacy(self, context: Path, target: str, *, cache: bool = False) -> float:
        tag = f"bench-{self.lab.id}:{len(self.tags)}"
        self.tags.append(tag)
        return await asyncio.to_thread(docker_legacy, context, target, tag, cache=cache)


@contextmanager
def _bench(lab: Lab) -> Iterator[Bench]:
    with buildkit(lab.registry) as daemon:
        bench = Bench(lab=lab, daemon=daemon)
        try:
            yield bench
        finally:
            if bench.tags:
                forget(bench.tags)


async def rows(lab: Lab, runs: int) -> list[Row]:
    """The multi-stage example, a diamond, a service in Python and one in Go with the rebuild of each."""
    with _bench(lab) as bench:
        seed = await bench.cold(projects.SEED, "seed", runs)
        diamond = await bench.cold(projects.DIAMOND, "diamond", runs)
        service = await bench.cold(projects.SERVICE, "service", min(runs, 3))
        rebuilt = await bench.rebuilt(projects.SERVICE, "rebuilt", runs)
        go_service = await bench.cold(projects.GO_SERVICE, "goservice", min(runs, 3))
        compiled = await bench.rebuilt(projects.GO_SERVICE, "compiled", min(runs, 3))
    return [
        *_rows("multi-stage Dockerfile to stage2", seed, bar=4.0),
        *_rows("diamond of 6 stages, each sleeps 2 s", diamond, to_buildkit=1.5, to_legacy=0.7),
        *_rows("Python service with apt and pip", service, to_buildkit=1.25),
        *_rows("… one source file changed", rebuilt, to_buildkit=1.25),
        *_rows("Go service with apt", go_service, to_buildkit=1.25),
        *_rows("… one source file changed", compiled, to_buildkit=1.25),
    ]


def _rows(
    what: str,
    samples: Samples,
    *,
    bar: float | None = None,
    to_buildkit: float | None = None,
    to_legacy: float | None = None,
) -> list[Row]:
    ours, other, old = samples.ours, samples.buildkit, samples.legacy
    return [
        row(f"{what} ({samples.jobs} Jobs): apply → Ready, pushed", ours, bar=bar),
        row(f"… BuildKit {version()}, pushed", other),
        row(f"… {LEGACY}", old),
        row("… ours / BuildKit", _ratios(ours, other), bar=to_buildkit, unit=""),
        row("… ours / legacy", _ratios(ours, old), bar=to_legacy, unit=""),
    ]


def _ratios(ours: Sequence[float], others: Sequence[float]) -> list[float]:
    return [one / other for one, other in zip(ours, others, strict=True)]
