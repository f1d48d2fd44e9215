"""The lines around an instruction in the log of a build in the order of the file.

In: the steps of a block, what they became in the stage task, and the digest of the stage. Out: the layers with steps `say` in
them. An instruction that needs no pod is told with the next one that does. Each is followed by an id of what the image is then:
the first is that of the image below, the last the digest of the stage; those between are made of it and the number of the step,
for nothing is stored there.
"""

import hashlib
from collections.abc import Sequence

from conveyor.jobs.task_inputs import Json
from conveyor.plan.model import BlockStep

_SHORT = 12
_KEPT = "Layer taken from the pod; no intermediate container is left"


def told_layers(
    steps: Sequence[BlockStep], tasks: Sequence[Sequence[Json]], *, below: str, digest: str
) -> list[Json]:
    """Return a layer for every task, with the lines of all steps; one that changes nothing if there is no task.

    Args:
        steps: The instructions, FROM first; those without `told` are not told.
        tasks: The steps that each comes to in the stage task, none for one that needs no pod.
        below: Manifest digest of the image below, "" for scratch.
        digest: The stage's.
    """
    layers: list[Json] = []
    lines: list[str] = []
    for number, (step, task) in enumerate(zip(steps, tasks, strict=True), 1):
        lines += [step.told] if step.told else []
        short = _id(step, "" if number == len(steps) else str(number), below, digest)
        after = _after(step, short) if step.told else []
        if not task:
            lines += after
            continue
        layers.append({"steps": [*_say(lines), *task, *_say(after)]})
        lines = []
    if lines:  # of a part of a block that needs no pod of its own: the log is that of the pod that built the part before
        before = _steps(layers.pop()) if layers else []
        layers.append({"steps": [*before, *_say(lines)]})
    return layers


def _after(step: BlockStep, short: str) -> list[str]:
    kept = [_KEPT] if step.instruction.keyword == "RUN" else []
    return [*kept, f" ---> {short}"]


def _id(step: BlockStep, number: str, below: str, digest: str) -> str:
    """Return 12 digits; `number` is that of a step in the middle, "" of the last one."""
    if step.instruction.keyword == "FROM":
        return below.removeprefix("sha256:")[:_SHORT] or "scratch"
    if not number:
        return digest[:_SHORT]
    return hashlib.sha256(f"{digest} {number}".encode()).hexdigest()[:_SHORT]


def _say(lines: Sequence[str]) -> list[Json]:
    return [{"op": "say", "text": "\n".join(lines)}] if lines else []


def _steps(layer: Json) -> list[object]:
    steps = layer["steps"]
    return list(steps) if isinstance(steps, list) else []
