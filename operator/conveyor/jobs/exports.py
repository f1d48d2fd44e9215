"""Which files of other images a stage needs before it can be built.

In: a planned stage and its plan. Out: `Export`s, each with the key under which its bundle is recorded.
A bundle is recorded as an image whose only layer holds the files: under werf's own key for an import (werf: import
metadata), under a key of ours for COPY --from, which werf ignores.
"""

from conveyor.config.dockerfile import Instruction
from conveyor.config.dockerfile_selection import parents_source, rules
from conveyor.jobs.model import Bundle, Export
from conveyor.plan.digest import sha256_args
from conveyor.plan.model import BlockStep, BuildPlan, PlannedImport, PlannedStage, StageState


def exports_of(stage: PlannedStage, plan: BuildPlan) -> tuple[Export, ...]:
    """Return what has to be exported for this stage, in the order of its imports or instructions."""
    imports = tuple(_import_export(planned) for planned in stage.work.imports)
    block = stage.work.block
    copies = (_copy_export(step, plan) for step in block.steps) if block else ()
    return imports + tuple(export for export in copies if export is not None)


def copy_export(step: BlockStep, plan: BuildPlan) -> Export:
    """Return the export of a COPY --from step."""
    export = _copy_export(step, plan)
    if export is None:
        raise ValueError(step.instruction.original)
    return export


def _import_export(planned: PlannedImport) -> Export:
    import_ = planned.import_
    return Export(
        key=f"import-metadata-{planned.source_id}",
        source=planned.source,
        external=import_.external,
        stage=import_.stage,
        checksum_id=planned.source_id,
        add=import_.add,
        include=import_.include_paths,
        exclude=import_.exclude_paths,
    )


def _copy_export(step: BlockStep, plan: BuildPlan) -> Export | None:
    if step.source is None or not step.source.image or len(step.instruction.args) < 2:
        return None
    sources = step.instruction.args[:-1]
    origin = step.source.image
    if not step.source.external:
        origin = plan.image(origin).stages[-1].digest or origin
    flags = [flag for flag in step.instruction.flags if flag.startswith(("--parents", "--exclude"))]
    return Export(
        key=f"copy-{sha256_args('copy', origin, *flags, *sources)}",
        source=step.source.image,
        external=step.source.external,
        sources=sources,
        select=selection(step.instruction),
    )


def selection(instruction: Instruction) -> dict[str, object]:
    """Return what a COPY or ADD takes below its sources, as the tasks say it (`docs/stage-task.md`); {} for all of it."""
    sources = instruction.args[:-1]
    found: dict[str, object] = {}
    excluded = rules(instruction.flag_values("exclude"))
    if excluded:
        found["exclude"] = [[rule.exception, rule.regex] for rule in excluded]
    if instruction.is_set("parents"):
        kept = [parents_source(source) for source in sources]
        patterns = [rules((one.pattern,)) for one in kept]
        found["parents"] = [
            {
                "base": one.base,
                "include": [[rule.exception, rule.regex] for rule in made],
                "required": one.pattern if one.plain else None,
            }
            for one, made in zip(kept, patterns, strict=True)
        ]
    return found


def fits(bundle: Bundle, export: Export, plan: BuildPlan) -> bool:
    """Whether a recorded bundle was taken from the very stage that the plan uses.

    An import's key names the content, so it always fits. A copy's key names the digest, and several stages may share it.
    """
    if export.checksum_id or export.external:
        return True
    last = plan.image(export.source).stages[-1]
    return last.stored is not None and bundle.source_stage_id == str(last.stored.id)


def source_stage(export: Export, plan: BuildPlan) -> PlannedStage:
    """Return the stage whose files are exported.

    A named stage that the image does not have means the last one before it (werf: import.stage).
    """
    stages = plan.image(export.source).stages
    named = [stage for stage in stages if stage.name == export.stage]
    return named[0] if named else stages[-1]


def source_ready(export: Export, plan: BuildPlan) -> bool:
    """Whether the files can be exported now."""
    return export.external or source_stage(export, plan).state is StageState.CACHED
