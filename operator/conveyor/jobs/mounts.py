"""The volumes of a Job's stage container that stand for `mount` of werf.yaml.

In: a `JobOrder`, the ImageBuild and the operator's settings. Out: volumes and volume mounts. A volume lies at the mount point
itself, so the capture leaves it out like every other mount; nothing is mounted while `from` empties the mount points.

Which mount points there are is told by the plan (the image and those it is built from) and by the labels of the parent image
(werf: getServiceMounts). Labels of an image from elsewhere give a point an empty directory: what they ask for beyond that
nobody of this project has allowed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from conveyor.api import names
from conveyor.api.v1alpha1 import ImageBuild
from conveyor.config.model import Mount
from conveyor.config.mounts import MAX_MOUNTS, why_not
from conveyor.jobs.model import JobOrder
from conveyor.plan import labels
from conveyor.plan.digest import DEFAULT_PLATFORM
from conveyor.plan.image_config import image_labels

Json = dict[str, object]
VolumeSources = Mapping[str, Mapping[str, object]]

_BUILD_DIR: Final = "build-dir"


@dataclass(slots=True, kw_only=True)
class Volumes:
    """What goes into a pod and into its stage container."""

    volumes: list[Json] = field(default_factory=list)
    mounts: list[Json] = field(default_factory=list)

    def add(self, source: Mapping[str, object], point: str) -> None:
        """Mount a volume of its own at a mount point."""
        name = f"mount-{len(self.mounts)}"
        self.volumes.append({"name": name, **source})
        self.mounts.append({"name": name, "mountPath": point})

    def share(self, source: Mapping[str, object], point: str, sub_path: str) -> None:
        """Mount a directory of the build_dir volume."""
        if not any(volume["name"] == _BUILD_DIR for volume in self.volumes):
            self.volumes.append({"name": _BUILD_DIR, **source})
        self.mounts.append({"name": _BUILD_DIR, "mountPath": point, "subPath": sub_path})


def volumes_of(order: JobOrder, build: ImageBuild, from_paths: VolumeSources) -> Volumes:
    """Return the volumes of a Job.

    Args:
        from_paths: Volume source of every offered `fromPath`.
    """
    found = Volumes()
    mounts = {mount.to: mount for mount in _planned(order)}
    for mount in mounts.values():
        _add(found, mount, order, build, from_paths)
    for point in _other_points(order):
        if point not in mounts:
            found.add({"emptyDir": {}}, point)
    return found


def without_hidden_exports(order: JobOrder) -> JobOrder:
    """Leave exports to Jobs of their own where a pod has mounts: it does not see what the image has there.

    Planned mounts are known before; those that the labels of a foreign image tell of only now.
    """
    hidden = order.stages and (_planned(order) or _other_points(order))
    return replace(order, exports=(), assemblies=()) if hidden else order


def _planned(order: JobOrder) -> tuple[Mount, ...]:
    """Return the planned mounts of a Job: those of its stages, which are of one image."""
    if not order.stages or order.stages[0].work.emptied:
        return ()
    return order.stages[0].work.mounts


def _add(
    found: Volumes, mount: Mount, order: JobOrder, build: ImageBuild, from_paths: VolumeSources
) -> None:
    kept = build.spec.mounts.build_dir
    if mount.type == "custom_dir":
        found.add(from_paths[mount.from_path], mount.to)
    elif mount.type == "build_dir" and kept is not None:
        claim = {"claimName": kept.persistent_volume_claim.claim_name}
        found.share({"persistentVolumeClaim": claim}, mount.to, _sub_path(order, mount.to))
    else:
        found.add({"emptyDir": {}}, mount.to)


def _sub_path(order: JobOrder, point: str) -> str:
    """Werf: `mounts/projects/PROJECT/SLUG` of the host's shared directory; other platforms have theirs below it."""
    project = order.stages[0].work.labels[labels.WERF]
    machine = "" if order.platform == DEFAULT_PLATFORM else f"{order.platform.replace('/', '-')}/"
    return f"projects/{project}/{machine}{names.label_value(point)}"


def _other_points(order: JobOrder) -> tuple[str, ...]:
    """Mount points that only the parent image's labels tell of; a label of a foreign image may hold anything."""
    if not order.stages or order.stages[0].work.emptied or order.stages[0].work.block is not None:
        return ()
    points = labels.mount_points(image_labels(order.parent.config))
    return tuple(point for point in points if not why_not(point))[:MAX_MOUNTS]
