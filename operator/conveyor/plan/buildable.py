"""What can be planned but not built by this version.

In: a `BuildPlan`. Out: nothing, or the error that names every such place. Planning alone goes further: a stage that werf has
stored serves whoever built it, and `conveyor plan` tells digests of everything.
"""

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.plan.model import BuildPlan, StageState

MAX_SHOWN = 10


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
