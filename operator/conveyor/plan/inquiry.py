"""Asking facts: the planner's only way to learn about the outside world.

In: `Facts`. Out: typed answers, and the set of questions that nobody has answered yet. `need` stops the
current image when the answer is missing; `assume` notes the question and goes on with a likely answer, so that
one round trip answers as many questions as possible. Nothing assumed ever reaches a plan: a plan is only
returned when no question is open.
"""

from typing import TypeVar

from conveyor.plan.answers import Answer
from conveyor.plan.facts import Facts
from conveyor.plan.questions import BaseImageInfo, Question

T = TypeVar("T")


class Waiting(Exception):  # noqa: N818 - control flow inside the planner, not an error
    """An image cannot be planned further before an open question is answered."""


class Unknowable(Exception):  # noqa: N818 - control flow inside the planner, not an error
    """Nobody can answer now; the stage that needs the answer is Unknown and waits for `question`."""

    def __init__(self, question: Question) -> None:
        super().__init__(question)
        self.question = question


class Inquiry:
    """Answers from facts, and the open questions met so far."""

    __slots__ = ("_facts", "assumed", "open")

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self.open: set[Question] = set()
        self.assumed = False

    def need(self, question: Question, kind: type[T]) -> T:
        """Return the answer, which must be of that type.

        Raises:
            Waiting: Nobody has answered yet.
            Unknowable: Nobody knows what this base image is.
            TypeError: The shell answered with something else (a defect).
        """
        answer = self.known(question)
        if answer is None and isinstance(question, BaseImageInfo):
            raise Unknowable(question)
        if not isinstance(answer, kind):
            raise TypeError(f"{question} was answered with {type(answer).__name__}")
        return answer

    def known(self, question: Question) -> Answer:
        """Return the answer, None included; `Waiting` when there is none."""
        if question not in self._facts.answers:
            self.open.add(question)
            raise Waiting
        return self._facts.answers[question]

    def assume(self, question: Question, likely: Answer) -> Answer:
        """Return the answer, or the likely one while the question is open."""
        if question in self._facts.answers:
            return self._facts.answers[question]
        self.open.add(question)
        self.assumed = True
        return likely

    def note(self, *questions: Question) -> None:
        """Ask questions whose answers will be needed later anyway."""
        self.open.update(q for q in questions if q not in self._facts.answers)

    def has(self, question: Question) -> bool:
        """Whether somebody has answered, be it with None."""
        return question in self._facts.answers
