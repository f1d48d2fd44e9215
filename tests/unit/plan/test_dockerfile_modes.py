"""Going through the FROM blocks of a Dockerfile as BuildKit does, and as Docker's first builder did."""

from collections.abc import Mapping

import pytest
from tests.unit.plan.test_dockerfile import COMMIT, SEED, plan, words

from conveyor.api.dockerfile_mode import DockerfileMode
from conveyor.config.model import DockerfileImage, Meta, WerfConfig
from conveyor.plan.answers import Answer, BaseImage
from conveyor.plan.assume import answers_for, assume_built
from conveyor.plan.buildable import notes_of
from conveyor.plan.facts import Facts
from conveyor.plan.model import BuildPlan, PlannedImage
from conveyor.plan.planner import plan as plan_all
from conveyor.plan.questions import BaseImageInfo, FileText, Question, StageInfo

LEGACY = DockerfileMode.LEGACY


class World:
    """A repository with one Dockerfile, storage, and base images; counts who asks for them."""

    def __init__(self, text: str, **config: object) -> None:
        self.text, self.config = text, config
        self.heredocs_differ = True
        self.stored: dict[StageInfo, object] = {}
        self.asked: list[str] = []

    def plan(self, mode: DockerfileMode, target: str = "", *, inner: bool = False) -> BuildPlan:
        image = DockerfileImage(name="app", dockerfile="Dockerfile", target=target)
        config = WerfConfig(meta=Meta(project="p"), images=(image,))
        answers: dict[Question, Answer] = {}
        stages = {one.id.digest: (one.id.timestamp,) for one in self.stored}
        for _ in range(10):
            facts = Facts(
                commit=COMMIT,
                answers=answers,
                dockerfile_mode=mode,
                stages=stages,
                heredocs_differ=self.heredocs_differ,
            )
            found = plan_all(config, facts, inner=inner)
            if isinstance(found, BuildPlan):
                return found
            answers |= {question: self.answer(question) for question in found}
        raise AssertionError("questions without end")

    def answer(self, question: Question) -> Answer:
        match question:
            case FileText():
                return self.text if question.path == "Dockerfile" else None
            case BaseImageInfo():
                self.asked.append(question.reference)
                return BaseImage(digest="sha256:1", config=self.config)
            case StageInfo():
                return self.stored[question]  # type: ignore[return-value]
        raise AssertionError(question)

    def build(self, plan: BuildPlan, *names: str) -> None:
        """Have these blocks stored."""
        wanted = {str(plan.image(name).stages[0].digest) for name in names}
        all_built = answers_for(assume_built(plan, timestamp=1000))
        self.stored |= {key: one for key, one in all_built.items() if str(key.id.digest) in wanted}


def order(found: BuildPlan) -> Mapping[str, tuple[str, ...]]:
    return {one.name: one.depends_on for one in found.images if one.in_order}


def names(found: BuildPlan) -> list[str]:
    return [one.name for one in found.images]


def digests(rows: tuple[PlannedImage, ...]) -> dict[str, str]:
    return {one.name: str(one.stages[0].digest) for one in rows}


BASE, ONE, TWO = "app/stage/base", "app/stage/stage1", "app"


def test_both_modes_plan_the_same_digests_and_legacy_every_block_up_to_the_target() -> None:
    world = World(SEED)
    buildkit, legacy = (world.plan(mode, "stage2") for mode in DockerfileMode)
    assert names(buildkit) == [BASE, TWO]
    assert names(legacy) == [BASE, ONE, TWO]
    assert digests(buildkit.images).items() < digests(legacy.images).items()
    assert order(buildkit) == {}
    assert order(legacy) == {BASE: (), ONE: (BASE,), TWO: (BASE, ONE)}


def test_blocks_after_the_target_are_no_part_of_it() -> None:
    world = World(SEED)
    assert names(world.plan(LEGACY, "stage1")) == [BASE, TWO]
    assert names(world.plan(LEGACY, "base")) == ["app"]


def test_legacy_waits_for_the_last_block_that_is_not_stored() -> None:
    world = World("FROM a AS a\nRUN a\nFROM b AS b\nRUN b\nFROM c AS c\nRUN c\nFROM d\nRUN d\n")
    a, b, c = (f"app/stage/{name}" for name in "abc")
    first = world.plan(LEGACY)
    assert order(first) == {a: (), b: (a,), c: (b,), "app": (c,)}
    world.build(first, b)
    assert order(world.plan(LEGACY)) == {a: (), b: (a,), c: (a,), "app": (c,)}
    world.build(first, a)
    assert order(world.plan(LEGACY)) == {a: (), b: (), c: (), "app": (c,)}


def test_with_a_stored_target_nothing_is_built_in_either_mode() -> None:
    world = World(SEED)
    world.build(world.plan(LEGACY, "stage2"), "app")
    world.asked.clear()
    for mode in DockerfileMode:
        assert names(world.plan(mode, "stage2")) == ["app"]
    assert world.asked == []


def test_inner_stages_are_the_same_in_both_modes() -> None:
    world = World("FROM a\nRUN a\nENV B=1\nRUN b\nCMD c\n", OnBuild=["RUN t"])
    buildkit, legacy = (world.plan(mode, inner=True).images[0].stages for mode in DockerfileMode)
    assert [one.name for one in legacy] == ["RUN1", "RUN2", "RUN4", "dockerfile"]
    assert [one.digest for one in buildkit] == [one.digest for one in legacy]
    blocks = [one.work.block for one in legacy]
    assert [step.told for block in blocks if block for step in block.steps] == [
        "Step 1/5 : FROM a",
        "Trigger of a : RUN t",
        "Step 2/5 : RUN a",
        "Step 3/5 : ENV B=1",
        "Step 4/5 : RUN b",
        "Step 5/5 : CMD c",
    ]


def test_notes_of_all_blocks_are_told_with_the_target() -> None:
    world = World("FROM a AS a\nRUN a\nFROM a\nRUN b\n", OnBuild=["COPY x /"])
    found = world.plan(LEGACY)
    assert [len(one.stages[0].work.notes) for one in found.images] == [0, 1]
    assert "Dockerfile:1: FROM a runs its ONBUILD 'COPY x /'" in notes_of(found)[0]


def test_the_base_of_what_is_built_is_looked_up_for_its_triggers() -> None:
    world = World("FROM a AS a\nRUN a\nFROM b\nRUN b\n", OnBuild=["RUN x"])
    found = world.plan(DockerfileMode.BUILDKIT)
    assert world.asked == ["b"]
    (image,) = found.images
    block = image.stages[0].work.block
    assert block is not None
    assert [one.instruction.args[0] for one in block.steps] == ["b", "x", "b"]


def told(text: str, **more: object) -> list[str]:
    return [step.told for block in plan(text, mode=LEGACY, **more) for step in block.block.steps]  # type: ignore[arg-type]


def test_steps_are_numbered_through_the_file_up_to_the_target() -> None:
    text = "ARG X=1\nARG Y\nFROM alpine:3 AS a\nRUN one\nFROM a AS b\nCMD c\nFROM a\nRUN d\n"
    assert told(text, target="b") == [
        "Step 1/6 : ARG X=1\nStep 2/6 : ARG Y\nStep 3/6 : FROM alpine:3",
        "Step 4/6 : RUN one",
        "Step 5/6 : FROM a",
        "Step 6/6 : CMD c",
    ]
    assert told(text)[-1] == "Step 8/8 : RUN d"


def test_triggers_have_no_number_and_long_lines_an_end() -> None:
    text = "FROM alpine:3 AS a\nONBUILD RUN t\nFROM a\nRUN " + "x" * 1000 + "\n"
    *_, start, trigger, last = told(text)
    assert (start, trigger) == ("Step 3/4 : FROM a", "Trigger of a : RUN t")
    assert last == "Step 4/4 : RUN " + "x" * 495 + "…"


def test_nothing_is_told_as_buildkit() -> None:
    assert {step.told for block in plan(SEED) for step in block.block.steps} == {""}


@pytest.mark.parametrize(
    ("text", "target", "stage"),
    [
        ("FROM alpine:3 AS Last\nARG TARGETSTAGE\nLABEL s=$TARGETSTAGE\n", "", "last"),
        ("FROM alpine:3\nARG TARGETSTAGE\nLABEL s=$TARGETSTAGE\n", "", "default"),
        ("FROM alpine:3 AS x\nARG TARGETSTAGE\nLABEL s=$TARGETSTAGE\nFROM x\n", "x", "x"),
        ("FROM alpine:3\nLABEL s=$TARGETSTAGE\n", "", ""),
    ],
)
def test_targetstage(text: str, target: str, stage: str) -> None:
    assert words(text, target=target)[-1] == ("s", stage)


def test_targetstage_is_in_the_digest_of_what_declares_it() -> None:
    text = (
        "FROM alpine:3 AS a\nARG TARGETSTAGE\nRUN x\nFROM a AS one\nRUN 1\nFROM a AS two\nRUN 1\n"
    )
    one, two = (plan(text, target=target)[0] for target in ("one", "two"))
    assert one.digest_components[1].value == "ARG TARGETSTAGE=one"
    assert two.digest_components[1].value == "ARG TARGETSTAGE=two"
    assert one.block.steps[-1].env == {"TARGETSTAGE": "one"}
