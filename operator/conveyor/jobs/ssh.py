"""The SSH agent of a Job's user stages.

In: a `JobOrder` and the ImageBuild. Out: volumes, volume mounts, and what the two containers are told. Of a Dockerfile only a
RUN that mounts it has the agent, by sockets that the stage program makes (`builder/agent_sockets`). `ssh-agent` runs in the
courier; the stage container has its socket and the known host keys, so it can have things signed but never sees a key.
Nothing of it is in a digest, an image or a layer (werf: SSH agent).
"""

from collections.abc import Mapping
from typing import Final

from conveyor.api.v1alpha1 import ImageBuild
from conveyor.jobs.model import JobOrder
from conveyor.jobs.run_mounts import run_points

Json = dict[str, object]

STAGE_PATH: Final = "/.werf/tmp"
COURIER_PATH: Final = "/.conveyor-ssh"
SOCKET: Final = "ssh-auth-sock"
KNOWN_HOSTS: Final = "known_hosts"
SECRETS_PATH: Final = "/.conveyor-secrets"
_VOLUME: Final = "ssh"
_SEEN_HOSTS: Final = "/.conveyor-io/run/known_hosts"

# A host that nobody named is trusted at first sight, as long as the Job lives (ssh writes it to the first file); the
# image's own known hosts count too.
_GIT_SSH: Final = (
    f"ssh -o 'UserKnownHostsFile={_SEEN_HOSTS} {STAGE_PATH}/{KNOWN_HOSTS} ~/.ssh/known_hosts' "
    "-o StrictHostKeyChecking=accept-new"
)
ENVIRONMENT: Final[Mapping[str, str]] = {"SSH_AUTH_SOCK": f"{STAGE_PATH}/{SOCKET}"}
DEFAULT_ENVIRONMENT: Final[Mapping[str, str]] = {"GIT_SSH_COMMAND": _GIT_SSH}


def wanted(order: JobOrder, keys: int) -> bool:
    """Whether a Job has an agent: there are keys, and a user stage (werf: user stages only) or a RUN that mounts it."""
    if not keys:
        return False
    return _mounted(order) or any(stage.work.commands or stage.work.tasks for stage in order.stages)


def environments(order: JobOrder, keys: int) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return what commands have unless the image has it, and what they have in any case."""
    if not wanted(order, keys) or _mounted(order):
        return {}, {}
    return DEFAULT_ENVIRONMENT, ENVIRONMENT


def sockets(order: JobOrder, keys: int) -> list[Json]:
    """Return the field `sockets` of the stage task: one for each mount of type ssh."""
    return [
        {
            "path": point.target,
            "agent": f"{COURIER_PATH}/{SOCKET}",
            "mode": 0o600 if point.mount.mode is None else point.mount.mode,
            "uid": point.mount.uid or 0,
            "gid": point.mount.gid or 0,
        }
        for point in run_points(order)
        if keys and point.mount.type == "ssh"
    ]


def key_paths(build: ImageBuild) -> tuple[str, ...]:
    """Return the directories of the Secrets in the courier."""
    return tuple(f"{SECRETS_PATH}/{name}" for name, _ in _secrets(build))


def volumes(order: JobOrder, build: ImageBuild) -> list[Json]:
    """Return the volumes: one for the socket, and the Secrets."""
    secrets = _secrets(build)
    if not wanted(order, len(secrets)):
        return []
    found: list[Json] = [{"name": _VOLUME, "emptyDir": {}}]
    for name, secret in secrets:
        found.append({"name": name, "secret": {"secretName": secret, "defaultMode": 0o400}})
    return found


def stage_mounts(order: JobOrder, build: ImageBuild) -> list[Json]:
    """Return what the stage container sees: the socket's directory alone.

    It cannot write there: an image's own program that runs before the agent does would lay another socket in its place, and
    `ssh-add` would hand it the keys.
    """
    if not wanted(order, len(build.spec.ssh_key_secret_refs)):
        return []
    path = COURIER_PATH if _mounted(order) else STAGE_PATH
    return [{"name": _VOLUME, "mountPath": path, "readOnly": True}]


def courier_mounts(order: JobOrder, build: ImageBuild) -> list[Json]:
    """Return what the courier sees: the same directory, and the keys."""
    secrets = _secrets(build)
    if not wanted(order, len(secrets)):
        return []
    keys: list[Json] = [
        {"name": name, "mountPath": f"{SECRETS_PATH}/{name}", "readOnly": True}
        for name, _ in secrets
    ]
    return [{"name": _VOLUME, "mountPath": COURIER_PATH}, *keys]


def courier_task(keys: tuple[str, ...]) -> Json:
    """Return the field `ssh` of the courier's task."""
    return {
        "keys": list(keys),
        "socket": f"{COURIER_PATH}/{SOCKET}",
        "knownHosts": f"{COURIER_PATH}/{KNOWN_HOSTS}",
    }


def _mounted(order: JobOrder) -> bool:
    return any(it.mount.type == "ssh" for stage in order.stages for it in stage.work.run_mounts)


def _secrets(build: ImageBuild) -> tuple[tuple[str, str], ...]:
    """(volume, Secret) of every key."""
    refs = build.spec.ssh_key_secret_refs
    return tuple((f"ssh-key-{index}", ref.name) for index, ref in enumerate(refs))
