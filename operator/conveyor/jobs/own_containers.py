"""The containers of a build pod that run our own image.

In: the image, tasks, and what is mounted. Out: `courier`, which fetches and pushes beside the stage, and `mounts`, which lays out
files with their owners before any code of a user runs. Both pass Pod Security "baseline".
"""

from collections.abc import Sequence
from typing import Final

from conveyor.api import names
from conveyor.jobs.resources import OWN

Json = dict[str, object]

_PYTHON: Final = ("/opt/conveyor/bin/python3", "-I", "-m")
MOUNTS_VOLUME: Final[Json] = {"name": "tmp", "emptyDir": {}}
"""What `mounts` fetches into; the Job that has it has other volumes to wait for."""
# Owners, modes and capabilities of files, as an image has them.
_LAYING: Final = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETFCAP")


def courier_container(
    image: tuple[str, str], task: str, mounts: Sequence[Json], *, awaited: bool
) -> Json:
    """Return the courier.

    Args:
        image: Reference, and pull policy.
        task: Its task.
        mounts: What it sees besides its own image.
        awaited: Whether the stage waits for it; one that nobody waits for lets others start first.
    """
    env = {"CONVEYOR_COURIER": task}
    program = "conveyor.builder.courier" if awaited else "conveyor.builder.courier_start"
    container = _own(names.CONTAINER_COURIER, image, program, env, mounts)
    # Its /tmp is a directory of its own image: a pod that mounts nothing starts 0.3 s earlier (ADR 31).
    container["securityContext"] = _security({"drop": ["ALL"]}, read_only=False)
    return container


def mounts_container(
    image: tuple[str, str], tasks: tuple[str, str], mounts: Sequence[Json]
) -> Json:
    """Return the init container `mounts`; `tasks`: what it fetches, where it lays it out."""
    env = dict(zip(("CONVEYOR_COURIER", "CONVEYOR_MOUNTS"), tasks, strict=True))
    own: Json = {"name": MOUNTS_VOLUME["name"], "mountPath": "/tmp"}  # noqa: S108
    seen = [*mounts, own]
    container = _own(names.CONTAINER_MOUNTS, image, "conveyor.builder.courier_mounts", env, seen)
    container["securityContext"] = _security({"drop": ["ALL"], "add": list(_LAYING)})
    return container


def _own(
    name: str,
    image: tuple[str, str],
    program: str,
    env: dict[str, str],
    mounts: Sequence[Json],
) -> Json:
    reference, pull_policy = image
    return {
        "name": name,
        "image": reference,
        "imagePullPolicy": pull_policy,
        "command": [*_PYTHON, program],
        "env": [{"name": key, "value": value} for key, value in env.items()],
        "securityContext": _security({"drop": ["ALL"]}),
        "resources": dict(OWN),
        "terminationMessagePolicy": "File",
        "volumeMounts": list(mounts),
    }


def _security(capabilities: Json, *, read_only: bool = True) -> Json:
    return {
        # It reads what root wrote into the shared directory, so it is root, but may do nothing with it.
        "runAsUser": 0,
        "runAsGroup": 0,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": read_only,
        "capabilities": capabilities,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
