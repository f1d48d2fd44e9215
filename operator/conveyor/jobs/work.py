"""Whether building a stage needs a pod, and whether it can be built.

In: a planned stage. Out: yes or no. A stage that only changes the image config is written by the operator itself.
"""

from typing import Final

from conveyor.plan.model import PlannedStage

FILE_INSTRUCTIONS: Final = frozenset({"RUN", "COPY", "ADD", "WORKDIR"})


def has_values(stage: PlannedStage) -> bool:
    """Whether the images whose values the stage takes are stored; its digest may be known before."""
    return all(dependency.known for dependency in stage.work.dependencies)


def needs_pod(stage: PlannedStage) -> bool:
    """Whether the stage may change files. Stages of user commands always run, as in werf."""
    work = stage.work
    if work.archives or work.imports or work.commands or work.tasks or work.emptied:
        return True
    if any(patch.from_commit != patch.commit for patch in work.patches):
        return True
    block = work.block
    return block is not None and any(
        s.instruction.keyword in FILE_INSTRUCTIONS for s in block.steps
    )
