"""A Job as containers of a Docker Engine.

In: the very Job that the API server would get (`conveyor.jobs.manifest`). Out: `EngineOrder`: the bodies of its two containers
and what is put into its volumes. Every volume of the Job is a volume of the Engine, so the stage container sees what it sees in
a pod and nothing else. What of a Job has no counterpart here is refused, never left out.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from conveyor.adapters.oci_ref import ImageRef
from conveyor.api import names
from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.api.quantity import quantity

Json = dict[str, Any]

LABEL_NAMESPACE: Final = f"{names.GROUP}/namespace"
LABEL_JOB: Final = f"{names.GROUP}/job"
LABEL_CONTAINER: Final = f"{names.GROUP}/container"
LABEL_BODY: Final = f"{names.GROUP}/job-body"
"""On the courier's container: JSON of what a later process has to know of the Job: metadata and deadline."""
LOCAL_NAMESPACE: Final = "_local"
"""Namespace of builds without a cluster: no namespace of one has such a name."""
TERMINATION_LOG: Final = "/tmp/termination-log"  # noqa: S108 - in the courier's own container

# Two containers of an Engine have no network in common, over which one hands the other its directory (ADR 31).
_IO: Final = "io"
_IO_MOUNT: Final = {"name": _IO, "mountPath": "/.conveyor-io"}

_CONTAINER_FIELDS: Final = frozenset(
    {
        *("name", "image", "imagePullPolicy", "command", "workingDir", "env", "securityContext"),
        *("resources", "terminationMessagePolicy", "volumeMounts"),
    }
)
_SECURITY_FIELDS: Final = frozenset(
    {
        *("runAsUser", "runAsGroup", "allowPrivilegeEscalation", "readOnlyRootFilesystem"),
        *("capabilities", "seccompProfile"),
    }
)
_POD_FIELDS: Final[Mapping[str, str]] = {
    "tolerations": "tolerations",
    "priorityClassName": "priorityClassName",
    "runtimeClassName": "runtimeClassName",
    "serviceAccountName": "serviceAccountName",
}
_RESOURCES: Final = frozenset({"cpu", "memory"})
_LOOPBACK: Final = ("localhost", "127.", "[::1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """Content of a volume, put in through a container that mounts it: all of a Secret, or of its `keys` (file name and mode)."""

    container: str
    path: str
    kind: str
    name: str
    keys: Mapping[str, tuple[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineContainer:
    """A container: its name, the body that makes it, its image."""

    name: str
    role: str
    image: str
    body: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOrder:
    """All of a Job.

    Attributes:
        directories: (role, path) of empty directories, which are to be writable for everybody.
        pull_secrets: Names of Secrets with logins for pulling, those of the courier last.
    """

    stage: EngineContainer
    courier: EngineContainer
    fillings: tuple[Filling, ...]
    directories: tuple[tuple[str, str], ...]
    pull_secrets: tuple[str, ...]

    def of(self, role: str) -> EngineContainer:
        """The container of a role."""
        return self.stage if role == names.CONTAINER_STAGE else self.courier


def container_name(namespace: str, job: str, role: str) -> str:
    """Name of a container: taking it is what makes a Job exist once."""
    return f"conveyor.{namespace}.{job}.{role}"


def order_of(job: Json, *, network: str, architecture: str) -> EngineOrder:
    """Return the containers of a Job.

    Args:
        network: The Engine's network for both containers; "" for its default one.
        architecture: What the Engine's machine is, in Go's words.

    Raises:
        UserError: NotSupported, the Job needs what an Engine does not have.
    """
    spec = job["spec"]["template"]["spec"]
    _check_pod(spec, architecture)
    made = _Making(job, network)
    courier, stage = (made.container(found) for found in _by_role(spec))
    return EngineOrder(
        stage=stage,
        courier=courier,
        fillings=tuple(made.fillings.values()),
        directories=tuple(made.directories.values()),
        pull_secrets=_pull_secrets(spec),
    )


def _by_role(spec: Json) -> tuple[Json, Json]:
    found = {container["name"]: container for container in spec["containers"]}
    return found[names.CONTAINER_COURIER], found[names.CONTAINER_STAGE]


def _check_pod(spec: Json, architecture: str) -> None:
    chosen = dict(spec.get("nodeSelector") or {})
    chosen.pop("kubernetes.io/os", None)
    wanted = chosen.pop("kubernetes.io/arch", architecture)
    if wanted != architecture:
        raise _refused(f"platform linux/{wanted} on an Engine of linux/{architecture}")
    unknown = ["nodeSelector"] if chosen else []
    unknown += [field for key, field in _POD_FIELDS.items() if spec.get(key)]
    if unknown:
        raise _refused(f"spec.podTemplate.{unknown[0]}: an Engine has no nodes to choose from")
    if spec.get("initContainers"):
        raise _refused("RUN --mount=type=bind, and type=secret with an owner")
    if len(spec["containers"]) != 2:
        raise _refused("a Job with further containers")


def _pull_secrets(spec: Json) -> tuple[str, ...]:
    named = [ref["name"] for ref in spec.get("imagePullSecrets") or []]
    named += [
        volume["secret"]["secretName"]
        for volume in spec["volumes"]
        if volume["name"].startswith("registry-")
    ]
    return tuple(named)


class _Making:
    """Turns containers over; remembers which volume is filled through which of them."""

    def __init__(self, job: Json, network: str) -> None:
        self._meta = job["metadata"]
        self._job = job
        self._network = network
        volumes = [*job["spec"]["template"]["spec"]["volumes"], {"name": _IO, "emptyDir": {}}]
        self._volumes = {it["name"]: it for it in volumes}
        self.fillings: dict[str, Filling] = {}
        self.directories: dict[str, tuple[str, str]] = {}

    def container(self, found: Json) -> EngineContainer:
        role = found["name"]
        _check_container(found)
        body = {
            "Image": found["image"],
            "Entrypoint": list(found["command"]),
            "Cmd": [],
            "WorkingDir": found.get("workingDir", "/"),
            "User": "{runAsUser}:{runAsGroup}".format_map(found["securityContext"]),
            "Env": self._env(found),
            "Labels": self._labels(role),
            "HostConfig": {
                "Init": False,
                "Mounts": [self._mount(role, it) for it in [*found["volumeMounts"], _IO_MOUNT]],
                **self._networking(role, found),
                **_security(found["securityContext"]),
                **_resources(found.get("resources") or {}),
            },
        }
        name = container_name(self._meta["namespace"], self._meta["name"], role)
        return EngineContainer(name=name, role=role, image=found["image"], body=body)

    def _env(self, found: Json) -> list[str]:
        env = [f"{it['name']}={it['value']}" for it in found.get("env") or []]
        if found["name"] == names.CONTAINER_COURIER:
            env.append(f"CONVEYOR_TERMINATION_LOG={TERMINATION_LOG}")
            env.append(f"CONVEYOR_IO={_IO_MOUNT['mountPath']}")
        return env

    def _labels(self, role: str) -> dict[str, str]:
        labels = {
            **self._meta["labels"],
            LABEL_NAMESPACE: self._meta["namespace"],
            LABEL_JOB: self._meta["name"],
            LABEL_CONTAINER: role,
        }
        if role == names.CONTAINER_COURIER:
            deadline = self._job["spec"]["activeDeadlineSeconds"]
            labels[LABEL_BODY] = json.dumps({"metadata": self._meta, "deadline": deadline})
        return labels

    def _networking(self, role: str, found: Json) -> Json:
        """The courier reaches a registry on the Engine's own machine; the stage container never sees that network."""
        if role == names.CONTAINER_COURIER and _is_local(self._job):
            return {"NetworkMode": "host"}
        return {"NetworkMode": self._network} if self._network else {}

    def _mount(self, role: str, mount: Json) -> Json:
        volume = self._volumes[mount["name"]]
        source = {key: value for key, value in volume.items() if key != "name"}
        kind = next(iter(source))
        path, read_only = mount["mountPath"], bool(mount.get("readOnly"))
        if kind == "emptyDir" and source[kind].get("medium") == "Memory":
            return _tmpfs(path, source[kind].get("sizeLimit"))
        if kind not in ("emptyDir", "secret", "configMap"):
            raise _refused(f"{path}: a volume of kind {kind}")
        if mount.get("subPath"):
            raise _refused(f"{path}: a part of a volume of kind {kind} (RUN --mount)")
        if self._to_fill(role, mount, kind, source[kind]):
            read_only = False  # the Engine puts nothing into a container's mount that is read-only
        return {
            "Type": "volume",
            "Source": f"conveyor.{self._meta['namespace']}.{self._meta['name']}.{mount['name']}",
            "Target": path,
            "ReadOnly": read_only,
            "VolumeOptions": {"NoCopy": True, "Labels": self._labels("")},
        }

    def _to_fill(self, role: str, mount: Json, kind: str, source: Json) -> bool:
        """Whether the volume gets its content through this container: the first that mounts it."""
        name, path = mount["name"], mount["mountPath"]
        if kind == "emptyDir":
            if not mount.get("readOnly"):
                self.directories.setdefault(name, (role, path))
            return False
        if name in self.fillings:
            return False
        items = {it["key"]: (it["path"], it.get("mode", 0o400)) for it in source.get("items") or []}
        object_name = source["secretName"] if kind == "secret" else source["name"]
        self.fillings[name] = Filling(
            container=role, path=path, kind=kind, name=object_name, keys=items
        )
        return True


def _tmpfs(path: str, limit: str | None) -> Json:
    options = {"TmpfsOptions": {"SizeBytes": int(quantity(limit))}} if limit else {}
    return {"Type": "tmpfs", "Target": path, **options}


def _is_local(job: Json) -> bool:
    """Whether the registry is on a loopback address: stages are pulled from where they are pushed to."""
    image = _by_role(job["spec"]["template"]["spec"])[1]["image"]
    return ImageRef.parse(image).registry.startswith(_LOOPBACK)


def _check_container(found: Json) -> None:
    unknown = (found.keys() - _CONTAINER_FIELDS) | (
        found["securityContext"].keys() - _SECURITY_FIELDS
    )
    if unknown:
        raise _refused(f"container {found['name']}: {', '.join(sorted(unknown))}")


def _security(context: Json) -> Json:
    capabilities = context.get("capabilities") or {}
    profile = (context.get("seccompProfile") or {}).get("type", "RuntimeDefault")
    if profile != "RuntimeDefault":
        raise _refused(f"seccompProfile {profile}")
    options = ["no-new-privileges"] if context.get("allowPrivilegeEscalation") is False else []
    return {
        "CapDrop": list(capabilities.get("drop") or []),
        "CapAdd": list(capabilities.get("add") or []),
        "ReadonlyRootfs": bool(context.get("readOnlyRootFilesystem")),
        "SecurityOpt": options,
    }


def _resources(resources: Json) -> Json:
    """Limits; what a container requests matters to a scheduler only."""
    limits = resources.get("limits") or {}
    if unknown := limits.keys() - _RESOURCES:
        raise _refused(f"spec.podTemplate.resources.limits: {', '.join(sorted(unknown))}")
    found: Json = {}
    if "memory" in limits:
        memory = int(quantity(str(limits["memory"])))
        found |= {"Memory": memory, "MemorySwap": memory}
    if "cpu" in limits:
        found["NanoCpus"] = int(quantity(str(limits["cpu"])) * 10**9)
    return found


def _refused(what: str) -> UserError:
    return UserError(
        Reason.NOT_SUPPORTED, f"{what}: not with containers of a Docker Engine (backend docker)"
    )
