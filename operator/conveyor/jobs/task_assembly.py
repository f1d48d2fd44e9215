"""What a Job is told of the blocks that it makes of its exports.

In: a `JobOrder` with assemblies. Out: exports of kind `assembly` for the stage task (`docs/stage-task.md`), written like the runs
of a Job of the block itself, but for the files: those are in bundles that the pod has made.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from conveyor.jobs.assemblies import bundles_of
from conveyor.jobs.model import AssemblyOrder, Export, JobOrder
from conveyor.jobs.task_dockerfile import block_layers
from conveyor.jobs.task_inputs import Inputs, Json, StageRun
from conveyor.plan.model import BuildPlan, PlannedStage


def assembly_exports(order: JobOrder, plan: BuildPlan) -> Iterator[Json]:
    """Return one export for each assembly of the order."""
    for one in order.assemblies:
        yield {
            "id": order.local_id(one.assembly.key),
            "kind": "assembly",
            "outline": [list(entry) for entry in one.assembly.outline],
            "runs": [{"layers": layers} for layers in _runs(one, order, plan)],
            "bundles": [order.local_id(key) for key in bundles_of(plan, one.assembly)],
        }


def _runs(one: AssemblyOrder, order: JobOrder, plan: BuildPlan) -> Iterator[list[Json]]:
    """The layers of each stage; an instruction finds the config that those before it have left."""
    config = one.parent.config
    for number, stage in enumerate(one.assembly.stages):
        assert stage.work.block is not None  # noqa: S101 - an assembly is made of slices of a block
        run = _AssembledRun(
            number=number, order=order, plan=plan, inputs=Inputs(), repositories=(), made=stage
        )
        layers, config = block_layers(stage.work.block, run, config)
        yield layers


@dataclass(frozen=True, slots=True, kw_only=True)
class _AssembledRun(StageRun):
    """A stage that is no run of the Job: its files are those of the Job's exports."""

    made: PlannedStage

    @property
    def stage(self) -> PlannedStage:
        return self.made

    def fetch_bundle(self, export: Export) -> str:
        return f"out/export-{self.order.local_id(export.key)}.tar"
