"""How long planning takes: 200 images of 10 stages, all facts at hand.

In: nothing. Out: rows. Pure computing, no cluster: nothing stored, everything stored, and the next commit.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.planned import COMMITS, IMAGES, answer, config_of, import_questions
from bench.table import Row, row
from conveyor.plan.assume import answers_for, assume_built
from conveyor.plan.facts import Facts
from conveyor.plan.model import BuildPlan
from conveyor.plan.planner import plan

if TYPE_CHECKING:
    from conveyor.config.model import WerfConfig
    from conveyor.plan.answers import Answer, StageDigest
    from conveyor.plan.questions import Question


@dataclass(slots=True)
class Storage:
    """Stages that count as built, and what storage says of them."""

    stages: dict[StageDigest, tuple[int, ...]] = field(default_factory=dict)
    answers: dict[Question, Answer] = field(default_factory=dict)

    def keep(self, built: BuildPlan, timestamp: int) -> None:
        """Take the stages of a plan in as if they had been built."""
        for stage in assume_built(built, timestamp=timestamp):
            known = self.stages.get(stage.id.digest, ())
            self.stages[stage.id.digest] = (*known, stage.id.timestamp)
            for question, known_answer in answers_for((stage,)).items():
                self.answers[question] = known_answer


def rows(runs: int) -> list[Row]:
    """Plan a first build, the same again, and the next commit."""
    config, storage = config_of(IMAGES), Storage()
    known: dict[Question, Answer] = {q: answer(q) for q in import_questions(config)}
    first, result = _measure(config, Facts(commit=COMMITS[0], answers=known), storage, runs)
    storage.keep(result, 1_700_000_000_000)
    facts = Facts(commit=COMMITS[0], stages=storage.stages)
    again, _ = _measure(config, facts, storage, runs)
    facts = Facts(commit=COMMITS[1], stages=storage.stages)
    following, result = _measure(config, facts, storage, runs)
    count = sum(len(image.stages) for image in result.images)
    what = f"plan of {IMAGES} images, {count} stages, facts at hand"
    return [
        row(f"{what}: nothing stored", first, bar=1.0),
        row(f"{what}: all stored", again, bar=1.0),
        row(f"{what}: next commit", following, bar=1.0),
    ]


def _measure(
    config: WerfConfig, facts: Facts, storage: Storage, runs: int
) -> tuple[list[float], BuildPlan]:
    """Answer until no question is open, then time the planning."""
    while not isinstance(result := plan(config, facts), BuildPlan):
        stored = {q: a for q, a in storage.answers.items() if q in result}
        answers = {q: answer(q) for q in result if q not in stored}
        facts = Facts(
            commit=facts.commit, stages=facts.stages, answers={**facts.answers, **stored, **answers}
        )
    return [_timed(config, facts) for _ in range(runs)], result


def _timed(config: WerfConfig, facts: Facts) -> float:
    begun = time.perf_counter()
    plan(config, facts)
    return time.perf_counter() - begun
