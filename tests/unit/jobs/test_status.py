"""Plan and decision to what an ImageBuild's status says."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, union-attr, arg-type, var-annotated"

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.unit.jobs.values import (
    EXTERNAL,
    NOW,
    STARTED,
    cached,
    failed,
    image,
    job,
    plan,
    situation,
    stored,
    to_build,
)

from conveyor.api.compact import compact_status, json_size, status_budget
from conveyor.api.names import Reason
from conveyor.api.v1alpha1 import ImageBuild, ImageBuildStatus, RemoteStatus
from conveyor.jobs import status
from conveyor.jobs.decide import decide
from conveyor.jobs.model import Failure, JobPhase, StageResult
from conveyor.jobs.run import Run, finished, run_of, timestamp

FROM = cached("app/from", "debian", base=EXTERNAL)
ON_FROM = stored("app/from", "debian").manifest_digest
BEGUN = timestamp(STARTED)
COMMIT = "c" * 40
RUN = Run(generation=1, requested_at=None, started_at=BEGUN, commit=COMMIT)


def build(before=None, *, generation=1, requested=None):
    annotations = {"conveyor.dev/requestedAt": requested} if requested else {}
    return ImageBuild.from_object(
        {
            "metadata": {
                "name": "shop",
                "namespace": "default",
                "uid": "uid-1",
                "generation": generation,
                "annotations": annotations,
            },
            "spec": {"repo": "registry.example/shop", "config": "project: shop"},
            "status": before.to_json() if before else {},
        }
    )


def planned(planned_build, *jobs, before=None, now=NOW, run=RUN, references=None):
    decision = decide(situation(planned_build, *jobs, now=now))
    return status.planned(build(before), run, planned_build, decision, references or {}, now)


def condition(made, kind):
    found = {one.type: (one.status.value, one.reason, one.message) for one in made.conditions}
    return found.get(kind)


def rows(made):
    return {f"{one.name}/{row.name}": row for one in made.images for row in one.stages}


HALF = plan(image(FROM, to_build("app/install"), to_build("app/setup")))
RUNNING = job("app/install", parent=ON_FROM)


def whole(built_at=NOW):
    return plan(
        image(
            FROM,
            cached("app/install", "debian", "i", built_at=built_at),
            cached("app/setup", "debian", "i", "s", built_at=built_at),
        )
    )


def test_a_running_build():
    made = planned(HALF, RUNNING)
    assert condition(made, "Ready") == (
        "Unknown",
        "Progressing",
        "1 of 3 stages, 1 building",
    )
    assert condition(made, "Reconciling")[0] == "True"
    assert condition(made, "Stalled") is None
    assert condition(made, "Planned") == ("True", "Succeeded", "3 stages, 1 cached")
    assert (made.stages, made.observed_generation, made.started_at) == ("1/3", 1, BEGUN)
    assert (made.commit, made.short_commit) == (COMMIT, COMMIT[:12])
    assert made.completed_at is None
    counts = made.counts
    assert (counts.total, counts.cached, counts.built, counts.building) == (3, 1, 0, 1)
    (app,) = made.images
    assert (app.state.value, app.ref, app.tag) == ("Building", None, None)
    row = rows(made)["app/install"]
    assert (row.state.value, row.job, row.started_at) == (
        "Building",
        RUNNING.name,
        RUNNING.started_at,
    )
    assert made.plan.sets[0].images == ("app",)


def test_what_keeps_a_stage_waiting_comes_first():
    waiting = job(
        "app/install",
        parent=ON_FROM,
        phase=JobPhase.PENDING,
        waiting=(Reason.STAGE_PULL_FAILED, "denied"),
    )
    made = planned(HALF, waiting)
    assert condition(made, "Ready") == (
        "Unknown",
        "StagePullFailed",
        "image app, stage install: denied",
    )


def test_a_ready_build():
    made = planned(whole(), references={"app": "registry.example/shop@sha256:1"})
    assert condition(made, "Ready")[:2] == ("True", "Succeeded")
    assert condition(made, "Ready")[2] == "3 stages: 1 cached, 2 built"
    assert condition(made, "Reconciling") is None
    assert made.completed_at == timestamp(NOW)
    (app,) = made.images
    assert (app.state.value, app.ref) == ("Ready", "registry.example/shop@sha256:1")
    assert app.tag == str(whole().images[0].stages[-1].stored.id)
    row = rows(made)["app/setup"]
    assert (row.state.value, row.finished_at) == ("Built", timestamp(NOW))


def test_a_failed_build():
    failure = Failure(
        reason=Reason.STAGE_FAILED,
        message="the command failed",
        final=True,
        command="make",
        exit_code=2,
        log_tail="no rule",
    )
    broken = job(
        "app/install",
        parent=ON_FROM,
        phase=JobPhase.ENDED,
        result=StageResult(failure=failure),
        finished=5,
    )
    made = planned(HALF, broken)
    assert condition(made, "Ready")[:2] == ("False", "StageFailed")
    assert condition(made, "Stalled")[0] == "True"
    assert condition(made, "Stalled")[2] == (
        "image app, stage install: the command failed (exit code 2)"
    )
    assert made.completed_at == timestamp(NOW)
    found = made.failure
    assert (found.image, found.stage, found.job) == ("app", "install", broken.name)
    assert (found.command, found.exit_code, found.log_tail) == ("make", 2, "no rule")
    states = {name: (row.state.value, row.reason) for name, row in rows(made).items()}
    assert states["app/install"] == ("Failed", "StageFailed")
    assert states["app/setup"] == ("Skipped", "DependencyFailed")
    assert rows(made)["app/install"].finished_at == broken.finished_at
    assert made.images[0].state.value == "Failed"


def test_a_failure_is_told_while_others_go_on():
    two = plan(*HALF.images, image(cached("web/from", "debian"), to_build("web/install")))
    broken = job("app/install", parent=ON_FROM, phase=JobPhase.ENDED, result=failed(final=True))
    made = planned(two, broken)
    assert condition(made, "Ready")[0] == "Unknown"
    assert "image app failed, independent images go on" in condition(made, "Ready")[2]
    assert made.completed_at is None
    assert made.failure.image == "app"


@pytest.mark.parametrize(
    ("before_plan", "jobs"),
    [
        (HALF, (RUNNING,)),
        (whole(), ()),
        (
            HALF,
            (job("app/install", parent=ON_FROM, result=failed(final=True), phase=JobPhase.ENDED),),
        ),
    ],
    ids=["running", "ready", "failed"],
)
def test_the_same_input_gives_an_equal_status(before_plan, jobs):
    first = planned(before_plan, *jobs)
    again = planned(before_plan, *jobs, before=first)
    assert again == first
    assert ImageBuildStatus.model_validate(first.to_json()) == first


def test_only_the_time_of_a_change_is_noted():
    first = planned(HALF, RUNNING)
    later = NOW + timedelta(minutes=5)
    assert planned(HALF, RUNNING, before=first, now=later) == first
    built = planned(whole(built_at=later), before=first, now=later)
    times = {one.type: one.last_transition_time for one in built.conditions}
    assert times["Ready"] == timestamp(later)
    assert times["Planned"] == timestamp(NOW)


def test_times_are_kept_when_jobs_are_gone():
    first = planned(HALF, RUNNING)
    made = planned(whole(), before=first)
    row = rows(made)["app/install"]
    assert (row.job, row.started_at) == (RUNNING.name, RUNNING.started_at)
    assert row.finished_at == timestamp(NOW)


def test_times_of_an_earlier_run_are_not_kept():
    first = planned(HALF, RUNNING)
    other = Run(generation=2, requested_at=None, started_at=timestamp(NOW))
    made = planned(whole(), before=first, run=other)
    assert rows(made)["app/install"].job is None


def test_times_of_another_digest_are_not_kept():
    first = planned(HALF, RUNNING)
    changed = plan(image(FROM, cached("app/install", "i", key="new", built_at=NOW)))
    assert rows(planned(changed, before=first))["app/install"].job is None


def test_a_stage_that_was_cached_has_no_times():
    row = rows(planned(HALF, RUNNING))["app/from"]
    assert (row.job, row.started_at, row.finished_at) == (None, None, None)


def test_dockerfile_blocks_are_shown_below_their_image():
    blocks = plan(
        image(cached("web/stage/builder/dockerfile", "b"), block_of="web", final=False),
        image(to_build("web/dockerfile", base=EXTERNAL)),
    )
    made = planned(blocks)
    assert [one.name for one in made.images] == ["web"]
    assert list(rows(made)) == ["web/dockerfile (builder)", "web/dockerfile"]
    assert made.counts.total == 2


# --- runs -------------------------------------------------------------------------------------------------------------


def test_a_run_is_continued_until_the_wish_changes():
    first = run_of(build(), NOW)
    assert first == Run(generation=1, requested_at=None, started_at=first.started_at, commit="")
    assert first.started == NOW
    assert first.started_at.endswith(".000Z"), "milliseconds, as in stage ids"
    before = planned(HALF, RUNNING)
    later = NOW + timedelta(hours=1)
    assert run_of(build(before), later) == RUN
    assert run_of(build(before, generation=2), later).started == later
    again = run_of(build(before, requested="now"), later)
    assert (again.started, again.requested_at, again.commit) == (later, "now", "")


@pytest.mark.parametrize(
    ("changes", "over"),
    [({}, True), ({"generation": 2}, False), ({"requested": "again"}, False)],
)
def test_a_finished_run_is_over_until_the_wish_changes(changes, over):
    done = planned(whole())
    assert finished(build(done, **changes)) is over
    assert not finished(build(planned(HALF, RUNNING), **changes))


def test_a_failed_run_is_over_and_a_request_begins_another():
    broken = job("app/install", parent=ON_FROM, phase=JobPhase.ENDED, result=failed(final=True))
    done = planned(HALF, broken)
    assert finished(build(done))
    assert not finished(build(done, requested="again"))


def test_stalling_keeps_what_was_known_of_this_run():
    before = planned(HALF, RUNNING)
    made = status.stalled(build(before), RUN, NOW, reason=Reason.TIMED_OUT, message="too long")
    assert condition(made, "Ready") == ("False", "TimedOut", "too long")
    assert made.images == before.images
    assert (made.failure.reason, made.failure.message) == ("TimedOut", "too long")
    assert finished(build(made))
    other = Run(generation=2, requested_at=None, started_at=timestamp(NOW))
    fresh = status.stalled(build(before), other, NOW, reason=Reason.TIMED_OUT, message="x")
    assert fresh.images == ()
    assert fresh.observed_generation == 2


def test_progress_without_a_plan():
    made = status.progress(build(), RUN, NOW, reason=Reason.PLANNING, message="planning")
    assert condition(made, "Ready") == ("Unknown", "Planning", "planning")
    assert made.completed_at is None
    assert made.started_at == BEGUN
    over = planned(whole())
    again = status.progress(build(over), RUN, NOW, reason=Reason.PLANNING, message="x")
    assert again.completed_at is None


def test_a_suspended_build():
    made = status.suspended(build(planned(HALF, RUNNING)), RUN, NOW)
    assert condition(made, "Ready") == ("False", "Suspended", "spec.suspend is true")
    assert condition(made, "Reconciling") is None
    assert not finished(build(made))


# --- size -------------------------------------------------------------------------------------------------------------


def test_long_texts_of_a_failure_fit():
    """A report over HTTP may have 64 KiB; the fields of status have their own limits."""
    failure = Failure(
        reason=Reason.STAGE_FAILED,
        message="m" * 60_000,
        final=True,
        command="c" * 60_000,
        exit_code=1,
        log_tail="l" * 60_000,
    )
    broken = job(
        "app/install",
        parent=ON_FROM,
        phase=JobPhase.ENDED,
        result=StageResult(failure=failure),
    )
    made = compact_status(planned(HALF, broken))
    assert ImageBuildStatus.model_validate(made.to_json()) == made
    assert json_size(made.to_json()) <= status_budget(1)


def test_forty_images_fit_into_the_budget():
    images = []
    for number in range(40):
        name = f"services/application-with-a-long-name-{number}"
        stages = [cached(f"{name}/from", "debian", base=EXTERNAL)]
        stages += [
            cached(f"{name}/{stage}", "debian", stage, built_at=NOW)
            for stage in ("gitArchive", "install", "importsAfterInstall", "setup")
        ]
        images.append(image(*stages))
    big = plan(*images)
    references = {one.name: f"registry.example/shop@sha256:{'0' * 64}" for one in images}
    made = compact_status(planned(big, references=references))
    assert json_size(made.to_json()) <= status_budget(40)
    assert len(made.images) == 40
    assert all(one.ref for one in made.images)
    again = compact_status(planned(big, before=made, references=references))
    assert again == made


# --- outages ----------------------------------------------------------------------------------------------------------


def outage(before, run, now):
    return status.outage(
        before, run, now, reason=Reason.REGISTRY_UNREACHABLE, message="no answer; trying again"
    )


def test_an_outage_begins_once_and_no_restart_forgets_when():
    first = outage(build(), RUN, NOW)
    assert condition(first, "Planned")[:2] == ("False", "RegistryUnreachable")
    assert condition(first, "Ready")[0] == "Unknown"
    later = NOW + timedelta(seconds=90)
    assert status.outage_since(build(first), RUN, later) == NOW
    again = outage(build(first), RUN, later)
    assert status.outage_since(build(again), RUN, later) == NOW


def test_an_outage_that_is_over_does_not_count_for_the_next_one():
    planned_again = planned(HALF, RUNNING, before=outage(build(), RUN, NOW))
    later = NOW + timedelta(hours=1)
    assert status.outage_since(build(planned_again), RUN, later) == later
    other = run_of(build(outage(build(), RUN, NOW), generation=2), later)
    assert status.outage_since(build(outage(build(), RUN, NOW)), other, later) == later
    fresh = outage(build(outage(build(), RUN, NOW)), other, later)
    assert status.outage_since(build(fresh), other, later) == later


# --- commits of other repositories ------------------------------------------------------------------------------------

REMOTE = RemoteStatus(url="https://git.example/lib", branch="main", commit="d" * 40)


def test_commits_of_other_repositories_stay_for_a_run():
    """Recorded before anything is built; an operator that starts later reads them, a new request looks again."""
    run = replace(RUN, remotes=(REMOTE,))
    first = status.progress(build(), run, NOW, reason=Reason.PLANNING, message="planning")
    assert first.to_json()["remotes"] == [
        {"url": REMOTE.url, "branch": "main", "commit": REMOTE.commit}
    ]
    assert run_of(build(first), NOW).remotes == (REMOTE,)
    for made in (
        planned(HALF, RUNNING, before=first, run=run),
        status.outage(build(first), run, NOW, reason=Reason.PLANNING, message="x"),
        status.stalled(build(first), run, NOW, reason=Reason.TIMED_OUT, message="x"),
        status.suspended(build(first), run, NOW),
    ):
        assert made.remotes == (REMOTE,)
    assert run_of(build(first, requested="now"), NOW).remotes == ()
    assert run_of(build(first, generation=2), NOW).remotes == ()
