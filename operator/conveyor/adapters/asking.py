"""Planning by asking: plan, have the open questions answered, plan again.

In: a planner, what is known, a function that answers one question. Out: a `BuildPlan`. Who answers (git, a registry, a file)
and what is remembered is the caller's business.
"""

import asyncio
from collections import ChainMap
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import cast

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.plan.answers import Answer
from conveyor.plan.facts import Facts
from conveyor.plan.model import BuildPlan
from conveyor.plan.questions import Question

ROUNDS = 200
AT_ONCE = 16

Plan = Callable[[Facts], BuildPlan | frozenset[Question]]
Ask = Callable[[Question], Awaitable[Answer]]


async def plan_by_asking(plan: Plan, facts: Facts, ask: Ask) -> BuildPlan:
    """Ask and plan until nothing is left to ask.

    Args:
        plan: `conveyor.plan.planner.plan` of a config; called in a thread.
        facts: What is known; what its `answers` know already costs no round.
        ask: Answers one question.

    Raises:
        UserError: From the planner or from `ask`.
    """
    found: dict[Question, Answer] = {}
    facts = replace(facts, answers=ChainMap(found, cast("dict[Question, Answer]", facts.answers)))
    for _ in range(ROUNDS):
        # A large plan takes a second, and whoever calls has a Lease to renew meanwhile.
        outcome = await asyncio.to_thread(plan, facts)
        if isinstance(outcome, BuildPlan):
            return outcome
        found |= await _answers(outcome, ask)
    raise UserError(Reason.INTERNAL_ERROR, "planning did not come to an end")


async def _answers(questions: Iterable[Question], ask: Ask) -> dict[Question, Answer]:
    limit = asyncio.Semaphore(AT_ONCE)
    answers: dict[Question, Answer] = {}

    async def one(question: Question) -> None:
        async with limit:
            answers[question] = await ask(question)

    try:
        async with asyncio.TaskGroup() as group:
            for question in questions:
                group.create_task(one(question))
    except BaseExceptionGroup as errors:  # what except* raises, Python 3.11.2 puts into a group
        raise _first(errors) from None
    return answers


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error to show: a user's mistake before an outage."""
    flat = [
        _first(error) if isinstance(error, BaseExceptionGroup) else error
        for error in errors.exceptions
    ]
    return next((error for error in flat if isinstance(error, UserError)), flat[0])
