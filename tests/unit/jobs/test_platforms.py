"""An image of several platforms: Jobs, the index, status, the tools that its stages need."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, union-attr, arg-type, var-annotated"

from dataclasses import replace

import pytest
from tests.unit.jobs.values import (
    EXTERNAL,
    METADATA,
    NOW,
    cached,
    copying,
    failed,
    image,
    importing,
    job,
    plan,
    situation,
    stored,
    to_build,
)

from conveyor.api.compact import compact_status, json_size, status_budget
from conveyor.api.errors import UserError
from conveyor.api.v1alpha1 import ImageBuild, ImageState, PlatformStatus
from conveyor.cli.screen import lines
from conveyor.config.dockerfile_model import Instruction
from conveyor.config.model import Meta, StapelImage, WerfConfig
from conveyor.config.source_line import SourceLine
from conveyor.jobs import exports, status
from conveyor.jobs.decide import decide
from conveyor.jobs.decision import PublishIndex, StartJob
from conveyor.jobs.model import JobPhase
from conveyor.jobs.run import Run
from conveyor.jobs.tools import check_tools
from conveyor.plan.model import BlockStep, DockerfileBlock, StageWork
from conveyor.plan.targets import indexes_of

AMD, ARM = "app [linux/amd64]", "app [linux/arm64]"
RUN = Run(generation=1, requested_at=None, started_at="2024-05-06T11:50:00Z", commit="c" * 40)
BUILD = ImageBuild.from_object(
    {
        "metadata": {"name": "shop", "namespace": "default", "uid": "uid-1", "generation": 1},
        "spec": {"repo": "registry.example/shop", "config": "project: shop"},
    }
)


def of(platform, *stages, final=True):
    """The image `app` for one of its platforms."""
    row = image(*(replace(stage, platform=platform) for stage in stages), final=final)
    return replace(row, platform=platform, config_name="app")


def both(amd, arm, *, final=True):
    return plan(
        of("linux/amd64", amd, final=final),
        of("linux/arm64", arm, final=final),
        sets=[["app"]],
    )


STORED = both(
    cached(f"{AMD}/from", "debian", base=EXTERNAL), cached(f"{ARM}/from", "debian", base=EXTERNAL)
)
HALF = both(cached(f"{AMD}/from", "debian", base=EXTERNAL), to_build(f"{ARM}/from", base=EXTERNAL))
TAG = indexes_of(STORED)[0].tag


def row(made, **changes):
    (found,) = status.planned(BUILD, RUN, made, decide(situation(made)), changes, NOW).images
    return found


def test_each_platform_has_a_job_of_its_own():
    made = both(to_build(f"{AMD}/from", base=EXTERNAL), to_build(f"{ARM}/from", base=EXTERNAL))
    actions = decide(situation(made)).actions
    assert [(it.image, it.stages[0].platform) for it in actions if isinstance(it, StartJob)] == [
        (AMD, "linux/amd64"),
        (ARM, "linux/arm64"),
    ]


def test_the_index_is_published_once_all_platforms_are_stored():
    (action,) = decide(situation(STORED)).actions
    assert isinstance(action, PublishIndex)
    assert [member.platform for member in action.index.members] == ["linux/amd64", "linux/arm64"]
    assert not decide(replace(situation(STORED), indexes={TAG: "r@sha256:1"})).actions
    assert not [it for it in decide(situation(HALF)).actions if isinstance(it, PublishIndex)]


def test_an_image_that_is_not_final_gets_no_index():
    made = both(
        cached(f"{AMD}/from", "debian", base=EXTERNAL),
        cached(f"{ARM}/from", "debian", base=EXTERNAL),
        final=False,
    )
    assert decide(situation(made)).actions == ()
    shown = row(made, **{AMD: "r@sha256:a", ARM: "r@sha256:b"})
    assert (shown.state, shown.ref, shown.tag) == (ImageState.READY, None, None)
    assert [it.ref for it in shown.platforms] == ["r@sha256:a", "r@sha256:b"]


def test_status_has_one_row_with_the_index_and_its_platforms():
    shown = row(STORED, **{AMD: "r@sha256:a", ARM: "r@sha256:b", TAG: "r@sha256:index"})
    assert (shown.name, shown.state) == ("app", ImageState.READY)
    assert (shown.ref, shown.tag) == ("r@sha256:index", TAG)
    ids = [str(stored(f"{name}/from").id) for name in (AMD, ARM)]
    assert shown.platforms == tuple(
        PlatformStatus(platform=platform, state=ImageState.READY, ref=ref, tag=tag)
        for platform, ref, tag in zip(
            ("linux/amd64", "linux/arm64"), ("r@sha256:a", "r@sha256:b"), ids, strict=True
        )
    )
    assert [(it.name, it.platform) for it in shown.stages] == [
        ("from", "linux/amd64"),
        ("from", "linux/arm64"),
    ]


def test_without_its_index_an_image_is_not_ready():
    shown = row(STORED, **{AMD: "r@sha256:a", ARM: "r@sha256:b"})
    assert (shown.state, shown.ref, shown.tag) == (ImageState.BUILDING, None, None)


def test_a_platform_that_fails_fails_the_image_and_the_other_goes_on():
    broken = job(f"{ARM}/from", result=failed(final=True), phase=JobPhase.ENDED, finished=1)
    made = both(to_build(f"{AMD}/from", base=EXTERNAL), to_build(f"{ARM}/from", base=EXTERNAL))
    decision = decide(situation(made, broken))
    assert [it.image for it in decision.actions if isinstance(it, StartJob)] == [AMD]
    (shown,) = status.planned(BUILD, RUN, made, decision, {}, NOW).images
    assert shown.state is ImageState.FAILED
    assert [it.state for it in shown.platforms] == [ImageState.PENDING, ImageState.FAILED]


def test_one_platform_that_is_not_the_usual_one_is_shown():
    one = cached("app/from", "debian", base=EXTERNAL)
    made = plan(replace(image(replace(one, platform="linux/arm64")), platform="linux/arm64"))
    shown = row(made, app="r@sha256:a")
    assert shown.ref == "r@sha256:a"
    assert [(it.platform, it.ref) for it in shown.platforms] == [("linux/arm64", "r@sha256:a")]
    assert shown.stages[0].platform is None
    assert row(plan(image(one)), app="r@sha256:a").platforms == ()


def test_watching_shows_the_platforms_and_whose_stage_each_is():
    made = status.planned(
        BUILD, RUN, HALF, decide(situation(HALF)), {AMD: "r@sha256:a", ARM: "r@sha256:b"}, NOW
    )
    shown = lines(made, NOW, colour=False)
    assert "    linux/amd64  Ready  r@sha256:a" in shown
    assert any(it.startswith("    linux/arm64  Pending") for it in shown)
    assert any("from [linux/amd64]" in it for it in shown)
    assert any("from [linux/arm64]" in it for it in shown)


def test_platforms_have_room_in_status():
    (shown,) = (row(STORED, **{AMD: "r@sha256:a" * 20, ARM: "r@sha256:b" * 20, TAG: "i" * 200}),)
    whole = status.planned(BUILD, RUN, STORED, decide(situation(STORED)), {}, NOW)
    many = whole.model_copy(update={"images": (shown,) * 60})
    small = compact_status(many)
    assert json_size(small.to_json()) <= status_budget(120)
    assert all(it.ref for it in small.images for it in it.platforms)


# --- files of other images --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64"])
def test_files_of_an_external_image_are_taken_and_recorded_by_platform(platform):
    stage = replace(
        to_build("web/dockerfile", work=copying("busybox:1", external=True)), platform=platform
    )
    (export,) = exports.exports_of(stage, plan(image(stage)))
    assert export.platform == platform
    usual = to_build("web/dockerfile", work=copying("busybox:1", external=True))
    (known,) = exports.exports_of(usual, plan(image(usual)))
    assert (export.key == known.key) is (platform == "linux/amd64")


def test_files_of_an_image_are_exported_by_a_job_of_its_platform():
    work = StageWork(imports=(importing(ARM),), commands=("make",))
    web = replace(to_build("web/install", work=work, base=EXTERNAL), platform="linux/arm64")
    made = plan(*STORED.images, replace(image(web, needs=[ARM]), platform="linux/arm64"))
    starts = [it for it in decide(situation(made)).actions if isinstance(it, StartJob)]
    assert [(it.exports[0].source, it.exports[0].platform) for it in starts] == [
        (ARM, "linux/arm64")
    ]


def test_a_block_on_another_platform_takes_files_of_outside_images_for_that_of_the_image():
    work = copying("busybox:1", external=True)
    (step,) = work.block.steps
    source = replace(step.source, platform="linux/arm64")
    work = replace(work, block=replace(work.block, steps=(replace(step, source=source),)))
    stage = to_build("web/dockerfile", work=work)
    (export,) = exports.exports_of(stage, plan(image(stage)))
    assert (stage.platform, export.platform) == ("linux/amd64", "linux/arm64")


def test_files_of_a_block_are_exported_where_that_block_runs():
    built = replace(cached("web/stage/build/dockerfile", "debian", base=EXTERNAL))
    build = replace(image(built), platform="linux/amd64", block_of="web")
    last = to_build("web/dockerfile", work=copying(build.name), base=EXTERNAL)
    web = image(replace(last, platform="linux/arm64"), needs=[build.name])
    made = plan(build, replace(web, platform="linux/arm64"))
    (start,) = (it for it in decide(situation(made)).actions if isinstance(it, StartJob))
    assert [(it.source, it.platform) for it in start.exports] == [(build.name, "linux/amd64")]


# --- tools ------------------------------------------------------------------------------------------------------------

CONFIG = WerfConfig(
    meta=Meta(project="shop"),
    images=(StapelImage(name="app", base="debian", at=SourceLine(line=7)),),
)


def test_what_has_to_run_needs_tools():
    with pytest.raises(UserError) as caught:
        check_tools(HALF, CONFIG, ["linux/amd64"], [])
    assert caught.value.reason == "PlatformNotAvailable"
    assert caught.value.message == (
        'werf.yaml:7: image "app": this operator has no tools for linux/arm64, only for '
        "linux/amd64; see tools.platforms of its chart"
    )
    check_tools(HALF, CONFIG, ["linux/amd64", "linux/arm64"], [])


def test_an_engine_builds_for_its_own_machine_whatever_tools_there_are():
    machines = ["linux/amd64", "linux/arm64"]
    with pytest.raises(UserError) as caught:
        check_tools(HALF, CONFIG, machines, [], "linux/amd64")
    assert caught.value.reason == "PlatformNotAvailable"
    assert caught.value.message == (
        'werf.yaml:7: image "app": the Docker Engine builds for linux/amd64, not for linux/arm64'
    )
    check_tools(HALF, CONFIG, machines, [], "linux/arm64")
    check_tools(STORED, CONFIG, [], [], "linux/amd64")


def test_what_counts_is_where_a_stage_runs():
    stage = replace(to_build("app/dockerfile", base=EXTERNAL), platform="linux/arm64")
    made = plan(replace(image(stage), platform="linux/amd64"))
    with pytest.raises(UserError, match="no tools for linux/arm64, only for linux/amd64"):
        check_tools(made, CONFIG, ["linux/amd64"], [])
    check_tools(made, CONFIG, ["linux/arm64"], [])


def test_what_is_stored_or_changes_the_config_alone_needs_none():
    check_tools(STORED, CONFIG, [], [])
    plain = both(
        cached(f"{AMD}/from", "debian", base=EXTERNAL),
        to_build(f"{ARM}/from", base=EXTERNAL, work=METADATA),
    )
    check_tools(plain, CONFIG, [], [])


def test_tasks_need_ansible_of_the_platform():
    work = StageWork(tasks=('{"ping": {}}',))
    made = both(
        cached(f"{AMD}/from", "debian", base=EXTERNAL),
        to_build(f"{ARM}/from", base=EXTERNAL, work=work),
    )
    machines = ["linux/amd64", "linux/arm64"]
    with pytest.raises(UserError, match="no ansible for linux/arm64, only for linux/amd64"):
        check_tools(made, CONFIG, machines, ["linux/amd64"])
    check_tools(made, CONFIG, machines, machines)


def test_a_run_without_network_needs_a_machine_whose_calls_are_known():
    run = Instruction(keyword="RUN", args=("x",), flags=("--network=none",), original="RUN x")
    steps = (BlockStep(instruction=run),)
    block = DockerfileBlock(
        steps=steps, context="", dockerfile="Dockerfile", dockerignore="", commit="c"
    )
    riscv = "linux/riscv64"
    stage = replace(to_build("app/dockerfile", work=StageWork(block=block)), platform=riscv)
    made = plan(replace(image(stage), platform=riscv))
    with pytest.raises(UserError, match="RUN --network=none is possible on linux/amd64 and linux/"):
        check_tools(made, CONFIG, [riscv], [])
    check_tools(plan(image(replace(stage, platform="linux/amd64"))), CONFIG, ["linux/amd64"], [])
