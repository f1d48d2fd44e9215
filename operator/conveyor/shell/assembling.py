"""What blocks that are made in other pods need of the repository.

In: a session and a plan. Out: outlines by key; assemblies with the images that they start from.
"""

import asyncio
from collections.abc import Iterable

from conveyor.jobs.assemblies import assemblies
from conveyor.jobs.model import Assembly, AssemblyOrder
from conveyor.jobs.outline import Outline
from conveyor.plan.model import BuildPlan
from conveyor.shell.publish import parent_image
from conveyor.shell.session import Session


async def outlines(session: Session, plan: BuildPlan) -> dict[str, Outline]:
    """Read the recorded outlines that assemblies of the plan need."""
    keys = sorted({one.needs for one in assemblies(plan) if one.needs})
    found = await asyncio.gather(*map(session.storage.outlines.outline, keys))
    return {key: outline for key, outline in zip(keys, found, strict=True) if outline}


async def orders(
    session: Session, plan: BuildPlan, wanted: Iterable[Assembly]
) -> tuple[AssemblyOrder, ...]:
    """Find the image that each assembly starts from."""

    async def order(one: Assembly) -> AssemblyOrder:
        parent = await parent_image(session, plan, one.stages[0])
        return AssemblyOrder(assembly=one, parent=parent)

    return tuple(await asyncio.gather(*map(order, wanted)))
