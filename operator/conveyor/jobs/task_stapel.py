"""The steps of a stapel stage.

In: the planned stage. Out: steps of the stage task (`docs/stage-task.md`), in the order of werf: mount points emptied,
files from git, imports, commands or tasks. What they read is asked of the courier on the way.
"""

import json

from conveyor.config.model import GitMapping, Import
from conveyor.jobs import exports
from conveyor.jobs.model import Export
from conveyor.jobs.repositories import changes_files
from conveyor.jobs.task_inputs import Json, StageRun
from conveyor.plan.model import PlannedStage
from conveyor.plan.model_sources import GitArchive, GitPatch


def stapel_steps(stage: PlannedStage, run: StageRun) -> list[Json]:
    """What a stapel stage does to the image before, as one layer."""
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


def _archive(archive: GitArchive, run: StageRun) -> Json:
    mapping = archive.mapping
    file = run.fetch_git(
        "gitArchive",
        mapping.repository,
        commit=archive.commit,
        toName=_single_name(mapping) if archive.single else None,
        **_filter(mapping),
    )
    return _unpack(file, mapping, single=archive.single)


def _patch(patch: GitPatch, run: StageRun) -> Json:
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


def _import(import_: Import, export: Export, run: StageRun) -> Json:
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
