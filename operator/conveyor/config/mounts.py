"""Where something can be mounted in a pod, and which `mount: {fromPath: …}` a cluster offers.

In: a mount point; a legal `WerfConfig` and the paths that the cluster's administrator has given a volume. Out: why not, or
a UserError that names every line. werf-giterminism.yaml is the project's own gate (`conveyor.config.giterminism`).
"""

from collections.abc import Collection
from typing import Final

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.config.model import StapelImage, WerfConfig
from conveyor.config.names import shown
from conveyor.config.paths import clean, is_absolute, is_too_long
from conveyor.config.raw import shorten

MAX_MOUNTS: Final = 50
_MOST: Final = 10
_OWN_FOLDERS: Final = frozenset({"", "dev", "proc", "sys", ".werf"})
_OWN_FILES: Final = frozenset({"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"})


def why_not(point: str) -> str:
    """Return why nothing can be mounted at a path, "" when it can."""
    if not is_absolute(point) or point != clean(point) or is_too_long(point):
        return "it is no absolute path"
    first = point.split("/")[1]
    if first in _OWN_FOLDERS or first.startswith(".conveyor") or point in _OWN_FILES:
        return "the container itself needs it"
    # Kubernetes refuses it: the separator of mount options.
    return "it has a colon in its name" if ":" in point else ""


def check_mounts(config: WerfConfig, offered: Collection[str]) -> None:
    """Check that every `fromPath` has a volume.

    Args:
        config: The config.
        offered: Clean paths, compared as a whole: what lies below an offered path is not offered.

    Raises:
        UserError: MountNotAllowed, one line for every mount.
    """
    problems = [
        f"{mount.at}: image {shown(image.name)}: `fromPath: {shorten(mount.from_path)}` has no volume in this cluster"
        for image in config.images
        if isinstance(image, StapelImage)
        for mount in image.mounts
        if mount.type == "custom_dir" and mount.from_path not in offered
    ]
    if problems:
        there = ", ".join(sorted(offered)[:_MOST]) or "none"
        hint = f"its administrator gives paths a volume with `mounts.fromPaths` of Conveyor's chart (now: {there})"
        raise UserError(Reason.MOUNT_NOT_ALLOWED, "\n".join([*problems[:_MOST], hint]))
