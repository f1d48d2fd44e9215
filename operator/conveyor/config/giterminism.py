"""werf-giterminism.yaml → `Policy`: which outside influences a repository allows its own builds.

In: the text of the committed file. Out: the permissions that concern rendering and stapel images, and a check of a
config against them. Unknown keys are tolerated, as in werf. The keys that let uncommitted files in are read and have no
effect: everything comes from the commit.
"""

import re
from dataclasses import dataclass
from typing import Final

from conveyor.config.model import StapelImage, WerfConfig
from conveyor.config.names import shown
from conveyor.config.paths import clean
from conveyor.config.raw import Section, shorten
from conveyor.config.report import Report
from conveyor.config.yaml import Mapping, YamlError, load

FILE: Final = "werf-giterminism.yaml"
MAX_PATTERN: Final = 200
MAX_POLICY: Final = 256 * 1024
"""Characters of the file: every expression in it is compiled."""

# werf reads the named files from the work tree then; tags and charts are not part of a build; includes are not supported.
_FLAGS_WITHOUT_EFFECT: Final[dict[str, tuple[str, ...]]] = {
    "cli": ("allowCustomTags",),
    "config": ("allowUncommitted",),
    "includes": ("allowIncludesUpdate",),
}
_LISTS_WITHOUT_EFFECT: Final[dict[str, tuple[str, ...]]] = {
    "config": ("allowUncommittedTemplates",),
    "config.goTemplateRendering": ("allowUncommittedFiles",),
    "config.secrets": ("allowEnvVariables", "allowFiles", "allowValueIds"),
    "config.dockerfile": (
        "allowUncommitted",
        "allowUncommittedDockerignoreFiles",
        "allowContextAddFiles",
    ),
    "helm": ("allowUncommittedFiles",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is allowed; the default allows nothing.

    Attributes:
        env: Names, or `/regular expressions/` that match a whole name.
        from_latest: `fromLatest: true`.
        branch: Git mappings of remote repositories that follow a branch.
        build_dir: `mount: {from: build_dir}`.
        from_paths: Values of `mount: {fromPath: …}`.
    """

    env: tuple[str, ...] = ()
    from_latest: bool = False
    branch: bool = False
    build_dir: bool = False
    from_paths: tuple[str, ...] = ()

    def allows_env(self, name: str) -> bool:
        """Whether `{{ env NAME }}` is allowed."""
        return any(_matches(pattern, name) for pattern in self.env)


def _matches(pattern: str, name: str) -> bool:
    if len(pattern) > 2 and pattern.startswith("/") and pattern.endswith("/"):
        return re.fullmatch(pattern[1:-1], name) is not None
    return pattern == name


def parse_policy(text: str | None, *, file: str = FILE) -> Policy:
    """Read the file; None (there is none) allows nothing.

    Raises:
        UserError: InvalidWerfConfig with file and line.
    """
    report = Report(file=file)
    policy = _policy(text, report) if text is not None else Policy()
    report.raise_invalid()
    return policy


def _policy(text: str, report: Report) -> Policy:
    if len(text) > MAX_POLICY:
        report.error(1, f"the file has {len(text)} characters; {MAX_POLICY} are allowed")
        return Policy()
    try:
        node = load(text)
    except YamlError as error:
        report.error(error.line, error.message)
        return Policy()
    if node is None:
        return Policy()
    if not isinstance(node, Mapping):
        report.error(
            node.line, "the file has to be a mapping that starts with `giterminismConfigVersion: 1`"
        )
        return Policy()
    root = Section(node, report)
    if root.text("giterminismConfigVersion") != "1":
        root.error(
            "`giterminismConfigVersion` has to be there and to be 1", key="giterminismConfigVersion"
        )
    _check_without_effect(root)
    config = root.section("config")
    return _config(config) if config is not None else Policy()


def _check_without_effect(root: Section) -> None:
    """Read the keys that mean nothing here, so that a mistake in them is told."""
    for path, keys in _FLAGS_WITHOUT_EFFECT.items():
        if section := _inner(root, path):
            for key in keys:
                section.flag(key)
    for path, keys in _LISTS_WITHOUT_EFFECT.items():
        if section := _inner(root, path):
            for key in keys:
                section.scalars(key)


def _inner(root: Section, path: str) -> Section | None:
    section: Section | None = root
    for key in path.split("."):
        section = section.section(key) if section else None
    return section


def _config(config: Section) -> Policy:
    empty = Section(Mapping(line=config.line, entries={}), config.report)
    rendering = config.section("goTemplateRendering") or empty
    stapel = config.section("stapel") or empty
    mount = stapel.section("mount") or empty
    return Policy(
        env=_patterns(rendering),
        from_latest=stapel.flag("allowFromLatest") or False,
        branch=(stapel.section("git") or empty).flag("allowBranch") or False,
        build_dir=mount.flag("allowBuildDir") or False,
        from_paths=tuple(clean(path) for path in mount.scalars("allowFromPaths")),
    )


def _patterns(section: Section) -> tuple[str, ...]:
    key = "allowEnvVariables"
    patterns = section.scalars(key)
    for pattern in patterns:
        if len(pattern) > MAX_PATTERN:
            section.error(f"`{key}` has an entry of more than {MAX_PATTERN} characters", key=key)
        elif len(pattern) > 2 and pattern.startswith("/") and pattern.endswith("/"):
            _check_expression(section, key, pattern)
    return patterns


def _check_expression(section: Section, key: str, pattern: str) -> None:
    try:
        re.compile(pattern[1:-1])
    except (re.error, OverflowError, RecursionError) as error:
        section.error(f"`{key}` has {shorten(pattern)}, not a regular expression: {error}", key=key)


def check_policy(config: WerfConfig, policy: Policy, *, file: str = "werf.yaml") -> None:
    """Check that a config uses nothing that the policy does not allow.

    Raises:
        UserError: InvalidWerfConfig; every message names the key to add to werf-giterminism.yaml.
    """
    report = Report(file=file)
    for image in config.images:
        if isinstance(image, StapelImage):
            _check_image(image, policy, report)
    report.raise_invalid()


def _check_image(image: StapelImage, policy: Policy, report: Report) -> None:
    def refuse(line: int, what: str, key: str) -> None:
        report.error(
            line, f"image {shown(image.name)}: {what} is not allowed; commit {FILE} with `{key}`"
        )

    if image.from_latest and not policy.from_latest:
        refuse(image.at.line, "`fromLatest`", "config.stapel.allowFromLatest: true")
    for mapping in image.git:
        remote = mapping.remote
        if remote and not (remote.tag or remote.commit) and not policy.branch:
            refuse(
                mapping.at.line,
                "a git mapping that follows a branch",
                "config.stapel.git.allowBranch: true",
            )
    for mount in image.mounts:
        if mount.type == "build_dir" and not policy.build_dir:
            refuse(
                mount.at.line,
                "`mount: {from: build_dir}`",
                "config.stapel.mount.allowBuildDir: true",
            )
        if mount.type == "custom_dir" and mount.from_path not in policy.from_paths:
            path = mount.from_path[:200]
            refuse(
                mount.at.line,
                f"`mount: {{fromPath: {path}}}`",
                f"config.stapel.mount.allowFromPaths: [{path}]",
            )
