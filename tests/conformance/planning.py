"""Planning made-up projects, for the numbered cases of werf's rules.

In: the text of a werf.yaml, answers (`World`), or a git history (`History`). Out: plans, and a storage that remembers what
was built.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from werf_history import with_ids
from werf_replay import Replay

from conveyor.config.parse import parse
from conveyor.plan.answers import (
    Answer,
    Patch,
    StageDesc,
    StageID,
)
from conveyor.plan.assume import assume_built
from conveyor.plan.facts import Facts
from conveyor.plan.model import BuildPlan, Component, PlannedStage
from conveyor.plan.planner import plan
from conveyor.plan.questions import (
    Ancestry,
    ImportChecksum,
    MappingPatch,
    PathKind,
    Question,
    StageInfo,
    TreeChecksum,
)

META = "configVersion: 1\nproject: p\n---\n"
OLD, NEW = "1" * 40, "2" * 40


def answer(question: Question) -> Answer:
    """A repository in which every path is there, every commit an ancestor, and one small file changed."""
    match question:
        case TreeChecksum():
            return "c" * 64
        case PathKind():
            return "directory"
        case Ancestry():
            return True
        case MappingPatch():
            return Patch(text="diff", size=4, empty=False)
        case ImportChecksum():
            return None
        case _:
            raise TypeError(question)


class World:
    """A config, whoever answers, and the stages that are stored."""

    def __init__(self, text: str, answers: Callable[[Question], Answer] = answer) -> None:
        self.config = parse(META + text)
        self.answers = answers
        self.stored: dict[StageID, StageDesc] = {}

    def plan(self, commit: str = OLD, **facts: Any) -> BuildPlan:
        """Plan at a commit with everything that is stored."""
        found: dict[Question, Answer] = {}
        for _ in range(30):
            result = plan(
                self.config,
                Facts(commit=commit, stages=self.timestamps(), answers=found, **facts),
            )
            if isinstance(result, BuildPlan):
                return result
            found |= {question: self._reply(question) for question in result}
        raise AssertionError("questions without end")

    def build(self, commit: str = OLD, timestamp: int = 1000) -> BuildPlan:
        """Plan, store everything that is to be built, and return the plan."""
        result = self.plan(commit)
        self.stored |= {
            stage.id: stage for stage in assume_built(result, timestamp=timestamp)
        } | self.stored
        return result

    def timestamps(self) -> dict[Any, tuple[int, ...]]:
        """The tags of the repository."""
        found: dict[Any, tuple[int, ...]] = {}
        for one in sorted(self.stored):
            found[one.digest] = (*found.get(one.digest, ()), one.timestamp)
        return found

    def _reply(self, question: Question) -> Answer:
        return (
            self.stored.get(question.id)
            if isinstance(question, StageInfo)
            else self.answers(question)
        )


class History:
    """A git history that is really made, planned commit by commit with one storage."""

    def __init__(self, replay: Replay) -> None:
        self.replay = replay

    @classmethod
    async def make(cls, commits: Sequence[Mapping[str, Any]], directory: Path) -> "History":
        """`commits` as in vectors; only what differs from a straight line of files has to be written."""
        done = with_ids(commits, directory / "scratch")
        vector = {"name": "made-up", "commits": done, "base_images": {}}
        return cls(await Replay.start(vector, directory))

    def sha(self, index: int) -> str:
        """The id of a commit."""
        return str(self.replay.vector["commits"][index]["sha"])

    async def plan(self, index: int, *flags: str) -> BuildPlan:
        """Plan a commit."""
        return await self.replay.plan(self._run(index, flags))

    async def build(self, index: int, *flags: str, timestamp: int) -> BuildPlan:
        """Plan a commit and store what it builds; return the plan."""
        run = self._run(index, flags)
        result = await self.replay.plan(run)
        self.replay.build(result, run, timestamp=timestamp)
        return result

    @staticmethod
    def _run(index: int, flags: Sequence[str]) -> dict[str, Any]:
        return {"commit": index, "args": {"flags": list(flags)}, "images": {}}


def stage(result: BuildPlan, name: str, image: str = "a") -> PlannedStage:
    """Return a stage by name."""
    return next(one for one in result.image(image).stages if one.name == name)


def names(result: BuildPlan, image: str = "a") -> list[str]:
    """Return the names of an image's stages."""
    return [one.name for one in result.image(image).stages]


def states(result: BuildPlan, image: str = "a") -> dict[str, str]:
    """Return the states of an image's stages."""
    return {one.name: one.state.value for one in result.image(image).stages}


def digests(result: BuildPlan, image: str = "a") -> dict[str, str | None]:
    """Return the digests of an image's stages."""
    return {one.name: one.digest for one in result.image(image).stages}


def depends(one: PlannedStage) -> Component:
    """Return what the stage depends on, as hashed into its digest."""
    return next(part for part in one.components if part.label == "StageDependencies")
