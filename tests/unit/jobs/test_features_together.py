"""Features of werf.yaml together: from the text to the last stored stage, with every Job written down as it would be made."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.jobs.test_manifest import SETTINGS, build
from tests.unit.jobs.test_task import read
from tests.unit.jobs.values import NOW, OWNER, RUN, layer, sha

from conveyor.config.parse import parse
from conveyor.jobs import exports as files
from conveyor.jobs.decide import decide
from conveyor.jobs.decision import PublishStage, RecordExport, Situation, StartJob
from conveyor.jobs.image import stage_config
from conveyor.jobs.manifest import job
from conveyor.jobs.model import (
    Bundle,
    ExportResult,
    JobOrder,
    JobPhase,
    ObservedJob,
    ParentImage,
    RunResult,
    StageResult,
)
from conveyor.jobs.repositories import repositories
from conveyor.jobs.task import Surroundings, tasks
from conveyor.plan.answers import (
    Answer,
    BaseImage,
    ImportRecord,
    StageDesc,
    StageID,
)
from conveyor.plan.facts import Facts
from conveyor.plan.image_config import entrypoint, image_labels
from conveyor.plan.model import BuildPlan, ImageBase, PlannedStage, StageState
from conveyor.plan.planner import plan
from conveyor.plan.questions import (
    BaseImageInfo,
    ContextChecksum,
    FileText,
    ImportChecksum,
    PathKind,
    Question,
    StageInfo,
    TreeChecksum,
)

BASE = ParentImage(
    manifest_digest=sha("base"),
    config={"config": {"Env": ["A=1"], "Entrypoint": ["/old"]}},
    layers=(),
)
DOCKERFILE = "FROM debian:12\nARG LIB\nRUN echo $LIB\nCOPY . /src\n"


class World:
    """A repository without anything, and a cluster in which every Job ends well at once."""

    def __init__(self, text: str, *, fuse: bool) -> None:
        self.config = parse("configVersion: 1\nproject: shop\n---\n" + text)
        self.fuse = fuse
        self.stored: dict[StageID, tuple[StageDesc, ParentImage]] = {}
        self.bundles: dict[str, Bundle] = {}
        self.jobs: list[ObservedJob] = []
        self.orders: list[tuple[JobOrder, dict[str, Any], dict[str, Any]]] = []
        self.build = build(execution="ImagePerJob" if fuse else "StagePerJob")

    def plan(self) -> BuildPlan:
        known: dict[Question, Answer] = {}
        for _ in range(50):
            listed: dict[Any, tuple[int, ...]] = {}
            for one in sorted(self.stored):
                listed[one.digest] = (*listed.get(one.digest, ()), one.timestamp)
            found = plan(
                self.config,
                Facts(commit="c" * 40, repo="registry.example/shop", stages=listed, answers=known),
            )
            if isinstance(found, BuildPlan):
                return found
            known |= {question: self.reply(question) for question in found}
        raise AssertionError("questions without end")

    def reply(self, question: Question) -> Answer:
        match question:
            case StageInfo():
                return self.stored[question.id][0]
            case ImportChecksum():
                bundle = self.bundles.get(f"import-metadata-{question.id}")
                return bundle and ImportRecord(checksum=bundle.checksum, source_stage_id="")
            case BaseImageInfo():
                return BaseImage(digest=sha("base"), id=sha("id"), config={"Env": ["A=1"]})
            case FileText():
                return DOCKERFILE if question.path == "Dockerfile" else None
            case PathKind():
                return "directory"
            case TreeChecksum() | ContextChecksum():
                return "c" * 64
        raise TypeError(question)

    def run(self) -> BuildPlan:
        for _ in range(100):
            result = self.plan()
            if all(image.ready for image in result.images):
                return result
            decision = decide(
                Situation(
                    plan=result,
                    jobs=tuple(self.jobs),
                    bundles=self.bundles,
                    owner_uid=OWNER,
                    run_id=RUN,
                    fuse=self.fuse,
                    slots=50,
                    retry_limit=0,
                    started_at=NOW,
                    now=NOW + timedelta(minutes=5),
                )
            )
            assert decision.actions, {view: it.state for view, it in decision.views.items()}
            for action in decision.actions:
                match action:
                    case StartJob():
                        self.start(result, action)
                    case PublishStage():
                        self.publish(result, action)
                    case RecordExport():
                        self.record(result, action)
        raise AssertionError("no end")

    def parent(self, result: BuildPlan, stage: PlannedStage) -> ParentImage:
        image = result.image(stage.image)
        index = image.stages.index(stage)
        base = image.stages[0].base
        before = image.stages[index - 1].stored if index else None
        if not index and isinstance(base, ImageBase):
            before = result.image(base.image).stages[-1].stored
        return self.stored[before.id][1] if before else BASE

    def start(self, result: BuildPlan, action: StartJob) -> None:
        if action.stages:
            parent = self.parent(result, action.stages[0])
        elif action.exports[0].external:
            parent = BASE
        else:
            source = files.source_stage(action.exports[0], result).stored
            assert source is not None
            parent = self.stored[source.id][1]
        order = JobOrder(
            image=action.image,
            stages=action.stages,
            parent=parent,
            execution="r@" + sha("e"),
            exports=action.exports,
            bundles=self.bundles,
            attempt=action.attempt,
        )
        around = Surroundings(
            repo="registry.example/shop", git=repositories(order, self.build.spec)
        )
        told = tasks(order, result, around)
        body = job(order, self.build, SETTINGS, told)
        self.orders.append((order, read(told.stage), body))
        notes: Mapping[str, str] = body["metadata"]["annotations"]  # type: ignore[index,assignment]
        exported = json.loads(notes["conveyor.dev/exports"])
        name = f"job-{len(self.jobs)}"
        runs = tuple(
            RunResult(layers=tuple(layer(f"{name}-{n}-{m}") for m in range(len(run["layers"]))))
            for n, run in enumerate(read(told.stage)["runs"])
        )
        results = {
            local: ExportResult(layer=layer(f"{name}-{local}"), checksum="d" * 32)
            for local in exported
        }
        self.jobs.append(
            ObservedJob(
                name=name,
                uid=name,
                owner_uid=OWNER,
                run_id=RUN,
                attempt=action.attempt,
                digests=tuple(str(stage.digest) for stage in action.stages),
                contents=tuple(str(stage.content_digest) for stage in action.stages),
                parent=parent.manifest_digest,
                exports=exported,
                phase=JobPhase.ENDED,
                created_at="",
                result=StageResult(runs=runs, exports=results),
            )
        )

    def publish(self, result: BuildPlan, action: PublishStage) -> None:
        stage = action.stage
        assert stage.digest is not None
        parent = self.parent(result, stage)
        config = stage_config(
            stage, parent, action.result, project_commit="c" * 40, created="2024-01-01T00:00:00Z"
        )
        one = StageID(digest=stage.digest, timestamp=1_800_000_000_000 + len(self.stored))
        added = action.result.changed if action.result else ()
        layers = (*parent.layers, *({"digest": it.digest} for it in added))
        image = ParentImage(
            manifest_digest=sha(str(one)), config=config, layers=layers, stage_id=str(one)
        )
        desc = StageDesc(
            id=one,
            manifest_digest=image.manifest_digest,
            image_id=sha(f"id {one}"),
            labels=image_labels(config),
            layers=tuple(str(it["digest"]) for it in layers),
            entrypoint=entrypoint(config),
        )
        self.stored[one] = (desc, image)

    def record(self, result: BuildPlan, action: RecordExport) -> None:
        source = files.source_stage(action.export, result).stored
        self.bundles[action.export.key] = Bundle(
            layer=action.result.layer,
            checksum=action.result.checksum,
            source_stage_id=str(source.id) if source else "",
        )

    def config_of(self, result: BuildPlan, image: str) -> Mapping[str, Any]:
        last = result.image(image).stages[-1].stored
        assert last is not None
        return self.stored[last.id][1].config["config"]  # type: ignore[return-value]


ALL = """\
image: lib
from: debian:12
mount: [{from: tmp_dir, to: /cache}]
ansible: {install: [{command: make}], setup: [{command: done}]}
imageSpec: {config: {labels: {who: "%image%"}, removeLabels: ["/^werf.*/"]}}
---
image: app
fromImage: lib
git: [{add: /, to: /app, stageDependencies: {setup: ["*"]}}]
mount: [{from: tmp_dir, to: /more}]
import: [{image: lib, add: /out, to: /in, before: setup}]
dependencies:
- {image: lib, before: setup, imports: [{type: ImageDigest, targetEnv: LIB}]}
ansible: {install: [{command: a}], beforeSetup: [{command: b}], setup: [{command: c}]}
imageSpec: {config: {env: {B: "${LIB}"}, cmd: [run]}}
"""
CASES = {
    "values of a stage without files, for a Dockerfile": """\
image: lib
from: debian:12
shell: {setup: make}
imageSpec: {config: {clearEntrypoint: true}}
---
image: app
dockerfile: Dockerfile
dependencies: [{image: lib, imports: [{type: ImageName, targetBuildArg: LIB}]}]
imageSpec: {config: {labels: {"%project%": "%image%"}}}
""",
    "all of it in one image": ALL,
    "an artifact of ansible": """\
artifact: tools
from: debian:12
ansible: {install: [{command: make}], setup: [{command: done}]}
---
image: app
from: debian:12
import: [{artifact: tools, add: /out, to: /in, after: install}]
shell: {install: a, setup: b}
""",
    "fromLatest": """\
image: app
from: debian:12
fromLatest: true
shell: {beforeInstall: a, install: b, beforeSetup: c, setup: d}
""",
    "no git patches, and imageSpec": """\
image: app
from: debian:12
disableGitAfterPatch: true
git: [{add: /, to: /app}]
shell: {setup: a}
imageSpec: {config: {user: "12"}}
""",
    "a stapel image on a Dockerfile": """\
image: base
dockerfile: Dockerfile
imageSpec: {config: {labels: {a: b}}}
---
image: app
fromImage: base
mount: [{from: build_dir, to: /cache}]
dependencies: [{image: base, after: install, imports: [{type: ImageID, targetEnv: BASE}]}]
shell: {install: a, setup: b}
---
image: consumer
from: debian:12
import: [{image: base, add: /src, to: /src, before: install}, {image: app, add: /cache, to: /c, before: install}]
shell: {install: a}
""",
}


@pytest.mark.parametrize("fuse", [False, True])
@pytest.mark.parametrize("text", CASES.values(), ids=CASES)
def test_it_is_built_and_then_nothing_is_left_to_do(text: str, *, fuse: bool) -> None:
    world = World(text, fuse=fuse)
    result = world.run()
    again = world.plan()
    assert [image.stages for image in again.images] == [image.stages for image in result.images]
    assert all(s.state is StageState.CACHED for image in again.images for s in image.stages)


def test_values_and_mounts_of_all_of_it() -> None:
    world = World(ALL, fuse=True)
    result = world.run()
    lib = result.image("lib").stages[-1].stored
    assert lib is not None
    assert {f"LIB={lib.manifest_digest}", f"B={lib.manifest_digest}"} <= set(
        world.config_of(result, "app")["Env"]
    )
    setup = next(
        (order, task, body)
        for order, task, body in world.orders
        if [stage.name for stage in order.stages] == ["setup"] and order.image == "app"
    )
    assert setup[1]["env"]["LIB"] == lib.manifest_digest
    stage = setup[2]["spec"]["template"]["spec"]["containers"][0]
    points = {mount["mountPath"] for mount in stage["volumeMounts"]}
    assert {"/cache", "/more"} <= points
