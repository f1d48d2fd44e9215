"""The volumes of a Job whose RUN has mounts.

In: a `JobOrder` and the ImageBuild. Out: volumes, and what the stage container and the container `mounts` see of them. A volume
lies at the mount point itself, so the capture leaves it out. Files and their owners are laid out by `mounts`, an init
container: what is there when the stage container starts is mounted as what it is, a file or a directory.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from conveyor.api import names
from conveyor.api.refs import SecretKeyRef
from conveyor.api.v1alpha1 import ImageBuild
from conveyor.config.dockerfile_mount_points import bound_path, owned
from conveyor.jobs.model import JobOrder
from conveyor.jobs.run_mounts import RunPoint, run_points
from conveyor.plan import labels
from conveyor.plan.digest import sha256_args

Json = dict[str, object]

LAID_PATH: Final = "/.conveyor-mounts"
"""Where `mounts` lays files out: directory of each volume, then the mount's name."""
SECRETS_PATH: Final = "/.conveyor-run"
"""Where Secrets lie as they are: in `mounts` to be copied, in the stage container for variables."""
LOCKS_PATH: Final = "/.conveyor-locks"
VALUE: Final = "value"
_BINDS: Final = "run-binds"
_COPIES: Final = "run-secrets"
_CACHE: Final = "run-cache"
_COLD: Final = "run-cold-caches"
_READ_BY_ROOT: Final = 0o400


@dataclass(slots=True)
class RunVolumes:
    """What goes into a pod, into its stage container and into its container `mounts`."""

    volumes: dict[str, Json] = field(default_factory=dict)
    stage: list[Json] = field(default_factory=list)
    laying: list[Json] = field(default_factory=list)

    def add(self, name: str, source: Mapping[str, object]) -> str:
        """Add a volume, once; returns its name."""
        self.volumes.setdefault(name, {"name": name, **source})
        return name

    def lay(self, name: str, source: Mapping[str, object]) -> None:
        """Add a volume that `mounts` fills."""
        if name not in self.volumes:
            self.laying.append({"name": name, "mountPath": f"{LAID_PATH}/{name}"})
        self.add(name, source)


def run_volumes(order: JobOrder, build: ImageBuild) -> RunVolumes:
    """Return the volumes of a Job; none for most. Raises as `run_points`."""
    found = RunVolumes()
    offered = {secret.id: secret.secret_ref for secret in build.spec.secrets}
    for point in run_points(order):
        match point.mount.type:
            case "bind":
                found.lay(_BINDS, {"emptyDir": {}})
                found.stage.append(_at(_BINDS, point, sub_path=point.name))
            case "cache":
                _cache(found, point, order, build)
            case "tmpfs":
                limit = {"sizeLimit": str(point.mount.size)} if point.mount.size else {}
                found.add(point.name, {"emptyDir": {"medium": "Memory", **limit}})
                found.stage.append(_at(point.name, point))
            case "secret" if point.secret in offered:
                _secret(found, point, offered[point.secret])
    return found


def bind_place(point: RunPoint) -> str:
    """Where `mounts` lays out what is bound."""
    return f"{LAID_PATH}/{_BINDS}/{point.name}"


def seed_place(order: JobOrder, point: RunPoint, *, kept: bool) -> str:
    """Where `mounts` lays out what a new cache begins with; `kept`: in a claim."""
    if not kept:
        return f"{LAID_PATH}/{_COLD}/{point.name}"
    return f"{LAID_PATH}/{_CACHE}/{cache_path(order, point).rpartition('/')[2]}"


def copied_secrets(points: tuple[RunPoint, ...]) -> Iterator[tuple[RunPoint, str, str]]:
    """(mount, from, to) of the secrets that `mounts` copies: those that are another user's."""
    for point in points:
        if point.secret and point.target and owned(point.mount):
            source = f"{SECRETS_PATH}/{point.name}/{VALUE}"
            yield point, source, f"{LAID_PATH}/{_COPIES}/{point.name}"


def secret_file(point: RunPoint) -> str:
    """Where the stage program reads a secret that becomes a variable."""
    return f"{SECRETS_PATH}/{point.name}/{VALUE}"


def cache_key(order: JobOrder, point: RunPoint) -> str:
    """What tells caches apart: an id, and as in BuildKit, whose directory it is meant to be, and what it begins with."""
    mount = point.mount
    owner = (str(mount.uid or 0), str(mount.gid or 0), str(mount.mode or 0))
    name = mount.cache_id or point.target
    begins = (order.seeds[point.files.image], bound_path(mount)) if point.files else ()
    return f"{names.label_value(name)[:40]}-{sha256_args(name, *owner, *begins)[:16]}"


def cache_path(order: JobOrder, point: RunPoint) -> str:
    """Return a cache's directory in its volume; a private one is that of the image alone."""
    key = cache_key(order, point)
    if point.mount.sharing == "private":
        key += f"-{sha256_args(order.image)[:16]}"
    return f"{_project(order)}/caches/{key}"


def lock_file(order: JobOrder, point: RunPoint) -> str:
    """Return the file that a RUN locks while it uses a kept cache that is its alone, "" for a shared one."""
    if point.mount.sharing not in ("locked", "private"):
        return ""
    return f"{LOCKS_PATH}/{cache_path(order, point).rpartition('/')[2]}"


def _cache(found: RunVolumes, point: RunPoint, order: JobOrder, build: ImageBuild) -> None:
    kept = build.spec.mounts.cache
    if kept is None:
        _cold_cache(found, point)
        return
    claim = {"claimName": kept.persistent_volume_claim.claim_name}
    found.add(_CACHE, {"persistentVolumeClaim": claim})
    caches: Json = {
        "name": _CACHE,
        "mountPath": f"{LAID_PATH}/{_CACHE}",
        "subPath": f"{_project(order)}/caches",
    }
    if point.files and caches not in found.laying:
        found.laying.append(caches)
    found.stage.append(_at(_CACHE, point, sub_path=cache_path(order, point)))
    locks: Json = {
        "name": _CACHE,
        "mountPath": LOCKS_PATH,
        "subPath": f"{_project(order)}/locks",
    }
    if lock_file(order, point) and locks not in found.stage:
        found.stage.append(locks)


def _cold_cache(found: RunVolumes, point: RunPoint) -> None:
    if point.files:
        found.lay(_COLD, {"emptyDir": {}})
        found.stage.append(_at(_COLD, point, sub_path=point.name))
    else:
        found.add(point.name, {"emptyDir": {}})
        found.stage.append(_at(point.name, point))


def _project(order: JobOrder) -> str:
    return f"run/{order.stages[0].work.labels[labels.WERF]}"


def _secret(found: RunVolumes, point: RunPoint, ref: SecretKeyRef) -> None:
    mode = _READ_BY_ROOT if point.mount.mode is None else point.mount.mode
    source = {
        "secretName": ref.name,
        "defaultMode": _READ_BY_ROOT,
        "items": [{"key": ref.key, "path": VALUE, "mode": mode}],
    }
    found.add(point.name, {"secret": source})
    raw: Json = {
        "name": point.name,
        "mountPath": f"{SECRETS_PATH}/{point.name}",
        "readOnly": True,
    }
    if point.mount.env:
        found.stage.append(raw)
    if not point.target:
        return
    if owned(point.mount):
        found.laying.append(raw)
        found.lay(_COPIES, {"emptyDir": {"medium": "Memory"}})
        found.stage.append({**_at(_COPIES, point, sub_path=point.name), "readOnly": True})
    else:
        found.stage.append({**_at(point.name, point, sub_path=VALUE), "readOnly": True})


def _at(volume: str, point: RunPoint, sub_path: str = "") -> Json:
    place: Json = {"name": volume, "mountPath": point.target}
    if sub_path:
        place["subPath"] = sub_path
    if point.mount.read_only:
        place["readOnly"] = True
    return place
