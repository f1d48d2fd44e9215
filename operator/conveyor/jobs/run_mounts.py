"""The mounts of a RUN in the Job that carries it out.

In: a `JobOrder`, or a plan and the ImageBuild's spec. Out: `RunPoint`s: each mount with its place and its files; the error
for a secret or an agent that has to be there and is not. All stages of a Job have the same mounts.
"""

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.api.spec import ImageBuildSpec
from conveyor.config.dockerfile_mount_points import (
    MountPoint,
    UnbuildableMountError,
    mount_points,
    secret_id,
)
from conveyor.config.dockerfile_mounts import RunMount
from conveyor.jobs.model import JobOrder
from conveyor.plan.image_config import apply_instruction, run_command
from conveyor.plan.model import (
    BlockStep,
    BuildPlan,
    CopySource,
    DockerfileBlock,
    PlannedMount,
    PlannedStage,
    StageState,
)

_MOST: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPoint:
    """A mount in its place; `files`: where a bind takes its files from."""

    point: MountPoint
    files: CopySource | None

    @property
    def mount(self) -> RunMount:
        """What the Dockerfile says."""
        return self.point.mount

    @property
    def target(self) -> str:
        """Where it lies, "" for a secret that is a variable only."""
        return self.point.target

    @property
    def name(self) -> str:
        """Of its volume or of its directory in a volume."""
        return f"run-{self.point.index}"

    @property
    def secret(self) -> str:
        """The id of a secret, "" of anything else."""
        return secret_id(self.mount) if self.mount.type == "secret" else ""


def run_points(order: JobOrder) -> tuple[RunPoint, ...]:
    """Return the mounts of a Job, () for most.

    Raises:
        UserError: A target is wrong, which only the parent image's working directory tells.
    """
    block = order.stages[0].work.block if order.stages else None
    if block is None or not order.stages[0].work.run_mounts:
        return ()
    config = order.parent.config
    for step in block.steps:
        config = apply_instruction(config, step)
        if step.mounts:
            return step_points(step, config, block)
    return ()


def step_points(
    step: BlockStep, config: Mapping[str, object], block: DockerfileBlock
) -> tuple[RunPoint, ...]:
    """Return the mounts of a RUN on the image that has this config. Raises as `run_points`."""
    mounts = [planned.mount for planned in step.mounts]
    try:
        points = mount_points(mounts, run_command(config, step).workdir)
    except ValueError as problem:
        unbuildable = isinstance(problem, UnbuildableMountError)
        reason = Reason.NOT_SUPPORTED if unbuildable else Reason.INVALID_DOCKERFILE
        raise UserError(reason, f"{_place(step, block)}: RUN {problem}") from None
    pairs = zip(points, step.mounts, strict=True)
    return tuple(RunPoint(point=point, files=planned.files) for point, planned in pairs)


def writes_binds(mounts: tuple[PlannedMount, ...]) -> bool:
    """Whether a RUN may write into what it binds: the next one must not see it, so none shares its Job."""
    return any(it.mount.type == "bind" and not it.mount.read_only for it in mounts)


def check_given(plan: BuildPlan, spec: ImageBuildSpec) -> None:
    """Check that everything is there that a RUN requires.

    Raises:
        UserError: SecretNotFound, one line for every mount.
    """
    problems = [
        f"{place}: {problem}"
        for image in plan.images
        for stage in image.stages
        if stage.state is not StageState.CACHED
        for place, mount in _required(stage)
        if (problem := _missing(mount, spec))
    ]
    if problems:
        raise UserError(Reason.SECRET_NOT_FOUND, "\n".join([*dict.fromkeys(problems)][:_MOST]))


def _required(stage: PlannedStage) -> Iterator[tuple[str, RunMount]]:
    block = stage.work.block
    for step in block.steps if block else ():
        for planned in step.mounts:
            if block and planned.mount.required:
                yield _place(step, block), planned.mount


def _missing(mount: RunMount, spec: ImageBuildSpec) -> str:
    if mount.type == "secret":
        wanted = secret_id(mount)
        if wanted not in {secret.id for secret in spec.secrets}:
            return f"RUN requires the secret {wanted!r}; name its Secret in spec.secrets"
    if mount.type == "ssh" and not spec.ssh_key_secret_refs:
        return "RUN requires an SSH agent; name Secrets with keys in spec.sshKeySecretRefs"
    return ""


def _place(step: BlockStep, block: DockerfileBlock) -> str:
    file = posixpath.normpath(posixpath.join(block.context, block.dockerfile))
    return f"{file}:{step.instruction.line}"
