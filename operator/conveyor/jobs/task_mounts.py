"""What the stage program and the container `mounts` are told about the mounts of a RUN.

In: a `JobOrder` and what the ImageBuild has. Out: the field `mounts` of the stage task, and the places that are laid out before
the stage container starts (`docs/stage-task.md`). Secrets are named by where they lie, never by what they are.
"""

from collections.abc import Iterator

from conveyor.config.dockerfile_mount_points import bound_path
from conveyor.jobs import exports, ssh
from conveyor.jobs.model import JobOrder
from conveyor.jobs.run_mounts import RunPoint, run_points
from conveyor.jobs.run_volumes import (
    bind_place,
    copied_secrets,
    lock_file,
    secret_file,
    seed_place,
)
from conveyor.jobs.task_inputs import Json, StageRun
from conveyor.plan.digest import OWN_REPOSITORY
from conveyor.plan.model import DockerfileBlock

_DIRECTORY: int = 0o755


def stage_mounts(
    order: JobOrder, secrets: frozenset[str], *, keeps_caches: bool, keys: int
) -> Json | None:
    """Return the field `mounts` of the stage task, None without mounts.

    Args:
        secrets: Ids that the ImageBuild has a Secret for.
        keeps_caches: Whether caches lie in a claim.
        keys: How many keys an SSH agent has.
    """
    points = run_points(order)
    if not points:
        return None
    return {
        "caches": [_cache(order, it, kept=keeps_caches) for it in points if _is_cache(it)],
        "tmpfs": [it.target for it in points if it.mount.type == "tmpfs"],
        "variables": {
            it.mount.env: secret_file(it) for it in points if it.mount.env and it.secret in secrets
        },
        "sockets": ssh.sockets(order, keys),
    }


def places(
    order: JobOrder, run: StageRun, secrets: frozenset[str], *, keeps_caches: bool
) -> list[Json]:
    """Return what the container `mounts` lays out, [] when nothing; files are asked of it by `run`."""
    points = run_points(order)
    return [*_files(order, points, run, kept=keeps_caches), *_secrets(points, secrets)]


def _is_cache(point: RunPoint) -> bool:
    return point.mount.type == "cache" and not point.mount.read_only


def _cache(order: JobOrder, point: RunPoint, *, kept: bool) -> Json:
    mount = point.mount
    found: Json = {"path": point.target, "lock": lock_file(order, point) if kept else ""}
    if point.files is None:
        mode = _DIRECTORY if mount.mode is None else mount.mode
        found |= {"mode": mode, "uid": mount.uid or 0, "gid": mount.gid or 0}
    return found


def _files(
    order: JobOrder, points: tuple[RunPoint, ...], run: StageRun, *, kept: bool
) -> Iterator[Json]:
    block = order.stages[0].work.block if order.stages else None
    for point in points:
        if point.files is not None and block is not None:
            file = _bound(point, run, block)
            if point.mount.type == "cache":
                yield {"kind": "seed", "file": file, "to": seed_place(order, point, kept=kept)}
            else:
                yield {"kind": "bundle", "file": file, "to": bind_place(point)}


def _bound(point: RunPoint, run: StageRun, block: DockerfileBlock) -> str:
    if point.files is not None and point.files.image:
        return run.fetch_bundle(exports.mount_export(point.mount, point.files, run.stage, run.plan))
    return run.fetch_git(
        "context",
        OWN_REPOSITORY,
        commit=block.commit,
        context=block.context,
        dockerignore=block.dockerignore or None,
        dockerfile=block.dockerfile,
        sources=[bound_path(point.mount)],
    )


def _secrets(points: tuple[RunPoint, ...], secrets: frozenset[str]) -> Iterator[Json]:
    for point, source, to in copied_secrets(points):
        if point.secret in secrets:
            yield {
                "kind": "secret",
                "file": source,
                "to": to,
                "mode": 0o400 if point.mount.mode is None else point.mount.mode,
                "uid": point.mount.uid or 0,
                "gid": point.mount.gid or 0,
            }
