"""Blocks that only copy: which need no pod, what the pod of their files is told, and what becomes of it."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, union-attr, arg-type, var-annotated"

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.jobs.values import (
    EXTERNAL,
    bundle,
    cached,
    copying,
    export_result,
    image,
    instruction,
    job,
    layer,
    plan,
    ran,
    sha,
    situation,
    states,
    to_build,
    unknown,
    view,
)

from conveyor.config.dockerfile import Heredoc
from conveyor.config.dockerfile_mounts import RunMount
from conveyor.jobs.assemblies import assemblies, assembly_of, bundles_of
from conveyor.jobs.decide import decide
from conveyor.jobs.decision import PublishStage, RecordExport, StartJob
from conveyor.jobs.exports import exports_of
from conveyor.jobs.model import AssemblyOrder, AssemblyResult, JobOrder, ParentImage, StageResult
from conveyor.jobs.outline import EMPTY, outline_of
from conveyor.jobs.result import parse_result
from conveyor.jobs.task_assembly import assembly_exports
from conveyor.plan.model import CopySource, ImageBase, PlannedMount, ScratchBase

RUN = instruction("FROM", "RUN")
PINNED = replace(EXTERNAL, digest=sha("debian"))
BUILD = "app/stage/build"
OUTLINE = (*EMPTY, ("usr", "d", 0o755, 0, 0, 7, 1))


def build(*, done=False):
    """The block that the files come from."""
    name = f"{BUILD}/dockerfile"
    stage = to_build(name, work=RUN, base=EXTERNAL)
    if done:
        stage = cached(name, "compiled", work=RUN, base=EXTERNAL)
    return image(stage, block_of="app", final=False)


def copy_work(*, args=("/bin", "/opt"), source=BUILD, flags=(), **more):
    """`COPY --from` with these flags."""
    work = copying(source)
    (step,) = work.block.steps
    made = replace(step.instruction, args=args, flags=(*step.instruction.flags, *flags), **more)
    return replace(work, block=replace(work.block, steps=(replace(step, instruction=made),)))


def final(*, base=PINNED, work=None, waiting=False, **more):
    """The block that copies, in two slices: the first waits for the digest of the other block, as it is planned."""
    work = work or copy_work()
    first = unknown("app/COPY1", work=work) if waiting else to_build("app/COPY1", work=work)
    stages = (
        replace(first, inner=True, base=base),
        to_build("app/dockerfile", work=instruction("CMD")),
    )
    return replace(image(*stages, needs=[BUILD]), **more)


def known(planned):
    """All outlines that the plan's assemblies need."""
    return {one.needs: OUTLINE for one in assemblies(planned) if one.needs}


def look(planned, *jobs, bundles=None, outlines=None):
    """A decision with every outline known unless said otherwise."""
    found = known(planned) if outlines is None else outlines
    return decide(replace(situation(planned, *jobs, bundles=bundles), outlines=found))


def order(planned, outlines=None):
    """The one Job to be started."""
    (action,) = look(planned, outlines=outlines).actions
    assert isinstance(action, StartJob)
    return action


# --- which blocks -----------------------------------------------------------------------------------------------------


def test_the_last_block_is_made_by_the_job_of_its_files():
    planned = plan(build(), final(waiting=True))
    (made,) = order(planned).assemblies
    assert [stage.name for stage in made.stages] == ["COPY1", "dockerfile"]
    assert (made.image, made.source, made.outline) == ("app", BUILD, OUTLINE)
    assert made.exports == tuple(export.key for export in order(planned).exports)


def test_without_an_outline_it_gets_a_pod_which_records_one():
    planned = plan(build(), final(waiting=True))
    assert order(planned, outlines={}).assemblies == ()

    planned = plan(build(done=True), final())
    key = assembly_of(planned, planned.image("app")).needs
    records = {export.key: bundle(taken_from=_stored(planned)) for export in _exports(planned)}
    for outlines in ({}, {key: OUTLINE}):  # it may have told too little
        (action,) = look(planned, bundles=records, outlines=outlines).actions
        assert [stage.name for stage in action.stages] == ["COPY1", "dockerfile"]
        assert action.outline == key


def _stored(planned):
    return str(planned.image(BUILD).stages[-1].stored.id)


def _exports(planned):
    return [one for stage in planned.image("app").stages for one in exports_of(stage, planned)]


def test_nothing_has_to_be_known_of_scratch():
    planned = plan(build(), final(base=ScratchBase(), waiting=True))
    (made,) = order(planned, outlines={}).assemblies
    assert (made.needs, made.outline) == ("", EMPTY)


def test_upon_a_block_that_is_stored():
    below = image(cached("app/stage/below/dockerfile", work=RUN, base=EXTERNAL), block_of="app")
    planned = plan(build(), below, final(base=ImageBase(image="app/stage/below")))
    assert [one.image for one in assemblies(planned)] == ["app"]
    later = replace(below, stages=(to_build("app/stage/below/dockerfile", work=RUN),))
    assert not list(assemblies(plan(build(), later, planned.image("app"))))


MOUNTED = PlannedMount(mount=RunMount(target="/c", type="cache"))


def changed(**more):
    """`COPY --from` as a step with these fields."""
    work = copy_work()
    (step,) = work.block.steps
    return replace(work, block=replace(work.block, steps=(replace(step, **more),)))


def also(*keywords):
    """`COPY --from` with further instructions before it."""
    steps = (*instruction(*keywords).block.steps, *copy_work().block.steps)
    return replace(copy_work(), block=replace(copy_work().block, steps=steps))


@pytest.mark.parametrize(
    "work",
    [
        also("WORKDIR"),
        also("ENV", "LABEL", "ARG", "EXPOSE", "VOLUME", "ONBUILD"),
        copy_work(flags=("--chown=1000:1000",)),
        copy_work(flags=("--chown=1000",)),
        copy_work(flags=("--chmod=u+x",)),
        copy_work(flags=("--exclude=*.o",)),
    ],
    ids=["WORKDIR", "config", "two numbers", "a number", "a mode", "a choice"],
)
def test_what_a_block_may_hold(work):
    assert list(assemblies(plan(build(), final(work=work))))


@pytest.mark.parametrize(
    "block",
    [
        final(work=also("RUN")),
        final(work=also("ADD")),
        final(work=copying("", external=False)),
        final(work=copying("nginx:1", external=True)),
        final(work=changed(source=CopySource(image="somewhere"))),
        final(work=copy_work(flags=("--chown=app",))),
        final(work=copy_work(flags=("--chown=1:app",))),
        final(work=copy_work(flags=("--link",))),
        final(work=copy_work(heredocs=(Heredoc(name="f", content="x"),))),
        final(work=copy_work(args=("/x" * 5000, "/opt"))),
        final(work=changed(told="Step 1/2 : COPY")),
        final(work=changed(mounts=(MOUNTED,))),
        final(in_order=True),
        final(base=EXTERNAL),
        final(platform="linux/arm64"),
        final(work=instruction("WORKDIR")),
    ],
    ids=[
        "RUN",
        "ADD",
        "of the context",
        "of an outside image",
        "of no image of the plan",
        "a user by name",
        "a group by name",
        "--link",
        "a here-document",
        "so much text that the task may not hold it",
        "a line in the log",
        "a mount",
        "legacy mode",
        "a base that may move",
        "another platform",
        "no files",
    ],
)
def test_what_takes_a_pod(block):
    assert not list(assemblies(plan(build(), block)))


def test_instructions_that_are_stages_of_their_own_take_pods():
    block = final()
    alone = (replace(block.stages[0], inner=False), block.stages[1])
    assert not list(assemblies(plan(build(), replace(block, stages=alone))))
    last = (block.stages[0], replace(block.stages[1], name="CMD2"))
    assert not list(assemblies(plan(build(), replace(block, stages=last))))


def test_files_of_two_images_take_a_pod():
    other = image(to_build("app/stage/other/dockerfile", work=RUN, base=EXTERNAL), block_of="app")
    block = final()
    second = replace(block.stages[1], work=copy_work(source="app/stage/other"))
    assert not list(
        assemblies(plan(build(), other, replace(block, stages=(block.stages[0], second))))
    )


def test_a_stage_of_the_config_behind_the_block_is_none_of_it():
    block = final()
    planned = plan(build(), replace(block, stages=(*block.stages, to_build("app/imageSpec"))))
    (made,) = assemblies(planned)
    assert [stage.name for stage in made.stages] == ["COPY1", "dockerfile"]


@pytest.mark.parametrize(
    ("other", "outline", "layers"),
    [
        (final(), True, True),
        (final(work=copy_work(flags=("--chmod=0700",))), False, False),
        (final(work=copy_work(args=("/lib", "/opt"))), False, False),
        (final(work=copy_work(original="copy --FROM=build /bin /opt", line=9)), True, True),
        (final(work=also("LABEL", "CMD")), True, True),
        (final(work=also("WORKDIR")), False, False),
        (final(base=replace(PINNED, digest=sha("newer"))), False, False),
    ],
    ids=[
        "the same",
        "a mode",
        "another source",
        "another spelling",
        "the config",
        "a directory",
        "another base",
    ],
)
def test_what_keys_stand_for(other, outline, layers):
    (one,), (two,) = (
        list(assemblies(plan(build(), final()))),
        list(assemblies(plan(build(), other))),
    )
    assert (one.needs == two.needs, one.key == two.key) == (outline, layers)


def test_other_files_are_another_assembly_upon_the_same_outline():
    (one,) = assemblies(plan(build(), final()))
    newer = replace(build(), stages=(to_build(f"{BUILD}/dockerfile", key="newer", work=RUN),))
    (two,) = assemblies(plan(newer, final()))
    assert (one.needs, one.key == two.key) == (two.needs, False)


def test_bundles_that_others_want_too():
    planned = plan(build(), final())
    (one,) = assemblies(planned)
    assert bundles_of(planned, one) == one.exports
    other = image(to_build("web/dockerfile", work=copy_work(), base=EXTERNAL), needs=[BUILD])
    assert bundles_of(plan(build(), other, final()), one) == ()


# --- what becomes of it -----------------------------------------------------------------------------------------------

PLANNED = plan(build(done=True), final())
(MADE,) = assemblies(PLANNED)
RUNS = (ran("service"), ran())
COMPILED = (ran("compiled"),)


def maker(*, assembled=RUNS, exported=None, runs=COMPILED, key=MADE.key, **more):
    """The Job of the block `build`, which has ended."""
    made = AssemblyResult(runs=assembled) if assembled else None
    result = StageResult(runs=runs, exports={"e0": exported, "a0": made})
    keys = {"e0": MADE.exports[0], "a0": key}
    one = job(f"{BUILD}/dockerfile", exports=keys, result=result, **more)
    return replace(one, parent_layers=0)


def published(decision):
    return [
        (one.stage.name, one.result, one.job)
        for action in decision.actions
        if isinstance(action, PublishStage)
        for one in action.all
    ]


def test_all_of_it_is_published_at_once():
    decision = look(PLANNED, maker())
    assert published(decision) == [("COPY1", RUNS[0], None), ("dockerfile", RUNS[1], None)]
    assert len(decision.actions) == 1
    assert view(decision, "app/dockerfile").job.name == maker().name
    assert states(decision)["app/dockerfile"] == "Building"


def test_it_waits_until_the_image_of_its_files_is_stored():
    decision = look(plan(build(), final(waiting=True)), maker())
    assert [name for name, _, _ in published(decision)] == ["dockerfile"]
    assert view(decision, "app/dockerfile").state.value == "Pending"


def test_it_waits_for_the_job_to_say_what_it_has_made():
    waiting = replace(maker(), result=StageResult(runs=(ran("compiled"),)))
    assert look(PLANNED, waiting).actions == ()


@pytest.mark.parametrize(
    "given",
    [
        maker(runs=(ran("others"),)),
        maker(key="assembly-" + "0" * 64),
        maker(assembled=(ran("service"),)),
        maker(deleting=True),
    ],
    ids=["files of another image", "another block", "not all of it", "a Job that goes"],
)
def test_what_is_of_no_use(given):
    decision = look(PLANNED, given)
    assert not published(decision)
    (action,) = (one for one in decision.actions if isinstance(one, StartJob))
    assert [export.key for export in action.exports] == list(MADE.exports)


def test_where_the_outline_did_not_tell_enough_the_bundle_is_used():
    decision = look(PLANNED, maker(assembled=(), exported=export_result()))
    (action,) = decision.actions
    assert isinstance(action, RecordExport)


# --- what is told ------------------------------------------------------------------------------------------------------


def test_the_task():
    planned = plan(build(), final(work=copy_work(args=("/bin", "tools/")), waiting=True))
    (one,) = told(planned)
    ((step,), no_files) = (
        [it for layer_ in run["layers"] for it in layer_["steps"]] for run in one["runs"]
    )
    assert (one["id"], one["kind"], one["bundles"]) == ("a0", "assembly", ["e0"])
    assert one["outline"] == [list(entry) for entry in OUTLINE]
    assert no_files == []
    assert (step["op"], step["file"], step["dest"]) == ("copy", "out/export-e0.tar", "tools/")
    assert (step["workdir"], step["keepOwner"]) == ("/srv", True)


def told(planned):
    started = order(planned)
    parent = ParentImage(
        manifest_digest=sha("debian"), config={"config": {"WorkingDir": "/srv"}}, layers=()
    )
    given = JobOrder(
        image=BUILD,
        stages=started.stages,
        parent=parent,
        execution="registry/shop@sha256:1",
        exports=started.exports,
        assemblies=tuple(AssemblyOrder(assembly=one, parent=parent) for one in started.assemblies),
    )
    assert list(given.keys) == ["e0", "a0"]
    return list(assembly_exports(given, planned))


def wire(name):
    it = layer(name)
    return {"digest": it.digest, "diffID": it.diff_id, "size": it.size}


def test_what_a_courier_says_of_it():
    runs = [{"layers": [wire("service")]}, {"layers": []}]
    text = json.dumps({"runs": [], "exports": {"a0": {"runs": runs}}, "outline": OUTLINE})
    result = parse_result(text)
    assert result.exports == {"a0": AssemblyResult(runs=RUNS)}
    assert result.outline == OUTLINE


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        [["usr", "d", 1, 0, 0, 0, 1]],
        [["", "f"]],
        [["", "d", 493, 0, 0, 0]],
        [["", "d", 493, 0, 0, "0", 1]],
        [["", "d", 493, 0, 0, True, 1]],
        [["", "d", 493, 0, 0, 1 << 50, 1]],
        [*map(list, EMPTY), ["x", "l"]],
        [*map(list, EMPTY), ["x", "b"]],
        [*map(list, EMPTY), ["x" * 5000, "f"]],
        [*map(list, EMPTY), *([["x", "f"]] * 1001)],
        [*map(list, EMPTY), "x"],
    ],
)
def test_what_is_no_outline(value):
    assert outline_of(value) == ()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=8),
    )
)
def test_anything_is_an_outline_or_none(value):
    assert isinstance(outline_of(value), tuple)
