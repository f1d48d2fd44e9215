"""What happens between a plan and a cluster, as values.

In: nothing. Out: the vocabulary of `conveyor.jobs`: what a Job carries, what it reports, what is seen of it, and the
actions that the shell performs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from conveyor.api.names import Reason
from conveyor.jobs.outline import Outline
from conveyor.plan.digest import DEFAULT_PLATFORM
from conveyor.plan.model import PlannedStage


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRef:
    """A pushed layer: `digest` and `size` (bytes) of the compressed blob, `diff_id` of the tar."""

    digest: str
    diff_id: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What one stage of a Job left behind, in the order of its layers; None where an instruction changed nothing."""

    layers: tuple[LayerRef | None, ...]

    @property
    def changed(self) -> tuple[LayerRef, ...]:
        """The layers that exist."""
        return tuple(layer for layer in self.layers if layer is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """A pushed bundle of files; `checksum` is werf's import checksum (32 hex), "" for a copy."""

    layer: LayerRef
    checksum: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssemblyResult:
    """The layers of the stages of an `Assembly`, pushed."""

    runs: tuple[RunResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a Job ended without its result.

    Attributes:
        final: The user's doing: trying again gives the same. False for eviction, node loss, a broken courier.
        run: Index of the stage in the Job that failed.
    """

    reason: Reason
    message: str
    final: bool
    run: int = 0
    command: str = ""
    exit_code: int | None = None
    log_tail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """Everything a Job has reported so far.

    Attributes:
        exports: By local id; None for what was left out.
        outline: Of the image that it started from.
    """

    runs: tuple[RunResult, ...] = ()
    exports: Mapping[str, ExportResult | AssemblyResult | None] = field(default_factory=dict)
    failure: Failure | None = None
    outline: Outline = ()


class JobPhase(StrEnum):
    """Pending: no container runs yet. Running. Ended: no container of it will run again."""

    PENDING = "Pending"
    RUNNING = "Running"
    ENDED = "Ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedJob:
    """A Job as the cluster and the couriers tell it.

    Attributes:
        digests: Stage digests in the order of its runs; () for an export Job.
        contents: Their content digests: a git stage of one digest has other files at another commit.
        parent: Manifest digest of the stage image it started from.
        parent_layers: How many layers that has; None where the Job does not say.
        exports: Local id to key of an export or assembly, as the Job was told.
        outline: Key that its outline is recorded under, "" where it was not asked for one.
        waiting: Why it does not run yet, for people; "" when it does.
        waiting_reason: The same as a reason.
        run_id: The build run that made it.
    """

    name: str
    uid: str
    owner_uid: str
    run_id: str
    attempt: int
    digests: tuple[str, ...]
    contents: tuple[str, ...]
    parent: str
    exports: Mapping[str, str]
    phase: JobPhase
    created_at: str
    result: StageResult
    parent_layers: int | None = None
    started_at: str = ""
    finished_at: str = ""
    waiting: str = ""
    waiting_reason: Reason | None = None
    deleting: bool = False
    outline: str = ""

    @property
    def delivered(self) -> bool:
        """Whether everything it was made for is reported."""
        runs = len(self.result.runs) >= len(self.digests)
        return runs and self.exports.keys() <= self.result.exports.keys()

    @property
    def ended(self) -> bool:
        """Whether no container of it will run again."""
        return self.phase is JobPhase.ENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """Files of a planned or external image that another stage wants.

    Attributes:
        key: What it is recorded under: `import-metadata-<64 hex>` or `copy-<64 hex>`.
        source: Planned image name, or external reference.
        platform: Of the source.
        checksum_id: importSourceID for an import, "" for a copy.
        sources: Path patterns of a COPY; () for an import.
        select: Of a COPY: what is taken below the sources (`--parents`, `--exclude`), as the stage task says it; {} for all.
        stage: Name of the stage of `source` that is meant, "" for its last.
    """

    key: str
    source: str
    platform: str = DEFAULT_PLATFORM
    external: bool = False
    stage: str = ""
    checksum_id: str = ""
    add: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    select: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A recorded export: the blob that holds the files, and the stage (`DIGEST-TS`) that they were taken from."""

    layer: LayerRef
    checksum: str = ""
    source_stage_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """The rest of a FROM block that only copies from one other image of the plan: layers that a pod of that one can make.

    Attributes:
        key: What its layers are known by in a Job.
        image: Planned image that the stages are of.
        source: Planned image that the files come from.
        stages: Those of the block that are left to build.
        needs: Key of the outline of the image below, "" where that is empty.
        exports: Keys of the bundles that it takes, in order.
        outline: Of the image below, once a Job is to make it.
    """

    key: str
    image: str
    source: str
    stages: tuple[PlannedStage, ...]
    needs: str
    exports: tuple[str, ...]
    outline: Outline = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentImage:
    """The image that a stage starts from, complete in the stages repository.

    Attributes:
        manifest_digest: "" for scratch.
        config: OCI image config.
        layers: Compressed layers in order: (digest, size, media type).
        stage_id: `DIGEST-TS` when it is a stored stage, else "".
    """

    manifest_digest: str
    config: Mapping[str, object]
    layers: tuple[Mapping[str, object], ...]
    stage_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssemblyOrder:
    """An assembly that a Job should make, and the image that its first stage starts from."""

    assembly: Assembly
    parent: ParentImage


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOrder:
    """A Job that should exist: consecutive stages of one image or of FROM blocks on each other (or none), then exports.

    Attributes:
        image: Of the first stage: its name in werf.yaml, of a block `IMAGE/stage/NAME`; "" for a Job that only exports.
        platform: `os/arch[/variant]` of the image: where the pod has to run.
        execution: Reference by digest of the parent's execution image, which the stage container runs.
        seeds: What the images are now that caches of a RUN begin with files of, by name (`exports.seeds_of`).
        assemblies: Blocks that are made after the exports.
        outline: Key of the outline to be told, "" for none.
    """

    image: str
    stages: tuple[PlannedStage, ...]
    parent: ParentImage
    execution: str
    platform: str = DEFAULT_PLATFORM
    exports: tuple[Export, ...] = ()
    bundles: Mapping[str, Bundle] = field(default_factory=dict)
    seeds: Mapping[str, str] = field(default_factory=dict)
    attempt: int = 0
    assemblies: tuple[AssemblyOrder, ...] = ()
    outline: str = ""

    @property
    def keys(self) -> dict[str, str]:
        """Local ids of exports and assemblies to their keys, in the order in which they are made."""
        bundles = {f"e{index}": export.key for index, export in enumerate(self.exports)}
        made = {f"a{index}": one.assembly.key for index, one in enumerate(self.assemblies)}
        return bundles | made

    def local_id(self, key: str) -> str:
        """The local id of one of the keys."""
        return next(local for local, name in self.keys.items() if name == key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tasks:
    """What the two containers of a Job are told; `fetches_first`: the stage waits for the courier before it begins."""

    stage: str
    courier: str
    fetches_first: bool = False
