"""FROM --platform: what each block runs on, what digests tell of it, what images of several platforms share."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"

import pytest
from tests.unit.plan.planned import until_planned
from tests.unit.plan.test_staged import values

from conveyor.api.errors import UserError
from conveyor.config.model import DockerfileImage, Meta, WerfConfig
from conveyor.plan.answers import BaseImage
from conveyor.plan.assume import answers_for, assume_built
from conveyor.plan.buildable import check_buildable, notes_of
from conveyor.plan.digest import sha256_args
from conveyor.plan.facts import Facts
from conveyor.plan.model import StageState
from conveyor.plan.questions import (
    BaseImageInfo,
    ContextChecksum,
    ContextHash,
    ContextListing,
    FileText,
)

AMD, ARM = "linux/amd64", "linux/arm64"
CROSS = """FROM --platform=$BUILDPLATFORM golang AS build
ARG TARGETARCH
RUN go build $TARGETARCH $BUILDARCH
FROM debian
COPY --from=build /out /out
"""
SHARED = "FROM --platform=$BUILDPLATFORM node AS site\nRUN make\nFROM debian\nCOPY --from=site /out /out\n"


class Project:
    """One Dockerfile for some platforms, and what is stored."""

    def __init__(self, text, *platforms, build=AMD, **fields):
        self.text, self.platforms, self.build_platform = text, platforms, build
        self.fields, self.triggers, self.stored = fields, {}, ()
        self.differ, self.asked = True, set()

    def plan(self, *, inner=False):
        image = DockerfileImage(
            name="app", dockerfile="Dockerfile", platforms=self.platforms, **self.fields
        )
        config = WerfConfig(meta=Meta(project="p"), images=(image,))
        stages = {stage.id.digest: () for stage in self.stored}
        for stage in self.stored:
            stages[stage.id.digest] += (stage.id.timestamp,)
        facts = Facts(
            commit="c" * 40,
            stages=stages,
            answers=answers_for(self.stored),
            repo="reg/p",
            build_platform=self.build_platform,
            heredocs_differ=self.differ,
        )
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
            case BaseImageInfo(reference=reference, platform=platform):
                digest = sha256_args(reference, platform)
                triggers = self.triggers.get(reference, [])
                return BaseImage(digest=digest, config={"OnBuild": triggers})
            case ContextChecksum() | ContextListing() | ContextHash():
                return sha256_args(*question.sources)
        raise AssertionError(question)

    def build(self, *, inner=False):
        """Build everything, blocks before what is built from them."""
        for moment in (1000, 2000, 3000):
            built = assume_built(self.plan(inner=inner), timestamp=moment)
            self.stored += tuple(one for one in built if one not in self.stored)

    def bases(self):
        return {(it.reference, it.platform) for it in self.asked if isinstance(it, BaseImageInfo)}


def digest(found, name):
    return found.image(name).stages[-1].digest


def environment(found, name, number):
    return found.image(name).stages[-1].work.block.steps[number].env


def test_a_block_runs_on_its_own_platform_and_keeps_the_arguments_of_the_image():
    project = Project(CROSS, ARM)
    found = project.plan()
    block, target = found.image("app/stage/build"), found.image("app")
    assert (block.platform, block.stages[-1].platform) == (AMD, AMD)
    assert (target.platform, target.stages[-1].platform) == (ARM, ARM)
    assert environment(found, "app/stage/build", -1) == {"TARGETARCH": "arm64"}
    assert project.bases() == {("golang", AMD), ("debian", ARM)}


def test_a_digest_is_that_of_an_image_of_the_blocks_platform_with_the_same_arguments():
    cross = digest(Project(CROSS, ARM).plan(), "app/stage/build")
    on_arm = Project(CROSS.replace("ARG TARGETARCH", "ARG TARGETARCH=arm64"), AMD, target="build")
    on_arm.fields["args"] = {"TARGETARCH": "arm64"}
    assert digest(on_arm.plan(), "app") == cross


def test_what_does_not_ask_for_the_target_is_built_once_for_all_platforms():
    project = Project(SHARED, AMD, ARM)
    found = project.plan()
    amd, arm = (found.image(f"app [{name}]/stage/site").stages[-1] for name in (AMD, ARM))
    assert (amd.digest, amd.content_digest) == (arm.digest, arm.content_digest)
    found = Project(CROSS, AMD, ARM).plan()
    assert digest(found, f"app [{AMD}]/stage/build") != digest(found, f"app [{ARM}]/stage/build")
    assert digest(found, f"app [{AMD}]") != digest(found, f"app [{ARM}]")


@pytest.mark.parametrize(
    "more",
    [
        "COPY --from=other:1 /a /a\n",
        "RUN --mount=from=other:1,target=/a x\n",
        "COPY --from=native /a /a\n",
        "RUN --mount=from=native,target=/a x\n",
    ],
)
def test_what_comes_from_an_image_of_the_target_platform_is_not_shared(more):
    text = "FROM debian AS native\nRUN n\n" + SHARED.replace("RUN make\n", f"RUN make\n{more}")
    found = Project(text, AMD, ARM).plan()
    assert digest(found, f"app [{AMD}]/stage/site") != digest(found, f"app [{ARM}]/stage/site")


def test_an_outside_image_that_files_are_taken_from_is_that_of_the_target_platform():
    text = SHARED.replace("RUN make", "COPY --from=other:1 /a /a\nRUN make")
    project = Project(text, ARM)
    found = project.plan(inner=True)
    assert project.bases() == {("node", AMD), ("debian", ARM), ("other:1", ARM)}
    copied = found.image("app/stage/site").stages[0].work.block.steps[-1].source
    assert copied.platform == ARM
    assert copied.image == f"other:1@{sha256_args('other:1', ARM)}"
    native = Project(SHARED.replace("RUN make", "COPY --from=other:1 /a /a"), AMD)
    assert (
        native.plan().image("app/stage/site").stages[-1].work.block.steps[-1].source.platform == ""
    )


def test_triggers_of_a_foreign_base_may_ask_for_the_target():
    project = Project(SHARED, AMD, ARM)
    project.triggers = {"node": ["ARG TARGETARCH"]}
    found = project.plan()
    assert digest(found, f"app [{AMD}]/stage/site") != digest(found, f"app [{ARM}]/stage/site")


def test_triggers_below_a_foreign_block_count_even_where_that_is_stored():
    text = SHARED.replace("FROM debian", "FROM site AS last\nRUN more\nFROM debian")
    project = Project(text.replace("--from=site", "--from=last"), AMD)
    project.triggers = {"node": ["ARG TARGETARCH"]}
    project.build()
    project.platforms = (ARM,)
    found = project.plan()
    states = {image.name: image.stages[-1].state for image in found.images}
    assert states == dict.fromkeys(("app/stage/site", "app/stage/last", "app"), StageState.TO_BUILD)


def test_bases_are_looked_up_only_as_far_as_something_is_built():
    project = Project(CROSS, ARM)
    project.build()
    assert project.plan().image("app").ready
    assert project.bases() == set()
    project.text = CROSS.replace("COPY", "RUN new\nCOPY")
    found = project.plan()
    assert found.image("app/stage/build").ready
    assert project.bases() == {("golang", AMD), ("debian", ARM)}


def test_inner_stages_are_those_of_the_blocks_platform():
    text = "FROM --platform=linux/arm64 a\nRUN b\nCMD c\n"
    inner, last = Project(text, AMD).plan(inner=True).image("app").stages
    assert inner.platform == last.platform == ARM
    assert [part.value for part in inner.components[:2]] == [ARM, "1.2"]
    # The target's own digest is werf's, of the image's platform.
    assert last.components[0].value == "1.2"
    assert (inner.work.image_platform, last.work.image_platform) == ("", AMD)


def test_an_image_whose_platform_nobody_wrote_is_what_its_base_is():
    found = Project("FROM --platform=arm64 a\nRUN b\n").plan().image("app")
    assert (found.platform, found.stages[-1].platform) == (AMD, ARM)
    assert found.stages[-1].work.image_platform == ""


def test_a_block_has_the_platform_of_the_block_it_starts_from():
    text = (
        "FROM --platform=$BUILDPLATFORM a AS base\nRUN 1\n"
        "FROM --platform=$TARGETPLATFORM base AS next\nRUN 2\n"
        "FROM --platform=$BUILDPLATFORM scratch AS empty\nCOPY --from=next / /\n"
        "FROM b\nCOPY --from=next /n /n\nCOPY --from=empty /e /e\n"
    )
    found = Project(text, ARM).plan()
    platforms = {image.name: image.stages[-1].platform for image in found.images}
    assert platforms == {
        "app/stage/base": AMD,
        "app/stage/next": AMD,
        "app/stage/empty": ARM,
        "app": ARM,
    }
    assert notes_of(found) == (
        "Dockerfile:3: --platform=$TARGETPLATFORM has no effect: base, which this stage starts from, is of linux/amd64",
        "Dockerfile:5: --platform=$BUILDPLATFORM has no effect: scratch, which this stage starts from, is of linux/arm64",
    )


def test_a_chain_of_many_blocks_is_followed_without_recursion():
    text = "FROM --platform=arm64 a AS s0\n" + "".join(
        f"FROM s{n} AS s{n + 1}\n" for n in range(450)
    )
    assert {image.stages[-1].platform for image in Project(text, AMD).plan().images} == {ARM}


@pytest.mark.parametrize("text", [CROSS, SHARED])
def test_what_runs_on_the_images_own_platform_has_the_digest_it_always_had(text):
    plain = text.replace("--platform=$BUILDPLATFORM ", "")
    one, other = (Project(it, AMD, build="").plan() for it in (text, plain))
    assert [digest(one, it.name) for it in one.images] == [
        digest(other, it.name) for it in other.images
    ]
    contents = [[it.stages[-1].content_digest for it in found.images] for found in (one, other)]
    assert contents[0] == contents[1]


def test_another_platform_of_a_block_is_not_overlooked():
    project = Project(
        "FROM --platform=linux/arm64 a AS x\nRUN b\nFROM c\nCOPY --from=x /o /o\n", AMD
    )
    project.build()
    assert project.plan().image("app").ready
    was = digest(project.plan(), "app")
    project.text = project.text.replace("arm64", "s390x")
    found = project.plan()
    assert [image.stages[-1].state for image in found.images] == [StageState.TO_BUILD] * 2
    assert digest(found, "app") == was
    project.differ = False  # as werf
    assert project.plan().image("app").ready


@pytest.mark.parametrize("inner", [True, False])
def test_everything_is_stored_after_a_build(inner):
    project = Project(CROSS, AMD, ARM)
    project.build(inner=inner)
    assert all(image.ready for image in project.plan(inner=inner).images)


@pytest.mark.parametrize(
    ("platform", "reason", "message"),
    [
        ("a/b/c/d", "InvalidDockerfile", "FROM --platform=a/b/c/d is no platform; write OS/ARCH"),
        ("$NO", "InvalidDockerfile", "FROM --platform=$NO is '', which is no platform; write"),
        ("windows/amd64", "NotSupported", "FROM --platform=windows/amd64 is not supported: stages"),
        ("${X:?give}", "InvalidDockerfile", "cannot expand '${X:?give}': X: give"),
    ],
)
@pytest.mark.parametrize("staged", [True, False])
def test_what_names_no_platform_is_refused(platform, reason, message, staged):
    with pytest.raises(UserError) as caught:
        Project(f"ARG X\nFROM --platform={platform} a\nRUN b\n", AMD, staged=staged).plan()
    assert caught.value.reason == reason
    assert caught.value.message.startswith(f"Dockerfile:2: {message}")


# --- staged -----------------------------------------------------------------------------------------------------------


def test_a_staged_block_runs_on_its_own_platform():
    project = Project(CROSS, ARM, staged=True)
    found = project.plan()
    block, target = found.image("app/stage/build"), found.image("app")
    assert [stage.platform for stage in block.stages] == [AMD]
    assert (block.platform, target.platform, target.stages[-1].platform) == (AMD, ARM, ARM)
    assert ("golang", AMD) in project.bases()
    hashed = values(block.stages[0])
    assert "TARGETARCH=arm64" in hashed
    check_buildable(found)


def test_staged_blocks_are_shared_unless_they_take_from_the_target_platform():
    text = SHARED.replace("RUN make", "RUN make\nRUN again")
    found = Project(text, AMD, ARM, staged=True).plan()
    amd, arm = (
        [it.digest for it in found.image(f"app [{p}]/stage/site").stages] for p in (AMD, ARM)
    )
    assert amd == arm
    text = text.replace("RUN again", "COPY --from=other:1 /a /a")
    found = Project(text, AMD, ARM, staged=True).plan()
    amd, arm = (
        [it.digest for it in found.image(f"app [{p}]/stage/site").stages] for p in (AMD, ARM)
    )
    assert not set(amd) & set(arm)


def test_a_staged_target_of_another_platform_is_refused_where_the_image_has_one():
    text = "FROM --platform=linux/arm64 a\nRUN b\n"
    with pytest.raises(
        UserError, match=r"Dockerfile:1: FROM --platform=linux/arm64 of the target of a"
    ):
        check_buildable(Project(text, AMD, staged=True).plan())
    check_buildable(Project(text, staged=True).plan())
