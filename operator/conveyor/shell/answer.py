"""Questions of the planner, answered by git and the registry.

In: a session and a question. Out: the answer. Git answers and stored stages never change and are remembered for the life of
the process; what a base image is now is asked once a run; an import that nobody has exported is asked again each time.
"""

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import cast

from conveyor.adapters.answers import GitAnswers, RepoQuestion
from conveyor.adapters.asking import plan_by_asking
from conveyor.adapters.cache import LruCache
from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.config.model import WerfConfig
from conveyor.jobs.run_mounts import check_given
from conveyor.jobs.tools import check_tools
from conveyor.plan.answers import Answer
from conveyor.plan.buildable import check_buildable
from conveyor.plan.digest import OWN_REPOSITORY
from conveyor.plan.facts import Facts
from conveyor.plan.model import BuildPlan
from conveyor.plan.planner import plan
from conveyor.plan.questions import (
    BaseImageInfo,
    ImageReference,
    ImportChecksum,
    MappingPatch,
    Question,
    RemoteHead,
    StageInfo,
)
from conveyor.shell.session import Session

_MAY_COME = (ImportChecksum, MappingPatch, StageInfo)
"""Questions that have another answer as soon as there is one: that there is none is not remembered."""

Scope = tuple[str, str]


class Answers:
    """Remembers what has been answered, by scope: a repository, a clone, or one run of one build."""

    def __init__(self, size: int = 200_000) -> None:
        self._known: LruCache[tuple[Scope, Question], Answer | _Nothing] = LruCache(size)

    async def plan(
        self, session: Session, config: WerfConfig, facts: Facts, images: tuple[str, ...], run: str
    ) -> BuildPlan:
        """Ask and plan until nothing is left to ask.

        Raises:
            UserError: From the planner, git or the registry.
        """
        keep = session.build.spec.compatibility.keep_entrypoint_with_cmd
        known = _Remembered(
            self._known, lambda question: (_scope(session, question, run), question)
        )
        outcome = await plan_by_asking(
            lambda told: plan(
                config, told, images=images, keep_entrypoint_with_cmd=keep, inner=True
            ),
            replace(
                facts, answers=ChainMap(dict(facts.answers), cast("dict[Question, Answer]", known))
            ),
            lambda question: self._known_or_asked(session, question, run),
        )
        check_buildable(outcome)
        check_given(outcome, session.build.spec)
        ansible = [machine for machine, tools in session.tools.items() if tools.ansible]
        check_tools(outcome, config, session.tools, ansible, session.engine)
        return outcome

    async def _known_or_asked(self, session: Session, question: Question, run: str) -> Answer:
        key = (_scope(session, question, run), question)
        known = self._known.get(key)
        if known is not None:
            return None if isinstance(known, _Nothing) else known
        answer = await _ask(session, question)
        if answer is not None or not isinstance(question, _MAY_COME):
            self._known[key] = _NOTHING if answer is None else answer
        return answer


class _Nothing:
    """Stands for the answer None in the cache, where None means unknown."""


_NOTHING = _Nothing()


class _Remembered(Mapping[Question, Answer]):
    """Answers of before, looked up only: planning with them at hand saves most rounds of asking."""

    def __init__(
        self,
        known: LruCache[tuple[Scope, Question], Answer | _Nothing],
        key: Callable[[Question], tuple[Scope, Question]],
    ) -> None:
        self._known = known
        self._key = key

    def __getitem__(self, question: Question) -> Answer:
        # The planner counts an import's checksum as known only when it asked: while its source is stored. References
        # of images it only looks up, and nobody is asked.
        looked_up = not isinstance(question, ImportChecksum | ImageReference)
        found = self._known.get(self._key(question)) if looked_up else None
        if found is None:
            raise KeyError(question)
        return None if isinstance(found, _Nothing) else found

    def __iter__(self) -> Iterator[Question]:
        """Nobody goes through all answers."""
        return iter(())

    def __len__(self) -> int:
        return 0


def _scope(session: Session, question: Question, run: str) -> Scope:
    spec = session.build.spec
    match question:
        case StageInfo() | ImportChecksum():
            return ("repo", spec.repo)
        case BaseImageInfo() | RemoteHead():
            return ("run", run)
        case _ if isinstance(question, RepoQuestion) and question.repo != OWN_REPOSITORY:
            return ("git", session.remotes.scope(question.repo))
        case _:
            return ("git", spec.source.git.url if spec.source else "")


async def _ask(session: Session, question: Question) -> Answer:
    match question:
        case StageInfo(id=stage_id):
            return await session.storage.stage(stage_id)
        case BaseImageInfo(reference=reference, platform=platform):
            return await session.storage.base_images.look_up(reference, platform)
        case ImportChecksum(id=source_id):
            return await session.storage.records.import_record(source_id)
        case _:
            return await _ask_git(session, question)


async def _ask_git(session: Session, question: Question) -> Answer:
    own = isinstance(question, RepoQuestion) and question.repo == OWN_REPOSITORY
    if own and session.git is None:
        raise UserError(
            Reason.INVALID_SPEC,
            "the werf config needs files from git (a git mapping, a Dockerfile or a template), "
            "but the ImageBuild has no spec.source.git",
        )
    return await GitAnswers(session.git, session.remotes.open).answer(question)
