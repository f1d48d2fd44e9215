"""What a Job tells its two containers.

In: a `JobOrder` and where things are. Out: two JSON texts, one for the stage container (steps, no address, no credential)
and one for the courier (inputs to fetch, blobs to push). Both are versioned; see `docs/stage-task.md` for the protocol.
Steps are written by `task_stapel` and `task_dockerfile`.
"""

import base64
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.config.remote_policy import RemotePolicy, policy_json
from conveyor.jobs import ssh
from conveyor.jobs.manifest import CA_PATH
from conveyor.jobs.model import Export, JobOrder, Tasks
from conveyor.jobs.repositories import Repository
from conveyor.jobs.task_assembly import assembly_exports
from conveyor.jobs.task_dockerfile import block_layers
from conveyor.jobs.task_inputs import Inputs, Json, StageRun
from conveyor.jobs.task_mounts import places, stage_mounts
from conveyor.jobs.task_stapel import stapel_steps
from conveyor.plan.image_config import environment
from conveyor.plan.model import BuildPlan, PlannedStage

# A single argument or variable of a process may not be longer (Linux: MAX_ARG_STRLEN, 128 KiB).
_MAX_TASK: Final = 120 * 1024
_PACK_FROM: Final = 4 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where the courier finds things.

    Attributes:
        git: The repositories that this Job fetches from.
        registry_configs: Paths of mounted docker configs.
        commit_env: WERF_COMMIT_* variables for stapel stages.
        remote: Where an ADD may fetch from.
        ssh_keys: Directories of mounted Secrets whose keys an SSH agent offers to user stages.
        secrets: Ids that the ImageBuild has a Secret for.
        keeps_caches: Whether caches of RUN lie in a claim.
    """

    repo: str
    insecure: tuple[str, ...] = ()
    mirrors: Mapping[str, str] = field(default_factory=dict)
    git: tuple[Repository, ...] = ()
    registry_configs: tuple[str, ...] = ()
    ca: bool = False
    callback_url: str = ""
    callback_token: str = ""
    commit_env: Mapping[str, str] = field(default_factory=dict)
    ssh_keys: tuple[str, ...] = ()
    secrets: frozenset[str] = frozenset()
    keeps_caches: bool = False
    remote: RemotePolicy = field(default_factory=RemotePolicy)


def tasks(order: JobOrder, plan: BuildPlan, around: Surroundings) -> Tasks:
    """Return what the Job's two containers are told.

    Raises:
        UserError: A task is too large for a container's environment.
    """
    inputs = Inputs()
    names = tuple(repository.name for repository in around.git)
    runs = [
        StageRun(number=index, order=order, plan=plan, inputs=inputs, repositories=names)
        for index in range(len(order.stages))
    ]
    stage_task: Json = {
        "version": 1,
        "env": _environment(order, around),
        "caFile": f"{CA_PATH}/ca.crt" if around.ca else None,
        "runs": [{"layers": layers} for layers in _layers(order, runs)],
        "exports": [
            *(_export(order.local_id(export.key), export) for export in order.exports),
            *assembly_exports(order, plan),
        ],
        **({"outline": True} if order.outline else {}),
    }
    if ssh.wanted(order, len(around.ssh_keys)):
        stage_task["waitInputs"] = True  # ready means: the agent listens, too
    keys = len(around.ssh_keys)
    mounts = stage_mounts(order, around.secrets, keeps_caches=around.keeps_caches, keys=keys)
    if mounts is not None:
        stage_task["mounts"] = mounts
    courier_task = _courier(order, around, inputs)
    where = order.stages[0] if order.stages else None
    fetches_first = any(item["run"] == 0 for item in inputs.items) or "waitInputs" in stage_task
    return Tasks(
        stage=_pack(stage_task, where),
        courier=_pack(courier_task, where),
        fetches_first=fetches_first,
    )


def laying_tasks(order: JobOrder, plan: BuildPlan, around: Surroundings) -> tuple[str, str] | None:
    """Return what the container `mounts` is told, None for a Job that needs none: what to fetch, as a courier is told,
    and the places to lay out.

    Raises:
        UserError: A task is too large for a container's environment.
    """  # noqa: D205 - one sentence
    inputs = Inputs()
    names = tuple(repository.name for repository in around.git)
    run = StageRun(number=0, order=order, plan=plan, inputs=inputs, repositories=names)
    found = places(order, run, around.secrets, keeps_caches=around.keeps_caches)
    if not found:
        return None
    fetching = {**_courier(order, around, inputs), "runs": 1, "exports": [], "callback": None}
    fetching.pop("ssh", None)
    return _pack(fetching, order.stages[0]), _pack({"places": found}, order.stages[0])


def _environment(order: JobOrder, around: Surroundings) -> Mapping[str, str]:
    own = {**environment(order.parent.config), **_commit_env(order, around)}
    default, always = ssh.environments(order, len(around.ssh_keys))
    return {**default, **own, **always}


def _commit_env(order: JobOrder, around: Surroundings) -> Mapping[str, str]:
    """werf sets WERF_COMMIT_* for stapel stages only; a Dockerfile knows its declared variables alone."""
    stapel = order.stages and order.stages[0].work.block is None
    return around.commit_env if stapel else {}


def _courier(order: JobOrder, around: Surroundings, inputs: Inputs) -> Json:
    callback = {"url": around.callback_url, "token": around.callback_token}
    agent = ssh.wanted(order, len(around.ssh_keys))
    return {
        "version": 2,
        "repo": around.repo,
        "insecure": list(around.insecure),
        "mirrors": dict(around.mirrors),
        "caFile": f"{CA_PATH}/ca.crt" if around.ca else None,
        "dockerConfig": list(around.registry_configs),
        "git": [{"url": it.url, "credentials": it.path or None} for it in around.git],
        "inputs": inputs.items,
        "runs": len(order.stages),
        "exports": list(order.keys),
        "callback": callback if around.callback_url else None,
        **({"ssh": ssh.courier_task(around.ssh_keys)} if agent else {}),
        **({"remote": policy_json(around.remote)} if inputs.remote else {}),
    }


def _pack(task: Json, stage: PlannedStage | None) -> str:
    text = json.dumps(task, separators=(",", ":"), sort_keys=True)
    if len(text) > _PACK_FROM:
        text = "z:" + base64.b64encode(zlib.compress(text.encode(), 9)).decode()
    if len(text) > _MAX_TASK:
        where = f"stage {stage.image}/{stage.name}" if stage else "export"
        raise UserError(
            Reason.NOT_SUPPORTED,
            f"{where}: its commands and here-documents are too long: {len(text)} bytes packed, at most {_MAX_TASK}; "
            "put long scripts into files of the repository",
        )
    return text


def _export(local: str, export: Export) -> Json:
    if export.checksum_id:
        return {
            "id": local,
            "kind": "import",
            "add": export.add,
            "includePaths": list(export.include),
            "excludePaths": list(export.exclude),
        }
    return {"id": local, "kind": "copy", "sources": list(export.sources), **export.select}


def _layers(order: JobOrder, runs: list[StageRun]) -> Iterator[list[Json]]:
    """The layers of every run; an instruction finds the config that those before it in the Job have left."""
    config = order.parent.config
    for stage, run in zip(order.stages, runs, strict=True):
        if stage.work.block is None:
            yield [{"steps": stapel_steps(stage, run)}]
        else:
            layers, config = block_layers(stage.work.block, run, config)
            yield layers
