"""Planning a commit without a cluster: git answers, a storage file stands for the registry.

In: an open project, what is stored. Out: `BuildPlan`; what neither git nor the file knows stays an open question of the stages
that wait for it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from conveyor.adapters.asking import plan_by_asking
from conveyor.api.errors import UserError
from conveyor.cli.project import Project
from conveyor.cli.storage_file import Storage
from conveyor.config.image_selection import select_images
from conveyor.config.model import WerfConfig
from conveyor.config.no_effect import without_effect
from conveyor.config.scope import check_scope
from conveyor.config.source_line import SourceLine
from conveyor.plan.answers import Answer
from conveyor.plan.buildable import check_buildable, notes_of
from conveyor.plan.facts import Facts
from conveyor.plan.model import BuildPlan
from conveyor.plan.places import place_of
from conveyor.plan.planner import plan
from conveyor.plan.questions import Question
from conveyor.plan.staged import staged_version


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan and what was found on the way.

    Attributes:
        commit: Full id of the planned commit.
        warnings: What the operator would refuse to build.
    """

    commit: str
    plan: BuildPlan
    warnings: tuple[str, ...] = ()


async def plan_project(project: Project, storage: Storage, images: tuple[str, ...]) -> Planned:
    """Plan the images that the patterns select; none selects all.

    Raises:
        UserError: The config, the repository or a pattern is wrong.
    """
    config = await project.config()
    async with project.git_answers() as git:

        async def ask(question: Question) -> Answer:
            if not git.handles(question):
                return storage.answer(question)
            try:
                return await git.answer(question)
            except UserError as error:
                raise _placed(error, place_of(config, question)) from None

        selected = select_images(config, images)
        found = await plan_by_asking(
            lambda told: plan(config, told, images=selected),
            Facts(
                commit=project.commit,
                repo=project.options.repo,
                staged_version=staged_version(project.options.env),
                dockerfile_mode=project.options.dockerfile_mode,
                build_platform=project.options.build_platform,
                virtual_merge=project.options.virtual_merge,
                stages=storage.by_digest(),
                # What is known already need not be asked for, and may be about something not stored yet.
                answers=storage.known(),
            ),
            ask,
        )
    return Planned(commit=project.commit, plan=found, warnings=tuple(_warnings(config, found)))


def _placed(error: UserError, place: SourceLine | None) -> UserError:
    """Return an error of git that names the line of the config that led to it."""
    return error if place is None else UserError(error.reason, f"{place}: {error.message}")


def _warnings(config: WerfConfig, found: BuildPlan) -> Iterator[str]:
    """Yield what the operator would say instead of building, and what is written in vain."""
    checks: tuple[Callable[[], None], ...] = (
        lambda: check_scope(config),
        lambda: check_buildable(found),
    )
    for check in checks:
        try:
            check()
        except UserError as error:
            yield from error.message.splitlines()
    yield from without_effect(config, {name for names in found.sets for name in names})
    yield from notes_of(found)
