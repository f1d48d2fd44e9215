"""What a werf.yaml says, checked and with every default filled in.

In: nothing; these are values made by `conveyor.config.parse`. Out: `WerfConfig`, the planner's first input.
A value of this module is legal by itself: cross-field rules were applied by the parser (werf: pkg/config).
Paths are POSIX paths cleaned as Go's `path.Clean` does. Nothing here knows git, registries or Kubernetes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from conveyor.config.model_image_config import DockerInstructions, ImageSpec
from conveyor.config.source_line import SourceLine

When = Literal["", "install", "setup"]
UserStageName = Literal["beforeInstall", "install", "beforeSetup", "setup"]
USER_STAGES: tuple[UserStageName, ...] = ("beforeInstall", "install", "beforeSetup", "setup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """The meta section: `project`, `build.*`, the part of `gitWorktree` that builds care for."""

    project: str
    cache_version: str = ""
    platforms: tuple[str, ...] = ()
    staged: bool = False
    image_spec: ImageSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GitRemote:
    """A remote repository of a git mapping; at most one of branch, tag and commit is set.

    Attributes:
        password: Where `basicAuth` says that the password is ("env", "src" or "value"), "" without it. What it says
            there is not kept: credentials come from the ImageBuild.
    """

    url: str
    branch: str = ""
    tag: str = ""
    commit: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GitMapping:
    """One entry of `git:` (werf-semantics: git mappings).

    Attributes:
        name: `own` for the project's repository, else the repository id of the remote url.
        add: As stored for paramshash: no leading slash, "" for the repository root.
        to: Absolute target, no trailing slash.
        include_paths, exclude_paths: Relative globs; excludes already contain the automatic ones
            for overlapping exports, in werf's order.
        stage_dependencies: Stage name to globs relative to `add`.
    """

    name: str = "own"
    add: str = ""
    to: str
    include_paths: tuple[str, ...] = ()
    exclude_paths: tuple[str, ...] = ()
    owner: str = ""
    group: str = ""
    stage_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    remote: GitRemote | None = None
    at: SourceLine = field(default_factory=SourceLine, compare=False)

    @property
    def repository(self) -> str:
        """`own`, or the url: two servers may have repositories of one name."""
        return self.remote.url if self.remote else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One entry of `import:`; exactly one of before and after is set.

    Attributes:
        image: Name of a config image, or an external reference when `external`.
        stage: "" for the last stage of the source.
        artifact: The source was named by the deprecated `artifact:` key (it is part of the import id).
    """

    image: str
    external: bool = False
    artifact: bool = False
    stage: str = ""
    before: When = ""
    after: When = ""
    add: str
    to: str
    include_paths: tuple[str, ...] = ()
    exclude_paths: tuple[str, ...] = ()
    owner: str = ""
    group: str = ""
    at: SourceLine = field(default_factory=SourceLine, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyImport:
    """One value that a dependency hands over; `target` is an env name or a build-arg name."""

    type: Literal["ImageName", "ImageTag", "ImageRepo", "ImageDigest", "ImageID"]
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """One entry of `dependencies:`; before/after only for stapel images."""

    image: str
    before: When = ""
    after: When = ""
    imports: tuple[DependencyImport, ...] = ()
    at: SourceLine = field(default_factory=SourceLine, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One entry of `mount:`; `from_path` only for custom_dir."""

    type: Literal["tmp_dir", "build_dir", "custom_dir"]
    to: str
    from_path: str = ""
    at: SourceLine = field(default_factory=SourceLine, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """`shell:` of a stapel image: commands and cache versions by user stage; "" is unset."""

    commands: Mapping[UserStageName, tuple[str, ...]] = field(default_factory=dict)
    cache_version: str = ""
    stage_cache_versions: Mapping[UserStageName, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ansible:
    """`ansible:` of a stapel image: tasks as JSON texts (`config.task_json`), cache versions as those of `shell:`."""

    tasks: Mapping[UserStageName, tuple[str, ...]] = field(default_factory=dict)
    cache_version: str = ""
    stage_cache_versions: Mapping[UserStageName, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StapelImage:
    """A stapel image or artifact.

    Attributes:
        name: "" for the nameless image.
        base: External reference, or the name of a config image when `base_internal`; "scratch" is possible.
        artifact: Declared by `artifact:`: never final, no git patch stages, no docker instructions.
    """

    name: str
    base: str
    base_internal: bool = False
    from_latest: bool = False
    from_cache_version: str = ""
    cache_version: str = ""
    final: bool = True
    artifact: bool = False
    platforms: tuple[str, ...] = ()
    git: tuple[GitMapping, ...] = ()
    shell: Shell | None = None
    ansible: Ansible | None = None
    docker: DockerInstructions | None = None
    image_spec: ImageSpec | None = None
    imports: tuple[Import, ...] = ()
    dependencies: tuple[Dependency, ...] = ()
    mounts: tuple[Mount, ...] = ()
    disable_git_after_patch: bool = False
    at: SourceLine = field(default_factory=SourceLine, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerfileImage:
    """An image described by a Dockerfile.

    Attributes:
        dockerfile: Path relative to `context`.
        context: Directory in git, relative to the project directory, "" for the project directory itself.
        context_add_files: Files and directories that are in the context even if they are ignored, relative to it.
        args: Build args as text; `target` "" means the last stage.
    """

    name: str
    dockerfile: str
    context: str = ""
    target: str = ""
    context_add_files: tuple[str, ...] = ()
    args: Mapping[str, str] = field(default_factory=dict)
    add_host: tuple[str, ...] = ()
    network: str = ""
    cache_version: str = ""
    final: bool = True
    staged: bool = False
    platforms: tuple[str, ...] = ()
    dependencies: tuple[Dependency, ...] = ()
    image_spec: ImageSpec | None = None
    at: SourceLine = field(default_factory=SourceLine, compare=False)


Image = StapelImage | DockerfileImage


@dataclass(frozen=True, slots=True, kw_only=True)
class WerfConfig:
    """A whole werf.yaml; `images` in the order of the file, names unique.

    Attributes:
        project_dir: Directory of werf.yaml inside the repository, "" for the root.
    """

    meta: Meta
    images: tuple[Image, ...]
    project_dir: str = ""

    def image(self, name: str) -> Image:
        """Return the image of that name; `KeyError` if there is none (the parser checked references)."""
        for image in self.images:
            if image.name == name:
                return image
        raise KeyError(name)
