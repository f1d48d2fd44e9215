"""What can be planned but not built: by this version, or because nothing is to be built at all.

In: a `BuildPlan`. Out: nothing, or the error that names every such place. Planning alone goes further: a stage that werf has
stored serves whoever built it, and `conveyor plan` tells digests of everything.
"""

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.plan.model import BuildPlan, StageState

MAX_SHOWN = 10


def notes_of(plan: BuildPlan) -> tuple[str, ...]:
    """Return what is written in vain or surprises, each once, in the order of the plan."""
    found = (note for image in plan.images for stage in image.stages for note in stage.work.notes)
    return tuple(dict.fromkeys(found))


def check_buildable(plan: BuildPlan) -> None:
    """Refuse a plan of which some stage that is not stored cannot be built.

    Raises:
        UserError: NotSupported, one line for every place.
    """
    problems = [
        stage.work.refused
        for image in plan.images
        for stage in image.stages
        if stage.work.refused and stage.state is not StageState.CACHED
    ]
    if problems:
        raise UserError(Reason.NOT_SUPPORTED, "\n".join([*dict.fromkeys(problems)][:MAX_SHOWN]))


def check_built(plan: BuildPlan) -> None:
    """Refuse a plan of which some stage is not stored (werf: --require-built-images).

    Raises:
        UserError: StagesRequired, one line for every image that is not complete.
    """
    problems = [
        f"image {image.name!r}: {', '.join(missing)}"
        for image in plan.images
        if (
            missing := [
                stage.name
                for stage in image.stages
                if stage.state is not StageState.CACHED and not stage.inner
            ]
        )
    ]
    if problems:
        more = f"\nand {len(problems) - MAX_SHOWN} more images" * (len(problems) > MAX_SHOWN)
        text = "\n".join(problems[:MAX_SHOWN])
        raise UserError(
            Reason.STAGES_REQUIRED,
            f"stages required that are not stored, and nothing is to be built:\n{text}{more}",
        )
