"""Plans with the answers of a test."""

from collections.abc import Callable, Set
from dataclasses import replace

from conveyor.config.model import WerfConfig
from conveyor.plan.answers import Answer
from conveyor.plan.facts import Facts
from conveyor.plan.model import BuildPlan
from conveyor.plan.planner import plan
from conveyor.plan.questions import Question

_ROUNDS = 9


def until_planned(
    config: WerfConfig,
    facts: Facts,
    answer: Callable[[Question], Answer],
    asked: list[Set[Question]],
    *,
    inner: bool = False,
) -> BuildPlan:
    """Plan, answer what is asked, and plan again; `asked` gets the questions of each round."""
    for _ in range(_ROUNDS):
        found = plan(config, facts, inner=inner)
        if isinstance(found, BuildPlan):
            return found
        asked.append(found)
        answers = {question: answer(question) for question in found}
        facts = replace(facts, answers={**facts.answers, **answers})
    raise AssertionError("questions without end")
