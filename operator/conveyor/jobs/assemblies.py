"""Blocks that need no pod of their own: all that is left of them copies from one other image of the plan.

In: a plan. Out: `Assembly`s. The last block of most Dockerfiles is one (`FROM debian`, `COPY --from=build`, `CMD`): the pod that
builds the image its files come from makes its layers as well, upon the outline that a pod on the image below has recorded
once. Nothing is run for it, so no container of its own image is needed.

What may need more of the image below than an outline tells is left to a pod: names of users and groups, `--link`; so are legacy
mode (a log for each block) and `staged: true`.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import takewhile
from typing import Final

from conveyor.jobs import exports
from conveyor.jobs.model import Assembly, Export
from conveyor.jobs.outline import EMPTY, Outline
from conveyor.jobs.work import FILE_INSTRUCTIONS
from conveyor.plan.blocks import STAGE as DOCKERFILE
from conveyor.plan.digest import sha256_args
from conveyor.plan.model import (
    BlockStep,
    BuildPlan,
    ExternalBase,
    ImageBase,
    PlannedImage,
    PlannedStage,
    ScratchBase,
    StageState,
)

PREFIX: Final = "assembly-"
"""What keys of assemblies begin with."""
_NUMBERS: Final = re.compile(r"[0-9]+(:[0-9]+)?")
_SCRATCH: Final = "scratch"
_PLACING: Final = FILE_INSTRUCTIONS | {"ARG", "ENV", "USER"}
"""Instructions that have to do with where files go and whose they are."""
_MOST_STEPS: Final = 200
_MOST_TEXT: Final = 8 * 1024
"""Characters of instructions: the task of another block has to hold them, too."""


def assembly_of(plan: BuildPlan, image: PlannedImage) -> Assembly | None:
    """Return what is left of an image's FROM block as an assembly; None if it takes a pod, or nothing is left."""
    left = tuple(stage for stage in image.stages if stage.state is not StageState.CACHED)
    stages = tuple(takewhile(lambda stage: stage.work.block is not None, left))
    below = _below(plan, image, len(image.stages) - len(left))
    steps = [step for stage in stages for step in _steps(stage)]
    if not _is_rest_of_block(stages) or not below or image.in_order or len(steps) > _MOST_STEPS:
        return None
    texts = [_text(step) for step in steps if step.instruction.keyword in _PLACING]
    source = _source(plan, image, steps)
    if not source or not all(map(_only_copies, steps)) or sum(map(len, texts)) > _MOST_TEXT:
        return None
    keys = tuple(one.key for stage in stages for one in exports.exports_of(stage, plan))
    return Assembly(
        key=f"{PREFIX}{sha256_args('assembly', below, *texts, *keys)}",
        image=image.name,
        source=source,
        stages=stages,
        needs="" if below == _SCRATCH else f"outline-{sha256_args('outline', below, *texts)}",
        exports=keys,
    )


def assemblies(plan: BuildPlan) -> Iterator[Assembly]:
    """Return every assembly of a plan."""
    for image in plan.images:
        found = assembly_of(plan, image)
        if found is not None:
            yield found


def made_with(
    plan: BuildPlan, last: PlannedStage, attached: tuple[Export, ...], known: Mapping[str, Outline]
) -> tuple[Assembly, ...]:
    """Return the assemblies that the Job of an image's last stage can make of the exports that it makes."""
    keys = {export.key for export in attached}
    found = (one for one in assemblies(plan) if one.source == last.image)
    return tuple(
        replace(one, outline=known[one.needs] if one.needs else EMPTY)
        for one in found
        if keys.issuperset(one.exports) and (not one.needs or one.needs in known)
    )


def bundles_of(plan: BuildPlan, assembly: Assembly) -> tuple[str, ...]:
    """Return the keys of the bundles that nobody but the assembly wants."""
    others = {export.key for stage, export in exports.wanted(plan) if stage not in assembly.stages}
    return tuple(dict.fromkeys(key for key in assembly.exports if key not in others))


def outline_wanted(plan: BuildPlan, image: PlannedImage, stages: tuple[PlannedStage, ...]) -> str:
    """Return under which key the outline is recorded that a Job of these stages can tell, "" if they are no whole assembly.

    One that is known did not tell enough, or there was no Job to assemble it.
    """
    found = assembly_of(plan, image)
    return found.needs if found is not None and found.stages == stages else ""


def _below(plan: BuildPlan, image: PlannedImage, index: int) -> str:
    """The manifest digest of the image that the stage starts from, `scratch`, or "" while it is not known."""
    if index:
        before = image.stages[index - 1].stored
        return before.manifest_digest if before else ""
    match image.stages[0].base:
        case ScratchBase():
            return _SCRATCH
        case ExternalBase(digest=digest):
            return digest
        case ImageBase(image=name):
            last = plan.image(name).stages[-1].stored
            return last.manifest_digest if last else ""
        case _:
            return ""


def _is_rest_of_block(stages: tuple[PlannedStage, ...]) -> bool:
    """Whether these are slices up to the end of a block; with `staged: true` every instruction is a stage for itself."""
    if not stages or stages[-1].name != DOCKERFILE:
        return False
    return all(stage.inner for stage in stages[:-1])


def _source(plan: BuildPlan, image: PlannedImage, steps: Iterable[BlockStep]) -> str:
    """The one image of the plan that is copied from, "" where there are several or none."""
    found = {step.source.image for step in steps if step.source}
    names = {one.name for one in plan.images if one.platform == image.platform}
    return found.pop() if len(found) == 1 and found <= names else ""


def _steps(stage: PlannedStage) -> tuple[BlockStep, ...]:
    return stage.work.block.steps if stage.work.block else ()


def _only_copies(step: BlockStep) -> bool:
    one = step.instruction
    if step.told or step.mounts or step.remotes or one.heredocs:
        return False
    if one.keyword != "COPY":
        return one.keyword == "WORKDIR" or one.keyword not in FILE_INSTRUCTIONS
    by_number = not one.flag("chown") or _NUMBERS.fullmatch(one.flag("chown"))
    from_plan = step.source and step.source.image and not step.source.external
    return bool(by_number and from_plan and len(one.args) > 1 and not one.is_set("link"))


def _text(step: BlockStep) -> str:
    """What an instruction does, wherever its files come from."""
    one = step.instruction
    flags = [flag for flag in one.flags if not flag.startswith("--from")]
    return json.dumps([one.keyword, one.args, flags])
