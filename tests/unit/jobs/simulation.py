"""A cluster, a registry and other builders, small enough to be tried thousands of times.

In: a project (images, their bases and kinds of stages), a seed and how much may go wrong. Out: `World`, which plans as
the planner does, performs the decisions and moves on by chance. It checks what must hold at any time, above all that a
published stage has exactly the layers of the image that its commands ran on, and its own.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import assert_never

from tests.unit.jobs.values import (
    EXTERNAL,
    METADATA,
    NOW,
    OWNER,
    RUN,
    copying,
    digest,
    importing,
    instruction,
    layer,
    sha,
)

from conveyor.api.names import Reason
from conveyor.jobs import exports
from conveyor.jobs.assemblies import assemblies, bundles_of
from conveyor.jobs.decide import decide
from conveyor.jobs.decision import (
    Action,
    Decision,
    PublishStage,
    RecordExport,
    Situation,
    StartJob,
    StopJob,
)
from conveyor.jobs.model import (
    Assembly,
    AssemblyResult,
    Bundle,
    Export,
    ExportResult,
    Failure,
    JobPhase,
    ObservedJob,
    RunResult,
    StageResult,
)
from conveyor.jobs.outline import EMPTY
from conveyor.plan.answers import ContentDigest, StageDesc, StageID
from conveyor.plan.model import (
    Base,
    BuildPlan,
    ImageBase,
    PlannedImage,
    PlannedStage,
    PreviousStage,
    StageState,
    StageWork,
)
from conveyor.plan.questions import ImportChecksum

DEBIAN = (sha("debian"),)
PINNED = replace(EXTERNAL, digest=sha("debian"))
STEP = timedelta(seconds=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSpec:
    """One image: `base` and `source` are indexes of earlier images, None for an external base and for no import.

    The first `inner` stages are inner ones. A `block` is a FROM block of the last image's Dockerfile, as the last image then is.
    """

    kinds: tuple[str, ...]
    inner: int = 0
    base: int | None = None
    source: int | None = None
    block: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Luck:
    """What may go wrong.

    Attributes:
        faults: Evictions and deleted Jobs, in all.
        rivals: Stages that other builders store first, in all.
        fatal: Every n-th stage's commands fail; 0 for none.
        forgetful: The operator may restart between any two looks and lose what couriers reported.
        empty: Runs may change nothing.
        untold: Outlines may not tell enough.
    """

    faults: int = 0
    rivals: int = 0
    fatal: int = 0
    forgetful: bool = False
    empty: bool = False
    untold: bool = False


@dataclass(slots=True, kw_only=True)
class SimJob:
    """A Job as it really is."""

    name: str
    stages: tuple[str, ...]
    attempt: int
    parent: str
    below: tuple[str, ...]
    exports: dict[str, Export]
    created: datetime
    runs: list[RunResult] = field(default_factory=list)
    exported: dict[str, ExportResult | AssemblyResult | None] = field(default_factory=dict)
    assemblies: dict[str, tuple[Assembly, tuple[str, ...]]] = field(default_factory=dict)
    failure: Failure | None = None
    finished: datetime | None = None
    deleting: bool = False

    def layers_before(self, run: int) -> tuple[str, ...]:
        """The layers that this run finds below itself."""
        made = (one.digest for result in self.runs[:run] for one in result.changed)
        return self.below + tuple(made)


class World:
    """Everything outside of the operator."""

    def __init__(self, project: tuple[ImageSpec, ...], luck: Luck, seed: int) -> None:
        self.project = project
        self.luck = luck
        self.random = Random(seed)  # noqa: S311 - a simulation
        self.now = NOW
        self.stored: dict[str, StageDesc] = {}
        self.records: dict[str, Bundle] = {}
        self.jobs: dict[str, SimJob] = {}
        self.good_runs: Counter[str] = Counter()
        self.configs: set[str] = set()
        self.faults = luck.faults
        self.rivals = luck.rivals
        self.serial = 0

    # --- the planner --------------------------------------------------------------------------------------------------

    def plan(self, *, whole: bool = False) -> BuildPlan:
        """What the planner says now; `whole`: also what lies below stored inner stages."""
        images: list[PlannedImage] = []
        for index, spec in enumerate(self.project):
            image = self._image(index, spec, images)
            images.append(image if whole else _from_last_stored(image))
        sets = tuple((one.name,) for one in images)
        return BuildPlan(project="shop", sets=sets, images=tuple(images))

    def _image(self, index: int, spec: ImageSpec, images: list[PlannedImage]) -> PlannedImage:
        below = None if spec.base is None else images[spec.base].stages[-1]
        stages: list[PlannedStage] = []
        for number, kind in enumerate(spec.kinds):
            base: Base = PreviousStage()
            if number == 0:
                base = PINNED if spec.base is None else ImageBase(image=images[spec.base].name)
            stage = self._stage(index, number, kind, base, below, images)
            stages.append(stage)
            below = stage
        needs = {one for one in (spec.base, spec.source) if one is not None}
        return PlannedImage(
            name=f"i{index}",
            stages=tuple(stages),
            block_of=f"i{len(self.project) - 1}" * (spec.block and index < len(self.project) - 1),
            depends_on=tuple(images[one].name for one in sorted(needs)),
        )

    def _stage(
        self,
        index: int,
        number: int,
        kind: str,
        base: Base,
        below: PlannedStage | None,
        images: list[PlannedImage],
    ) -> PlannedStage:
        work = METADATA if kind == "config" else StageWork(commands=("make",))
        spec = self.project[index]
        if spec.block or (number <= spec.inner and spec.inner):
            work = instruction("CMD" if kind == "config" else "RUN")
        known = below is None or below.digest is not None
        source = self.project[index].source
        checksum = ""
        if kind == "import" and source is not None:
            last = images[source].stages[-1]
            source_id = (str(last.digest) + "0" * 8) if last.digest else ""
            work = StageWork(imports=(importing(images[source].name, source_id=source_id),))
            record = self.records.get(f"import-metadata-{source_id}")
            known = known and record is not None
            checksum = record.checksum if record else ""
        if kind == "copy" and source is not None:
            work = copying(images[source].name)
            checksum = str(images[source].stages[-1].digest)
            known = known and images[source].stages[-1].digest is not None
        key = f"{below.digest if below else ''}/{number}/{kind}/{checksum}"
        identity = digest(key) if known else None
        if kind == "config" and identity:
            self.configs.add(identity)
        stored = self.stored.get(str(identity))
        state = StageState.UNKNOWN if not known else StageState.TO_BUILD
        return PlannedStage(
            image=f"i{index}",
            name="dockerfile" if spec.block and number == len(spec.kinds) - 1 else f"s{number}",
            inner=number < self.project[index].inner,
            state=StageState.CACHED if stored else state,
            base=base,
            work=work,
            digest=identity,
            content_digest=ContentDigest(identity) if identity else None,
            stored=stored,
            question=None if known else ImportChecksum(id="", source_image=""),
        )

    def fatal(self, stage: str) -> bool:
        """Whether this stage's commands fail, always."""
        return bool(self.luck.fatal) and int(stage[:8], 16) % self.luck.fatal == 0

    # --- what the operator sees and does ------------------------------------------------------------------------------

    def observed(self) -> tuple[ObservedJob, ...]:
        """All Jobs; what a live one reported over HTTP may be forgotten."""
        return tuple(self._observed(one) for one in self.jobs.values())

    def _observed(self, sim: SimJob) -> ObservedJob:
        forgotten = not sim.finished and self.luck.forgetful and self.random.random() < 0.5
        result = StageResult(runs=tuple(sim.runs), exports=dict(sim.exported), failure=sim.failure)
        running = JobPhase.RUNNING if self.random.random() < 0.5 else JobPhase.PENDING
        return ObservedJob(
            name=sim.name,
            uid=f"uid {sim.name}",
            owner_uid=OWNER,
            run_id=RUN,
            attempt=sim.attempt,
            digests=sim.stages,
            contents=sim.stages,
            parent=sim.parent,
            parent_layers=len(sim.below),
            exports={local: export.key for local, export in sim.exports.items()}
            | {local: one.key for local, (one, _) in sim.assemblies.items()},
            phase=JobPhase.ENDED if sim.finished else running,
            created_at=sim.created.isoformat(),
            finished_at=sim.finished.isoformat() if sim.finished else "",
            result=StageResult() if forgotten else result,
            deleting=sim.deleting,
        )

    def live(self) -> list[SimJob]:
        """Jobs whose pods may still run."""
        return [one for one in self.jobs.values() if not one.finished]

    def look(self, *, fuse: bool, limit: int, retry_limit: int) -> Decision:
        """One look of an operator that has just been started: nothing but the world counts."""
        plan = self.plan()
        situation = Situation(
            plan=plan,
            jobs=self.observed(),
            bundles=dict(self.records),
            owner_uid=OWNER,
            run_id=RUN,
            fuse=fuse,
            slots=max(0, limit - len(self.live())),
            retry_limit=retry_limit,
            started_at=NOW,
            now=self.now,
            outlines={one.needs: EMPTY for one in assemblies(plan) if _is_known(one.needs)},
        )
        decision = decide(situation)
        assert decide(situation) == decision
        assert decide(replace(situation, slots=0)).failures == decision.failures
        starts = [action for action in decision.actions if isinstance(action, StartJob)]
        assert len(starts) <= situation.slots
        for action in decision.actions:
            self.perform(situation.plan, action)
        return decision

    def perform(self, plan: BuildPlan, action: Action) -> None:
        """Do what was decided."""
        match action:
            case StartJob():
                self._start(plan, action)
            case PublishStage():
                for one in action.all:
                    self._publish(plan, one)
            case RecordExport():
                self._record(plan, action)
            case StopJob():
                sim = self.jobs[action.job.name]
                assert not sim.finished
                sim.deleting = True
            case _:
                assert_never(action)

    def _below(self, plan: BuildPlan, stage: PlannedStage) -> StageDesc | None:
        image = plan.image(stage.image)
        at = image.stages.index(stage)
        if at:
            found = self.stored.get(str(image.stages[at - 1].digest))
            assert found, "a stage is looked at when its parent is stored"
            return found
        if isinstance(stage.base, ImageBase):
            found = self.stored.get(str(plan.image(stage.base.image).stages[-1].digest))
            assert found, "a stage is looked at when its base is stored"
            return found
        return None

    def _start(self, plan: BuildPlan, action: StartJob) -> None:
        stages = tuple(str(stage.digest) for stage in action.stages)
        claim = stages[0] if stages else action.exports[0].key
        name = f"{claim}-{action.attempt}"
        assert name not in self.jobs, "the name is taken"
        if action.stages:
            below = self._below(plan, action.stages[0])
            needed = [x for stage in action.stages for x in exports.exports_of(stage, plan)]
            assert all(export.key in self.records for export in needed), "not all inputs are there"
        else:
            below = self._source(plan, action.exports[0])
        layers = below.layers if below else DEBIAN
        for other in self.live():
            assert not self._same(other, stages, claim, layers), f"{other.name} builds it already"
        self.jobs[name] = SimJob(
            name=name,
            stages=stages,
            attempt=action.attempt,
            parent=below.manifest_digest if below else sha("debian"),
            below=layers,
            exports={f"e{number}": export for number, export in enumerate(action.exports)},
            assemblies={
                f"a{number}": (one, bundles_of(plan, one))
                for number, one in enumerate(action.assemblies)
            },
            created=self.now,
        )

    def _source(self, plan: BuildPlan, export: Export) -> StageDesc | None:
        return exports.source_stage(export, plan).stored

    def _same(
        self, other: SimJob, stages: tuple[str, ...], claim: str, layers: tuple[str, ...]
    ) -> bool:
        """Whether a live Job already does the very same."""
        if other.deleting:
            return False
        if not stages:
            return not other.stages and other.name.startswith(claim) and other.below == layers
        if stages[0] not in other.stages:
            return False
        run = other.stages.index(stages[0])
        return len(other.runs) >= run and other.layers_before(run) == layers

    def _publish(self, plan: BuildPlan, action: PublishStage) -> None:
        key = str(action.stage.digest)
        if key in self.stored:
            return  # two images share the stage, or somebody was faster: ours is discarded
        below = self._below(plan, action.stage)
        layers = below.layers if below else DEBIAN
        if action.job is not None and action.result is not None:
            sim = self.jobs[action.job.name]
            assert sim.stages[action.run] == key
            assert sim.layers_before(action.run) == layers, "built on another image"
            assert sim.runs[action.run] == action.result
            layers += tuple(one.digest for one in action.result.changed)
        elif action.result is not None:
            self._check_files(plan, action)
            if key not in self.configs:
                self.good_runs[key] += 1
            layers += tuple(one.digest for one in action.result.changed)
        self._store(key, layers)

    def _check_files(self, plan: BuildPlan, action: PublishStage) -> None:
        """What another Job has made is of files of the very image that is stored."""
        assert action.result is not None
        for sim in self.jobs.values():
            for local, (one, _) in sim.assemblies.items():
                made = sim.exported.get(local)
                if isinstance(made, AssemblyResult) and action.result in made.runs and made.runs:
                    source = plan.image(one.source).stages[-1].stored
                    if source and source.layers == sim.layers_before(len(sim.runs)):
                        return
        raise AssertionError("of files of another image")

    def _store(self, key: str, layers: tuple[str, ...]) -> None:
        assert key not in self.stored
        self.serial += 1
        self.stored[key] = StageDesc(
            id=StageID(digest=digest(key), timestamp=1_700_000_000_000 + self.serial),
            manifest_digest=sha(f"manifest {key} {layers}"),
            labels={},
            layers=layers,
        )

    def _record(self, plan: BuildPlan, action: RecordExport) -> None:
        source = self._source(plan, action.export)
        assert source is not None
        self.records[action.export.key] = Bundle(
            layer=action.result.layer,
            checksum=action.result.checksum,
            source_stage_id=str(source.id),
        )

    # --- chance -------------------------------------------------------------------------------------------------------

    def move(self) -> None:
        """Let some time pass."""
        self.now += STEP
        for sim in list(self.jobs.values()):
            if sim.deleting:
                del self.jobs[sim.name]
            elif not sim.finished and self.random.random() < 0.8:
                self._advance(sim)
        if self.rivals and self.random.random() < 0.3:
            self._rival()

    def _advance(self, sim: SimJob) -> None:
        if self.faults and self.random.random() < 0.2:
            self.faults -= 1
            if self.random.random() < 0.3:
                del self.jobs[sim.name]
            else:
                self._end(sim, Reason.STAGE_EVICTED, final=False)
            return
        if len(sim.runs) < len(sim.stages):
            self._run(sim)
            return
        if self._assembles(sim):
            return
        for local, export in sim.exports.items():
            if local not in sim.exported:
                self.serial += 1
                checksum = f"{int(export.key[-8:], 16):032x}" if export.checksum_id else ""
                sim.exported[local] = ExportResult(
                    layer=layer(f"files {self.serial}"), checksum=checksum
                )
                return
        sim.finished = self.now

    def _assembles(self, sim: SimJob) -> bool:
        """Whether it was time for a block of another image: made, or told that the outline does not tell enough."""
        for local, (one, bundles) in sim.assemblies.items():
            if local not in sim.exported:
                sim.exported[local] = self._assembled(one)
                if sim.exported[local]:
                    mine = {name for name, it in sim.exports.items() if it.key in bundles}
                    sim.exported |= dict.fromkeys(mine)
                return True
        return False

    def _assembled(self, one: Assembly) -> AssemblyResult | None:
        if self.luck.untold and self.random.random() < 0.3:
            return None
        runs = []
        for stage in one.stages:
            self.serial += 1
            copies = stage.work.block is not None and any(
                step.source for step in stage.work.block.steps
            )
            runs.append(RunResult(layers=(layer(f"layer {self.serial}"),) if copies else ()))
        return AssemblyResult(runs=tuple(runs))

    def _run(self, sim: SimJob) -> None:
        key = sim.stages[len(sim.runs)]
        if self.fatal(key):
            self._end(sim, Reason.STAGE_FAILED, final=True)
            return
        self.serial += 1
        if key in self.configs:  # it only came along
            sim.runs.append(RunResult(layers=()))
            return
        self.good_runs[key] += 1
        made = self.random.choice((0, 1, 2)) if self.luck.empty else 1
        layers = tuple(layer(f"layer {self.serial} {number}") for number in range(made))
        sim.runs.append(RunResult(layers=layers))

    def _end(self, sim: SimJob, reason: Reason, *, final: bool) -> None:
        sim.failure = Failure(reason=reason, message="it ended", final=final, run=len(sim.runs))
        sim.finished = self.now

    def _rival(self) -> None:
        """Another builder, with the same plan, stores a stage."""
        plan = self.plan()
        fronts = [front for image in plan.images if (front := self._frontier(plan, image))]
        if not fronts:
            return
        stage = self.random.choice(fronts)
        below = self._below(plan, stage)
        self.rivals -= 1
        self.serial += 1
        theirs = (sha(f"theirs {self.serial}"),)
        self._store(str(stage.digest), (below.layers if below else DEBIAN) + theirs)

    def _frontier(self, plan: BuildPlan, image: PlannedImage) -> PlannedStage | None:
        """The stage of an image that can be built now."""
        base = image.stages[0].base
        if isinstance(base, ImageBase) and not plan.image(base.image).ready:
            return None
        for stage in image.stages:
            if stage.state is StageState.TO_BUILD:
                return None if self.fatal(str(stage.digest)) else stage
            if stage.state is StageState.UNKNOWN:
                return None
        return None


def _is_known(key: str) -> bool:
    """Whether the outline is recorded: of most images."""
    return bool(key) and int(key[-2:], 16) % 4 != 0


def _from_last_stored(image: PlannedImage) -> PlannedImage:
    """The image without the stages below the last stored one of those that are inner, and the one behind them."""
    ends = [index for index, stage in enumerate(image.stages) if not stage.inner][:1]
    found = [at for at in range(ends[0] + 1) if image.stages[at].state is StageState.CACHED]
    if not found or not ends[0]:
        return image
    first = replace(image.stages[found[-1]], base=image.stages[0].base)
    return replace(image, stages=(first, *image.stages[found[-1] + 1 :]))
