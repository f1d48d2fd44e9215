"""Saving a stage: the optimistic lock.

In: a stage whose layers are pushed (or that has none). Out: the stage that is used from now on: ours, or another that was there
first, and then ours is discarded. Building happened outside of any lock; only "list again, choose, tag" is serialised per
(repository, digest), by a Lease (werf: saving a stage). Inner stages of a FROM block are written together with what was built
upon them, under a lock of this process alone: a second one of the same digest does no harm.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from conveyor.adapters.image_indexes import Member
from conveyor.api import names
from conveyor.api.errors import NotYet
from conveyor.api.names import Reason
from conveyor.jobs.decision import PublishStage
from conveyor.jobs.image import stage_config
from conveyor.jobs.model import LayerRef, ParentImage
from conveyor.plan.answers import StageDesc, StageDigest, StageID
from conveyor.plan.model import (
    BuildPlan,
    ExternalBase,
    ImageBase,
    PlannedImage,
    PlannedStage,
    ScratchBase,
)
from conveyor.shell.clock import now
from conveyor.shell.session import Session

Stages = Mapping[StageDigest, tuple[int, ...]]
Replan = Callable[[], Awaitable[tuple[BuildPlan, Stages]]]
"""Plans anew; answers with the plan the list of stages that it was made with."""


class Locks(Protocol):
    """Where publishing of one stage is serialised: Leases, or nothing but this process (ADR 23)."""

    def lock(self, name: str) -> AbstractAsyncContextManager[Callable[[], bool]]:
        """Hold a lock; yields a function that tells whether it is still held."""
        ...

    def local(self, name: str) -> AbstractAsyncContextManager[None]:
        """Hold a lock that this process alone knows."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The stage to use of a planned one; `discarded` when it is not the one that was just built."""

    planned: PlannedStage
    stage: StageDesc
    discarded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    """A stage as it will be written: `layers` are those since the image that the first one starts from."""

    stage: PlannedStage
    id: StageID
    config: Mapping[str, object]
    layers: tuple[LayerRef, ...]


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
            return await session.storage.parent("", platform=stage.platform)
        case ExternalBase(reference=reference, digest=digest) if not built_on:
            return await session.storage.base_images.adopt(reference, stage.platform, digest)
        case _:
            return await session.storage.parent(built_on)


def members(images: Iterable[PlannedImage]) -> tuple[Member, ...]:
    """Images that are stored, as members of an index."""
    return tuple(
        Member(manifest_digest=image.stages[-1].stored.manifest_digest, platform=image.platform)
        for image in images
        if image.stages[-1].stored is not None
    )


async def take_locks(
    stack: AsyncExitStack, repo: str, action: PublishStage, locks: Locks
) -> Callable[[], bool]:
    """Take what publishing needs, until the stack is closed; answers whether it is still held.

    Raises:
        NotYet: Somebody else holds the lock for long.
    """
    held: Callable[[], bool] = lambda: True  # noqa: E731 - nobody can take a lock of the process
    for one in action.all:
        name = names.stage_lease_name(repo, str(one.stage.digest))
        if one.stage.inner:
            await stack.enter_async_context(locks.local(name))
        else:
            held = await stack.enter_async_context(locks.lock(name))
    return held


async def publish(
    session: Session,
    plan: BuildPlan,
    action: PublishStage,
    replan: Replan,
    commit: str,
    held: Callable[[], bool],
) -> tuple[Published, ...]:
    """Tag the stage, and those that follow in the action, unless suitable ones are stored by now.

    Args:
        session: Of the build.
        plan: What was planned.
        action: What to publish.
        replan: Looks again, under the lock.
        commit: The project's.
        held: Whether the lock of the stage (`take_locks`) is still held.

    Raises:
        NotYet: The lock was lost.
    """
    built_on = action.job.parent if action.job and action.run == 0 else ""
    parent = await parent_image(session, plan, action.stage, built_on)
    fresh, stages = await replan()
    wanted, there = _wanted(fresh, action)
    images = _images(wanted, parent, stages, commit)
    if not held():
        text = f"the lock of stage {action.all[-1].stage.digest} was lost"
        raise NotYet(Reason.LOCK_LOST, text, after=1.0)
    return (*await _write(session, parent, images), *there)


def _wanted(
    plan: BuildPlan, action: PublishStage
) -> tuple[tuple[PublishStage, ...], tuple[Published, ...]]:
    """What is to be written, up to the first one that is stored by now: what was built upon ours stands on nothing then."""
    wanted: list[PublishStage] = []
    for one in action.all:
        row = _row(plan, one.stage)
        if row is not None and row.stored is not None:
            return tuple(wanted), (Published(planned=one.stage, stage=row.stored, discarded=True),)
        if row is None and one.stage.inner:
            break  # a later stage of the block is stored by now
        wanted.append(one)
    return tuple(wanted), ()


def _images(
    actions: Iterable[PublishStage],
    parent: ParentImage,
    stages: Stages,
    commit: str,
) -> list[_Image]:
    images: list[_Image] = []
    layers: tuple[LayerRef, ...] = ()
    for one in actions:
        created = now()
        stage_id = _new_id(one.stage, parent, stages, created)
        config = stage_config(
            one.stage,
            parent,
            one.result,
            project_commit=commit,
            created=created.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        )
        layers += one.result.changed if one.result else ()
        images.append(_Image(stage=one.stage, id=stage_id, config=config, layers=layers))
        parent = replace(parent, config=config, stage_id=str(stage_id))
    return images


async def _write(
    session: Session, parent: ParentImage, images: Sequence[_Image]
) -> list[Published]:
    """Write the last one when all others are there: they are what it says it was built on."""

    async def write(image: _Image) -> Published:
        storage = session.storage
        done = await storage.publish(image.id, parent, image.config, image.layers)
        return Published(planned=image.stage, stage=done)

    done = await asyncio.gather(*map(write, images[:-1]))
    return [*done, *[await write(image) for image in images[-1:]]]


def _row(plan: BuildPlan, stage: PlannedStage) -> PlannedStage | None:
    """The stage of that digest by the ordinary rules of selection."""
    rows = plan.image(stage.image).stages
    return next((row for row in rows if row.digest == stage.digest), None)


def _new_id(
    stage: PlannedStage,
    parent: ParentImage,
    stages: Stages,
    created: datetime,
) -> StageID:
    """A timestamp later than the parent's and than every stage of this digest, whatever clocks say."""
    assert stage.digest is not None  # noqa: S101 - only planned digests get here
    times = stages.get(stage.digest, ())
    of_parent = int(parent.stage_id.rpartition("-")[2] or 0)
    newest = max((*times, of_parent), default=0)
    return StageID(digest=stage.digest, timestamp=max(int(created.timestamp() * 1000), newest + 1))
