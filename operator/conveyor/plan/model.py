"""What the planner says: which stages there are, which are stored, and what building the rest means.

In: nothing; values made by `conveyor.plan.planner`. Out: `BuildPlan`, the input of `conveyor.jobs`.
A `PlannedStage` says *what* has to happen, in terms of git, imports, commands and instructions; how a pod does it is
decided in `conveyor.jobs`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from conveyor.config.dockerfile import Instruction
from conveyor.config.dockerfile_mounts import RunMount
from conveyor.config.model import Mount
from conveyor.config.model_image_config import DockerInstructions, ImageSpec
from conveyor.config.remote_source import RemoteSource
from conveyor.plan.answers import ContentDigest, StageDesc, StageDigest
from conveyor.plan.model_sources import GitArchive, GitPatch, PlannedDependency, PlannedImport
from conveyor.plan.questions import Question


class StageState(StrEnum):
    """Cached: stored and suitable. ToBuild: digest known, not stored. Unknown: digest waits for an answer."""

    CACHED = "Cached"
    TO_BUILD = "ToBuild"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One named argument of a hash: what `plan --explain` shows and the digest is made of.

    Attributes:
        parts: What `value` is a hash of, when it is one.
    """

    label: str
    value: str
    parts: tuple["Component", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalBase:
    """The stage starts from an image outside the project.

    Attributes:
        digest: Manifest digest that the reference stands for in the whole plan (`fromLatest`); "" for whatever
            the reference means when building starts.
    """

    reference: str
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScratchBase:
    """The stage starts from nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageBase:
    """The stage starts from the last stage of another planned image (config image or Dockerfile block)."""

    image: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousStage:
    """The stage starts from the stage before it in the same image."""


Base = ExternalBase | ScratchBase | ImageBase | PreviousStage


@dataclass(frozen=True, slots=True, kw_only=True)
class CopySource:
    """Where a COPY/ADD takes its files from: `image` is a planned image or external reference, "" the build context.

    Attributes:
        platform: For which an external one is taken; "" for that of the stage.
    """

    image: str = ""
    external: bool = False
    platform: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedMount:
    """A mount of a RUN, its variables replaced, its target as written; `files`: where a bind takes its files from."""

    mount: RunMount
    files: CopySource | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockStep:
    """One instruction of a Dockerfile block with variables expanded as far as the Dockerfile alone allows.

    Attributes:
        env: Environment of a RUN beyond the image's own: declared ARGs, in order.
        source: Of COPY and ADD.
        mounts: Of RUN, in order.
        refused: Why this version cannot carry it out, "" when it can.
        told: What the log of the stage says before it, "" for nothing.
        remotes: Of ADD: those of its sources that are fetched from elsewhere, by their place among the sources.
    """

    instruction: Instruction
    env: Mapping[str, str] = field(default_factory=dict)
    source: CopySource | None = None
    mounts: tuple[PlannedMount, ...] = ()
    refused: str = ""
    told: str = ""
    remotes: Mapping[int, RemoteSource] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerfileBlock:
    """One FROM block: its instructions, where its context lies and what is ignored there."""

    steps: tuple[BlockStep, ...]
    context: str
    dockerfile: str
    dockerignore: str
    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageWork:
    """What building a stage means, in the order in which it is done.

    A stage with no archives, patches, imports, commands, tasks, emptied mount points or block steps that change files
    needs no pod.

    Attributes:
        tasks: Of ansible, each a JSON text.
        dependencies: Values of other images. In a stapel stage they go into the environment of the image config, in a
            block they are among the build args of its steps; a stage is not built before it has them.
        labels: Labels that the stage adds, except the one that names its parent.
        instructions: Image config changes of `docker:`.
        keep_entrypoint_with_cmd: A CMD in `instructions` leaves the ENTRYPOINT of the base (as werf does).
        image_spec: Image config changes of `imageSpec:`, labels without templates.
        refused: Why this version can plan but not build the stage, with file and line; "" when it can.
        notes: What is written in vain or surprises, with file and line.
        mounts: Mounts of the image and of the images it is built from; their content is never part of a layer.
        image_platform: What the image config says that it is for, "" for what it is built on.
        emptied: Mount points that the stage leaves as empty directories (only `from` has any); nothing is mounted then.
    """

    archives: tuple[GitArchive, ...] = ()
    patches: tuple[GitPatch, ...] = ()
    imports: tuple[PlannedImport, ...] = ()
    dependencies: tuple[PlannedDependency, ...] = ()
    commands: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    instructions: DockerInstructions | None = None
    keep_entrypoint_with_cmd: bool = False
    image_spec: ImageSpec | None = None
    block: DockerfileBlock | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""
    notes: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    emptied: tuple[str, ...] = ()
    image_platform: str = ""

    @property
    def run_mounts(self) -> tuple[PlannedMount, ...]:
        """Mounts of the block's RUN. They are volumes of the whole pod, so stages with others need another one."""
        steps = self.block.steps if self.block is not None else ()
        return next((step.mounts for step in steps if step.mounts), ())


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStage:
    """One stage of one image.

    Attributes:
        digest: None while Unknown, and then `question` says what it waits for.
        content_digest: Of the stored stage's label when Cached, computed when ToBuild.
        stored: The selected stage when Cached.
        components: Named arguments of the digest, in hash order; of an Unknown stage what is known of them.
        inner: Part of the stage `dockerfile` behind it, with a digest of our own (`conveyor.plan.inner_stages`).
        platform: What its base is for and it runs on: that of its image, but for a FROM block with another one.
    """

    image: str
    name: str
    state: StageState
    base: Base
    work: StageWork
    digest: StageDigest | None = None
    content_digest: ContentDigest | None = None
    stored: StageDesc | None = None
    question: Question | None = None
    components: tuple[Component, ...] = ()
    inner: bool = False
    platform: str = "linux/amd64"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedImage:
    """One image for one platform, with its stages in order.

    Attributes:
        name: Unique in the plan: the name in werf.yaml, for one of several platforms `IMAGE [OS/ARCH]` as werf shows it.
        config_name: The same without the platform where `name` has one, else None.
        block_of: `name` of the image when this is a FROM block of its Dockerfile (named
            `IMAGE/stage/NAME` or `IMAGE/stageN`), else "".
        depends_on: Planned images that must be complete first (base, imports, dependencies, COPY --from).
        in_order: Nothing of it starts before every image of `depends_on` is stored, not only what it is built from.
        entrypoint: ENTRYPOINT that stored stages must have, which no digest tells (`conveyor.plan.selection`).
    """

    name: str
    stages: tuple[PlannedStage, ...]
    final: bool = True
    block_of: str = ""
    platform: str = "linux/amd64"
    depends_on: tuple[str, ...] = ()
    in_order: bool = False
    entrypoint: tuple[str, ...] | None = None
    config_name: str | None = None

    @property
    def image(self) -> str:
        """Its name in werf.yaml (of a block `IMAGE/stage/NAME`), the same for all platforms."""
        return self.name if self.config_name is None else self.config_name

    @property
    def ready(self) -> bool:
        """Whether every stage is stored."""
        return all(stage.state is StageState.CACHED for stage in self.stages)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """The whole plan: `images` in dependency order (blocks before their image), `sets` of config image names."""

    project: str
    sets: tuple[tuple[str, ...], ...]
    images: tuple[PlannedImage, ...]

    def image(self, name: str) -> PlannedImage:
        """Return the planned image of that name; `KeyError` if there is none."""
        for image in self.images:
            if image.name == name:
                return image
        raise KeyError(name)
