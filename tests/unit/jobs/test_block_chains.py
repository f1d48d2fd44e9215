"""FROM blocks that only follow each other: one Job, stages of their own, and what becomes of the Job when things change."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, union-attr, arg-type"

from dataclasses import replace

import pytest
from tests.unit.jobs.values import (
    EXTERNAL,
    cached,
    copying,
    export_result,
    image,
    instruction,
    job,
    lost,
    plan,
    ran,
    situation,
    states,
    to_build,
    unknown,
    view,
)

from conveyor.api.names import Reason
from conveyor.config.dockerfile import Heredoc
from conveyor.config.dockerfile_mounts import RunMount
from conveyor.jobs import exports
from conveyor.jobs.decide import decide
from conveyor.jobs.decision import PublishStage, RecordExport, StartJob, StopJob
from conveyor.jobs.model import Failure, JobPhase, StageResult
from conveyor.plan.model import CopySource, ImageBase, PlannedMount

RUN, CMD = instruction("FROM", "RUN"), instruction("CMD")
BASE, TARGET = "app/stage/base", "app"
KEYS = (f"{BASE}/RUN1", f"{BASE}/dockerfile", f"{TARGET}/RUN1", f"{TARGET}/dockerfile")
ALL = ["base/RUN1", "base/dockerfile", "app/RUN1", "app/dockerfile"]


def inner(stage):
    return replace(stage, inner=True)


def base(**more):
    """A block of two slices."""
    stages = (
        inner(to_build(f"{BASE}/RUN1", work=RUN, base=EXTERNAL)),
        to_build(f"{BASE}/dockerfile", work=RUN),
    )
    return replace(image(*stages, block_of="app", final=False), **more)


def stored_base(*layers):
    return image(
        cached(f"{BASE}/dockerfile", *layers, work=RUN, base=EXTERNAL), block_of="app", final=False
    )


def target(*, work=RUN, key="", below=BASE, **more):
    """A block of two slices on the other one; `key` tells its digests apart."""
    stages = (
        inner(
            to_build(
                f"{TARGET}/RUN1", key=key and f"{key}/RUN1", work=work, base=ImageBase(image=below)
            )
        ),
        to_build(f"{TARGET}/dockerfile", key=key, work=RUN),
    )
    return replace(image(*stages, needs=[below]), **more)


def mounted(**mount):
    """Of RUN with a mount."""
    planned = PlannedMount(mount=RunMount(target="/c", **mount))
    steps = tuple(replace(step, mounts=(planned,)) for step in RUN.block.steps[1:])
    return replace(RUN, block=replace(RUN.block, steps=(RUN.block.steps[0], *steps)))


def started(decision):
    """`IMAGE/STAGE` of every stage of every Job to be started; of a block its own name."""
    orders = [one for one in decision.actions if isinstance(one, StartJob)]
    return [[f"{s.image.rpartition('/')[2]}/{s.name}" for s in one.stages] for one in orders]


def published(decision):
    (action,) = (one for one in decision.actions if isinstance(one, PublishStage))
    return [
        (f"{one.stage.image.rpartition('/')[2]}/{one.stage.name}", one.run) for one in action.all
    ]


def done(*runs, **more):
    """The Job of both blocks that has made these runs."""
    failure = more.pop("failure", None)
    one = job(*KEYS, result=StageResult(runs=runs, failure=failure), **more)
    return replace(one, parent_layers=1)


# --- which blocks are built in one pod ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fuse", [True, False])
def test_a_block_that_only_one_other_starts_from_shares_its_job(fuse):
    decision = decide(situation(plan(base(), target()), fuse=fuse))
    assert started(decision) == [ALL]
    assert decision.actions[0].image == BASE


def test_a_line_may_be_as_long_as_the_file():
    middle = target(below=BASE)
    renamed = tuple(replace(stage, image="app/stage/mid") for stage in middle.stages)
    middle = replace(middle, name="app/stage/mid", block_of="app", stages=renamed)
    last = target(below="app/stage/mid", key="last")
    (stages,) = started(decide(situation(plan(base(), middle, last))))
    assert stages == [*ALL[:2], "mid/RUN1", "mid/dockerfile", *ALL[2:]]


def test_what_is_stored_of_the_first_block_is_not_built_again():
    below = inner(cached(f"{BASE}/RUN1", "debian", "1", work=RUN, base=EXTERNAL))
    found = replace(base(), stages=(below, base().stages[1]))
    assert started(decide(situation(plan(found, target())))) == [ALL[1:]]


def test_a_line_of_the_config_at_the_end_comes_along():
    last = replace(target(), stages=(target().stages[0], to_build("app/dockerfile", work=CMD)))
    assert started(decide(situation(plan(base(), last)))) == [ALL]


def other(*, below, needs, copies="", name="app/stage/other"):
    """One more block of the file."""
    work = copying(copies) if copies else RUN
    start = ImageBase(image=below) if below else EXTERNAL
    only = to_build(f"{name}/dockerfile", work=work, base=start)
    return image(only, block_of="app", final=False, needs=needs)


@pytest.mark.parametrize(
    ("planned", "expected"),
    [
        (
            (base(), other(below="", needs=[BASE], copies=BASE), target()),
            [ALL[:2]],
        ),
        ((base(), target(work=copying(BASE))), [ALL[:2]]),
        ((base(in_order=True), target(in_order=True)), [ALL[:2]]),
        ((base(platform="linux/arm64"), target()), [ALL[:2]]),
        ((base(), target(work=mounted(type="cache"))), [ALL[:2]]),
        ((base(), replace(target(), stages=(unknown("app/RUN1"),))), [ALL[:2]]),
    ],
    ids=[
        "another one copies from it",
        "the one on it copies from it",
        "legacy mode",
        "another platform",
        "a RUN with mounts",
        "a digest that waits",
    ],
)
def test_blocks_with_jobs_of_their_own(planned, expected):
    first = planned[-1].stages[0]
    if not isinstance(first.base, ImageBase):
        changed = replace(first, base=ImageBase(image=BASE))
        planned = (*planned[:-1], replace(planned[-1], stages=(changed, *planned[-1].stages[1:])))
    assert started(decide(situation(plan(*planned)))) == expected


def test_of_several_that_start_from_a_block_the_first_goes_on_and_the_others_start_from_what_is_stored():
    planned = [base(), other(below=BASE, needs=[BASE]), target()]
    assert started(decide(situation(plan(*planned)))) == [[*ALL[:2], "other/dockerfile"]]

    going_on = job(
        *KEYS[:2], "app/stage/other/dockerfile", result=StageResult(runs=(ran("a"), ran("b")))
    )
    decision = decide(
        situation(plan(stored_base("a", "b"), *planned[1:]), replace(going_on, parent_layers=0))
    )
    assert started(decision) == [ALL[2:]]
    assert view(decision, "app/stage/other/dockerfile").job is not None


@pytest.mark.parametrize(
    "changed",
    [
        {"depends_on": (BASE, "app/stage/x")},
        {"platform": "linux/arm64"},
    ],
    ids=["waits for more than this block", "another platform"],
)
def test_one_that_cannot_go_on_leaves_it_to_the_next(changed):
    first = replace(other(below=BASE, needs=[BASE]), **changed)
    away = image(
        to_build("app/stage/x/dockerfile", work=RUN, base=EXTERNAL), block_of="app", final=False
    )
    assert ALL in started(decide(situation(plan(base(), away, first, target()))))


def test_a_later_mount_from_the_block_below_needs_it_exported():
    work = mounted(type="bind", read_only=True)
    (bind,) = work.run_mounts
    step = replace(work.block.steps[1], mounts=(replace(bind, files=CopySource(image=BASE)),))
    work = replace(work, block=replace(work.block, steps=(step,)))
    last = replace(target(), stages=(target().stages[0], to_build("app/dockerfile", work=work)))
    assert started(decide(situation(plan(base(), last)))) == [ALL[:2]]


@pytest.mark.parametrize(
    ("sharing", "together"), [("shared", True), ("locked", True), ("private", False)]
)
def test_blocks_with_the_same_mounts_unless_a_cache_is_the_image_s_own(sharing, together):
    work = mounted(type="cache", sharing=sharing)
    below = replace(base(), stages=(to_build(f"{BASE}/dockerfile", work=work, base=EXTERNAL),))
    (stages,) = started(decide(situation(plan(below, target(work=work)))))
    assert stages == ["base/dockerfile", *(["app/RUN1"] if together else [])]


def test_the_same_block_of_two_images_is_built_by_itself_and_once():
    first = image(
        to_build("first/dockerfile", key="same", work=RUN, base=EXTERNAL),
    )
    again = image(
        to_build(f"{BASE}/dockerfile", key="same", work=RUN, base=EXTERNAL), block_of="app"
    )
    decision = decide(situation(plan(first, again, target())))
    assert started(decision) == [["first/dockerfile"]]


@pytest.mark.parametrize("part", ["args", "env", "dockerignore"])
def test_what_counts_for_the_length_of_a_task(part):
    copy = instruction("FROM", "COPY").block
    first, step = copy.steps
    if part == "args":
        step = replace(step, instruction=replace(step.instruction, args=("x" * 50_000, "/")))
    if part == "env":
        step = replace(step, env={"A": "x" * 50_000})
    ignored = "x" * 50_000 if part == "dockerignore" else ""
    work = replace(RUN, block=replace(copy, steps=(first, step), dockerignore=ignored))
    assert started(decide(situation(plan(base(), target(work=work))))) == [ALL[:2]]


def test_a_user_that_is_stored_needs_no_block_any_more():
    user = replace(
        other(below=BASE, needs=[BASE]),
        stages=(cached("app/stage/other/dockerfile", "x", work=RUN, base=EXTERNAL),),
    )
    assert started(decide(situation(plan(base(), user, target())))) == [ALL]


def test_files_that_are_not_there_yet_end_the_job():
    tools = image(to_build("app/stage/tools/dockerfile", work=RUN, base=EXTERNAL), block_of="app")
    web = replace(target(), depends_on=(BASE, "app/stage/tools"))
    copy = to_build("app/dockerfile", work=copying("app/stage/tools"))
    planned = plan(base(), tools, replace(web, stages=(web.stages[0], copy)))
    assert started(decide(situation(planned))) == [ALL[:3], ["tools/dockerfile"]]
    held = replace(web, stages=(replace(copy, base=ImageBase(image=BASE)),))
    assert started(decide(situation(plan(base(), tools, held)))) == [ALL[:2], ["tools/dockerfile"]]


def test_files_of_outside_images_for_the_next_block_are_asked_for_meanwhile():
    copy = to_build("app/dockerfile", work=copying("busybox", external=True))
    web = replace(target(), stages=(target().stages[0], copy))
    decision = decide(situation(plan(base(), web)))
    assert started(decision) == [[], ALL[:3]]


def test_so_much_text_that_a_task_may_not_hold_it_is_two_jobs():
    doc = Heredoc(name="E", content="x" * 30_000)
    step = RUN.block.steps[1]
    long = replace(step, instruction=replace(step.instruction, heredocs=(doc,)))
    work = replace(RUN, block=replace(RUN.block, steps=(RUN.block.steps[0], long)))
    below = replace(base(), stages=(to_build(f"{BASE}/dockerfile", work=work, base=EXTERNAL),))
    assert started(decide(situation(plan(below, target())))) == [["base/dockerfile", *ALL[2:]]]
    assert started(decide(situation(plan(below, target(work=work))))) == [["base/dockerfile"]]


def test_the_last_block_s_files_are_exported_by_the_same_job():
    below = replace(base(), block_of="app")
    mid = replace(
        target(),
        name="app/stage/mid",
        block_of="app",
        stages=tuple(replace(s, image="app/stage/mid") for s in target().stages),
    )
    copier = image(
        to_build("app/dockerfile", key="c", work=copying("app/stage/mid"), base=EXTERNAL),
        needs=["app/stage/mid"],
    )
    (start,) = decide(situation(plan(below, mid, copier))).actions
    assert [len(start.stages), len(start.exports)] == [4, 1]


# --- the Job while it goes on -----------------------------------------------------------------------------------------------


def test_both_blocks_are_seen_in_the_job():
    decision = decide(situation(plan(base(), target()), done()))
    assert decision.actions == ()
    assert states(decision) == {f"{BASE}/dockerfile": "Building", "app/dockerfile": "Pending"}
    assert view(decision, "app/dockerfile").job == done()


def test_the_first_block_is_published_while_the_job_goes_on():
    decision = decide(situation(plan(base(), target()), done(ran("1"), ran("2"))))
    assert published(decision) == [("base/RUN1", 0), ("base/dockerfile", 1)]
    assert not decision.actions[0].continued


def test_the_second_block_is_published_upon_the_first():
    one = done(ran("1"), ran("2"), ran("3"), ran("4"))
    decision = decide(situation(plan(stored_base("debian", "1", "2"), target()), one))
    assert published(decision) == [("app/RUN1", 2), ("app/dockerfile", 3)]


def test_a_slice_of_the_second_block_is_the_last_thing_stored():
    below = inner(
        cached(f"{TARGET}/RUN1", "debian", "1", "2", "3", work=RUN, base=ImageBase(image=BASE))
    )
    rest = replace(target(), stages=(below, target().stages[1]))
    found = plan(stored_base("debian", "1", "2"), rest)
    one = done(ran("1"), ran("2"), ran("3"), ran("4"))
    assert published(decide(situation(found, one))) == [("app/dockerfile", 3)]
    other_layers = replace(one, parent_layers=2)
    assert started(decide(situation(found, other_layers))) == [["app/dockerfile"]]


def test_the_job_is_left_alone_while_the_second_block_runs():
    found = plan(stored_base("debian", "1", "2"), target())
    decision = decide(situation(found, done(ran("1"), ran("2"))))
    assert decision.actions == ()
    assert states(decision)["app/dockerfile"] == "Building"


@pytest.mark.parametrize("runs", [(ran("1"), ran("2")), (ran("1"), ran("2"), ran("3"))])
def test_somebody_else_stored_the_first_block_first(runs):
    """What the Job builds upon its own is thrown away."""
    decision = decide(situation(plan(stored_base("debian", "theirs"), target()), done(*runs)))
    assert started(decision) == [ALL[2:]]
    assert [one.why for one in decision.actions if isinstance(one, StopJob)] == (
        ["the plan has changed"]
    )


def test_a_job_that_has_not_reported_may_have_made_what_is_stored():
    """Reports are forgotten when the operator is killed; the end of the Job tells."""
    found = plan(stored_base("debian", "1", "2"), target())
    assert decide(situation(found, done())).actions == ()


def test_blocks_that_changed_nothing_are_the_same_whoever_stored_them():
    found = plan(stored_base("debian"), target())
    assert decide(situation(found, done(ran(None), ran()))).actions == ()


def test_the_last_block_changed_meanwhile():
    """The Job goes on for as long as the first block is not stored, and is stopped then."""
    changed = target(key="changed")
    decision = decide(situation(plan(base(), changed), done()))
    assert decision.actions == ()
    assert view(decision, "app/dockerfile").job is None
    decision = decide(
        situation(plan(stored_base("debian", "1", "2"), changed), done(ran("1"), ran("2")))
    )
    assert started(decision) == [ALL[2:]]
    assert any(isinstance(one, StopJob) for one in decision.actions)


def test_files_are_recorded_from_a_job_of_two_blocks():
    source = replace(
        target(),
        stages=(
            cached(
                "app/dockerfile", "debian", "1", "2", "3", "4", work=RUN, base=ImageBase(image=BASE)
            ),
        ),
    )
    source = replace(source, name="app", depends_on=())
    copier = image(to_build("web/dockerfile", work=copying("app"), base=EXTERNAL), needs=["app"])
    planned = plan(source, copier)
    key = exports.exports_of(copier.stages[0], planned)[0].key
    one = done(*(ran(name) for name in "1234"), exports={"e0": key})
    assert decide(situation(planned, one)).actions == ()
    told = replace(one, result=replace(one.result, exports={"e0": export_result()}))
    (action,) = decide(situation(planned, told)).actions
    assert isinstance(action, RecordExport)


# --- failures -----------------------------------------------------------------------------------------------------------


def test_a_failing_command_of_the_second_block_leaves_the_first_one_published():
    failure = Failure(reason=Reason.STAGE_FAILED, message="exit status 7", final=True, run=3)
    one = done(ran("1"), ran("2"), ran("3"), failure=failure, phase=JobPhase.ENDED, finished=3)
    decision = decide(situation(plan(base(), target()), one))
    assert published(decision) == [("base/RUN1", 0), ("base/dockerfile", 1)]
    decision = decide(situation(plan(stored_base("debian", "1", "2"), target()), one))
    assert published(decision) == [("app/RUN1", 2)]
    below = inner(
        cached(f"{TARGET}/RUN1", "debian", "1", "2", "3", work=RUN, base=ImageBase(image=BASE))
    )
    rest = replace(target(), stages=(below, target().stages[1]))
    decision = decide(situation(plan(stored_base("debian", "1", "2"), rest), one))
    assert decision.settled
    assert decision.failures == (("app", "dockerfile", failure),)


def test_a_failing_command_of_the_first_block_skips_the_second():
    failure = Failure(reason=Reason.STAGE_FAILED, message="exit status 7", final=True, run=0)
    one = done(failure=failure, phase=JobPhase.ENDED, finished=3)
    decision = decide(situation(plan(base(), target()), one))
    assert decision.settled
    assert states(decision) == {f"{BASE}/dockerfile": "Failed", "app/dockerfile": "Skipped"}


def test_a_lost_job_is_continued_from_what_is_stored():
    gone = replace(lost(*KEYS), parent_layers=1)
    gone = replace(gone, result=replace(gone.result, runs=(ran("1"), ran("2"))))
    decision = decide(situation(plan(base(), target()), gone))
    assert published(decision) == [("base/RUN1", 0), ("base/dockerfile", 1)]
    decision = decide(situation(plan(stored_base("debian", "1", "2"), target()), gone))
    assert started(decision) == [ALL[2:]]
    assert decision.actions[0].attempt == 0, "another first stage, another name"


def test_losses_count_for_the_block_that_was_being_built():
    """A third one is final, wherever the Jobs began."""
    found = plan(stored_base("debian", "1", "2"), target())
    first = replace(lost(*KEYS), parent_layers=1)
    first = replace(first, result=replace(first.result, runs=(ran("1"), ran("2"))))
    below = str(found.image(BASE).stages[0].stored.manifest_digest)
    more = [lost(*KEYS[2:], attempt=number, parent=below) for number in (0, 1)]
    decision = decide(situation(found, first, *more))
    assert decision.failures[0][2].message.startswith("gave up after 3 attempts")


def test_a_job_that_only_has_the_digest_of_the_last_block_is_not_used():
    strange = job("x/dockerfile", *KEYS[2:], result=StageResult(runs=(ran("1"), ran("2"))))
    found = plan(stored_base("debian", "1"), target())
    assert started(decide(situation(found, replace(strange, parent_layers=1)))) == [ALL[2:]]
