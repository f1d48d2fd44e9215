"""A Job as containers of a Docker Engine.

In: the very Job that the API server would get (`conveyor.jobs.manifest`). Out: `EngineOrder`: the bodies of its containers
and what is put into its volumes. Every volume of the Job is a volume of the Engine, so the stage container sees what it sees in
a pod and nothing else. What of a Job has no counterpart here is refused, never left out.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from conveyor.adapters.engine_volumes import SHARED, Filling, Part, Volumes, refused
from conveyor.adapters.oci_ref import ImageRef
from conveyor.api import names
from conveyor.api.quantity import quantity

Json = dict[str, Any]

LABEL_NAMESPACE: Final = f"{names.GROUP}/namespace"
LABEL_JOB: Final = f"{names.GROUP}/job"
LABEL_CONTAINER: Final = f"{names.GROUP}/container"
LABEL_BODY: Final = f"{names.GROUP}/job-body"
"""On the courier's container: JSON of what a later process has to know of the Job: metadata and deadline."""
LOCAL_NAMESPACE: Final = "_local"
"""Namespace of builds without a cluster: no namespace of one has such a name."""
TERMINATION_LOG: Final = "/tmp/termination-log"  # noqa: S108 - in a volume that the stage container has not
NO_CLAIMS: Final[Mapping[str, str]] = MappingProxyType({})

# Two containers of an Engine have no network in common, over which one hands the other its directory (ADR 31).
_IO_MOUNT: Final = {"name": SHARED, "mountPath": "/.conveyor-io"}

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
# A tenth of what an Engine gives a container by default, as in a pod: commands come first.
_OWN_SHARES: Final = 102
_LOOPBACK: Final = ("localhost", "127.", "[::1]")


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
        job: Name of the Job.
        mounts: What is over before the stage container is made, or only holds volumes of which that mounts parts.
        lays_out: Whether `mounts` has something to do.
        parts: Files and directories of volumes that the stage container mounts, () without `mounts`.
        directories: (role, path) of empty directories, which are to be writable for everybody.
        pull_secrets: Names of Secrets with logins for pulling, those of the courier last.
    """

    job: str
    stage: EngineContainer
    courier: EngineContainer
    mounts: EngineContainer | None
    lays_out: bool
    parts: tuple[Part, ...]
    fillings: tuple[Filling, ...]
    directories: tuple[tuple[str, str], ...]
    pull_secrets: tuple[str, ...]

    def of(self, role: str) -> EngineContainer:
        """The container of a role."""
        if role == names.CONTAINER_MOUNTS and self.mounts is not None:
            return self.mounts
        return self.stage if role == names.CONTAINER_STAGE else self.courier


def container_name(namespace: str, job: str, role: str) -> str:
    """Name of a container: taking it is what makes a Job exist once."""
    return f"conveyor.{namespace}.{job}.{role}"


def order_of(
    job: Json, *, network: str, architecture: str, claims: Mapping[str, str] = NO_CLAIMS
) -> EngineOrder:
    """Return the containers of a Job.

    Args:
        network: The Engine's network for the containers; "" for its default one.
        architecture: What the Engine's machine is, in Go's words.
        claims: The Engine's volume by name of a claim, for what outlives a build.

    Raises:
        UserError: NotSupported, the Job needs what an Engine does not have.
    """
    spec = job["spec"]["template"]["spec"]
    _check_pod(spec, architecture)
    made = _Making(job, network, claims)
    mounts = made.mounts(spec)
    courier, stage = (made.container(found) for found in _by_role(spec))
    return EngineOrder(
        job=job["metadata"]["name"],
        stage=stage,
        courier=courier,
        mounts=mounts,
        lays_out=bool(spec.get("initContainers")),
        parts=tuple(made.volumes.parts()),
        fillings=tuple(made.volumes.fillings.values()),
        directories=tuple(made.volumes.directories.values()),
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
        raise refused(f"platform linux/{wanted} on an Engine of linux/{architecture}")
    unknown = ["nodeSelector"] if chosen else []
    unknown += [field for key, field in _POD_FIELDS.items() if spec.get(key)]
    if unknown:
        raise refused(f"spec.podTemplate.{unknown[0]}: an Engine has no nodes to choose from")
    first = [it.get("name") for it in spec.get("initContainers") or []]
    if len(spec["containers"]) != 2 or first not in ([], [names.CONTAINER_MOUNTS]):
        raise refused("a Job with further containers")


def _pull_secrets(spec: Json) -> tuple[str, ...]:
    named = [ref["name"] for ref in spec.get("imagePullSecrets") or []]
    named += [
        volume["secret"]["secretName"]
        for volume in spec["volumes"]
        if volume["name"].startswith("registry-")
    ]
    return tuple(named)


class _Making:
    """Turns containers over, one after the other: what a volume holds is put in through the first that mounts it."""

    def __init__(self, job: Json, network: str, claims: Mapping[str, str]) -> None:
        self._meta = job["metadata"]
        self._job = job
        self._network = network
        self.volumes = Volumes(job, self._labels(""), claims)

    def mounts(self, spec: Json) -> EngineContainer | None:
        """The container that lays out parts of volumes; of one that only holds them nothing is run."""
        if spec.get("initContainers"):
            return self.container(self.volumes.laid_by(spec["initContainers"][0]))
        if not self.volumes.in_parts:
            return None
        idle = _by_role(spec)[0] | {
            "name": names.CONTAINER_MOUNTS,
            "command": ["true"],
            "env": [],
            "volumeMounts": [],
        }
        return self.container(self.volumes.laid_by(idle))

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
                "Mounts": self.volumes.whole(role, [*found["volumeMounts"], *_shared(role)]),
                **self._networking(role),
                **_security(found["securityContext"]),
                **_resources(role, found.get("resources") or {}),
            },
        }
        name = container_name(self._meta["namespace"], self._meta["name"], role)
        return EngineContainer(name=name, role=role, image=found["image"], body=body)

    def _env(self, found: Json) -> list[str]:
        env = [f"{it['name']}={it['value']}" for it in found.get("env") or []]
        if found["name"] != names.CONTAINER_STAGE:
            env.append(f"CONVEYOR_TERMINATION_LOG={TERMINATION_LOG}")
        if found["name"] == names.CONTAINER_COURIER:
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

    def _networking(self, role: str) -> Json:
        """What fetches reaches a registry on the Engine's own machine; the stage container never sees that network."""
        if role != names.CONTAINER_STAGE and _is_local(self._job):
            return {"NetworkMode": "host"}
        return {"NetworkMode": self._network} if self._network else {}


def _shared(role: str) -> list[Json]:
    """The directory that stage and courier share."""
    return [] if role == names.CONTAINER_MOUNTS else [_IO_MOUNT]


def _is_local(job: Json) -> bool:
    """Whether the registry is on a loopback address: stages are pulled from where they are pushed to."""
    image = _by_role(job["spec"]["template"]["spec"])[1]["image"]
    return ImageRef.parse(image).registry.startswith(_LOOPBACK)


def _check_container(found: Json) -> None:
    unknown = (found.keys() - _CONTAINER_FIELDS) | (
        found["securityContext"].keys() - _SECURITY_FIELDS
    )
    if unknown:
        raise refused(f"container {found['name']}: {', '.join(sorted(unknown))}")


def _security(context: Json) -> Json:
    capabilities = context.get("capabilities") or {}
    profile = (context.get("seccompProfile") or {}).get("type", "RuntimeDefault")
    if profile != "RuntimeDefault":
        raise refused(f"seccompProfile {profile}")
    options = ["no-new-privileges"] if context.get("allowPrivilegeEscalation") is False else []
    return {
        "CapDrop": list(capabilities.get("drop") or []),
        "CapAdd": list(capabilities.get("add") or []),
        "ReadonlyRootfs": bool(context.get("readOnlyRootFilesystem")),
        "SecurityOpt": options,
    }


def _resources(role: str, resources: Json) -> Json:
    """Limits, and a lower weight of what is not the stage; requests matter to a scheduler otherwise."""
    limits = resources.get("limits") or {}
    if unknown := limits.keys() - _RESOURCES:
        raise refused(f"spec.podTemplate.resources.limits: {', '.join(sorted(unknown))}")
    found: Json = {} if role == names.CONTAINER_STAGE else {"CpuShares": _OWN_SHARES}
    if "memory" in limits:
        memory = int(quantity(str(limits["memory"])))
        found |= {"Memory": memory, "MemorySwap": memory}
    if "cpu" in limits:
        found["NanoCpus"] = int(quantity(str(limits["cpu"])) * 10**9)
    return found
