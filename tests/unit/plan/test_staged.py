"""Staged Dockerfiles: names, references that have to be stored first, variables replaced twice, what is refused."""

import re

import pytest
from tests.unit.plan.planned import until_planned

from conveyor.api.dockerfile_mode import DockerfileMode
from conveyor.api.errors import UserError
from conveyor.config.model import DockerfileImage, Meta, WerfConfig
from conveyor.config.model_image_config import ImageSpec
from conveyor.plan.answers import BaseImage
from conveyor.plan.assume import answers_for, assume_built
from conveyor.plan.buildable import check_buildable
from conveyor.plan.chain import Chain
from conveyor.plan.digest import sha256_args
from conveyor.plan.facts import Facts
from conveyor.plan.inquiry import Inquiry
from conveyor.plan.model import BuildPlan, CopySource, ScratchBase, StageState
from conveyor.plan.questions import (
    BaseImageInfo,
    ContextHash,
    FileText,
    ImageReference,
)
from conveyor.plan.staged import staged_version
from conveyor.plan.staged_digest import go_duration

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def empty_chain(name):
    facts = Facts()
    return Chain(
        image=name,
        platform="linux/amd64",
        base=ScratchBase(),
        facts=facts,
        inquiry=Inquiry(facts),
    )


class Project:
    """One staged Dockerfile, and what is stored."""

    def __init__(self, text, *, env=(), version="v1", files=True, **fields):
        self.text, self.env, self.version, self.files = text, env, version, files
        self.mode, self.triggers = DockerfileMode.BUILDKIT, []
        image = DockerfileImage(name="app", dockerfile="Dockerfile", staged=True, **fields)
        self.config = WerfConfig(meta=Meta(project="p"), images=(image,))
        self.stored = ()
        self.asked = []
        self.differ = False

    def plan(self) -> BuildPlan:
        stages = {stage.id.digest: (stage.id.timestamp,) for stage in self.stored}
        facts = Facts(
            commit="c" * 40,
            stages=stages,
            answers=answers_for(self.stored),
            repo="reg/p",
            staged_version=self.version,
            dockerfile_mode=self.mode,
            heredocs_differ=self.differ,
        )
        return until_planned(self.config, facts, self.answer, self.asked)

    def build(self, timestamp):
        self.stored += assume_built(self.plan(), timestamp=timestamp)

    def answer(self, question):
        match question:
            case FileText(path="Dockerfile"):
                return self.text
            case FileText():
                return None
            case BaseImageInfo():
                config = {"Env": list(self.env), "OnBuild": self.triggers}
                return BaseImage(digest="sha256:1", config=config)
            case ContextHash():
                return sha256_args(*question.sources) if self.files else ""
        raise AssertionError(question)


def values(stage):
    """The arguments that were hashed to StageDependencies."""
    found = next(part for part in stage.components if part.label == "StageDependencies")
    return [part.value for part in found.parts]


def stages(text, **more):
    return Project(text, **more).plan().image("app").stages


def test_every_instruction_but_arg_is_a_stage_counted_from_one():
    names = [stage.name for stage in stages("FROM a\nARG X=1\nENV A=1\nARG Y\nrun b\nUSER 1\n")]
    assert names == ["ENV1", "RUN2", "USER3"]
    names = [stage.name for stage in stages("FROM a\nENV A=1\nRUN b\n", version="v2")]
    assert names == ["FROM1", "ENV2", "RUN3"]


def test_the_environment_of_a_run_is_base_env_and_arg():
    text = "ARG G=g\nFROM a\nARG G\nARG N\nARG D=$G\nENV P=$PATH:/x\nRUN b\n"
    found = stages(text, env=["LANG=C", "A=1"], args={"N": "n$LANG"})[-1]
    assert values(found)[1:8] == [
        *("A=1", "D=g", "G=g", "LANG=C", "N=nC", f"P={PATH}:/x", f"PATH={PATH}")
    ]


def test_what_is_escaped_is_replaced_by_the_second_pass():
    assert values(stages("FROM a\nENV A=\\$LANG B=\"'q'\"\n", env=["LANG=C"])[0]) == [
        *("Env", "A", "C", "B", "q")
    ]


def test_a_quote_that_the_first_pass_leaves_open_is_an_error():
    with pytest.raises(UserError, match=r"Dockerfile:2: cannot expand.*single quote"):
        stages('FROM a\nENV A="it\'s"\n')


def test_unknown_variables_stay_for_the_base_image_and_are_empty_then():
    found = stages("FROM a\nLABEL x=${LANG:-none} y=${ZZ:-none} z=$ZZ\n", env=["LANG=C"])
    assert values(found[0]) == ["Labels", "x", "C", "y", "none", "z", ""]


def test_ports_are_sorted_as_written():
    found = stages("FROM a\nENV P='90 70'\nEXPOSE 80 $P\n")
    assert values(found[-1]) == ["Ports", "90", "70", "80"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CMD echo a", ["Cmd", "echo a", "PrependShell", "true"]),
        ('CMD ["a", "b"]', ["Cmd", "a", "b", "PrependShell", "false"]),
        ('SHELL ["/bin/bash", "-c"]', ["Shell", "/bin/bash", "-c"]),
        ("ONBUILD RUN x  y", ["Expression", "RUN x  y"]),
        ("MAINTAINER a  b", ["Maintainer", "a  b"]),
        ("WORKDIR $HOME/x", ["Path", "/x"]),
        (
            "HEALTHCHECK --interval=90s --timeout=1500ms --retries=3 CMD a",
            [
                *("Test", "CMD-SHELL", "a", "Interval", "1m30s", "Timeout", "1.5s"),
                *("StartPeriod", "0s", "Retries", "3"),
            ],
        ),
        ("HEALTHCHECK NONE", ["Test", "NONE", "Interval", "0s", "Timeout", "0s", "StartPeriod", "0s", "Retries", "0"]),
        (
            "COPY --from=nginx:1 --chmod=0600 --chown=$U a b /c/",
            [
                *("From", "nginx:1", "Sources", "a", "b", "Dest", "/c/"),
                *("Chown", "", "Chmod", "0600", "ExpandedFrom", "nginx:1"),
            ],
        ),
    ],
)  # fmt: skip
def test_what_an_instruction_depends_on(text, expected):
    assert values(stages(f"FROM a\n{text}\n")[0]) == expected


def test_mounts_of_a_run():
    text = (
        "FROM a\nENV T=/t\n"
        "RUN --mount=type=cache,target=$T,id=k,uid=5 --mount=source=src,target=/s --network=none b\n"
    )
    found = values(stages(text)[-1])
    assert found[found.index("Network") :] == [
        *("Network", "none", "Security", "sandbox", "Mounts"),
        *("Type", "cache", "From", "", "Source", "", "Target", "/t", "ReadOnly", "false"),
        *("CacheID", "k", "CacheSharing", "", "Required", "false", "UID", "5"),
        *("Type", "bind", "From", "", "Source", "src", "Target", "/s", "ReadOnly", "true"),
        *("CacheID", "", "CacheSharing", "", "Required", "false"),
        *("SourcesChecksum", sha256_args("src")),
    ]


MULTI = "FROM a AS one\nENV X=1\nRUN one\nFROM one AS two\nRUN two\nFROM a\nCOPY --from=two /t /t\nUSER 1\n"


def test_what_names_another_stage_waits_until_that_is_stored():
    project = Project(MULTI)
    found = project.plan()
    assert [image.name for image in found.images] == ["app/stage/one", "app/stage/two", "app"]
    assert [image.final for image in found.images] == [False, False, True]
    assert found.image("app").depends_on == ("app/stage/two",)
    states = [(s.name, s.state, s.question) for image in found.images for s in image.stages]
    unknown, waits = StageState.UNKNOWN, ImageReference
    assert states == [
        ("ENV1", StageState.TO_BUILD, None),
        ("RUN2", StageState.TO_BUILD, None),
        ("RUN1", unknown, waits(image="app/stage/one")),
        ("COPY1", unknown, waits(image="app/stage/two")),
        ("USER2", unknown, waits(image="app/stage/two")),
    ]


def test_the_reference_of_a_stored_stage_is_hashed_as_a_whole():
    project = Project(MULTI)
    project.build(timestamp=5)
    one = project.plan().image("app/stage/one").stages[-1]
    two = project.plan().image("app/stage/two").stages[0]
    assert two.state is StageState.TO_BUILD
    assert two.components[-1].value == f"reg/p:{one.digest}-5"
    assert values(two)[:3] == ["Env", f"PATH={PATH}", "X=1"]  # ENV of the stage it starts from
    project.build(timestamp=6)
    copied = project.plan().image("app").stages[0]
    assert values(copied)[-1] == f"reg/p:{two.digest}-6"
    project.build(timestamp=7)
    assert all(image.ready for image in project.plan().images)


def test_version_2_binds_to_the_base_in_from():
    first = stages("FROM a\nUSER 1\n", version="v2", cache_version="s")[0]
    assert values(first) == ["BaseImageReference", "a", "ImageCacheVersion", "s"]
    assert [part.label for part in first.components][-1] == "StageDependencies"


def test_a_stage_without_instructions_needs_version_2():
    with pytest.raises(UserError, match=r"Dockerfile:1: no instruction after FROM.*=v2"):
        stages("FROM a\nARG X\n")
    assert [stage.name for stage in stages("FROM a\n", version="v2")] == ["FROM1"]


def test_sources_that_are_not_there():
    with pytest.raises(UserError, match="Dockerfile:2: COPY: absent is not in the build context"):
        stages("FROM a\nCOPY absent /\n", files=False)


def test_image_spec_is_a_stage_behind_all_others_of_the_target():
    text = "FROM a AS x\nRUN b\nFROM c\nCOPY --from=x /d /d\nUSER 1\n"
    project = Project(text, image_spec=ImageSpec(author="me"))
    found = project.plan()
    assert [stage.name for stage in found.image("app/stage/x").stages] == ["RUN1"]
    waiting = [(stage.name, stage.state) for stage in found.image("app").stages]
    assert waiting == [(it, StageState.UNKNOWN) for it in ("COPY1", "USER2", "imageSpec")]
    for moment in (1000, 2000):
        project.build(moment)
    assert project.plan().image("app").ready
    spec = project.plan().image("app").stages[-1]
    before = project.plan().image("app").stages[-2]
    assert [part.value for part in spec.components[-2:]] == [before.digest, ""]
    check_buildable(project.plan())


def test_what_cannot_be_built_is_refused_but_what_is_stored_serves():
    project = Project("FROM a\nUSER 1\nRUN --security=insecure b\n")
    with pytest.raises(UserError, match="Dockerfile:3: RUN --security=insecure is not") as caught:
        check_buildable(project.plan())
    assert caught.value.reason == "NotSupported"
    project.build(timestamp=1)
    check_buildable(project.plan())


@pytest.mark.parametrize(
    ("version", "first"), [("v1", [["FROM", "ENV"]]), ("v2", [["FROM"], ["ENV"]])]
)
def test_a_stage_executes_its_instruction_and_the_first_one_from(version, first):
    text = "FROM a AS b\nARG X=1\nENV A=$X\nRUN c\nFROM b\nCOPY --from=b d /e\n"
    project = Project(text, version=version)
    project.build(timestamp=1)
    found = project.plan().image("app/stage/b").stages
    steps = [[step.instruction.keyword for step in stage.work.block.steps] for stage in found]
    assert steps == [*first, ["RUN"]]
    env, run = found[-2].work.block.steps[-1], found[-1].work.block.steps[0]
    assert (env.instruction.args, run.env) == (("A", "1"), {"X": "1"})
    (copy,) = project.plan().image("app").stages[-1].work.block.steps[-1:]
    assert copy.source == CopySource(image="app/stage/b")


def test_versions_are_v1_and_v2():
    name = "WERF_STAGED_DOCKERFILE_VERSION"
    assert [staged_version(e) for e in ({}, {name: ""}, {name: "v2"})] == ["v1", "v1", "v2"]
    with pytest.raises(UserError, match="=v3 is unknown; known are v1 and v2"):
        staged_version({name: "v3"})


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5µs"),
        (2_000_000, "2ms"),
        (1_000_000_000, "1s"),
        (61_050_000_000, "1m1.05s"),
        (3_600_000_000_000, "1h0m0s"),
        (-1_500_000_000, "-1.5s"),
        (-1_500_000, "-1.5ms"),
    ],
)
def test_durations_are_printed_as_go_does(nanoseconds, text):
    assert go_duration(nanoseconds) == text


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("COPY <<A /x\n1\nA\n", "COPY <<A /x\n2\nA\n", False),
        ("RUN <<A\n#!1\nA\n", "RUN <<A\n#!2\nA\n", False),
        ("RUN <<A\n1\nA\n", "RUN <<A\n2\nA\n", True),
        ("COPY a /x\n", "COPY --exclude=b a /x\n", False),
        ("COPY a /x\n", "COPY --parents a /x\n", False),
        ("ADD a /x\n", "ADD --unpack=false a /x\n", False),
        ("COPY a /x\n", "COPY --link a /x\n", True),
    ],
)
def test_what_werf_does_not_see_is_in_the_digest(before, after, same):
    (first,), (second,) = stages(f"FROM a\n{before}"), stages(f"FROM a\n{after}")
    assert (values(first) == values(second)) is same


# --- dockerfileMode, ONBUILD ------------------------------------------------------------------------------------------

SEED = "FROM a AS base\nRUN b\nFROM base AS one\nRUN 1\nFROM base AS two\nARG X\nRUN 2\n"


def test_legacy_plans_every_block_up_to_the_target_in_order_with_the_same_digests():
    project = Project(SEED, target="two")
    buildkit = project.plan()
    project.mode = DockerfileMode.LEGACY
    legacy = project.plan()
    assert [one.name for one in buildkit.images] == ["app/stage/base", "app"]
    assert [one.name for one in legacy.images] == ["app/stage/base", "app/stage/one", "app"]
    assert legacy.image("app").stages[0].digest == buildkit.image("app").stages[0].digest
    assert legacy.image("app").depends_on == ("app/stage/base", "app/stage/one")
    assert [one.in_order for one in legacy.images] == [True] * 3
    told = [s.told for one in legacy.images for st in one.stages for s in st.work.block.steps]
    assert told == [
        *("Step 1/7 : FROM a", "Step 2/7 : RUN b", "Step 3/7 : FROM base", "Step 4/7 : RUN 1"),
        *("Step 5/7 : FROM base", "Step 7/7 : RUN 2"),
    ]


def test_legacy_has_nothing_to_do_when_the_target_is_stored():
    project = Project(SEED, target="two")
    for moment in (1000, 2000):
        project.build(moment)
    project.mode = DockerfileMode.LEGACY
    found = project.plan()
    assert [one.name for one in found.images] == ["app/stage/base", "app"]
    assert all(one.ready for one in found.images)


def executed(image):
    return [[step.instruction.keyword for step in one.work.block.steps] for one in image.stages]


@pytest.mark.parametrize(
    ("version", "steps"),
    [
        ("v1", [["FROM", "ENV", "RUN", "RUN"], ["LABEL"]]),
        ("v2", [["FROM", "ENV", "RUN"], ["RUN"], ["LABEL"]]),
    ],
)
def test_triggers_of_a_base_are_part_of_the_first_stage(version, steps):
    text = "FROM a\nARG X=1\nRUN b\nLABEL c=$T\n"
    project = Project(text, version=version)
    plain = project.plan().image("app")
    project.triggers = ["ARG Q", "ENV T=5", "RUN t"]
    found = project.plan().image("app")
    assert executed(found) == steps
    assert [one.digest for one in found.stages] == [one.digest for one in plain.stages]
    assert found.stages[-1].work.block.steps[0].instruction.args == ("c", "5")
    check_buildable(project.plan())


def test_triggers_of_a_block_run_where_something_starts_from_it():
    project = Project("FROM a AS x\nONBUILD RUN u\nFROM x\nRUN b\n")
    project.build(1000)
    found = project.plan()
    assert executed(found.image("app/stage/x")) == [["FROM", "ONBUILD"]]
    assert executed(found.image("app")) == [["FROM", "RUN", "RUN"]]
    check_buildable(found)


def test_a_trigger_may_copy_from_another_block():
    text = "FROM scratch AS files\nCOPY a /\nFROM scratch AS more\nCOPY b /\nFROM a\nRUN b\n"
    project = Project(text)
    project.triggers = ["COPY --from=files /a /a"]
    project.build(1000)
    found = project.plan()
    assert [one.name for one in found.images] == ["app/stage/files", "app"]
    assert found.image("app").depends_on == ("app/stage/files",)
    source = found.image("app").stages[0].work.block.steps[1].source
    assert source == CopySource(image="app/stage/files")


def test_other_triggers_under_the_same_digest_are_another_content():
    project = Project("FROM a\nRUN b\n")
    project.differ, project.triggers = True, ["RUN t"]
    project.build(1000)
    assert project.plan().image("app").ready
    project.triggers = ["RUN other"]
    found = project.plan().image("app")
    assert [one.state for one in found.stages] == [StageState.TO_BUILD]
    project.differ = False  # as werf, which does not look at them
    assert project.plan().image("app").ready


def test_a_trigger_with_mounts_needs_a_stage_of_its_own():
    project = Project("FROM a\nRUN b\n")
    project.triggers = ["RUN --mount=type=tmpfs,target=/t x"]
    said = "Dockerfile:1: FROM a runs its ONBUILD 'RUN --mount=type=tmpfs,target=/t x' with --mount cannot share"
    with pytest.raises(UserError, match=f"^{re.escape(said)}"):
        check_buildable(project.plan())
    project.version = "v2"
    check_buildable(project.plan())
