"""The mounts of a RUN with their variables replaced.

In: the instruction, how to replace variables, and what `from=` means. Out: `PlannedMount`s, and why this version cannot
mount them.
"""

import posixpath
from collections.abc import Callable, Mapping, Sequence

from conveyor.config.dockerfile_model import Instruction
from conveyor.config.dockerfile_mount_points import (
    UnbuildableMountError,
    check_mounts,
    mount_points,
    seeded,
)
from conveyor.config.dockerfile_mounts import RunMount, mount_flags, parse_mount
from conveyor.plan.model import CopySource, PlannedMount


def step_mounts(
    instruction: Instruction, word: Callable[[str], str], sources: Mapping[str, CopySource]
) -> tuple[PlannedMount, ...]:
    """Return the mounts of a RUN.

    Args:
        instruction: The RUN.
        word: Replaces the variables of one word.
        sources: What each `from=` of the block means.

    Raises:
        ValueError: A mount is malformed; without a place.
    """
    mounts = [parse_mount(flag, word) for flag in mount_flags(instruction)]
    return tuple(PlannedMount(mount=mount, files=_files(mount, sources)) for mount in mounts)


def depends_on_workdir(mounts: Sequence[PlannedMount]) -> bool:
    """Whether some mount lies in the working directory."""
    return any(_relative(planned.mount) for planned in mounts)


def why_not_mounted(mounts: Sequence[PlannedMount], workdir: str) -> str:
    """Return why this version cannot mount it, "" when it can; `workdir` is "" when nobody knows it.

    Raises:
        ValueError: A target is wrong; without a place.
    """
    known = [planned.mount for planned in mounts]
    if not workdir:
        known = [mount for mount in known if not _relative(mount)]
    try:
        check_mounts(known)
        mount_points(known, workdir or "/")
    except UnbuildableMountError as problem:
        return f"RUN {problem}"
    return ""


def moved(workdir: str, path: str) -> str:
    """Return the working directory after `WORKDIR path`, "" while it is unknown."""
    if not (workdir or path.startswith("/")):
        return ""
    return posixpath.normpath("/" + posixpath.join(workdir, path).lstrip("/"))


def _files(mount: RunMount, sources: Mapping[str, CopySource]) -> CopySource | None:
    if mount.type != "bind" and not seeded(mount):
        return None
    return sources[mount.source_image] if mount.source_image else CopySource()


def _relative(mount: RunMount) -> bool:
    default = mount.type in ("secret", "ssh") and not mount.target
    return not default and not mount.target.startswith("/")
