"""The image config of a stage that was built.

In: the planned stage, its parent's image and the layers that its run left. Out: the OCI config. Labels are werf's; those of
the parent are inherited, those that name stored stages are added here, for only the publisher knows them.
"""

from collections.abc import Mapping

from conveyor import __version__
from conveyor.jobs.model import LayerRef, ParentImage, RunResult
from conveyor.jobs.work import FILE_INSTRUCTIONS
from conveyor.plan import labels
from conveyor.plan.image_config import (
    Layer,
    apply_docker_directive,
    apply_environment,
    apply_image_spec,
    apply_instruction,
    child_config,
    for_platform,
    image_labels,
)
from conveyor.plan.model import BlockStep, DockerfileBlock, PlannedStage

Config = Mapping[str, object]


def stage_config(
    stage: PlannedStage,
    parent: ParentImage,
    result: RunResult | None,
    *,
    project_commit: str,
    created: str,
) -> Config:
    """Return the config of the stage's image.

    Args:
        result: None for a stage without a pod.
        project_commit: HEAD of the project's repository, "" for none.
        created: RFC 3339.
    """
    merged = labels.merged(image_labels(parent.config), stage.work.labels)
    added = {name: merged[name] for name in stage.work.labels}
    added[labels.VERSION] = f"conveyor {__version__}"
    added[labels.CONTENT_DIGEST] = str(stage.content_digest)
    if project_commit:
        added[labels.PROJECT_COMMIT] = project_commit
    if parent.stage_id:
        added[labels.PARENT_STAGE_ID] = parent.stage_id
    layers = result.layers if result else ()
    if stage.work.block is not None:
        config = _block_config(stage.work.block, parent, layers, added, created)
        return for_platform(config, stage.work.image_platform)
    made = [Layer(diff_id=x.diff_id, created_by=f"conveyor {stage.name}") for x in layers if x]
    config = child_config(
        parent.config,
        created=created,
        layers=made,
        labels=added,
        created_by=f"conveyor {stage.name}",
    )
    for dependency in stage.work.dependencies:
        config = apply_environment(config, dependency.values)
    if stage.work.image_spec is not None:
        return apply_image_spec(config, stage.work.image_spec)
    return apply_docker_directive(
        config,
        stage.work.instructions,
        keep_entrypoint_with_cmd=stage.work.keep_entrypoint_with_cmd,
    )


def _block_config(
    block: DockerfileBlock,
    parent: ParentImage,
    layers: tuple[LayerRef | None, ...],
    added: Mapping[str, str],
    created: str,
) -> Config:
    """Apply the instructions in order; every one leaves a line of history, with a layer where it changed files."""
    config: Config = parent.config
    remaining = iter(layers)
    for step in block.steps:
        config = apply_instruction(config, step)
        layer = next(remaining, None) if step.instruction.keyword in FILE_INSTRUCTIONS else None
        made = [Layer(diff_id=layer.diff_id, created_by=_line(step))] if layer else []
        config = child_config(
            config, created=created, layers=made, labels={}, created_by=_line(step)
        )
    return child_config(config, created=created, layers=[], labels=added, created_by="")


def _line(step: BlockStep) -> str:
    return "" if step.instruction.keyword == "FROM" else step.instruction.original
