"""The meta document of a config → `Meta`.

In: its section. Out: the values that builds care for; `deploy` and `cleanup` are accepted and not read.
Source: werf pkg/config/meta*.go.
"""

import re
from typing import Final

from conveyor.config.image_spec import general_spec
from conveyor.config.model import Meta
from conveyor.config.platforms import is_platform, normal_platform
from conveyor.config.raw import Section, describe, shorten
from conveyor.config.yaml import Scalar

_KEYS: Final = ("configVersion", "project", "build", "deploy", "cleanup", "gitWorktree")
_OF_IMAGES: Final = ("image", "artifact", "from", "dockerfile", "git", "shell", "docker", "import")
_NO_SEPARATOR: Final = "put a line `---` between the meta section and the image"
_BUILD_KEYS: Final = ("cacheVersion", "imageSpec", "platform", "sbom", "staged")
_WORKTREE_FLAGS: Final = ("forceShallowClone", "allowUnshallow", "allowFetchOriginBranchesAndTags")
_PROJECT: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\Z")
_LONGEST_PROJECT: Final = 50


def meta(section: Section) -> Meta:
    """Read the section."""
    section.only(*_KEYS, elsewhere=_NO_SEPARATOR, others=_OF_IMAGES)
    _config_version(section)
    for key in ("deploy", "cleanup"):
        section.section(key)
    worktree = section.section("gitWorktree")
    if worktree is not None:
        worktree.only(*_WORKTREE_FLAGS)
        for flag in _WORKTREE_FLAGS:
            worktree.flag(flag)
    build = section.section("build")
    if build is None:
        return Meta(project=_project(section))
    build.only(*_BUILD_KEYS)
    build.not_supported("sbom", "remove it")
    return Meta(
        project=_project(section),
        cache_version=build.text("cacheVersion"),
        platforms=platforms(build),
        staged=build.flag("staged") or False,
        image_spec=general_spec(build),
    )


def _config_version(section: Section) -> None:
    entry = section.node.entries["configVersion"].value
    if not isinstance(entry, Scalar) or entry.value != 1 or isinstance(entry.value, bool):
        section.error(
            f"`configVersion` is {describe(entry)}; write the number 1", key="configVersion"
        )


def _project(section: Section) -> str:
    project = section.text("project")
    if not project and not section.is_collection("project"):
        section.error("`project` is missing; add a name such as `project: my-app`", key="project")
    elif project and not _PROJECT.match(project):
        section.error(
            f"`project` is {shorten(project)}; use small letters, digits and inner dashes only",
            key="project",
        )
    elif len(project) > _LONGEST_PROJECT:
        section.error(
            f"`project` is {len(project)} characters long; {_LONGEST_PROJECT} are allowed",
            key="project",
        )
    return project


def platforms(section: Section) -> tuple[str, ...]:
    """Read `platform:` of the build section or of an image; each once, in the usual spelling."""
    found = section.scalars("platform")
    for platform in found:
        if not is_platform(platform):
            section.error(
                f"`platform` has {shorten(platform)}; write os/architecture such as linux/arm64",
                key="platform",
            )
    return tuple(dict.fromkeys(normal_platform(one) for one in found if is_platform(one)))
