"""Short ways to write plans, Jobs and situations down.

In: the few words that a case is about. Out: complete values. Digests are made of readable names.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from conveyor.api.names import Reason
from conveyor.config.dockerfile import Instruction
from conveyor.config.model import Dependency, Import
from conveyor.jobs.decision import Decision, Situation, StageView
from conveyor.jobs.model import (
    Bundle,
    ExportResult,
    Failure,
    JobPhase,
    LayerRef,
    ObservedJob,
    RunResult,
    StageResult,
)
from conveyor.plan.answers import (
    ContentDigest,
    StageDesc,
    StageDigest,
    StageID,
)
from conveyor.plan.model import (
    Base,
    BlockStep,
    BuildPlan,
    CopySource,
    DockerfileBlock,
    ExternalBase,
    PlannedImage,
    PlannedStage,
    PreviousStage,
    StageState,
    StageWork,
)
from conveyor.plan.model_sources import PlannedDependency, PlannedImport
from conveyor.plan.questions import ImportChecksum

NOW = datetime(2024, 5, 6, 12, 0, tzinfo=UTC)
STARTED = NOW - timedelta(minutes=10)
OWNER, RUN = "uid-1", "1/"
COMMANDS = StageWork(commands=("make",))
METADATA = StageWork()


def when(seconds: float) -> str:
    """A moment so many seconds before NOW, as Kubernetes writes it."""
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def digest(name: str) -> StageDigest:
    """The stage digest of that name."""
    return StageDigest(hashlib.sha224(name.encode()).hexdigest())


def sha(name: str) -> str:
    """Something's `sha256:…`."""
    return f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


def layer(name: str) -> LayerRef:
    """A pushed layer."""
    return LayerRef(digest=sha(name), diff_id=sha(f"diff {name}"), size=len(name))


def ran(*names: str | None) -> RunResult:
    """What a run left: named layers, None for one that changed nothing."""
    return RunResult(layers=tuple(layer(name) if name else None for name in names))


def stored(name: str, *layers: str, built_at: datetime = STARTED - timedelta(days=1)) -> StageDesc:
    """The stored stage whose digest has this name."""
    return StageDesc(
        id=StageID(digest=digest(name), timestamp=int(built_at.timestamp() * 1000)),
        manifest_digest=sha(f"manifest {name} {layers}"),
        labels={},
        layers=tuple(sha(one) for one in layers),
    )


def to_build(
    name: str, *, key: str = "", work: StageWork = COMMANDS, base: Base | None = None
) -> PlannedStage:
    """A stage `IMAGE/NAME` that is not stored; its digest has the name `key` (default: the same)."""
    image, _, short = name.rpartition("/")
    return PlannedStage(
        image=image,
        name=short,
        state=StageState.TO_BUILD,
        base=base or PreviousStage(),
        work=work,
        digest=digest(key or name),
        content_digest=ContentDigest(digest(f"content {key or name}")),
    )


def cached(
    name: str,
    *layers: str,
    key: str = "",
    base: Base | None = None,
    work: StageWork = COMMANDS,
    built_at: datetime = STARTED - timedelta(days=1),
) -> PlannedStage:
    """A stage `IMAGE/NAME` that is stored with these layers."""
    image, _, short = name.rpartition("/")
    return PlannedStage(
        image=image,
        name=short,
        state=StageState.CACHED,
        base=base or PreviousStage(),
        work=work,
        digest=digest(key or name),
        content_digest=ContentDigest(digest(f"content {key or name}")),
        stored=stored(key or name, *layers, built_at=built_at),
    )


def unknown(name: str, *, work: StageWork = METADATA) -> PlannedStage:
    """A stage `IMAGE/NAME` whose digest waits for an import's checksum."""
    image, _, short = name.rpartition("/")
    return PlannedStage(
        image=image,
        name=short,
        state=StageState.UNKNOWN,
        base=PreviousStage(),
        work=work,
        question=ImportChecksum(id="0" * 64, source_image="tools"),
    )


def image(
    *stages: PlannedStage, block_of: str = "", final: bool = True, needs: Sequence[str] = ()
) -> PlannedImage:
    """The image of these stages."""
    return PlannedImage(
        name=stages[0].image,
        stages=stages,
        final=final,
        block_of=block_of,
        depends_on=tuple(needs),
    )


def plan(*images: PlannedImage, sets: Sequence[Sequence[str]] = ()) -> BuildPlan:
    """The plan of these images, one set if nothing else is said."""
    names = tuple(one.name for one in images if not one.block_of)
    return BuildPlan(
        project="shop", sets=tuple(tuple(one) for one in sets) or (names,), images=images
    )


def importing(source: str, *, source_id: str = "ab" * 32, stage: str = "") -> PlannedImport:
    """An import of `/bin` from another image."""
    return PlannedImport(
        import_=Import(image=source, stage=stage, before="install", add="/bin", to="/opt/bin"),
        source=source,
        import_id="12" * 32,
        source_id=source_id,
    )


def taking(source: str, **values: str) -> PlannedDependency:
    """Values of another image; none: it is not stored yet."""
    tag = StageID(digest=digest(source), timestamp=1000)
    return PlannedDependency(
        dependency=Dependency(image=source),
        reference=f"registry.example.com/shop:{tag}" if values else "",
        values=values,
    )


def copying(source: str, *, external: bool = False) -> StageWork:
    """A Dockerfile block with `COPY --from=source /bin /opt`."""
    instruction = Instruction(
        keyword="COPY",
        args=("/bin", "/opt"),
        flags=(f"--from={source}",),
        original=f"COPY --from={source} /bin /opt",
    )
    step = BlockStep(instruction=instruction, source=CopySource(image=source, external=external))
    return StageWork(
        block=DockerfileBlock(
            steps=(step,), context="", dockerfile="Dockerfile", dockerignore="", commit="c" * 40
        )
    )


def instruction(*keywords: str) -> StageWork:
    """A part of a Dockerfile block."""
    steps = tuple(BlockStep(instruction=Instruction(keyword=word)) for word in keywords)
    return StageWork(
        block=DockerfileBlock(
            steps=steps, context="", dockerfile="Dockerfile", dockerignore="", commit="c" * 40
        )
    )


def failed(*, final: bool, message: str = "exit status 2") -> StageResult:
    """A Job's report of a failure: the user's, or the infrastructure's."""
    reason = Reason.STAGE_FAILED if final else Reason.STAGE_EVICTED
    return StageResult(failure=Failure(reason=reason, message=message, final=final))


def job(  # noqa: PLR0913 - a Job has many sides, each case names a few
    *keys: str,
    parent: str = "",
    result: StageResult | None = None,
    phase: JobPhase = JobPhase.RUNNING,
    attempt: int = 0,
    exports: Mapping[str, str] | None = None,
    owner: str = OWNER,
    run_id: str = RUN,
    created: float = 5,
    finished: float | None = None,
    waiting: tuple[Reason, str] | None = None,
    deleting: bool = False,
    commit: str = "",
) -> ObservedJob:
    """A Job that builds the stages of these digests; times are seconds before NOW."""
    what = "-".join(keys) or "export"
    return ObservedJob(
        name=f"{what.replace('/', '-')}-{attempt}",
        uid=f"uid-{what}-{attempt}",
        owner_uid=owner,
        run_id=run_id,
        attempt=attempt,
        digests=tuple(str(digest(key)) for key in keys),
        contents=tuple(
            str(digest(f"content {key}@{commit}" if commit else f"content {key}")) for key in keys
        ),
        parent=parent,
        exports=exports or {},
        phase=phase,
        created_at=when(created),
        started_at=when(created),
        finished_at="" if finished is None else when(finished),
        result=result or StageResult(),
        waiting_reason=waiting[0] if waiting else None,
        waiting=waiting[1] if waiting else "",
        deleting=deleting,
    )


def lost(*keys: str, attempt: int = 0, finished: float = 1000, **more: str) -> ObservedJob:
    """A Job whose pod was evicted."""
    return job(
        *keys,
        phase=JobPhase.ENDED,
        result=failed(final=False),
        attempt=attempt,
        finished=finished,
        created=finished + 60,
        parent=more.get("parent", ""),
        owner=more.get("owner", OWNER),
        run_id=more.get("run_id", RUN),
    )


def export_result(name: str = "files", checksum: str = "") -> ExportResult:
    """A pushed bundle."""
    return ExportResult(layer=layer(name), checksum=checksum)


def bundle(name: str = "files", taken_from: str = "") -> Bundle:
    """A recorded bundle."""
    return Bundle(layer=layer(name), source_stage_id=taken_from)


def situation(
    planned: BuildPlan,
    *jobs: ObservedJob,
    bundles: Mapping[str, Bundle] | None = None,
    fuse: bool = False,
    slots: int = 5,
    retry_limit: int = 2,
    now: datetime = NOW,
) -> Situation:
    """A situation in the middle of a run of OWNER."""
    return Situation(
        plan=planned,
        jobs=jobs,
        bundles=bundles or {},
        owner_uid=OWNER,
        run_id=RUN,
        fuse=fuse,
        slots=slots,
        retry_limit=retry_limit,
        started_at=STARTED,
        now=now,
    )


def view(decision: Decision, name: str) -> StageView:
    """The view of the stage `IMAGE/NAME`."""
    image_name, _, short = name.rpartition("/")
    return decision.views[image_name, short]


def states(decision: Decision) -> dict[str, str]:
    """Every stage's state."""
    return {f"{key[0]}/{key[1]}": seen.state.value for key, seen in decision.views.items()}


EXTERNAL = ExternalBase(reference="debian:12")
