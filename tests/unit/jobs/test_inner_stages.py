"""Slices of a FROM block in Jobs: built together, published together, continued after anything."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, union-attr, arg-type"

from dataclasses import replace

import pytest
from tests.unit.jobs.values import (
    EXTERNAL,
    bundle,
    cached,
    copying,
    export_result,
    image,
    instruction,
    job,
    plan,
    ran,
    sha,
    situation,
    states,
    stored,
    to_build,
    unknown,
    view,
)

from conveyor.api.names import Reason
from conveyor.config.dockerfile_mounts import RunMount
from conveyor.jobs import exports
from conveyor.jobs.decide import decide
from conveyor.jobs.decision import PublishStage, RecordExport, StartJob
from conveyor.jobs.model import Failure, JobPhase, StageResult
from conveyor.plan.model import PlannedMount, StageWork


def work(*keywords, mounts=(), **more):
    """A slice of these instructions, all with these mounts."""
    made = replace(instruction(*keywords), **more)
    planned = tuple(PlannedMount(mount=mount) for mount in mounts)
    steps = tuple(replace(step, mounts=planned) for step in made.block.steps)
    return replace(made, block=replace(made.block, steps=steps))


RUN, COPY, CMD = work("RUN"), work("COPY"), work("CMD")
FROM_TOOLS = copying("tools")


def inner(name, *, what=RUN, make=to_build, layers=(), base=None):
    return replace(make(f"app/{name}", *layers, work=what, base=base), inner=True)


def block(*, first=RUN, last=CMD):
    """A block of two slices that run something and one that only changes the config."""
    return image(
        inner("RUN1", what=first, base=EXTERNAL),
        inner("RUN2"),
        to_build("app/dockerfile", work=last),
    )


KEYS = ("app/RUN1", "app/RUN2", "app/dockerfile")


def started(decision):
    return [[s.name for s in a.stages] for a in decision.actions if isinstance(a, StartJob)]


def published(decision):
    (action,) = (a for a in decision.actions if isinstance(a, PublishStage))
    return [(one.stage.name, one.run) for one in action.all]


@pytest.mark.parametrize("fuse", [True, False])
def test_the_slices_of_a_block_go_into_one_job(fuse):
    decision = decide(situation(plan(block()), fuse=fuse))
    assert started(decision) == [["RUN1", "RUN2", "dockerfile"]]
    assert states(decision) == {"app/dockerfile": "Pending"}


def test_slices_with_other_mounts_need_another_pod():
    mount = RunMount(type="cache", target="/c")
    mounted = work("RUN", mounts=[mount])
    decision = decide(situation(plan(block(first=mounted))))
    assert started(decision) == [["RUN1"]]
    same = image(inner("RUN1", what=mounted, base=EXTERNAL), inner("RUN2", what=mounted))
    last = to_build("app/dockerfile", work=CMD)
    decision = decide(situation(plan(replace(same, stages=(*same.stages, last)))))
    assert started(decision) == [["RUN1", "RUN2"]]


def test_a_job_with_mounts_of_a_run_exports_too():
    mounted = work("RUN", mounts=[RunMount(type="cache", target="/c")])
    tools = image(to_build("tools/dockerfile", work=mounted, base=EXTERNAL))
    copier = image(to_build("web/dockerfile", work=FROM_TOOLS, base=EXTERNAL), needs=["tools"])
    (start,) = (a for a in decide(situation(plan(tools, copier))).actions)
    assert [export.source for export in start.exports] == ["tools"]


def test_what_is_reported_is_published_in_one_go():
    one = job(*KEYS, result=StageResult(runs=(ran("1"), ran("2"))))
    decision = decide(situation(plan(block()), one))
    assert published(decision) == [("RUN1", 0), ("RUN2", 1)]
    assert decision.actions[0].continued
    assert states(decision) == {"app/dockerfile": "Building"}
    assert view(decision, "app/dockerfile").job == one


def test_a_job_that_goes_on_with_something_else_is_not_waited_for():
    theirs = job("app/RUN1", "app/RUN2", "other/dockerfile")
    theirs = replace(theirs, result=StageResult(runs=(ran("1"), ran("2"))))
    decision = decide(situation(plan(block()), theirs))
    assert published(decision) == [("RUN1", 0), ("RUN2", 1)]
    assert not decision.actions[0].continued


def test_the_last_slice_is_published_with_what_it_was_built_upon():
    one = job(*KEYS, result=StageResult(runs=(ran("1"), ran("2"), ran())))
    found = image(
        inner("RUN1", make=cached, layers=("debian", "1"), base=EXTERNAL), *block().stages[1:]
    )
    decision = decide(situation(plan(found), one))
    assert published(decision) == [("RUN2", 1), ("dockerfile", 2)]
    assert not decision.actions[0].continued


def test_a_stage_behind_the_block_is_published_by_itself():
    found = image(*block().stages, to_build("app/imageSpec", work=StageWork()))
    one = job(*KEYS, result=StageResult(runs=(ran("1"), ran("2"), ran())))
    decision = decide(situation(plan(found), one))
    assert published(decision)[-1] == ("dockerfile", 2)


def test_an_inner_stage_of_two_blocks_is_published_once():
    other = replace(
        image(
            inner("RUN1", base=EXTERNAL),
            to_build("app/RUN2", key="other"),
        ),
        name="other",
    )
    other = replace(other, stages=tuple(replace(s, image="other") for s in other.stages))
    one = job(*KEYS, result=StageResult(runs=(ran("1"),)))
    decision = decide(situation(plan(block(), other), one))
    assert published(decision) == [("RUN1", 0)]


# --- a Job whose first slices are no longer planned ---------------------------------------------------------------------


def rest(*layers):
    """The block when its second slice is stored with these layers: what is below is not planned."""
    return image(
        inner("RUN2", make=cached, layers=layers, base=EXTERNAL),
        to_build("app/dockerfile", work=RUN),
    )


def done(*runs, **more):
    one = job(*KEYS, result=StageResult(runs=runs), **more)
    return replace(one, parent_layers=1)


def test_a_job_goes_on_above_the_last_stored_slice():
    one = done(ran("1"), ran("2"), ran("3"))
    decision = decide(situation(plan(rest("debian", "1", "2")), one))
    assert published(decision) == [("dockerfile", 2)]


def test_a_job_whose_slices_changed_nothing_goes_on_too():
    one = done(ran(None), ran(), ran("3"))
    assert published(decide(situation(plan(rest("debian")), one))) == [("dockerfile", 2)]


@pytest.mark.parametrize(
    "layers", [("debian", "1"), ("debian", "x", "1", "2"), ("debian", "1", "x")]
)
def test_a_job_that_stands_on_something_else_is_given_up(layers):
    one = done(ran("1"), ran("2"), ran("3"), phase=JobPhase.ENDED, finished=3)
    decision = decide(situation(plan(rest(*layers)), one))
    assert started(decision) == [["dockerfile"]]


def test_a_running_job_is_waited_for_though_its_first_slices_are_not_planned():
    decision = decide(situation(plan(rest("debian", "1", "2")), done(ran("1"), ran("2"))))
    assert decision.actions == ()
    assert states(decision) == {"app/dockerfile": "Building"}


def test_a_job_of_another_base_is_not_used_though_the_last_digest_is_the_same():
    old = job("app/OLD1", "app/OLD2", "app/dockerfile")
    old = replace(old, result=StageResult(runs=(ran("1"), ran("2"), ran("3"))))
    found = image(
        inner("RUN1", make=cached, layers=("new", "1"), base=EXTERNAL),
        inner("RUN2", make=cached, layers=("new", "1", "2")),
        to_build("app/dockerfile", work=RUN),
    )
    decision = decide(situation(plan(found), old))
    assert started(decision) == [["dockerfile"]]


def test_files_are_recorded_from_the_job_that_built_the_stored_block():
    source = image(cached("tools/dockerfile", "debian", "1", "2", base=EXTERNAL, work=CMD))
    copier = image(to_build("web/dockerfile", work=FROM_TOOLS, base=EXTERNAL), needs=["tools"])
    planned = plan(source, copier)
    key = exports.exports_of(copier.stages[0], planned)[0].key
    one = job("tools/RUN1", "tools/RUN2", "tools/dockerfile", exports={"e0": key})
    runs = (ran("1"), ran("2"), ran())
    one = replace(one, parent_layers=1, result=StageResult(runs=runs))
    assert decide(situation(planned, one)).actions == (), (
        "it still exports: neither stopped nor repeated"
    )
    told = replace(one, result=StageResult(runs=runs, exports={"e0": export_result()}))
    (action,) = decide(situation(planned, told)).actions
    assert isinstance(action, RecordExport)
    theirs = replace(told, result=replace(told.result, runs=(ran("1"), ran("x"), ran())))
    assert started(decide(situation(planned, theirs))) == [[]], (
        "files of something else are not used"
    )


def test_a_block_that_changes_the_config_last_exports_in_the_same_job():
    tools = image(
        replace(to_build("tools/RUN1", work=RUN, base=EXTERNAL), inner=True),
        to_build("tools/dockerfile", work=CMD),
    )
    copier = image(to_build("web/dockerfile", work=FROM_TOOLS, base=EXTERNAL), needs=["tools"])
    (start,) = decide(situation(plan(tools, copier))).actions
    assert [stage.name for stage in start.stages] == ["RUN1", "dockerfile"]
    assert len(start.exports) == 1


# --- what waits for other blocks ----------------------------------------------------------------------------------------


def waiting(first):
    """A block whose second slice copies from a block that is being built."""
    tools = image(to_build("tools/dockerfile", work=RUN, base=EXTERNAL))
    web = image(
        inner("COPY1", what=first, base=EXTERNAL),
        replace(unknown("app/COPY2", work=FROM_TOOLS), inner=True),
        to_build("app/dockerfile", work=CMD),
        needs=["tools"],
    )
    return plan(tools, web)


def test_commands_are_run_while_other_blocks_are_built():
    assert started(decide(situation(waiting(RUN)))) == [["dockerfile"], ["COPY1"]]


def test_a_pod_is_not_started_for_copying_alone():
    decision = decide(situation(waiting(COPY)))
    assert started(decision) == [["dockerfile"]]
    assert states(decision)["app/dockerfile"] == "Pending"


def test_files_for_all_slices_are_asked_for_at_once():
    tools = image(cached("tools/dockerfile", "t", base=EXTERNAL))
    more = image(cached("more/dockerfile", "m", base=EXTERNAL))
    web = image(
        inner("COPY1", what=FROM_TOOLS, base=EXTERNAL),
        inner("COPY2", what=copying("more")),
        to_build("app/dockerfile", work=CMD),
        needs=["tools", "more"],
    )
    planned = plan(tools, more, web)
    wanted = [a.exports[0].source for a in decide(situation(planned)).actions]
    assert wanted == ["tools", "more"]
    keys = [exports.exports_of(stage, planned)[0].key for stage in web.stages[:2]]
    half = {keys[0]: bundle(taken_from=str(stored("tools/dockerfile").id))}
    assert [a.exports[0].source for a in decide(situation(planned, bundles=half)).actions] == [
        "more"
    ]


# --- failures -----------------------------------------------------------------------------------------------------------


def test_a_failed_slice_fails_the_stage_and_what_was_good_is_published_first():
    failure = Failure(reason=Reason.STAGE_FAILED, message="exit status 7", final=True, run=1)
    one = job(
        *KEYS,
        result=StageResult(runs=(ran("1"),), failure=failure),
        phase=JobPhase.ENDED,
        finished=3,
    )
    one = replace(one, parent_layers=1)
    decision = decide(situation(plan(block()), one))
    assert published(decision) == [("RUN1", 0)]
    assert not decision.actions[0].continued
    found = image(
        inner("RUN1", make=cached, layers=("debian", "1"), base=EXTERNAL), *block().stages[1:]
    )
    decision = decide(situation(plan(found), one))
    assert decision.settled
    assert states(decision) == {"app/dockerfile": "Failed"}
    assert decision.failures == (("app", "dockerfile", failure),)


def test_a_lost_pod_is_replaced_from_the_first_slice_that_is_not_stored():
    gone = Failure(reason=Reason.STAGE_EVICTED, message="gone", final=False, run=1)
    one = job(
        *KEYS,
        result=StageResult(runs=(ran("1"),), failure=gone),
        phase=JobPhase.ENDED,
        finished=1000,
    )
    found = image(
        inner("RUN1", make=cached, layers=("debian", "1"), base=EXTERNAL), *block().stages[1:]
    )
    decision = decide(situation(plan(found), replace(one, parent_layers=1)))
    assert started(decision) == [["RUN2", "dockerfile"]]


def test_a_base_block_with_other_layers_abandons_the_job():
    base = image(cached("base/dockerfile", "debian", "b", base=EXTERNAL))
    one = job(*KEYS, parent=sha("something else"))
    found = image(
        inner("RUN1", make=cached, layers=("debian", "b", "1"), base=EXTERNAL), *block().stages[1:]
    )
    one = replace(one, parent_layers=1, result=StageResult(runs=(ran("1"), ran("2"))))
    decision = decide(situation(plan(base, found), one))
    assert started(decision) == [["RUN2", "dockerfile"]]
