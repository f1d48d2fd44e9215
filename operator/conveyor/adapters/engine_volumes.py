"""The volumes of a Job as volumes of a Docker Engine.

In: the mounts of the Job's containers, role by role. Out: mounts for the bodies of containers, and what is put into volumes:
`Filling`s, directories, `Part`s. An Engine of API 1.41 mounts volumes only whole, so a `subPath` of the stage container is
mounted from the directory in which the Engine keeps the volume, once the container `mounts` is over (ADR 29).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from conveyor.api import names
from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.api.quantity import quantity

Json = dict[str, Any]

PARTS_PATH: Final = "/.conveyor-parts"
"""Where the container `mounts` has volumes that it does not know of by itself."""
SHARED: Final = "io"
"""Volume that stage and courier share: containers of an Engine have no network in common to hand a directory over (ADR 31)."""
LABEL_KEPT: Final = f"{names.GROUP}/kept"
"""On volumes that outlive a build."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """Content of a volume, put in through a container that mounts it: all of a Secret, or of its `keys` (file name and mode)."""

    container: str
    path: str
    kind: str
    name: str
    keys: Mapping[str, tuple[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A file or directory of a volume that the stage container mounts.

    Attributes:
        volume: The Engine's name of the volume.
        path: In the volume.
        seen: Directory of the volume in the container `mounts`.
        kept: A directory of a volume that outlives the build: made when it is not there.
    """

    volume: str
    path: str
    target: str
    read_only: bool
    seen: str
    kept: bool


class Volumes:
    """Turns mounts over; remembers which volume is filled through which container.

    Args:
        job: The Job.
        labels: Of the volumes that go with the Job.
        claims: Volume of the Engine by name of a claim: what outlives the build.
    """

    def __init__(self, job: Json, labels: Mapping[str, str], claims: Mapping[str, str]) -> None:
        self._meta = job["metadata"]
        self._labels = dict(labels)
        self._claims = claims
        spec = job["spec"]["template"]["spec"]
        volumes = [*spec["volumes"], {"name": SHARED, "emptyDir": {}}]
        self._volumes = {it["name"]: it for it in volumes}
        self._stage = next(it for it in spec["containers"] if it["name"] == names.CONTAINER_STAGE)
        self._seen: dict[str, str] = {}
        self.fillings: dict[str, Filling] = {}
        self.directories: dict[str, tuple[str, str]] = {}

    @property
    def in_parts(self) -> tuple[str, ...]:
        """Names of the volumes of which the stage container mounts parts."""
        mounts = self._stage["volumeMounts"]
        return tuple(dict.fromkeys(it["name"] for it in mounts if it.get("subPath")))

    def laid_by(self, container: Json) -> Json:
        """Return the container `mounts` with all volumes of which the stage container mounts parts."""
        mounts = list(container["volumeMounts"])
        if any(it.get("subPath") for it in mounts):
            raise refused('RUN --mount=type=cache with from and a kept cache (--cache-volume "")')
        own = {it["name"] for it in mounts}
        mounts += [
            {"name": name, "mountPath": f"{PARTS_PATH}/{name}"}
            for name in self.in_parts
            if name not in own
        ]
        self._seen = {it["name"]: it["mountPath"] for it in mounts}
        return container | {"volumeMounts": mounts}

    def whole(self, role: str, mounts: list[Json]) -> list[Json]:
        """Return what a container mounts, but for parts."""
        return [self._mount(role, mount) for mount in mounts if not mount.get("subPath")]

    def parts(self) -> Iterator[Part]:
        """Yield the parts that the stage container mounts."""
        for mount in self._stage["volumeMounts"]:
            if mount.get("subPath"):
                kind, source = self._source(mount)
                yield Part(
                    volume=self._name(mount["name"], kind, source),
                    path=mount["subPath"],
                    target=mount["mountPath"],
                    read_only=bool(mount.get("readOnly")),
                    seen=self._seen[mount["name"]],
                    kept=kind == "persistentVolumeClaim",
                )

    def _source(self, mount: Json) -> tuple[str, Json]:
        """Kind and fields of a volume."""
        volume = self._volumes[mount["name"]]
        kind = next(key for key in volume if key != "name")
        known = ("emptyDir", "secret", "configMap")
        if kind in known or self._is_kept(kind, volume[kind]):
            return kind, volume[kind]
        raise refused(f"{mount['mountPath']}: a volume of kind {kind}")

    def _is_kept(self, kind: str, source: Json) -> bool:
        return kind == "persistentVolumeClaim" and source["claimName"] in self._claims

    def _name(self, name: str, kind: str, source: Json) -> str:
        if kind == "persistentVolumeClaim":
            return self._claims[source["claimName"]]
        return f"conveyor.{self._meta['namespace']}.{self._meta['name']}.{name}"

    def _mount(self, role: str, mount: Json) -> Json:
        kind, source = self._source(mount)
        name, path, read_only = mount["name"], mount["mountPath"], bool(mount.get("readOnly"))
        # Memory cannot be handed from one container to another: what is laid out for the stage container is a volume.
        if source.get("medium") == "Memory" and name not in self.in_parts:
            return _tmpfs(path, source.get("sizeLimit"))
        if self._to_fill(role, mount, kind, source):
            read_only = False  # the Engine puts nothing into a container's mount that is read-only
        labels = {LABEL_KEPT: "true"} if kind == "persistentVolumeClaim" else self._labels
        return {
            "Type": "volume",
            "Source": self._name(name, kind, source),
            "Target": path,
            "ReadOnly": read_only,
            "VolumeOptions": {"NoCopy": True, "Labels": labels},
        }

    def _to_fill(self, role: str, mount: Json, kind: str, source: Json) -> bool:
        """Whether the volume gets its content through this container: the first that mounts it."""
        name, path = mount["name"], mount["mountPath"]
        if kind == "emptyDir" and not mount.get("readOnly"):
            self.directories.setdefault(name, (role, path))
        if kind not in ("secret", "configMap") or name in self.fillings:
            return False
        items = {it["key"]: (it["path"], it.get("mode", 0o400)) for it in source.get("items") or []}
        object_name = source["secretName"] if kind == "secret" else source["name"]
        self.fillings[name] = Filling(
            container=role, path=path, kind=kind, name=object_name, keys=items
        )
        return True


def refused(what: str) -> UserError:
    """The error for what an Engine does not have."""
    return UserError(
        Reason.NOT_SUPPORTED, f"{what}: not with containers of a Docker Engine (backend docker)"
    )


def _tmpfs(path: str, limit: str | None) -> Json:
    options = {"TmpfsOptions": {"SizeBytes": int(quantity(limit))}} if limit else {}
    return {"Type": "tmpfs", "Target": path, **options}
