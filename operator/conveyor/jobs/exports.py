"""Which files of other images a stage needs before it can be built.

In: a planned stage and its plan. Out: `Export`s, each with the key under which its bundle is recorded.
A bundle is recorded as an image whose only layer holds the files: under werf's own key for an import (werf: import
metadata), under a key of ours for COPY --from, which werf ignores.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from conveyor.config.dockerfile import Instruction
from conveyor.config.dockerfile_mount_points import bound_path
from conveyor.config.dockerfile_mounts import RunMount
from conveyor.config.dockerfile_selection import parents_source, rules
from conveyor.jobs.model import Bundle, Export
from conveyor.plan.digest import DEFAULT_PLATFORM, sha256_args
from conveyor.plan.model import BlockStep, BuildPlan, CopySource, PlannedStage, StageState
from conveyor.plan.model_sources import PlannedImport


def exports_of(stage: PlannedStage, plan: BuildPlan) -> tuple[Export, ...]:
    """Return what has to be exported for this stage, in the order of its imports or instructions."""
    imports = tuple(_import_export(planned, stage.platform) for planned in stage.work.imports)
    block = stage.work.block
    steps = block.steps if block else ()
    copies = (_copy_export(step, stage, plan) for step in steps)
    mounts = tuple(
        mount_export(it.mount, it.files, stage, plan)
        for step in steps
        for it in step.mounts
        if it.files is not None and it.files.image
    )
    return imports + tuple(export for export in copies if export is not None) + mounts


def wanted(plan: BuildPlan) -> Iterator[tuple[PlannedStage, Export]]:
    """Yield what everything that is still to be built needs, with the stage that needs it."""
    for image in plan.images:
        for stage in image.stages:
            if stage.state is not StageState.CACHED:
                yield from ((stage, export) for export in exports_of(stage, plan))


def copy_export(step: BlockStep, stage: PlannedStage, plan: BuildPlan) -> Export:
    """Return the export of a COPY --from step of a stage."""
    export = _copy_export(step, stage, plan)
    if export is None:
        raise ValueError(step.instruction.original)
    return export


def mount_export(
    mount: RunMount, files: CopySource, stage: PlannedStage, plan: BuildPlan
) -> Export:
    """Return the export of what a RUN of a stage binds from another image: the same as of a COPY of that path."""
    return _files_export(files, (bound_path(mount),), stage, plan)


def seeds_of(stages: Sequence[PlannedStage], plan: BuildPlan) -> dict[str, str]:
    """Return what tells caches apart that begin with files of an image: its name to what it is now."""
    blocks = (stage.work.block for stage in stages)
    mounts = (it for block in blocks if block for step in block.steps for it in step.mounts)
    found = (it.files for it in mounts if it.mount.type == "cache" and it.files is not None)
    return {files.image: _origin(files, plan) for files in found}


def _origin(files: CopySource, plan: BuildPlan) -> str:
    if files.external:
        return files.image
    return plan.image(files.image).stages[-1].digest or files.image


def _import_export(planned: PlannedImport, platform: str) -> Export:
    import_ = planned.import_
    return Export(
        key=f"import-metadata-{planned.source_id}",
        source=planned.source,
        platform=platform,
        external=import_.external,
        stage=import_.stage,
        checksum_id=planned.source_id,
        add=import_.add,
        include=import_.include_paths,
        exclude=import_.exclude_paths,
    )


def _copy_export(step: BlockStep, stage: PlannedStage, plan: BuildPlan) -> Export | None:
    if step.source is None or not step.source.image or len(step.instruction.args) < 2:
        return None
    instruction = step.instruction
    flags = [flag for flag in instruction.flags if flag.startswith(("--parents", "--exclude"))]
    found = _files_export(step.source, instruction.args[:-1], stage, plan, flags)
    return replace(found, select=selection(instruction))


def _files_export(
    source: CopySource,
    sources: tuple[str, ...],
    stage: PlannedStage,
    plan: BuildPlan,
    flags: Sequence[str] = (),
) -> Export:
    """Return the export of files for a stage; an external image is taken for its platform."""
    origin, platform = _origin(source, plan), source.platform or stage.platform
    if not source.external:
        platform = plan.image(source.image).stages[-1].platform
    elif platform != DEFAULT_PLATFORM:
        origin = f"{origin} [{platform}]"
    return Export(
        key=f"copy-{sha256_args('copy', origin, *flags, *sources)}",
        source=source.image,
        platform=platform,
        external=source.external,
        sources=sources,
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


def may_be_recorded(export: Export, plan: BuildPlan) -> bool:
    """Whether a record that fits can exist: not of a stage that is still to be built."""
    return _names_content(export) or plan.image(export.source).stages[-1].stored is not None


def fits(bundle: Bundle, export: Export, plan: BuildPlan) -> bool:
    """Whether a recorded bundle was taken from the very stage that the plan uses.

    A copy's key names the digest, and several stages may share it.
    """
    if _names_content(export):
        return True
    last = plan.image(export.source).stages[-1]
    return last.stored is not None and bundle.source_stage_id == str(last.stored.id)


def _names_content(export: Export) -> bool:
    """Whether the key tells the files: an import's, and that of files of an outside image, so that a record always fits."""
    return bool(export.checksum_id) or export.external


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
