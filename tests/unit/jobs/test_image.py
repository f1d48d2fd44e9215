"""The image config of a built stage: labels, layers, history."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, union-attr, arg-type, var-annotated"

from dataclasses import replace

import pytest
from tests.unit.jobs.values import layer, ran, taking, to_build

from conveyor.config.dockerfile import Instruction
from conveyor.config.model_image_config import DockerInstructions, ImageSpec
from conveyor.jobs.image import stage_config
from conveyor.jobs.model import ParentImage
from conveyor.plan.model import BlockStep, DockerfileBlock, StageWork

CREATED = "2024-05-06T12:00:00.000000Z"
BASE = {
    "architecture": "arm64",
    "os": "linux",
    "config": {
        "Env": ["PATH=/bin"],
        "Labels": {"base": "yes", "werf-stage-content-digest": "old", "werf": "other"},
        "Cmd": ["sh"],
    },
    "rootfs": {"type": "layers", "diff_ids": ["sha256:base"]},
    "history": [{"created_by": "debian"}],
}
PARENT = ParentImage(manifest_digest="m", config=BASE, layers=(), stage_id="d-1")


def config(work, result, parent=PARENT, commit="c" * 40):
    stage = to_build("app/install", work=work)
    made = stage_config(stage, parent, result, project_commit=commit, created=CREATED)
    return stage, made


def lines(made):
    return [(one.get("created_by"), one.get("empty_layer", False)) for one in made["history"]]


def test_a_stage_of_commands():
    work = StageWork(commands=("make",), labels={"werf": "shop", "werf-git-1-commit": "abc"})
    stage, made = config(work, ran("a"))
    labels = made["config"]["Labels"]
    assert labels.pop("werf-version").startswith("conveyor ")
    assert labels == {
        "base": "yes",
        "werf": "shop",
        "werf-git-1-commit": "abc",
        "werf-stage-content-digest": stage.content_digest,
        "werf-project-repo-commit": "c" * 40,
        "werf.io/parent-stage-id": "d-1",
    }
    assert made["rootfs"]["diff_ids"] == ["sha256:base", layer("a").diff_id]
    assert lines(made) == [("debian", False), ("conveyor install", False)]
    assert (made["architecture"], made["created"]) == ("arm64", CREATED)
    assert made["config"]["Cmd"] == ["sh"]


def test_the_parents_config_stays_as_it_is():
    before = repr(BASE)
    config(StageWork(commands=("make",), labels={"x": "y"}), ran("a"))
    assert repr(BASE) == before


def test_commands_that_changed_nothing_leave_a_line_without_a_layer():
    _, made = config(StageWork(commands=("true",)), ran(None))
    assert made["rootfs"]["diff_ids"] == ["sha256:base"]
    assert lines(made)[-1] == ("conveyor install", True)


def test_a_stage_without_a_pod():
    work = StageWork(instructions=DockerInstructions(env={"A": "1"}, labels={"own": "x"}))
    _, made = config(work, None)
    assert made["rootfs"]["diff_ids"] == ["sha256:base"]
    assert "A=1" in made["config"]["Env"]
    assert made["config"]["Labels"]["own"] == "x"


def test_values_of_other_images_are_in_the_environment_in_their_order():
    values = (taking("lib", TAG="lib-1", NAME="r:lib-1"), taking("api", PATH="/api", API="x"))
    _, made = config(StageWork(dependencies=values), None)
    assert made["config"]["Env"] == ["PATH=/api", "TAG=lib-1", "NAME=r:lib-1", "API=x"]
    assert lines(made)[-1] == ("conveyor install", True)
    assert made["config"]["Cmd"] == ["sh"]


def test_what_is_not_known_is_not_labelled():
    parent = ParentImage(manifest_digest="m", config=BASE, layers=())
    _, made = config(StageWork(), None, parent=parent, commit="")
    assert "werf-project-repo-commit" not in made["config"]["Labels"]
    assert "werf.io/parent-stage-id" not in made["config"]["Labels"]


def step(keyword, *args, original=""):
    return BlockStep(
        instruction=Instruction(
            keyword=keyword, args=args, original=original or f"{keyword} {' '.join(args)}"
        )
    )


def block(*steps):
    return StageWork(
        block=DockerfileBlock(
            steps=steps, context="", dockerfile="Dockerfile", dockerignore="", commit="c" * 40
        ),
        labels={"werf": "shop"},
    )


def test_a_dockerfile_block_has_a_line_for_every_instruction_and_layers_where_files_changed():
    work = block(
        step("ENV", "A", "1"),
        step("RUN", "make"),
        step("WORKDIR", "/srv"),
        step("COPY", "a", "b"),
        step("CMD", "run"),
        step("RUN", "true"),
    )
    stage, made = config(work, ran("make", None, "copy", None))
    assert made["rootfs"]["diff_ids"] == [
        "sha256:base",
        layer("make").diff_id,
        layer("copy").diff_id,
    ]
    assert lines(made) == [
        ("debian", False),
        ("ENV A 1", True),
        ("RUN make", False),
        ("WORKDIR /srv", True),
        ("COPY a b", False),
        ("CMD run", True),
        ("RUN true", True),
    ]
    assert made["config"]["WorkingDir"] == "/srv"
    assert made["config"]["Labels"]["werf"] == "shop"
    assert made["config"]["Labels"]["werf-stage-content-digest"] == stage.content_digest


def test_slices_make_the_same_image_as_the_block_in_one_go():
    steps = (
        step("FROM", "debian"),
        step("LABEL", "base", "mine", "a", "1"),
        step("RUN", "one"),
        step("LABEL", "a", "2"),
        step("WORKDIR", "/srv"),
        step("COPY", "a", "b"),
        step("CMD", "run"),
    )
    _, whole = config(block(*steps), ran("1", "2", "3"))
    parent = PARENT
    for part, result in ((steps[:3], ran("1")), (steps[3:6], ran("2", "3")), (steps[6:], ran())):
        _, made = config(block(*part), result, parent=parent)
        parent = replace(parent, config=made, stage_id="d-1")
    assert made == whole
    assert made["config"]["Labels"]["base"] == "mine"
    assert made["config"]["Labels"]["a"] == "2"


def test_a_label_of_the_base_gets_the_value_that_the_dockerfile_says():
    _, made = config(block(step("LABEL", "base", "no", "more", "1")), None)
    found = made["config"]["Labels"]
    assert (found["base"], found["more"], found["werf"]) == ("no", "1", "shop")


def test_workdir_is_kept_as_it_is_written():
    _, made = config(block(step("WORKDIR", "/a/b/"), step("WORKDIR", "../c/")), None)
    assert made["config"]["WorkingDir"] == "/a/c"
    assert config(block(step("WORKDIR", "/a/b/")), None)[1]["config"]["WorkingDir"] == "/a/b/"


def test_from_leaves_no_line():
    _, made = config(block(step("FROM", "debian"), step("ENV", "A", "1")), None)
    assert lines(made) == [("debian", False), ("ENV A 1", True)]


def test_layers_and_lines_belong_together():
    _, made = config(block(step("RUN", "a"), step("RUN", "b")), ran("a", "b"))
    filled = [line for line, empty in lines(made) if not empty]
    assert len(filled) == len(made["rootfs"]["diff_ids"])


def test_an_image_spec_is_the_last_word():
    spec = ImageSpec(
        author="Me",
        clear_history=True,
        labels={"name": "app"},
        remove_labels=("base", "/werf-.*/"),
        clear=frozenset({"cmd"}),
    )
    work = StageWork(image_spec=spec, labels={"werf": "shop"})
    stage, made = config(work, None)
    assert made["config"]["Labels"] == {
        "name": "app",
        "werf": "shop",
        "werf-stage-content-digest": stage.content_digest,
        "werf-project-repo-commit": "c" * 40,
        "werf.io/parent-stage-id": "d-1",
    }
    # No ENTRYPOINT is put back: what the spec leaves is what the image has.
    assert made["config"]["Cmd"] == []
    assert "Entrypoint" not in made["config"]
    assert (made["author"], made["history"], made["created"]) == ("Me", [], CREATED)
    assert made["rootfs"]["diff_ids"] == ["sha256:base"]


def test_the_option_about_entrypoints():
    base = {**BASE, "config": {"Entrypoint": ["e"]}}
    parent = ParentImage(manifest_digest="m", config=base, layers=(), stage_id="d-1")
    for keep, wanted in ((True, ["e"]), (False, [""])):
        work = StageWork(instructions=DockerInstructions(cmd="c"), keep_entrypoint_with_cmd=keep)
        _, made = config(work, None, parent=parent)
        assert made["config"]["Entrypoint"] == wanted


def test_mount_points_join_those_of_the_parent():
    labels = {"werf-mount-type-tmp-dir": "/a;/b", "werf-mount-type-build-dir": "/c"}
    parent = ParentImage(manifest_digest="m", config={"config": {"Labels": labels}}, layers=())
    work = StageWork(labels={"werf-mount-type-tmp-dir": "/b;/d"})
    _, made = config(work, None, parent=parent)
    assert made["config"]["Labels"]["werf-mount-type-tmp-dir"] == "/a;/b;/d"
    assert made["config"]["Labels"]["werf-mount-type-build-dir"] == "/c"


@pytest.mark.parametrize(
    ("platform", "said"),
    [
        ("linux/amd64", ("linux", "amd64", None)),
        ("linux/arm/v7", ("linux", "arm", "v7")),
        ("", ("linux", "arm64", "v8")),
    ],
)
def test_a_target_that_runs_elsewhere_says_what_it_is_for(platform, said):
    steps = (BlockStep(instruction=Instruction(keyword="USER", args=("1",), original="USER 1")),)
    block = DockerfileBlock(steps=steps, context="", dockerfile="", dockerignore="", commit="")
    work = StageWork(block=block, image_platform=platform)
    _, made = config(work, None, replace(PARENT, config={**BASE, "variant": "v8"}))
    assert (made["os"], made["architecture"], made.get("variant")) == said
    assert made["config"]["User"] == "1"
