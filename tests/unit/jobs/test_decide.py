"""Plan and observed Jobs to actions: stages, failures, attempts, waiting."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, union-attr, arg-type, var-annotated"

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.unit.jobs.values import (
    EXTERNAL,
    METADATA,
    NOW,
    STARTED,
    cached,
    copying,
    digest,
    failed,
    image,
    job,
    lost,
    plan,
    ran,
    sha,
    situation,
    states,
    stored,
    taking,
    to_build,
    unknown,
    view,
)

from conveyor.api.names import Reason
from conveyor.jobs.decide import decide
from conveyor.jobs.decision import PublishStage, StartJob, StopJob
from conveyor.jobs.model import JobPhase, StageResult
from conveyor.plan.model import ExternalBase, ImageBase, StageWork

FROM = cached("app/from", "debian", base=EXTERNAL)
ON_FROM = stored("app/from", "debian").manifest_digest


def two_stages():
    """An image whose base is stored and whose two stages of commands are not."""
    return image(FROM, to_build("app/install"), to_build("app/setup"))


def started(decision):
    """What the Jobs build that are to be started."""
    return [
        [f"{stage.image}/{stage.name}" for stage in action.stages]
        for action in decision.actions
        if isinstance(action, StartJob)
    ]


# --- what is started --------------------------------------------------------------------------------------------------


def test_the_first_stage_of_every_image_whose_parent_is_stored_is_started():
    planned = plan(
        image(FROM, to_build("app/install"), to_build("app/setup")),
        image(to_build("web/from", base=EXTERNAL)),
        image(to_build("child/from", base=ImageBase(image="app"))),
    )
    decision = decide(situation(planned))
    assert started(decision) == [["app/install"], ["web/from"]]
    assert states(decision) == {
        "app/from": "Cached",
        "app/install": "Pending",
        "app/setup": "Pending",
        "web/from": "Pending",
        "child/from": "Pending",
    }
    assert not decision.settled


def test_a_stage_on_another_image_waits_for_its_last_stage():
    child = image(to_build("child/from", base=ImageBase(image="app")), needs=["app"])
    whole = plan(image(FROM, cached("app/install", "debian", "i")), child)
    assert started(decide(situation(whole))) == [["child/from"]]
    half = plan(image(FROM, to_build("app/install")), child)
    assert started(decide(situation(half))) == [["app/install"]]


@pytest.mark.parametrize(("parent", "used"), [("base 1", True), ("base 2", False)])
def test_a_result_on_another_base_than_the_pinned_one_is_of_no_use(parent, used):
    pinned = ExternalBase(reference="debian:12", digest=sha("base 1"))
    planned = plan(image(to_build("app/dockerfile", base=pinned)))
    done = job("app/dockerfile", parent=sha(parent), result=StageResult(runs=(ran("x"),)))
    decision = decide(situation(planned, done))
    assert any(isinstance(action, PublishStage) for action in decision.actions) is used


def test_an_image_in_order_waits_for_everything_before_it():
    def blocks(first):
        second = image(to_build("app/b/from", base=EXTERNAL), block_of="app", needs=["app/a"])
        last = image(to_build("app/dockerfile", base=EXTERNAL), needs=["app/b"])
        in_order = (replace(one, in_order=True) for one in (second, last))
        return plan(image(first, block_of="app"), *in_order)

    waiting = decide(situation(blocks(to_build("app/a/from", base=EXTERNAL))))
    assert started(waiting) == [["app/a/from"]]
    assert states(waiting)["app/dockerfile"] == "Pending"
    assert started(decide(situation(blocks(cached("app/a/from", base=EXTERNAL))))) == [
        ["app/b/from"]
    ]


def test_an_image_in_order_does_not_wait_for_what_is_not_planned():
    stages = (cached("app/dockerfile", base=EXTERNAL), to_build("app/imageSpec"))
    planned = plan(replace(image(*stages, needs=["app/a"]), in_order=True))
    assert started(decide(situation(planned))) == [["app/imageSpec"]]


def test_slots_go_to_the_first_sets_and_are_respected():
    planned = plan(
        image(to_build("late/from", base=EXTERNAL)),
        image(to_build("app/block/from", base=EXTERNAL), block_of="app"),
        image(to_build("app/dockerfile", base=EXTERNAL)),
        image(to_build("web/from", base=EXTERNAL)),
        sets=[["app", "web"], ["late"]],
    )
    assert started(decide(situation(planned, slots=0))) == []
    assert started(decide(situation(planned, slots=2))) == [["app/block/from"], ["app/dockerfile"]]
    assert started(decide(situation(planned, slots=4)))[-1] == ["late/from"]


def test_views_are_in_the_plans_order_whatever_set_comes_first():
    planned = plan(
        image(to_build("late/from", base=EXTERNAL)),
        image(to_build("app/from", base=EXTERNAL)),
        sets=[["app"], ["late"]],
    )
    assert list(decide(situation(planned)).views) == [("late", "from"), ("app", "from")]


def test_no_slot_is_not_the_end():
    assert not decide(situation(plan(two_stages()), slots=0)).settled


def test_a_stage_that_changes_no_files_is_published_without_a_job():
    planned = plan(image(to_build("app/from", base=EXTERNAL, work=METADATA)))
    decision = decide(situation(planned, slots=0))
    (action,) = decision.actions
    assert action == PublishStage(image="app", stage=planned.images[0].stages[0])
    assert view(decision, "app/from").state == "Building"


def test_an_unknown_stage_waits():
    decision = decide(situation(plan(image(FROM, unknown("app/install")))))
    assert decision.actions == ()
    assert view(decision, "app/install").state == "Pending"
    assert not decision.settled


def test_a_stage_waits_for_the_values_of_other_images():
    for values, expected in ((taking("lib"), []), (taking("lib", TAG="1"), [["app/dockerfile"]])):
        work = StageWork(commands=("make",), dependencies=(values,))
        stage = to_build("app/dockerfile", base=EXTERNAL, work=work)
        decision = decide(situation(plan(image(stage, needs=["lib"]), image(FROM))))
        assert started(decision) == expected
        assert states(decision)["app/dockerfile"] == "Pending"


def test_a_stage_of_values_alone_is_published_without_a_job():
    work = StageWork(dependencies=(taking("lib", TAG="1"),))
    stage = to_build("app/dependenciesBeforeSetup", work=work)
    decision = decide(situation(plan(image(FROM, stage, to_build("app/setup")))))
    assert decision.actions == (PublishStage(image="app", stage=stage),)


def test_everything_stored_is_settled():
    built_now = cached("app/install", "debian", "i", built_at=STARTED + timedelta(seconds=1))
    decision = decide(situation(plan(image(FROM, built_now))))
    assert decision.settled
    assert states(decision) == {"app/from": "Cached", "app/install": "Built"}


# --- Jobs and their results -------------------------------------------------------------------------------------------


def test_a_running_job_is_waited_for():
    running = job("app/install", parent=ON_FROM)
    decision = decide(situation(plan(two_stages()), running))
    assert decision.actions == ()
    assert view(decision, "app/install").state == "Building"
    assert view(decision, "app/install").job is running
    assert view(decision, "app/setup").state == "Pending"
    assert not decision.settled


@pytest.mark.parametrize("phase", list(JobPhase))
def test_a_reported_result_is_published_whatever_the_pod_does(phase):
    done = job("app/install", parent=ON_FROM, phase=phase, result=StageResult(runs=(ran("i"),)))
    planned = plan(two_stages())
    (action,) = decide(situation(planned, done, slots=0)).actions
    assert action == PublishStage(
        image="app", stage=planned.images[0].stages[1], job=done, run=0, result=ran("i")
    )


def test_another_builders_result_serves_as_well():
    theirs = job("app/install", parent=ON_FROM, owner="uid-2", result=StageResult(runs=(ran("i"),)))
    (action,) = decide(situation(plan(two_stages()), theirs)).actions
    assert isinstance(action, PublishStage)


@pytest.mark.parametrize("phase", [JobPhase.RUNNING, JobPhase.ENDED])
def test_a_result_on_another_parent_is_not_used(phase):
    other = job(
        "app/install", parent=sha("other"), phase=phase, result=StageResult(runs=(ran("i"),))
    )
    decision = decide(situation(plan(two_stages()), other))
    assert started(decision) == [["app/install"]]
    assert decision.actions[0].attempt == 1


@pytest.mark.parametrize("phase", [JobPhase.RUNNING, JobPhase.ENDED])
def test_a_result_of_another_commit_is_not_used_though_the_digest_is_the_same(phase):
    """A git stage's digest does not tell the commit: its files would be published as those of ours."""
    result = StageResult(runs=(ran("theirs"),))
    for owner in ("uid-1", "uid-2"):
        other = job(
            "app/install", parent=ON_FROM, phase=phase, result=result, owner=owner, commit="theirs"
        )
        decision = decide(situation(plan(two_stages()), other))
        assert [type(action) for action in decision.actions if not isinstance(action, StopJob)] == [
            StartJob
        ]
        (start,) = (action for action in decision.actions if isinstance(action, StartJob))
        assert start.attempt == 1  # the name with 0 is taken


def test_a_job_of_another_commit_is_stopped_when_it_is_ours_and_left_alone_otherwise():
    ours = job("app/install", parent=ON_FROM, run_id="0/", commit="before")
    theirs = job("app/install", parent=ON_FROM, owner="uid-2", attempt=1, commit="theirs")
    decision = decide(situation(plan(two_stages()), ours, theirs))
    stopped = [action.job for action in decision.actions if isinstance(action, StopJob)]
    assert stopped == [ours]


def test_a_job_on_a_base_that_moved_since_is_used():
    done = job("app/from", parent=sha("base of then"), result=StageResult(runs=(ran("f"),)))
    (action,) = decide(situation(plan(image(to_build("app/from", base=EXTERNAL))), done)).actions
    assert isinstance(action, PublishStage)


def test_a_job_that_is_being_deleted_counts_for_its_name_only():
    going = job("app/install", parent=ON_FROM, deleting=True, result=StageResult(runs=(ran("i"),)))
    (action,) = decide(situation(plan(two_stages()), going)).actions
    assert isinstance(action, StartJob)
    assert action.attempt == 1


def test_one_digest_in_two_images_is_built_and_published_once():
    planned = plan(
        image(cached("a/from", "debian", key="f"), to_build("a/install", key="same")),
        image(cached("b/from", "debian", key="f"), to_build("b/install", key="same")),
    )
    assert started(decide(situation(planned))) == [["a/install"]]
    done = job(
        "same", parent=stored("f", "debian").manifest_digest, result=StageResult(runs=(ran("i"),))
    )
    decision = decide(situation(planned, done))
    assert [type(action) for action in decision.actions] == [PublishStage]
    assert view(decision, "b/install").state == "Building"
    metadata = plan(
        image(to_build("a/from", key="same", base=EXTERNAL, work=METADATA)),
        image(to_build("b/from", key="same", base=EXTERNAL, work=METADATA)),
    )
    assert len(decide(situation(metadata)).actions) == 1


# --- several stages in one Job ----------------------------------------------------------------------------------------


def fused(*layers, second="app/setup"):
    """The image after the Job's first stage was stored with these layers."""
    return plan(image(FROM, cached("app/install", *layers), to_build(second)))


def test_consecutive_stages_go_into_one_job():
    planned = plan(
        image(
            FROM,
            to_build("app/install"),
            to_build("app/setup"),
            to_build("app/dockerInstructions", work=METADATA),
            to_build("app/gitLatestPatch"),
        )
    )
    assert started(decide(situation(planned, fuse=True))) == [["app/install", "app/setup"]]
    running = job("app/install", "app/setup", parent=ON_FROM)
    decision = decide(situation(planned, running, fuse=True))
    assert decision.actions == ()
    assert view(decision, "app/setup").job is running
    assert view(decision, "app/dockerInstructions").job is None


def test_an_unknown_stage_ends_the_chain():
    planned = plan(image(FROM, to_build("app/install"), unknown("app/setup")))
    assert started(decide(situation(planned, fuse=True))) == [["app/install"]]


def test_values_that_change_the_environment_end_the_chain():
    work = StageWork(imports=(), commands=("x",), dependencies=(taking("lib", TAG="1"),))
    stages = (to_build("app/dependenciesAfterInstall", work=work), to_build("app/setup"))
    planned = plan(image(FROM, to_build("app/install"), *stages))
    assert started(decide(situation(planned, fuse=True))) == [
        ["app/install", "app/dependenciesAfterInstall"]
    ]


def test_the_second_run_is_published_upon_the_first_runs_layers():
    result = StageResult(runs=(ran("i"), ran("s")))
    both = job("app/install", "app/setup", parent=ON_FROM, phase=JobPhase.ENDED, result=result)
    (first,) = decide(situation(plan(two_stages()), both, fuse=True)).actions
    assert (first.stage.name, first.run, first.result) == ("install", 0, ran("i"))
    (second,) = decide(situation(fused("debian", "i"), both, fuse=True)).actions
    assert (second.stage.name, second.run, second.result) == ("setup", 1, ran("s"))


def test_a_stage_of_a_chain_is_told_as_soon_as_it_is_published():
    half = job("app/install", "app/setup", parent=ON_FROM, result=StageResult(runs=(ran("i"),)))
    (action,) = decide(situation(plan(two_stages()), half, fuse=True)).actions
    assert (action.then, action.continued) == ((), False)


def test_the_second_run_is_waited_for_in_the_same_job():
    half = job("app/install", "app/setup", parent=ON_FROM, result=StageResult(runs=(ran("i"),)))
    decision = decide(situation(fused("debian", "i"), half, fuse=True))
    assert decision.actions == ()
    assert view(decision, "app/setup").job is half


@pytest.mark.parametrize("reported", [(ran("i"), ran("s")), (ran("i"),)])
def test_the_second_run_is_not_used_when_the_first_was_discarded(reported):
    both = job("app/install", "app/setup", parent=ON_FROM, result=StageResult(runs=reported))
    decision = decide(situation(fused("debian", "theirs"), both, fuse=True))
    assert started(decision) == [["app/setup"]]
    assert not any(isinstance(action, PublishStage) for action in decision.actions)


def test_the_second_run_is_not_used_when_the_first_changed_nothing_but_theirs_did():
    result = StageResult(runs=(ran(None), ran("s")))
    both = job("app/install", "app/setup", parent=ON_FROM, phase=JobPhase.ENDED, result=result)
    decision = decide(situation(fused("debian", "theirs"), both, fuse=True))
    assert started(decision) == [["app/setup"]]
    (own,) = decide(situation(fused("debian"), both, fuse=True)).actions
    assert isinstance(own, PublishStage)


def test_a_job_none_of_whose_stages_is_wanted_is_stopped():
    gone = job("app/old", parent=ON_FROM)
    decision = decide(situation(plan(two_stages()), gone))
    assert StopJob(job=gone, why="the plan has changed") in decision.actions


def test_a_job_whose_only_wanted_stage_is_stored_with_other_layers_is_stopped():
    half = job("app/install", "app/old", parent=ON_FROM, result=StageResult(runs=(ran("i"),)))
    decision = decide(situation(fused("debian", "theirs"), half, fuse=True))
    assert [action.job for action in decision.actions if isinstance(action, StopJob)] == [half]


@pytest.mark.parametrize(
    "kept",
    [
        job("app/old", owner="uid-2"),
        job("app/old", deleting=True),
        job("app/old", phase=JobPhase.ENDED),
        job(exports={"e0": "copy-1"}),
        job("app/install", "app/old", parent=ON_FROM),
    ],
    ids=["of somebody else", "going already", "ended", "an export", "something is wanted"],
)
def test_other_jobs_are_left_alone(kept):
    decision = decide(situation(plan(two_stages()), kept))
    assert not any(isinstance(action, StopJob) for action in decision.actions)


def test_a_job_that_has_delivered_everything_is_left_to_end_by_itself():
    """Its stages are stored by its own result; the pod has not ended yet and its log is of use."""
    result = StageResult(runs=(ran("i"),))
    done = job("app/gone", parent=ON_FROM, result=result)
    decision = decide(situation(plan(two_stages()), done))
    assert not any(isinstance(action, StopJob) for action in decision.actions)


def test_a_pod_that_never_started_is_made_anew_by_a_new_run():
    """The spec was mended, a node selector for example: waiting for the old pod would be in vain."""
    waits = job("app/install", parent=ON_FROM, phase=JobPhase.PENDING, run_id="0/")
    decision = decide(situation(plan(two_stages()), waits))
    assert StopJob(job=waits, why="a new run of the build has begun") in decision.actions
    assert started(decision) == [["app/install"]]
    runs = job("app/install", parent=ON_FROM, phase=JobPhase.RUNNING, run_id="0/")
    assert decide(situation(plan(two_stages()), runs)).actions == ()


# --- failures and attempts --------------------------------------------------------------------------------------------


def user_failure(**fields):
    fields = {"phase": JobPhase.ENDED, "parent": ON_FROM, "result": failed(final=True), **fields}
    return job("app/install", finished=2, **fields)


def test_a_users_failure_is_final_and_what_needs_the_image_is_skipped():
    planned = plan(
        two_stages(),
        image(to_build("child/from", base=ImageBase(image="app")), needs=["app"]),
        image(to_build("grandchild/from", base=ImageBase(image="child")), needs=["child"]),
        image(FROM, to_build("other/install")),
        sets=[["app", "other"], ["child"], ["grandchild"]],
    )
    planned = plan(
        *planned.images[:3],
        image(cached("other/from", "debian"), to_build("other/install")),
        sets=planned.sets,
    )
    decision = decide(situation(planned, user_failure()))
    assert started(decision) == [["other/install"]]
    assert states(decision) == {
        "app/from": "Cached",
        "app/install": "Failed",
        "app/setup": "Skipped",
        "child/from": "Skipped",
        "grandchild/from": "Skipped",
        "other/from": "Cached",
        "other/install": "Pending",
    }
    ((where, stage, failure),) = decision.failures
    assert (where, stage, failure.message) == ("app", "install", "exit status 2")
    assert not decision.settled


def test_a_failure_with_nothing_else_left_is_settled():
    decision = decide(situation(plan(two_stages()), user_failure()))
    assert decision.actions == ()
    assert decision.settled


def test_a_users_failure_of_an_earlier_run_does_not_count():
    earlier = user_failure(run_id="0/")
    (action,) = decide(situation(plan(two_stages()), earlier)).actions
    assert isinstance(action, StartJob)
    assert action.attempt == 1


@pytest.mark.parametrize(("count", "seconds"), [(1, 2), (2, 4), (3, 8), (6, 60), (8, 60)])
def test_the_next_attempt_after_lost_ones_waits_longer_each_time(count, seconds):
    jobs = [
        lost("app/install", attempt=n, parent=ON_FROM, finished=1000 - n) for n in range(count - 1)
    ]
    jobs.append(lost("app/install", attempt=count - 1, parent=ON_FROM, finished=1))
    early = decide(situation(plan(two_stages()), *jobs, retry_limit=10))
    assert early.actions == ()
    assert early.look_again == seconds - 1
    assert view(early, "app/install").state == "Pending"
    assert not early.settled
    late = situation(
        plan(two_stages()), *jobs, retry_limit=10, now=NOW + timedelta(seconds=seconds - 1)
    )
    (action,) = decide(late).actions
    assert action.attempt == count


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_lost_attempts_are_made_good_only_so_often(limit):
    jobs = [lost("app/install", attempt=n, parent=ON_FROM) for n in range(limit)]
    assert started(decide(situation(plan(two_stages()), *jobs, retry_limit=limit)))
    jobs.append(lost("app/install", attempt=limit, parent=ON_FROM))
    decision = decide(situation(plan(two_stages()), *jobs, retry_limit=limit))
    assert decision.settled
    failure = view(decision, "app/install").failure
    assert failure.final
    assert failure.reason is Reason.STAGE_EVICTED
    assert f"gave up after {limit + 1} attempts" in failure.message


def test_lost_attempts_of_an_earlier_run_do_not_count():
    jobs = [lost("app/install", attempt=n, parent=ON_FROM, run_id="0/x") for n in range(5)]
    (action,) = decide(situation(plan(two_stages()), *jobs)).actions
    assert action.attempt == 5


def test_an_earlier_runs_job_that_still_runs_is_used():
    running = job("app/install", parent=ON_FROM, run_id="0/x")
    decision = decide(situation(plan(two_stages()), running))
    assert decision.actions == ()
    assert view(decision, "app/install").job is running


def test_the_image_that_shares_a_failed_digest_fails_too():
    planned = plan(
        image(cached("a/from", "debian", key="f"), to_build("a/install", key="same")),
        image(cached("b/from", "debian", key="f"), to_build("b/install", key="same")),
    )
    broken = job(
        "same",
        parent=stored("f", "debian").manifest_digest,
        phase=JobPhase.ENDED,
        result=failed(final=True),
    )
    decision = decide(situation(planned, broken))
    assert decision.settled
    assert [one[0] for one in decision.failures] == ["a", "b"]


def test_a_failed_second_run_fails_the_second_stage_after_the_first_is_published():
    result = StageResult(runs=(ran("i"),), failure=failed(final=True).failure)
    half = job("app/install", "app/setup", parent=ON_FROM, phase=JobPhase.ENDED, result=result)
    (first,) = decide(situation(plan(two_stages()), half, fuse=True)).actions
    assert isinstance(first, PublishStage)
    decision = decide(situation(fused("debian", "i"), half, fuse=True))
    assert states(decision)["app/setup"] == "Failed"
    assert decision.settled


def test_a_lost_second_run_starts_with_the_second_stage():
    result = StageResult(runs=(ran("i"),), failure=failed(final=False).failure)
    half = job(
        "app/install",
        "app/setup",
        parent=ON_FROM,
        phase=JobPhase.ENDED,
        result=result,
        finished=100,
    )
    decision = decide(situation(fused("debian", "i"), half, fuse=True))
    assert started(decision) == [["app/setup"]]
    assert decision.actions[0].attempt == 0


# --- waiting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "patience"),
    [
        (Reason.STAGE_PULL_FAILED, 60),
        (Reason.SECRET_NOT_FOUND, 60),
        (Reason.POD_REJECTED, 60),
        (Reason.STAGE_UNSCHEDULABLE, 600),
    ],
)
def test_a_pod_that_waits_in_vain_fails_when_patience_is_over(reason, patience):
    def waiting(seconds):
        stuck = job(
            "app/install",
            parent=ON_FROM,
            phase=JobPhase.PENDING,
            waiting=(reason, "because"),
            created=seconds,
        )
        return decide(situation(plan(two_stages()), stuck))

    early = waiting(patience - 3)
    assert view(early, "app/install").state == "Building"
    assert view(early, "app/install").waiting_reason is reason
    assert view(early, "app/install").waiting == "because"
    assert early.look_again == 3
    late = waiting(patience)
    assert late.settled
    failure = view(late, "app/install").failure
    assert (failure.reason, failure.message, failure.final) == (reason, "because", True)


def test_a_pod_that_only_starts_slowly_is_not_given_up():
    slow = job("app/install", parent=ON_FROM, phase=JobPhase.PENDING, created=100_000)
    decision = decide(situation(plan(two_stages()), slow))
    assert view(decision, "app/install").state == "Building"
    assert decision.look_again is None


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_earliest_reason_to_look_again_counts(order):
    images = (
        image(FROM, to_build("app/install")),
        image(cached("web/from", "debian"), to_build("web/install")),
    )
    planned = plan(*(images[at] for at in order))
    waiting = job(
        "app/install",
        parent=ON_FROM,
        phase=JobPhase.PENDING,
        waiting=(Reason.STAGE_PULL_FAILED, "x"),
        created=20,
    )
    evicted = lost("web/install", parent=stored("web/from", "debian").manifest_digest, finished=1)
    assert decide(situation(planned, waiting, evicted)).look_again == 1
    assert decide(situation(planned, waiting)).look_again == 40


def test_deciding_twice_gives_the_same():
    planned = plan(
        two_stages(), image(to_build("x/dockerfile", base=EXTERNAL, work=copying("app")))
    )
    here = situation(planned, lost("app/install", parent=ON_FROM), job("app/old"))
    assert decide(here) == decide(here)
    assert digest("app/old") != digest("app/install")
