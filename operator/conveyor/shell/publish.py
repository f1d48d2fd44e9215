"""Saving a stage: the optimistic lock.

In: a stage whose layers are pushed (or that has none). Out: the stage that is used from now on: ours, or another that was there
first, and then ours is discarded. Building happened outside of any lock; only "list again, choose, tag" is serialised per
(repository, digest), by a Lease (werf: saving a stage).
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from conveyor.adapters.lock_manager import LockManager
from conveyor.api import names
from conveyor.api.errors import NotYet
from conveyor.api.names import Reason
from conveyor.jobs.decision import PublishStage
from conveyor.jobs.image import stage_config
from conveyor.jobs.model import ParentImage
from conveyor.plan.answers import StageDesc, StageID
from conveyor.plan.model import (
    BuildPlan,
    ExternalBase,
    ImageBase,
    PlannedStage,
    ScratchBase,
    StageState,
)
from conveyor.shell.clock import now
from conveyor.shell.session import Session

log = logging.getLogger(__name__)

Replan = Callable[[], Awaitable[BuildPlan]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The stage to use; `discarded` when it is not the one that was just built."""

    stage: StageDesc
    discarded: bool = False


def previous_stage(plan: BuildPlan, stage: PlannedStage) -> PlannedStage | None:
    """The planned stage that this one starts from, if it is one of the plan's."""
    image = plan.image(stage.image)
    index = image.stages.index(stage)
    if index:
        return image.stages[index - 1]
    base = image.stages[0].base
    return plan.image(base.image).stages[-1] if isinstance(base, ImageBase) else None


async def parent_image(
    session: Session, plan: BuildPlan, stage: PlannedStage, built_on: str = ""
) -> ParentImage:
    """The image that the stage starts from.

    Args:
        built_on: Manifest digest that a Job ran on; it decides for an external base, which may have moved since.
    """
    image = plan.image(stage.image)
    before = previous_stage(plan, stage)
    if before is not None and before.stored is not None:
        return await session.storage.parent(before.stored.manifest_digest, str(before.stored.id))
    base = image.stages[0].base
    match base:
        case ScratchBase():
            return await session.storage.parent("")
        case ExternalBase(reference=reference, digest=digest) if not built_on:
            return await session.storage.base_images.adopt(reference, image.platform, digest)
        case _:
            return await session.storage.parent(built_on)


async def publish(
    session: Session,
    locks: LockManager,
    plan: BuildPlan,
    action: PublishStage,
    replan: Replan,
    commit: str,
) -> Published:
    """Tag the stage unless a suitable one is stored by now.

    Raises:
        NotYet: The lock was lost or is held for long.
    """
    stage = action.stage
    repo = session.build.spec.repo
    built_on = action.job.parent if action.job and action.run == 0 else ""
    parent = await parent_image(session, plan, stage, built_on)
    async with locks.lock(names.stage_lease_name(repo, str(stage.digest))) as held:
        existing = _stored(await replan(), stage)
        if existing is not None:
            return Published(stage=existing, discarded=True)
        created = now()
        stage_id = await _new_id(session, stage, parent, created)
        config = stage_config(
            stage,
            parent,
            action.result,
            project_commit=commit,
            created=created.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        )
        if not held():
            raise NotYet(Reason.LOCK_LOST, f"the lock of stage {stage.digest} was lost", after=1.0)
        layers = action.result.changed if action.result else ()
        return Published(stage=await session.storage.publish(stage_id, parent, config, layers))


def _stored(plan: BuildPlan, stage: PlannedStage) -> StageDesc | None:
    """The suitable stored stage by the ordinary rules of selection."""
    for row in plan.image(stage.image).stages:
        if row.digest == stage.digest and row.state is StageState.CACHED:
            return row.stored
    return None


async def _new_id(
    session: Session, stage: PlannedStage, parent: ParentImage, created: datetime
) -> StageID:
    """A timestamp later than the parent's and than every stage of this digest, whatever clocks say."""
    assert stage.digest is not None  # noqa: S101 - only planned digests get here
    times = (await session.storage.stages()).get(stage.digest, ())
    of_parent = int(parent.stage_id.rpartition("-")[2] or 0)
    newest = max((*times, of_parent), default=0)
    return StageID(digest=stage.digest, timestamp=max(int(created.timestamp() * 1000), newest + 1))
