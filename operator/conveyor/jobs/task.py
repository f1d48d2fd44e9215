"""What a Job tells its two containers.

In: a `JobOrder` and where things are. Out: two JSON texts, one for the stage container (steps, no address, no credential)
and one for the courier (inputs to fetch, blobs to push). Both are versioned; see `docs/stage-task.md` for the protocol.
"""

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.config.model import GitMapping, Import
from conveyor.jobs import exports, ssh
from conveyor.jobs.manifest import CA_PATH
from conveyor.jobs.model import Export, JobOrder
from conveyor.jobs.repositories import Repository, changes_files
from conveyor.plan.digest import OWN_REPOSITORY
from conveyor.plan.image_config import apply_instruction, environment, run_command
from conveyor.plan.model import (
    BlockStep,
    BuildPlan,
    DockerfileBlock,
    GitArchive,
    GitPatch,
    PlannedStage,
)

Json = dict[str, object]

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
        ssh_keys: Directories of mounted Secrets whose keys an SSH agent offers to user stages.
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


@dataclass(slots=True)
class _Inputs:
    """Inputs of one Job, numbered as they are asked for."""

    items: list[Json] = field(default_factory=list)

    def add(self, run: int, kind: str, **what: object) -> str:
        file = f"in/{len(self.items)}.tar"
        self.items.append({"run": run, "kind": kind, "file": file, **what})
        return file


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One stage of a Job while its task is written."""

    number: int
    order: JobOrder
    plan: BuildPlan
    inputs: _Inputs
    repositories: tuple[str, ...]

    def fetch(self, kind: str, **what: object) -> str:
        """Have the courier fetch something for this run; returns the file it will be in."""
        return self.inputs.add(self.number, kind, **what)

    def fetch_git(self, kind: str, repository: str, **what: object) -> str:
        """Have the courier fetch files out of a repository."""
        return self.fetch(kind, repository=self.repositories.index(repository), **what)

    def fetch_bundle(self, export: Export) -> str:
        """Have the courier fetch the recorded files of an export."""
        layer = self.order.bundles[export.key].layer
        return self.fetch("blob", digest=layer.digest, size=layer.size, gzip=True)


def tasks(order: JobOrder, plan: BuildPlan, around: Surroundings) -> tuple[str, str]:
    """Return (stage task, courier task).

    Raises:
        UserError: A task is too large for a container's environment.
    """
    inputs = _Inputs()
    names = tuple(repository.name for repository in around.git)
    runs = [
        _Run(number=index, order=order, plan=plan, inputs=inputs, repositories=names)
        for index in range(len(order.stages))
    ]
    stage_task: Json = {
        "version": 1,
        "env": _environment(order, around),
        "caFile": f"{CA_PATH}/ca.crt" if around.ca else None,
        "runs": [{"layers": _layers(order.stages[run.number], run)} for run in runs],
        "exports": [_export(f"e{i}", export) for i, export in enumerate(order.exports)],
    }
    if ssh.wanted(order, len(around.ssh_keys)):
        stage_task["waitInputs"] = True  # ready means: the agent listens, too
    courier_task = _courier(order, around, inputs)
    where = order.stages[0] if order.stages else None
    return _pack(stage_task, where), _pack(courier_task, where)


def _environment(order: JobOrder, around: Surroundings) -> Mapping[str, str]:
    own = {**environment(order.parent.config), **_commit_env(order, around)}
    if not ssh.wanted(order, len(around.ssh_keys)):
        return own
    return {**ssh.DEFAULT_ENVIRONMENT, **own, **ssh.ENVIRONMENT}


def _commit_env(order: JobOrder, around: Surroundings) -> Mapping[str, str]:
    """werf sets WERF_COMMIT_* for stapel stages only; a Dockerfile knows its declared variables alone."""
    stapel = order.stages and order.stages[0].work.block is None
    return around.commit_env if stapel else {}


def _courier(order: JobOrder, around: Surroundings, inputs: _Inputs) -> Json:
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
        "exports": [f"e{index}" for index in range(len(order.exports))],
        "callback": callback if around.callback_url else None,
        **({"ssh": ssh.courier_task(around.ssh_keys)} if agent else {}),
    }


def _pack(task: Json, stage: PlannedStage | None) -> str:
    text = json.dumps(task, separators=(",", ":"), sort_keys=True)
    if len(text) > _PACK_FROM:
        text = "z:" + base64.b64encode(zlib.compress(text.encode(), 9)).decode()
    if len(text) > _MAX_TASK:
        where = f"stage {stage.image}/{stage.name}" if stage else "export"
        raise UserError(
            Reason.NOT_SUPPORTED,
            f"{where}: its commands are too long: {len(text)} bytes packed, at most {_MAX_TASK}; "
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
    return {"id": local, "kind": "copy", "sources": list(export.sources)}


def _layers(stage: PlannedStage, run: _Run) -> list[Json]:
    if stage.work.block is not None:
        return _block_layers(stage.work.block, run)
    return [{"steps": _stapel_steps(stage, run)}]


# --- stapel -----------------------------------------------------------------------------------------------------------


def _stapel_steps(stage: PlannedStage, run: _Run) -> list[Json]:
    work = stage.work
    steps = _emptying(work.emptied)
    steps += [_archive(archive, run) for archive in work.archives]
    steps += [_patch(patch, run) for patch in work.patches if changes_files(patch)]
    wanted = exports.exports_of(stage, run.plan)
    steps += [
        _import(planned.import_, export, run)
        for planned, export in zip(work.imports, wanted, strict=True)
    ]
    if work.commands:
        steps.append({"op": "script", "commands": list(work.commands)})
    if work.tasks:
        steps.append({"op": "ansible", "tasks": [json.loads(task) for task in work.tasks]})
    return steps


def _emptying(points: tuple[str, ...]) -> list[Json]:
    return [{"op": "clean", "paths": list(points)}] if points else []


def _archive(archive: GitArchive, run: _Run) -> Json:
    mapping = archive.mapping
    file = run.fetch_git(
        "gitArchive",
        mapping.repository,
        commit=archive.commit,
        toName=_single_name(mapping) if archive.single else None,
        **_filter(mapping),
    )
    return _unpack(file, mapping, single=archive.single)


def _patch(patch: GitPatch, run: _Run) -> Json:
    mapping = patch.mapping
    file = run.fetch_git(
        "gitPatch",
        mapping.repository,
        commit=patch.commit,
        toName=_single_name(mapping) if patch.single else None,
        **{"from": patch.from_commit},
        **_filter(mapping),
    )
    step = _unpack(file, mapping, single=patch.single)
    return step | {"op": "patch", "deletesFile": f"{file}.deletes"}


def _import(import_: Import, export: Export, run: _Run) -> Json:
    return {
        "op": "import",
        "file": run.fetch_bundle(export),
        "to": import_.to,
        "owner": import_.owner,
        "group": import_.group,
    }


def _single_name(mapping: GitMapping) -> str:
    return mapping.to.rpartition("/")[2]


def _filter(mapping: GitMapping) -> Json:
    return {
        "add": mapping.add,
        "includePaths": list(mapping.include_paths),
        "excludePaths": list(mapping.exclude_paths),
    }


def _unpack(file: str, mapping: GitMapping, *, single: bool) -> Json:
    return {
        "op": "unpack",
        "file": file,
        "to": mapping.to.rpartition("/")[0] or "/" if single else mapping.to,
        "owner": mapping.owner,
        "group": mapping.group,
    }


# --- Dockerfile -------------------------------------------------------------------------------------------------------


def _block_layers(block: DockerfileBlock, run: _Run) -> list[Json]:
    """One layer for every instruction that may change files; the others only move the config on."""
    config = run.order.parent.config
    layers: list[Json] = []
    for step in block.steps:
        config = apply_instruction(config, step)
        task = _block_step(step, config, block, run)
        if task is not None:
            layers.append({"steps": [task]})
    return layers


def _block_step(
    step: BlockStep, config: Mapping[str, object], block: DockerfileBlock, run: _Run
) -> Json | None:
    match step.instruction.keyword:
        case "RUN":
            command = run_command(config, step)
            return {
                "op": "exec",
                "argv": list(command.argv),
                "env": dict(command.env),
                "user": command.user,
                "workdir": command.workdir,
            }
        case "COPY" | "ADD":
            return _copy(step, config, _copied_files(step, block, run))
        case "WORKDIR":
            return {"op": "mkdir", "path": _workdir(config), "mode": 0o755}
        case _:
            return None


def _workdir(config: Mapping[str, object]) -> str:
    inner = config.get("config")
    return str(inner.get("WorkingDir") or "/") if isinstance(inner, Mapping) else "/"


def _copied_files(step: BlockStep, block: DockerfileBlock, run: _Run) -> str:
    if step.source and step.source.image:
        return run.fetch_bundle(exports.copy_export(step, run.plan))
    return run.fetch_git(
        "context",
        OWN_REPOSITORY,
        commit=block.commit,
        context=block.context,
        dockerignore=block.dockerignore or None,
        dockerfile=block.dockerfile,
        sources=list(step.instruction.args[:-1]),
    )


def _copy(step: BlockStep, config: Mapping[str, object], file: str) -> Json:
    sources = enumerate(step.instruction.args[:-1])
    return {
        "op": "copy",
        "file": file,
        "sources": [{"pattern": source, "entries": str(index)} for index, source in sources],
        "keepOwner": bool(step.source and step.source.image),
        "dest": step.instruction.args[-1],
        "chown": step.instruction.flag("chown"),
        "chmod": step.instruction.flag("chmod"),
        "workdir": _workdir(config),
    }
