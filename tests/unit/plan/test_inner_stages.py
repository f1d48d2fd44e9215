"""Inner stages of a FROM block: what is reused, what each digest covers, what is not even asked."""

from dataclasses import replace

import pytest
from tests.unit.plan.planned import until_planned

from conveyor.config.model import DockerfileImage, Meta, WerfConfig
from conveyor.plan.answers import BaseImage
from conveyor.plan.assume import answers_for, assume_built
from conveyor.plan.digest import sha256_args
from conveyor.plan.facts import Facts
from conveyor.plan.model import BuildPlan, ExternalBase, ImageBase, PreviousStage, StageState
from conveyor.plan.planner import plan
from conveyor.plan.questions import (
    BaseImageInfo,
    ContextChecksum,
    ContextListing,
    FileText,
    ImageReference,
    StageInfo,
)

SERVICE = """FROM python:3
ARG LEVEL=1
WORKDIR /app
COPY requirements.txt .
RUN pip install -r requirements.txt
ENV A=1
COPY src src
RUN make LEVEL
USER 1000
CMD ["run"]
"""
NAMES = ["COPY3", "RUN4", "COPY6", "RUN7", "dockerfile"]


class Project:
    """One Dockerfile, its files by source, its base images, and what is stored."""

    def __init__(self, text=SERVICE, **fields):
        self.text = text
        self.fields = fields
        self.files = {"requirements.txt": "1", "src": "1"}
        self.bases = {}
        self.env = ["LANG=C"]
        self.platform = ""
        self.stored = ()
        self.asked = set()

    def plan(self, *, inner=True) -> BuildPlan:
        platforms = (self.platform,) if self.platform else ()
        image = DockerfileImage(
            name="app", dockerfile="Dockerfile", platforms=platforms, **self.fields
        )
        config = WerfConfig(meta=Meta(project="p"), images=(image,))
        stages = {stage.id.digest: (stage.id.timestamp,) for stage in self.stored}
        answers = answers_for(self.stored)
        facts = Facts(commit="c" * 40, stages=stages, answers=answers, repo="reg/p")
        asked = []
        try:
            return until_planned(config, facts, self.answer, asked, inner=inner)
        finally:
            self.asked = set().union(*asked)

    def answer(self, question):
        match question:
            case FileText(path="Dockerfile"):
                return self.text
            case FileText():
                return None
            case BaseImageInfo():
                digest = self.bases.get(question.reference, "sha256:1")
                return BaseImage(digest=digest, config={"Env": self.env}) if digest else None
            case ContextChecksum() | ContextListing():
                texts = (self.files.get(source.strip("./"), "") for source in question.sources)
                return sha256_args(type(question).__name__, *texts)
        raise AssertionError(question)

    def build(self, *names, timestamp=1_700_000_000_000):
        """Store stages of the present plan, all or those named."""
        built = assume_built(self.plan(), timestamp=timestamp + len(self.stored))
        digests = {stage.digest for stage in self.stages() if not names or stage.name in names}
        everything = {
            one.id.digest: one for one in built if names == () or one.id.digest in digests
        }
        self.stored += tuple(everything.values())

    def stages(self, name="app"):
        return self.plan().image(name).stages

    def states(self, name="app"):
        return [(stage.name, stage.state) for stage in self.stages(name)]

    def to_build(self):
        return [stage.name for stage in self.stages() if stage.state is not StageState.CACHED]


def test_a_slice_ends_with_run_copy_and_add_and_the_rest_is_the_stage_itself():
    found = Project().stages()
    assert [stage.name for stage in found] == NAMES
    assert [stage.inner for stage in found] == [True] * 4 + [False]
    steps = [[s.instruction.keyword for s in stage.work.block.steps] for stage in found]
    assert steps == [
        ["FROM", "ARG", "WORKDIR", "COPY"],
        ["RUN"],
        ["ENV", "COPY"],
        ["RUN"],
        ["USER", "CMD"],
    ]
    bases = [type(stage.base) for stage in found]
    assert bases == [ExternalBase] + [PreviousStage] * 4


def test_the_base_is_the_very_image_that_the_digests_name():
    assert Project().stages()[0].base == ExternalBase(reference="python:3", digest="sha256:1")


def test_a_block_of_one_instruction_is_one_stage():
    only = Project("FROM a\nENV B=1\nRUN c\n").stages()
    assert [(s.name, s.inner) for s in only] == [("dockerfile", False)]


def test_the_stage_dockerfile_has_the_digest_that_it_has_alone():
    project = Project()
    whole = project.plan(inner=False).image("app").stages
    assert [stage.name for stage in whole] == ["dockerfile"]
    assert project.stages()[-1].digest == whole[0].digest
    assert project.stages()[-1].content_digest == whole[0].content_digest


def test_nothing_of_a_stored_block_is_planned_or_asked():
    project = Project()
    project.build()
    project.files["src"] = "1"
    assert project.states() == [("dockerfile", StageState.CACHED)]
    kinds = {type(question) for question in project.asked}
    assert kinds == {FileText, ContextChecksum}


def test_only_the_last_stored_slice_is_looked_at():
    project = Project()
    project.build()
    project.text = SERVICE.replace("make", "make -j")
    assert project.states()[0] == ("COPY6", StageState.CACHED)
    known, project.stored = project.stored, ()
    # The same stages, but nobody has looked at them yet.
    answers = answers_for(known)
    stages = {stage.id.digest: (stage.id.timestamp,) for stage in known}
    image = DockerfileImage(name="app", dockerfile="Dockerfile")
    config = WerfConfig(meta=Meta(project="p"), images=(image,))
    facts = Facts(commit="c" * 40, stages=stages, repo="reg/p")
    looked: set[object] = set()
    found = plan(config, facts, inner=True)
    while isinstance(found, frozenset):
        looked |= {one for one in found if isinstance(one, StageInfo)}
        told = {q: answers[q] if isinstance(q, StageInfo) else project.answer(q) for q in found}
        facts = replace(facts, answers={**facts.answers, **told})
        found = plan(config, facts, inner=True)
    assert len(looked) == 1


@pytest.mark.parametrize(
    ("change", "rebuilt"),
    [
        (("make", "make -j"), ["RUN7", "dockerfile"]),
        (('CMD ["run"]', 'CMD ["go"]'), ["dockerfile"]),
        (("ENV A=1", "ENV A=2"), ["COPY6", "RUN7", "dockerfile"]),
        (("pip", "pip3"), ["RUN4", "COPY6", "RUN7", "dockerfile"]),
        (("WORKDIR /app", "WORKDIR /srv"), NAMES),
        (("FROM python:3", "FROM python:3 AS app"), []),
        (("ENV A=1", "# why\nENV A=1"), []),
        (("make LEVEL", "<<E\nmake\nE"), ["RUN7", "dockerfile"]),
        (("make LEVEL", '["make"]'), ["RUN7", "dockerfile"]),
        (("COPY src", "COPY --chown=1 src"), ["COPY6", "RUN7", "dockerfile"]),
    ],
    ids=[
        "last run",
        "config",
        "env",
        "first run",
        "workdir",
        "name",
        "comment",
        "heredoc",
        "exec form",
        "flag",
    ],
)
def test_a_changed_line_rebuilds_itself_and_what_follows(change, rebuilt):
    project = Project()
    project.build()
    project.text = SERVICE.replace(*change)
    assert project.to_build() == rebuilt


@pytest.mark.parametrize(
    ("source", "rebuilt"),
    [("src", ["COPY6", "RUN7", "dockerfile"]), ("requirements.txt", NAMES), ("other", [])],
)
def test_a_changed_file_rebuilds_its_copy_and_what_follows(source, rebuilt):
    project = Project()
    project.build()
    project.files[source] = "2"
    assert project.to_build() == rebuilt


def test_a_build_argument_rebuilds_from_the_first_run_that_has_it():
    project = Project(args={"LEVEL": "1"})
    project.build()
    project.fields["args"] = {"LEVEL": "2"}
    assert project.to_build() == ["RUN4", "COPY6", "RUN7", "dockerfile"]


def test_another_base_under_the_same_name_is_noticed_once_something_is_built():
    project = Project()
    project.build()
    project.bases["python:3"] = "sha256:2"
    assert project.to_build() == []
    project.text = SERVICE.replace('CMD ["run"]', "CMD go")
    assert project.to_build() == NAMES


def test_platforms_share_nothing():
    project = Project()
    amd = {stage.digest for stage in project.stages()}
    project.platform = "linux/arm64"
    assert amd.isdisjoint(stage.digest for stage in project.stages())


def test_a_failed_build_leaves_its_good_prefix():
    project = Project()
    project.build("COPY3", "RUN4")
    assert project.states() == [
        ("RUN4", StageState.CACHED),
        *((name, StageState.TO_BUILD) for name in NAMES[2:]),
    ]


def test_a_hole_in_what_is_stored_does_no_harm():
    project = Project()
    project.build("COPY6")
    assert project.to_build() == ["RUN7", "dockerfile"]


def test_without_knowing_the_base_slices_are_unknown_and_the_stage_itself_is_not():
    project = Project()
    project.bases["python:3"] = None
    states = [state for _, state in project.states()]
    assert states == [StageState.UNKNOWN] * 4 + [StageState.TO_BUILD]


TWO = """FROM golang AS builder
COPY src src
RUN go build
FROM alpine
RUN apk add x
COPY --from=builder /app /app
RUN /app --check
FROM scratch AS unused
COPY src src
"""


def test_what_another_block_makes_is_known_when_that_is_stored():
    project = Project(TWO, target="")
    project.text = TWO.replace("FROM scratch AS unused\nCOPY src src\n", "")
    assert project.states() == [
        ("RUN1", StageState.TO_BUILD),
        ("COPY2", StageState.UNKNOWN),
        ("dockerfile", StageState.TO_BUILD),
    ]
    waiting = project.stages()[1]
    assert waiting.question == ImageReference(image="app/stage/builder")
    project.build()
    assert project.states("app/stage/builder") == [("dockerfile", StageState.CACHED)]
    assert project.to_build() == ["COPY2", "dockerfile"]
    project.build()
    project.text = project.text.replace("--check", "--try")
    assert project.states() == [
        ("COPY2", StageState.CACHED),
        ("dockerfile", StageState.TO_BUILD),
    ]


def test_another_stored_stage_of_a_block_is_another_source():
    project = Project(TWO.replace("FROM scratch AS unused\nCOPY src src\n", ""))
    builder = "app/stage/builder"
    digests = []
    for timestamp in (1_700_000_000_000, 1_700_000_000_001):
        project.stored = ()
        built = assume_built(project.plan(), timestamp=timestamp)
        wanted = project.plan().image(builder).stages[-1].digest
        project.stored = tuple(one for one in built if one.id.digest == wanted)
        digests.append(project.stages()[1].digest)
    assert None not in digests
    assert digests[0] != digests[1]


ON_BLOCK = "FROM a AS base\nRUN one\nRUN two\nFROM base\nRUN three\nRUN four\n"


def test_a_block_on_a_block_is_known_before_that_is_stored():
    """So both can be built in one pod; what the slices are made from does not change when it is."""
    project = Project(ON_BLOCK)
    assert project.states("app/stage/base") == [
        ("RUN1", StageState.TO_BUILD),
        ("dockerfile", StageState.TO_BUILD),
    ]
    found = project.stages()
    assert [(s.name, s.state) for s in found] == [
        ("RUN1", StageState.TO_BUILD),
        ("dockerfile", StageState.TO_BUILD),
    ]
    assert found[0].base == ImageBase(image="app/stage/base")
    below = project.plan().image("app/stage/base").stages[-1]
    built = assume_built(project.plan(), timestamp=1_700_000_000_000)
    project.stored = tuple(one for one in built if one.id.digest == below.digest)
    assert [stage.digest for stage in project.stages()] == [stage.digest for stage in found]


@pytest.mark.parametrize("change", [("one", "uno"), ("two", "due"), ("FROM a", "FROM b")])
def test_a_changed_block_changes_what_is_on_it(change):
    before = Project(ON_BLOCK).stages()[0].digest
    assert Project(ON_BLOCK.replace(*change)).stages()[0].digest != before


def test_slices_on_a_block_serve_only_on_the_one_that_is_stored():
    """Those that are left of an earlier one may have been built on other files."""
    project = Project(ON_BLOCK)
    plan_ = project.plan()
    first, base = plan_.image("app").stages[0], plan_.image("app/stage/base").stages[-1]
    built = {
        one.id.digest: replace(one, labels={**one.labels, "werf.io/parent-stage-id": ""})
        for one in assume_built(plan_, timestamp=1_700_000_000_000)
    }

    def stored_at(stage, timestamp):
        one = built[stage.digest]
        return replace(one, id=replace(one.id, timestamp=timestamp))

    project.stored = (stored_at(first, 1_700_000_000_005),)
    assert project.to_build() == ["RUN1", "dockerfile"], "the block below is not stored at all"
    project.stored = (stored_at(first, 1_700_000_000_005), stored_at(base, 1_700_000_000_006))
    assert project.to_build() == ["RUN1", "dockerfile"]
    project.stored = (stored_at(first, 1_700_000_000_005), stored_at(base, 1_700_000_000_004))
    assert project.to_build() == ["dockerfile"]


def test_files_of_an_outside_image_are_those_of_the_very_image():
    project = Project("FROM a\nCOPY --from=busybox:1 /b /c\nRUN d\n")
    project.bases = {"busybox:1": "sha256:b"}
    project.build()
    first = project.plan(inner=True)
    assert first.image("app").ready
    project.text = project.text.replace("RUN d", "RUN e")
    assert project.to_build() == ["dockerfile"]
    project.bases["busybox:1"] = "sha256:c"
    found = project.stages()
    assert [stage.name for stage in found] == ["COPY1", "dockerfile"]
    (_, copy) = found[0].work.block.steps
    assert copy.source.image == "busybox:1@sha256:c"


# --- mounts of RUN ----------------------------------------------------------------------------------------------------

MOUNTS = """FROM python:3 AS tools
RUN a
FROM python:3
WORKDIR /app
ENV A=1
RUN --mount=source=src,target=. --mount=from=tools,source=/bin,target=/t b
RUN --mount=type=cache,target=/c c
WORKDIR /srv
RUN --mount=type=cache,target=/c d
RUN e
"""


def test_a_run_with_mounts_is_alone_with_what_changes_files():
    found = Project(MOUNTS).stages()
    steps = [[s.instruction.keyword for s in stage.work.block.steps] for stage in found]
    assert steps == [
        ["FROM", "WORKDIR", "ENV"],
        ["RUN"],
        ["RUN"],
        ["WORKDIR"],
        ["RUN"],
        ["RUN"],
    ]
    assert [len(stage.work.run_mounts) for stage in found] == [0, 2, 1, 0, 1, 0]


def test_what_a_run_binds_is_in_its_digest():
    waiting = Project(MOUNTS).stages()
    assert [stage.digest is None for stage in waiting] == [False, *[True] * 4, False]
    assert waiting[1].question == ImageReference(image="app/stage/tools")
    outside = MOUNTS.replace("from=tools", "from=tools:1")
    project = Project(outside)

    def changed():
        before = [stage.digest for stage in Project(outside).stages()]
        pairs = zip(before, project.stages(), strict=True)
        return [digest != stage.digest for digest, stage in pairs]

    assert not any(changed())
    project.files["src"] = "2"
    assert changed() == [False, *[True] * 5]
    project.files["src"] = "1"
    project.bases["tools:1"] = "sha256:2"
    assert changed() == [False, *[True] * 4, False]
