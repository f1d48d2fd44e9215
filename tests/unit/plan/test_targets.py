"""Images of several platforms: planned once for each, matched by platform, joined by an index."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from conveyor.config.model import (
    Dependency,
    DependencyImport,
    DockerfileImage,
    Import,
    Meta,
    Shell,
    StapelImage,
    WerfConfig,
)
from conveyor.config.model_image_config import ImageSpec
from conveyor.config.source_line import SourceLine
from conveyor.plan.answers import Answer, BaseImage, StageDesc
from conveyor.plan.assume import answers_for, assume_built
from conveyor.plan.facts import Facts
from conveyor.plan.model import BuildPlan, ImageBase, StageState
from conveyor.plan.planner import plan
from conveyor.plan.questions import BaseImageInfo, FileText, ImageReference, Question
from conveyor.plan.targets import indexes_of

AMD, ARM = "linux/amd64", "linux/arm64"
BOTH = (AMD, ARM)
COMMIT = "c" * 40
AT = SourceLine(line=4)


def config(*images: StapelImage | DockerfileImage) -> WerfConfig:
    return WerfConfig(meta=Meta(project="shop"), images=images)


def stapel(
    name: str = "app", *, platforms: tuple[str, ...] = BOTH, **fields: object
) -> StapelImage:
    return StapelImage(
        **{"name": name, "base": "debian:12", "at": AT, "platforms": platforms, **fields}
    )  # type: ignore[arg-type]


def planned(made: WerfConfig, answers: Mapping[Question, Answer] | None = None) -> BuildPlan:
    found = plan(made, Facts(commit=COMMIT, repo="r.example/x", answers=answers or {}))
    assert isinstance(found, BuildPlan), found
    return found


def digests(found: BuildPlan, name: str) -> list[str | None]:
    return [stage.digest for stage in found.image(name).stages]


def built(made: WerfConfig) -> BuildPlan:
    """The plan after everything that can be built was built."""
    stages: tuple[StageDesc, ...] = ()
    for _ in range(3):
        by_digest: dict[str, list[int]] = {}
        for stage in stages:
            by_digest.setdefault(stage.id.digest, []).append(stage.id.timestamp)
        facts = Facts(
            commit=COMMIT,
            repo="r.example/x",
            stages={digest: tuple(times) for digest, times in by_digest.items()},  # type: ignore[misc]
            answers=answers_for(stages),  # type: ignore[arg-type]
        )
        found = plan(made, facts)
        assert isinstance(found, BuildPlan), found
        stages += tuple(
            it for it in assume_built(found, timestamp=1_700_000_000_000) if it not in stages
        )
    return found


def test_every_platform_is_an_image_of_its_own_with_the_digests_of_that_platform_alone() -> None:
    found = planned(config(stapel()))
    assert [(it.name, it.image, it.platform) for it in found.images] == [
        ("app [linux/amd64]", "app", AMD),
        ("app [linux/arm64]", "app", ARM),
    ]
    assert found.sets == (("app",),)
    for platform in BOTH:
        alone = planned(config(stapel(platforms=(platform,))))
        assert digests(alone, "app") == digests(found, f"app [{platform}]")
    assert digests(planned(config(stapel(platforms=()))), "app") == digests(
        found, "app [linux/amd64]"
    )


def test_the_nameless_image_has_platforms_too() -> None:
    names = [(it.name, it.image) for it in planned(config(stapel(name=""))).images]
    assert names == [("~ [linux/amd64]", ""), ("~ [linux/arm64]", "")]


@pytest.mark.parametrize("platforms", [BOTH, (ARM,)])
def test_images_match_by_platform(platforms: tuple[str, ...]) -> None:
    taken = Import(image="tools", before="install", add="/bin", to="/bin")
    given = Dependency(
        image="tools", imports=(DependencyImport(type="ImageName", target="T"),), before="setup"
    )
    web = stapel(
        "web",
        platforms=platforms,
        base="tools",
        base_internal=True,
        imports=(taken,),
        dependencies=(given,),
        shell=Shell(commands={"install": ("x",)}),
    )
    found = planned(config(stapel("tools"), web))
    for platform in platforms:
        one = found.image(f"web [{platform}]" if len(platforms) > 1 else "web")
        source = f"tools [{platform}]"
        assert one.stages[0].base == ImageBase(image=source)
        assert set(one.depends_on) == {source}
        imports = [it for stage in one.stages for it in stage.work.imports]
        assert [(it.source, it.import_.image) for it in imports] == [(source, "tools")]
    waiting = planned(config(stapel("tools"), replace(web, imports=())))
    (one, *_) = [it for it in waiting.images if it.image == "web" and it.platform == ARM]
    question = next(stage.question for stage in one.stages if stage.question)
    assert question == ImageReference(image="tools [linux/arm64]")


def test_values_are_those_of_the_platforms_image() -> None:
    given = Dependency(
        image="tools", imports=(DependencyImport(type="ImageName", target="T"),), before="setup"
    )
    found = built(config(stapel("tools"), stapel("web", dependencies=(given,))))
    for platform in BOTH:
        last = found.image(f"tools [{platform}]").stages[-1].stored
        (value,) = [
            it.values["T"]
            for stage in found.image(f"web [{platform}]").stages
            for it in stage.work.dependencies
        ]
        assert last is not None
        assert value == f"r.example/x:{last.id}"


def answered(text: str, *bases: str) -> dict[Question, Answer]:
    """Answers about a Dockerfile and its bases."""
    answers: dict[Question, Answer] = {
        FileText(repo="own", commit=COMMIT, path="Dockerfile"): text,
        FileText(repo="own", commit=COMMIT, path="Dockerfile.dockerignore"): None,
        FileText(repo="own", commit=COMMIT, path=".dockerignore"): None,
    }
    for base in bases:
        for platform in BOTH:
            question = BaseImageInfo(reference=base, platform=platform)
            answers[question] = BaseImage(digest="", id="", config={})
    return answers


def test_blocks_of_a_dockerfile_belong_to_their_platform() -> None:
    text = "FROM golang:1 AS build\nRUN make\nFROM alpine:3\nCOPY --from=build /a /a\nCOPY --from=busybox:1 /b /b\n"
    app = DockerfileImage(name="app", dockerfile="Dockerfile", at=AT, platforms=BOTH)
    found = planned(config(app), answered(text, "golang:1", "alpine:3"))
    assert [(it.name, it.image, it.block_of) for it in found.images] == [
        (f"app [{AMD}]/stage/build", "app/stage/build", f"app [{AMD}]"),
        (f"app [{AMD}]", "app", ""),
        (f"app [{ARM}]/stage/build", "app/stage/build", f"app [{ARM}]"),
        (f"app [{ARM}]", "app", ""),
    ]
    target = found.image(f"app [{ARM}]")
    assert target.depends_on == (f"app [{ARM}]/stage/build",)
    assert target.stages[0].platform == ARM
    assert len({it.stages[0].digest for it in found.images}) == 4


def test_labels_have_the_name_of_werf_yaml() -> None:
    spec = ImageSpec(labels={"name": "%image%"})
    web = DockerfileImage(
        name="web", dockerfile="Dockerfile", at=AT, platforms=BOTH, image_spec=spec
    )
    found = planned(config(stapel(image_spec=spec), web), answered("FROM alpine:3\n", "alpine:3"))
    for name in ("app", "web"):
        for platform in BOTH:
            made = found.image(f"{name} [{platform}]").stages[-1].work.image_spec
            assert made is not None
            assert dict(made.labels) == {"name": name}


def test_files_of_external_images_have_records_by_platform() -> None:
    taken = Import(image="busybox:1", external=True, before="install", add="/bin", to="/bin")
    found = planned_with_open(
        config(stapel(imports=(taken,), shell=Shell(commands={"install": ("x",)})))
    )
    keys = {
        it.source_id
        for image in found.images
        for stage in image.stages
        for it in stage.work.imports
    }
    assert len(keys) == 2


def planned_with_open(made: WerfConfig) -> BuildPlan:
    """Plan with questions about imports answered by nobody."""
    found = plan(made, Facts(commit=COMMIT))
    assert not isinstance(found, BuildPlan)
    return planned(made, dict.fromkeys(found))


# --- the index --------------------------------------------------------------------------------------------------------


def test_an_index_waits_for_all_of_its_members() -> None:
    (index,) = indexes_of(planned(config(stapel())))
    assert (index.image, index.tag) == ("app", "")
    assert [member.platform for member in index.members] == [AMD, ARM]
    (index,) = indexes_of(built(config(stapel())))
    assert len(index.tag) == 56
    assert all(member.stages[-1].state is StageState.CACHED for member in index.members)
    (other,) = indexes_of(built(config(stapel(platforms=(ARM, AMD)))))
    assert other.tag == index.tag


def test_one_platform_or_an_image_that_is_not_final_has_no_index() -> None:
    images = (stapel("a", platforms=(ARM,)), stapel("b", final=False))
    assert indexes_of(planned(config(*images))) == ()
