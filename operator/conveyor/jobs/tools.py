"""Which platforms can be built: those that the operator has stage tools for.

In: a `BuildPlan`, its config, the platforms of the tools. Out: nothing, or an error before any Job starts. What is stored
needs no tools, and neither does a stage that changes the image config alone.
"""

from collections.abc import Collection, Iterator

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.config.model import WerfConfig
from conveyor.config.names import shown
from conveyor.config.platforms import machine_of
from conveyor.jobs.work import needs_pod
from conveyor.plan.model import BuildPlan, PlannedImage, PlannedStage, StageState

_MAX_SHOWN = 10
_WITHOUT_NETWORK = ("linux/amd64", "linux/arm64")
"""Where the stage program knows how to take the network from a command (`builder/no_network.py`)."""


def check_tools(
    plan: BuildPlan,
    config: WerfConfig,
    tools: Collection[str],
    ansible: Collection[str],
    engine: str = "",
) -> None:
    """Refuse a plan of which some stage cannot run.

    Args:
        plan: What is to be built.
        config: Says the lines of images.
        tools: Machines (`os/architecture`) with stage tools.
        ansible: Machines with the tools of ansible, too.
        engine: Machine of the Docker Engine that runs everything; "": nodes of any machine may.

    Raises:
        UserError: PlatformNotAvailable, one line for every image.
    """
    owners = {image.name: image.image for image in plan.images}
    lines = {image.name: image.at for image in config.images}
    problems = (
        f"{lines.get(owners[image.block_of or image.name], '')}: image {shown(image.image)}: {problem}"
        for image in plan.images
        for problem in _problems(image, tools, ansible, engine)
    )
    found = tuple(dict.fromkeys(problems))
    if found:
        raise UserError(Reason.PLATFORM_NOT_AVAILABLE, "\n".join(found[:_MAX_SHOWN]))


def _problems(
    image: PlannedImage, tools: Collection[str], ansible: Collection[str], engine: str
) -> Iterator[str]:
    stages = [stage for stage in image.stages if _runs(stage)]
    machine = machine_of(stages[0].platform) if stages else ""
    if stages and engine not in ("", machine):
        yield f"the Docker Engine builds for {engine}, not for {machine}"
    elif stages and machine not in tools:
        yield f"this operator has no tools for {_only(machine, tools)}"
    elif machine not in ansible and any(stage.work.tasks for stage in stages):
        yield f"this operator has no ansible for {_only(machine, ansible)}"
    elif machine not in _WITHOUT_NETWORK and any(map(_has_no_network, stages)):
        yield f"RUN --network=none is possible on {' and '.join(_WITHOUT_NETWORK)}, not on {machine}"


def _has_no_network(stage: PlannedStage) -> bool:
    steps = stage.work.block.steps if stage.work.block else ()
    return any(step.instruction.flag("network") == "none" for step in steps)


def _runs(stage: PlannedStage) -> bool:
    return stage.state is not StageState.CACHED and needs_pod(stage)


def _only(machine: str, known: Collection[str]) -> str:
    return f"{machine}, only for {', '.join(sorted(known))}; see tools.platforms of its chart"
