"""Labels of stage images: their names, and those that the planner knows the values of.

In: project, mappings, imports, mounts. Out: label maps for `StageWork.labels`.

Who adds what: the planner `werf`, `werf-git-*`, `werf-import-checksum-*`, `werf-import-source-stage-id-*`,
`werf-dependency-stage-id-*` and `werf-mount-type-*`; the publisher `werf-stage-content-digest` (from
`PlannedStage.content_digest`), `werf-project-repo-commit`, `werf-version` and `werf.io/parent-stage-id`, which name
what was really built upon.
The labels of the parent stage are inherited: the publisher copies them first. A mount label joins the points
with `;`; the publisher joins them to the inherited ones of the same name.
"""

import re
from collections.abc import Iterable, Mapping

from conveyor.config.model import Mount
from conveyor.plan.digest import sha256_args
from conveyor.plan.mappings import MappingCommit
from conveyor.plan.model_sources import PlannedDependency, PlannedImport

WERF = "werf"
CONTENT_DIGEST = "werf-stage-content-digest"
PROJECT_COMMIT = "werf-project-repo-commit"
PARENT_STAGE_ID = "werf.io/parent-stage-id"
VERSION = "werf-version"
_MOUNT = "werf-mount-type-"

_COMMIT_LABEL = re.compile(r"werf-git-([0-9a-f]+)-commit")


def commit_label(paramshash: str) -> str:
    """Return the name of the label that holds a mapping's commit."""
    return f"werf-git-{paramshash}-commit"


def virtual_merge_label(paramshash: str) -> str:
    """Return the name of the label that tells whether the commit is a virtual merge."""
    return f"werf-git-{paramshash}-virtual-merge"


def git_labels(mappings: Iterable[MappingCommit]) -> dict[str, str]:
    """Return the labels of a stage that brings every mapping to its commit."""
    labels: dict[str, str] = {}
    for item in mappings:
        labels[commit_label(item.paramshash)] = item.commit
        labels[virtual_merge_label(item.paramshash)] = "true" if item.merge else "false"
        for what, commit in zip(("from", "into"), item.merge or (), strict=False):
            labels[f"{virtual_merge_label(item.paramshash)}-{what}-commit"] = commit
        labels[f"werf-git-{item.paramshash}-type"] = "file" if item.single else "directory"
    return labels


def import_labels(imports: Iterable[tuple[PlannedImport, str]]) -> dict[str, str]:
    """Return the labels of a stage with imports, each with the stage it is taken from."""
    labels: dict[str, str] = {}
    for item, source_stage_id in imports:
        labels[f"werf-import-checksum-{item.import_id}"] = item.checksum
        labels[f"werf-import-source-stage-id-{item.import_id}"] = source_stage_id
    return labels


def dependency_labels(dependencies: Iterable[PlannedDependency]) -> dict[str, str]:
    """Return the labels that name the stages whose values an image got, one for each stage that is known."""
    tags = [one.tag for one in dependencies if one.known]
    return {f"werf-dependency-stage-id-{sha256_args(tag)}": tag for tag in tags}


def mount_labels(mounts: Iterable[Mount]) -> dict[str, str]:
    """Return the labels of the `from` stage that later stages and images read their mounts from."""
    points: dict[str, list[str]] = {}
    for mount in mounts:
        points.setdefault(_mount_label(mount), []).append(mount.to)
    return {label: ";".join(tos) for label, tos in points.items()}


def mount_points(inherited: Mapping[str, str]) -> tuple[str, ...]:
    """Return the mount points that an image's labels tell of, each once."""
    told = [value for name, value in inherited.items() if name.startswith(_MOUNT)]
    points = (point for value in told for point in value.split(";") if point)
    return tuple(dict.fromkeys(points))


def merged(inherited: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """Return a child's labels: its own win, but mount points are joined to the inherited ones (werf: mergeMounts)."""
    result = {**inherited, **added}
    for name in added.keys() & inherited.keys():
        if name.startswith(_MOUNT):
            points = [*inherited[name].split(";"), *added[name].split(";")]
            result[name] = ";".join(dict.fromkeys(point for point in points if point))
    return result


def without_own(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that mean something outside of a stages repository."""
    return {name: value for name, value in labels.items() if not name.startswith(WERF)}


def commit_of(labels: Mapping[str, str], paramshash: str) -> str:
    """Return the commit that a stage carries for a mapping, "" when it does not say."""
    return labels.get(commit_label(paramshash), "")


def line_of(labels: Mapping[str, str], paramshash: str) -> str:
    """Return the commit that must be an ancestor for the stage to serve, "" when it does not say.

    Of a virtual merge it is the commit merged from: the merge itself is on no branch.
    """
    if not is_virtual_merge(labels, paramshash):
        return commit_of(labels, paramshash)
    return labels.get(f"{virtual_merge_label(paramshash)}-from-commit", "")


def is_virtual_merge(labels: Mapping[str, str], paramshash: str) -> bool:
    """Whether a stage carries a virtual merge for a mapping."""
    return labels.get(virtual_merge_label(paramshash)) == "true"


def carried_commits(labels: Mapping[str, str]) -> list[str]:
    """Return the commits that a stage carries, one for each git mapping."""
    hashes = (_COMMIT_LABEL.fullmatch(name) for name in labels)
    return [commit_of(labels, found[1]) for found in hashes if found]


def _mount_label(mount: Mount) -> str:
    kind = f"{_MOUNT}{mount.type.replace('_', '-')}"
    return kind if mount.type != "custom_dir" else f"{kind}-{mount.from_path.replace('/', '--')}"
