"""The stages of a stapel image: their order, which exist, and what they have of the config.

In: a `StapelImage`. Out: stage names in order (werf: AllStages), and the imports, dependencies and
mappings' globs that belong to one stage. Whether a git patch stage is empty is not known here: that depends
on what is stored (`conveyor.plan.walk`).
"""

from typing import Literal, TypeGuard

from conveyor.config.model import (
    USER_STAGES,
    Ansible,
    Dependency,
    Import,
    Shell,
    StapelImage,
    UserStageName,
)

BucketName = Literal[
    "dependenciesBeforeInstall",
    "dependenciesAfterInstall",
    "dependenciesBeforeSetup",
    "dependenciesAfterSetup",
]
StageName = (
    UserStageName
    | BucketName
    | Literal["from", "gitArchive", "gitCache", "gitLatestPatch", "dockerInstructions", "imageSpec"]
)

ALL_STAGES: tuple[StageName, ...] = (
    "from",
    "beforeInstall",
    "dependenciesBeforeInstall",
    "gitArchive",
    "install",
    "dependenciesAfterInstall",
    "beforeSetup",
    "dependenciesBeforeSetup",
    "setup",
    "dependenciesAfterSetup",
    "gitCache",
    "gitLatestPatch",
    "dockerInstructions",
    "imageSpec",
)
GIT_USER_STAGES: frozenset[str] = frozenset({"install", "beforeSetup", "setup"})
PATCH_STAGES: frozenset[str] = frozenset({"gitCache", "gitLatestPatch"})
GIT_STAGES: frozenset[str] = GIT_USER_STAGES | PATCH_STAGES | {"gitArchive"}

_BUCKETS: dict[str, tuple[str, str]] = {
    "dependenciesBeforeInstall": ("install", ""),
    "dependenciesAfterInstall": ("", "install"),
    "dependenciesBeforeSetup": ("setup", ""),
    "dependenciesAfterSetup": ("", "setup"),
}


def stages_of(image: StapelImage) -> tuple[StageName, ...]:
    """Return the stages that the config asks for, in order; patch stages may still turn out empty."""
    return tuple(name for name in ALL_STAGES if _exists(image, name))


def is_user_stage(name: str) -> TypeGuard[UserStageName]:
    """Whether the stage runs the user's commands."""
    return name in USER_STAGES


def is_git_stage(image: StapelImage, name: StageName) -> bool:
    """Whether the stage carries commits: its stored copies are chosen by ancestry."""
    return bool(image.git) and name in GIT_STAGES


def imports_of(image: StapelImage, name: StageName) -> tuple[Import, ...]:
    """Return the imports of a `dependencies*` stage, in config order."""
    when = _BUCKETS.get(name)
    return tuple(item for item in image.imports if (item.before, item.after) == when)


def dependencies_of(image: StapelImage, name: StageName) -> tuple[Dependency, ...]:
    """Return the `dependencies` of a `dependencies*` stage, in config order."""
    when = _BUCKETS.get(name)
    return tuple(item for item in image.dependencies if (item.before, item.after) == when)


def commands_of(image: StapelImage, name: StageName) -> tuple[str, ...]:
    """Return the shell commands of a user stage; () for any other."""
    return image.shell.commands.get(name, ()) if image.shell and is_user_stage(name) else ()


def tasks_of(image: StapelImage, name: StageName) -> tuple[str, ...]:
    """Return the ansible tasks of a user stage as JSON texts; () for any other."""
    return image.ansible.tasks.get(name, ()) if image.ansible and is_user_stage(name) else ()


def versions_of(image: StapelImage, name: UserStageName) -> tuple[str, ...]:
    """Return the cache versions that salt a user stage: its own, then the common one."""
    builder: Shell | Ansible = image.shell or image.ansible or Shell()
    versions = (builder.stage_cache_versions.get(name, ""), builder.cache_version)
    return tuple(version for version in versions if version)


def _exists(image: StapelImage, name: StageName) -> bool:
    if name == "from":
        return True
    if is_user_stage(name):
        return bool(commands_of(image, name) or tasks_of(image, name) or versions_of(image, name))
    if name in _BUCKETS:
        return bool(imports_of(image, name) or dependencies_of(image, name))
    if name == "gitArchive":
        return bool(image.git)
    return image.image_spec is not None if name == "imageSpec" else _exists_late(image, name)


def _exists_late(image: StapelImage, name: StageName) -> bool:
    """An artifact has none of these, and disableGitAfterPatch takes dockerInstructions away too."""
    if image.artifact or image.disable_git_after_patch:
        return False
    return bool(image.git) if name in PATCH_STAGES else image.docker is not None
