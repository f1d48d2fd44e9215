"""`dependencies`: what is handed over, when it is known, and what waits for it."""

import pytest

from conveyor.config.model import (
    Dependency,
    DependencyImport,
    DockerfileImage,
    Meta,
    Shell,
    StapelImage,
    WerfConfig,
)
from conveyor.config.model_image_config import ImageSpec
from conveyor.plan.answers import BaseImage, StoredImage
from conveyor.plan.assume import answers_for, assume_built
from conveyor.plan.digest import sha256_args
from conveyor.plan.facts import Facts
from conveyor.plan.model import BuildPlan, ExternalBase, StageState
from conveyor.plan.planner import plan
from conveyor.plan.questions import BaseImageInfo, FileText, ImageReference

REPO = "registry.example.com/shop/stages"
LIB = StapelImage(name="lib", base="debian:12", shell=Shell(commands={"setup": ("make",)}))
TYPES = ("ImageName", "ImageTag", "ImageRepo", "ImageDigest", "ImageID")
DOCKERFILE = "ARG BASE=debian:12\nFROM ${BASE} AS tools\nFROM debian:12\nARG TAG\nRUN echo $TAG\n"


def dependency(*imports, image="lib", before=""):
    handed = tuple(DependencyImport(type=kind, target=target) for kind, target in imports)
    return Dependency(image=image, before=before, imports=handed)


def app(*dependencies, **fields):
    shell = Shell(commands={"install": ("a",), "setup": ("b",)})
    made = {"name": "app", "base": "debian:12", "shell": shell, "dependencies": dependencies}
    return StapelImage(**{**made, **fields})


def dockerfile(*dependencies, **fields):
    return DockerfileImage(name="app", dockerfile="Dockerfile", dependencies=dependencies, **fields)


def planned(*images, stages=(), repo=REPO, text=DOCKERFILE, **answers):
    """Plan with these stages stored; every file is the Dockerfile, every image has a digest."""
    config = WerfConfig(meta=Meta(project="shop"), images=images)
    known = {**answers_for(stages), **answers.get("answers", {})}
    listed = {}
    for stage in stages:
        listed[stage.id.digest] = (*listed.get(stage.id.digest, ()), stage.id.timestamp)
    facts = Facts(commit="c" * 40, repo=repo, stages=listed, answers=known)
    while isinstance(result := plan(config, facts), frozenset):
        known |= {question: reply(question, text) for question in result}
        facts = Facts(commit="c" * 40, repo=repo, stages=listed, answers=known)
    return result


def reply(question, text):
    match question:
        case FileText(path="Dockerfile"):
            return text
        case FileText():
            return None
        case BaseImageInfo():
            return BaseImage(digest=f"sha256:{1:064}", config={}, id=f"sha256:{2:064}")
    raise TypeError(question)


def built(result: BuildPlan, timestamp=1_700_000_000_000):
    return assume_built(result, timestamp=timestamp)


def last_of(result, image="lib"):
    stored = result.image(image).stages[-1].stored
    assert stored is not None
    return stored


def states(result, image="app"):
    return [(stage.name, stage.state.value) for stage in result.image(image).stages]


def test_stages_up_to_the_one_that_waits_are_known():
    result = planned(LIB, app(dependency(("ImageName", "LIB"), before="setup")))
    assert states(result) == [
        ("from", "ToBuild"),
        ("install", "ToBuild"),
        ("dependenciesBeforeSetup", "Unknown"),
        ("setup", "Unknown"),
    ]
    waiting = result.image("app").stages[2]
    assert waiting.question == ImageReference(image="lib")
    assert not waiting.work.dependencies[0].known
    assert result.image("app").stages[3].question == ImageReference(image="lib")
    assert result.image("app").depends_on == ("lib",)
    assert result.sets == (("lib",), ("app",))


def test_all_types_are_values_of_the_stored_last_stage():
    handed = dependency(*((kind, kind.upper()) for kind in TYPES), before="setup")
    first = planned(LIB, app(handed))
    second = planned(LIB, app(handed), stages=built(first))
    last = second.image("lib").stages[-1]
    assert last.name == "setup"
    assert last.stored is not None
    assert states(second)[2:] == [("dependenciesBeforeSetup", "ToBuild"), ("setup", "ToBuild")]
    stage = second.image("app").stages[2]
    (values,) = stage.work.dependencies
    tag = f"{last.digest}-1700000000000"
    assert values.values == {
        "IMAGENAME": f"{REPO}:{tag}",
        "IMAGETAG": tag,
        "IMAGEREPO": REPO,
        "IMAGEDIGEST": last.stored.manifest_digest,
        "IMAGEID": last.stored.image_id,
    }
    assert stage.work.labels == {
        "werf": "shop",
        f"werf-dependency-stage-id-{sha256_args(tag)}": tag,
    }


def test_the_digest_is_made_of_the_reference_and_of_what_is_asked_for():
    handed = dependency(("ImageTag", "TAG"), before="setup")
    result = planned(LIB, app(handed), stages=built(planned(LIB, app(handed))))
    dependencies = result.image("app").stages[2].components[2]
    assert [part.label for part in dependencies.parts] == [
        "Dependency",
        "ImageName",
        "DependencyImport",
        "DependencyImportID",
    ]
    assert dependencies.parts[1].value == f"{REPO}:{last_of(result).id}"
    assert dependencies.parts[3].value == sha256_args("Type", "ImageTag", "TargetEnv", "TAG")


def test_a_stage_stored_later_or_elsewhere_is_another_reference():
    handed = dependency(("ImageTag", "TAG"), before="setup")
    config = (LIB, app(handed))
    first = planned(*config)
    digests = {
        planned(*config, stages=built(first, timestamp), repo=repo).image("app").stages[2].digest
        for timestamp, repo in ((1000, REPO), (2000, REPO), (1000, "other.example.com/stages"))
    }
    assert len(digests) == 3
    assert None not in digests


def test_nothing_is_handed_over_while_a_stage_below_the_last_one_is_missing():
    handed = dependency(("ImageTag", "TAG"), before="setup")
    stages = built(planned(LIB, app(handed)))
    lib = planned(LIB, app(handed), stages=stages).image("lib")
    without = tuple(stage for stage in stages if stage.id.digest != lib.stages[0].digest)
    result = planned(LIB, app(handed), stages=without)
    assert states(result, "lib") == [("from", "ToBuild"), ("setup", "Cached")]
    assert result.image("app").stages[-1].state is StageState.UNKNOWN


def test_without_a_repository_nothing_is_known():
    handed = dependency(("ImageTag", "TAG"), before="setup")
    stages = built(planned(LIB, app(handed)))
    result = planned(LIB, app(handed), stages=stages, repo="")
    assert result.image("app").stages[2].question == ImageReference(image="lib")


def test_a_dependency_without_imports_is_hashed_too():
    bare = dependency(before="install")
    stages = built(planned(LIB, app(bare)))
    stage = planned(LIB, app(bare), stages=stages).image("app").stages[1]
    assert stage.name == "dependenciesBeforeInstall"
    assert [part.label for part in stage.components[2].parts] == ["Dependency", "ImageName"]


def test_somebody_who_knows_better_may_answer():
    handed = dependency(("ImageTag", "TAG"), before="setup")
    known = StoredImage(reference=f"registry:5000/x:{'ab' * 28}-5")
    result = planned(LIB, app(handed), answers={ImageReference(image="lib"): known})
    assert result.image("lib").stages[-1].state is StageState.TO_BUILD
    assert result.image("app").stages[2].work.dependencies[0].values == {"TAG": f"{'ab' * 28}-5"}


# --- build args -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("BASE", "ARG BASE\nFROM $BASE\n"),
        ("TAG", "FROM debian:12\nARG A=1 TAG\n"),
        ("TAG", "FROM debian:12\nARG TAG\nFROM debian:12\n"),
        ("TARGETARCH", "FROM debian:12\n"),
        ("TAG", "FROM debian:12\nARG X${Y}\n"),
    ],
)
def test_a_declared_build_arg_makes_the_whole_image_wait(target, text):
    result = planned(LIB, dockerfile(dependency(("ImageName", target))), text=text)
    (stage,) = result.image("app").stages
    assert (stage.name, stage.state) == ("dockerfile", StageState.UNKNOWN)
    assert stage.question == ImageReference(image="lib")
    assert result.image("app").depends_on == ("lib",)


def test_an_image_spec_on_top_waits_too():
    spec = ImageSpec(author="me")
    handed = dockerfile(dependency(("ImageTag", "TAG")), image_spec=spec)
    assert states(planned(LIB, handed)) == [("dockerfile", "Unknown"), ("imageSpec", "Unknown")]
    stages = built(planned(LIB, handed))
    result = planned(LIB, handed, stages=stages)
    assert states(result) == [("dockerfile", "ToBuild"), ("imageSpec", "ToBuild")]
    assert not result.image("app").stages[1].work.dependencies


def test_an_undeclared_build_arg_is_invisible_to_the_digest_but_the_stage_still_waits():
    undeclared = dockerfile(dependency(("ImageRepo", "NOWHERE")))
    stage = planned(LIB, undeclared).image("app").stages[-1]
    assert stage.state is StageState.TO_BUILD
    assert not stage.work.dependencies[0].known
    plain = planned(LIB, dockerfile()).image("app").stages[-1]
    assert stage.digest == plain.digest
    stages = built(planned(LIB))
    later = planned(LIB, undeclared, stages=stages).image("app").stages[-1]
    assert later.digest == stage.digest
    assert later.work.dependencies[0].values == {"NOWHERE": REPO}


def test_the_base_may_be_handed_over():
    handed = dockerfile(dependency(("ImageName", "BASE")))
    stages = built(planned(LIB, handed))
    result = planned(LIB, handed, stages=stages, text="ARG BASE=debian:1\nFROM $BASE\nRUN a\n")
    last = last_of(result)
    (stage,) = result.image("app").stages
    assert stage.base == ExternalBase(reference=f"{REPO}:{last.id}")
    assert stage.components[2].parts[0].value == f"{REPO}:{last.id}"


def test_a_value_of_a_dependency_wins_over_defaults():
    text = "ARG TAG=outer\nFROM debian:12\nARG TAG=inner\nRUN echo $TAG\n"
    handed = dockerfile(dependency(("ImageTag", "TAG")))
    stages = built(planned(LIB, handed, text=text))
    result = planned(LIB, handed, stages=stages, text=text)
    last = last_of(result)
    (stage,) = result.image("app").stages
    assert [part.value for part in stage.components[2].parts] == [
        "debian:12",
        f"ARG TAG={last.id}",
        f"RUN echo {last.id}",
    ]
    block = stage.work.block
    assert block is not None
    assert block.steps[-1].env == {"TAG": str(last.id)}
    assert f"werf-dependency-stage-id-{sha256_args(str(last.id))}" in stage.work.labels


def test_every_block_of_the_image_has_the_values():
    text = (
        "FROM debian:12 AS tool\nARG TAG\nRUN echo $TAG\nFROM debian:12\nCOPY --from=tool /a /a\n"
    )
    handed = dockerfile(dependency(("ImageTag", "TAG")))
    stages = built(planned(LIB, handed, text=text))
    result = planned(LIB, handed, stages=stages, text=text)
    for name in ("app/stage/tool", "app"):
        row = result.image(name)
        assert row.stages[0].work.dependencies[0].known
        assert "lib" in row.depends_on


# --- fromLatest -------------------------------------------------------------------------------------------------------


def test_from_latest_pins_the_base_to_what_was_looked_up():
    config = (
        StapelImage(name="latest", base="debian:12", from_latest=True),
        StapelImage(name="plain", base="debian:12"),
    )
    result = planned(*config)
    latest, plain = (result.image(name).stages[0] for name in ("latest", "plain"))
    assert latest.base == ExternalBase(reference="debian:12", digest=f"sha256:{1:064}")
    assert [part.value for part in latest.components[2].parts] == [
        f"sha256:{2:064}",
        "debian:12",
    ]
    assert plain.base == ExternalBase(reference="debian:12")


@pytest.mark.parametrize("fields", [{"base": "scratch"}, {"base": "lib", "base_internal": True}])
def test_from_latest_means_nothing_without_an_image_of_a_registry(fields):
    with_it, without = (
        planned(LIB, StapelImage(name="app", from_latest=latest, **fields)).image("app").stages[0]
        for latest in (True, False)
    )
    assert with_it == without


# --- staged -----------------------------------------------------------------------------------------------------------


def test_a_staged_dockerfile_waits_for_a_declared_build_arg():
    result = planned(LIB, dockerfile(dependency(("ImageTag", "TAG")), staged=True))
    (stage,) = result.image("app").stages
    assert (stage.name, stage.state) == ("dockerfile", StageState.UNKNOWN)
    assert stage.question == ImageReference(image="lib")
    assert result.image("app").depends_on == ("lib",)


def test_its_value_is_in_the_digests_of_the_instructions_that_see_it():
    text = "FROM debian:12\nUSER 1\nARG TAG=x\nRUN echo $TAG\nLABEL tag=$TAG\n"
    handed = dockerfile(dependency(("ImageTag", "TAG")), staged=True, args={"OTHER": "1"})
    stages = built(planned(LIB, handed, text=text))
    result = planned(LIB, handed, stages=stages, text=text)
    tag = str(last_of(result).id)
    given = planned(LIB, dockerfile(staged=True, args={"TAG": tag}), text=text).image("app")
    image = result.image("app")
    assert [one.digest for one in image.stages] == [one.digest for one in given.stages]
    assert [one.name for one in image.stages] == ["USER1", "RUN2", "LABEL3"]
    assert image.stages[1].work.block.steps[-1].env == {"TAG": tag}
    assert image.stages[2].work.block.steps[-1].instruction.args == ("tag", tag)
    label = f"werf-dependency-stage-id-{sha256_args(tag)}"
    assert all(one.work.labels == {"werf": "shop", label: tag} for one in image.stages)
    assert all(one.work.dependencies[0].known for one in image.stages)


def test_a_staged_base_may_be_handed_over():
    handed = dockerfile(dependency(("ImageName", "BASE")), staged=True)
    text = "ARG BASE=debian:1\nFROM $BASE AS x\nRUN a\nFROM debian:12\nCOPY --from=x /a /a\n"
    stages = built(planned(LIB, handed, text=text))
    result = planned(LIB, handed, stages=stages, text=text)
    assert result.image("app/stage/x").stages[0].base == ExternalBase(
        reference=f"{REPO}:{last_of(result).id}"
    )
    assert result.image("app").depends_on == ("app/stage/x", "lib")


# --- platforms --------------------------------------------------------------------------------------------------------


def test_another_platform_is_planned_for_stapel_and_dockerfile_images():
    arm = ("linux/arm64",)
    text = "FROM debian:12\nARG TARGETARCH\nRUN echo $TARGETARCH\n"
    result = planned(
        StapelImage(name="stapel", base="alpine:3.18", platforms=arm),
        dockerfile(platforms=arm),
        text=text,
    )
    # werf-semantics: conformance case 0.2.
    (stage,) = result.image("stapel").stages
    assert stage.digest == "88970e8ae133a58fdd339ae79a46677657d2a6db8c35e20d70ecb914"
    (block,) = result.image("app").stages
    assert [part.value for part in block.components[:3]] == ["linux/arm64", "1.2", "dockerfile"]
    assert block.work.block is not None
    assert block.work.block.steps[-1].env == {"TARGETARCH": "arm64"}
    assert result.image("app").platform == "linux/arm64"
