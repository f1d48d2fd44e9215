"""Files of other images: who exports them, when they are recorded, when a record fits."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, union-attr, arg-type, var-annotated"

from dataclasses import replace

import pytest
from tests.unit.jobs.values import (
    EXTERNAL,
    METADATA,
    bundle,
    cached,
    copying,
    export_result,
    failed,
    image,
    importing,
    job,
    lost,
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

from conveyor.jobs import exports
from conveyor.jobs.decide import decide
from conveyor.jobs.decision import PublishStage, RecordExport, StartJob
from conveyor.jobs.model import JobPhase, StageResult
from conveyor.plan.model import StageWork

IMPORT = importing("tools")
IMPORT_KEY = f"import-metadata-{IMPORT.source_id}"
WANTS_IMPORT = StageWork(imports=(IMPORT,))
WANTS_COPY = copying("tools")
TOOLS_FROM = cached("tools/from", "debian", base=EXTERNAL)


def importer(stage=None):
    """An image that imports from `tools`; its digest waits for the checksum."""
    return image(
        cached("app/from", "debian", base=EXTERNAL),
        stage or unknown("app/importsBeforeInstall", work=WANTS_IMPORT),
        needs=["tools"],
    )


def copier():
    """A Dockerfile image that copies from `tools`."""
    return image(to_build("web/dockerfile", base=EXTERNAL, work=WANTS_COPY), needs=["tools"])


def tools(*, done=False):
    """The source image, stored or not."""
    last = cached("tools/install", "debian", "t") if done else to_build("tools/install")
    return image(TOOLS_FROM, last)


def copy_key(planned):
    """The key of the copy in this plan."""
    return exports.exports_of(planned.image("web").stages[0], planned)[0].key


def test_what_others_want_is_exported_by_the_last_job_of_the_source():
    planned = plan(tools(), importer(), copier())
    (action,) = decide(situation(planned)).actions
    assert isinstance(action, StartJob)
    assert [stage.name for stage in action.stages] == ["install"]
    assert [export.key for export in action.exports] == [IMPORT_KEY, copy_key(planned)]
    assert action.exports[0].checksum_id == IMPORT.source_id
    assert action.exports[1].sources == ("/bin",)


def test_only_the_last_stage_exports():
    planned = plan(
        image(TOOLS_FROM, to_build("tools/install"), to_build("tools/setup")), importer()
    )
    (alone,) = decide(situation(planned)).actions
    assert alone.exports == ()
    (together,) = decide(situation(planned, fuse=True)).actions
    assert [export.key for export in together.exports] == [IMPORT_KEY]


def test_two_importers_of_the_same_files_want_one_export():
    other = image(
        cached("web/from", "debian"), unknown("web/importsBeforeInstall", work=WANTS_IMPORT)
    )
    (action,) = decide(situation(plan(tools(), importer(), other))).actions
    assert len(action.exports) == 1


def test_an_import_of_a_named_stage_gets_a_job_of_its_own():
    named = StageWork(imports=(importing("tools", stage="from"),))
    planned = plan(tools(), importer(unknown("app/importsBeforeInstall", work=named)))
    build, export = decide(situation(planned)).actions
    assert build.exports == ()
    assert (export.stages, [one.stage for one in export.exports]) == ((), ["from"])


def with_export(*, result=None, phase=JobPhase.RUNNING, layers=("t",)):
    """The Job of the source's last stage, to which the import is attached."""
    runs = (ran(*layers),)
    return job(
        "tools/install",
        parent=TOOLS_FROM.stored.manifest_digest,
        exports={"e0": IMPORT_KEY},
        phase=phase,
        result=StageResult(runs=runs, exports=result or {}),
        finished=1000,
    )


def test_the_export_is_recorded_after_its_image_is_published():
    done = with_export(result={"e0": export_result()})
    (first,) = decide(situation(plan(tools(), importer()), done)).actions
    assert isinstance(first, PublishStage)
    (second,) = decide(situation(plan(tools(done=True), importer()), done)).actions
    assert isinstance(second, RecordExport)
    assert (second.export.key, second.result) == (IMPORT_KEY, export_result())


def test_an_export_that_is_not_reported_yet_is_waited_for():
    running = with_export()
    decision = decide(situation(plan(tools(done=True), importer()), running))
    assert decision.actions == ()
    assert view(decision, "app/importsBeforeInstall").job is running
    assert not decision.settled


def test_one_export_for_two_importers_is_recorded_once():
    other = image(
        cached("web/from", "debian"), unknown("web/importsBeforeInstall", work=WANTS_IMPORT)
    )
    done = with_export(result={"e0": export_result()})
    planned = plan(tools(done=True), importer(), other)
    assert len(decide(situation(planned, done)).actions) == 1


def test_a_stored_source_is_exported_by_a_job_of_its_own():
    other = image(
        cached("web/from", "debian"), unknown("web/importsBeforeInstall", work=WANTS_IMPORT)
    )
    (action,) = decide(situation(plan(tools(done=True), importer(), other))).actions
    assert isinstance(action, StartJob)
    assert (action.image, action.stages, action.attempt) == ("", (), 0)
    assert [export.key for export in action.exports] == [IMPORT_KEY]


def test_exports_take_slots_too():
    decision = decide(situation(plan(tools(done=True), importer()), slots=0))
    assert decision.actions == ()
    assert not decision.settled


def test_an_export_job_that_is_there_is_used():
    parent = stored("tools/install", "debian", "t").manifest_digest
    running = job(exports={"e0": IMPORT_KEY}, parent=parent)
    planned = plan(tools(done=True), importer())
    assert decide(situation(planned, running)).actions == ()
    done = job(
        exports={"e0": IMPORT_KEY},
        parent=parent,
        result=StageResult(exports={"e0": export_result()}),
    )
    (action,) = decide(situation(planned, done)).actions
    assert isinstance(action, RecordExport)


@pytest.mark.parametrize(
    "useless",
    [
        job(exports={"e0": IMPORT_KEY}, parent=sha("another"), attempt=4),
        with_export(result={"e0": export_result()}, layers=("discarded",)),
    ],
    ids=["an export of another stage", "the source's Job was discarded"],
)
def test_files_of_another_image_with_the_same_digest_are_not_used(useless):
    (action,) = decide(situation(plan(tools(done=True), importer()), useless)).actions
    assert isinstance(action, StartJob)
    assert action.stages == ()
    assert action.attempt == (5 if useless.attempt else 0)


def test_a_lost_export_after_a_good_build_is_made_by_a_job_of_its_own():
    lost_courier = with_export(phase=JobPhase.ENDED)
    lost_courier = job(
        "tools/install",
        parent=lost_courier.parent,
        exports=lost_courier.exports,
        phase=JobPhase.ENDED,
        result=StageResult(runs=(ran("t"),), failure=failed(final=False).failure),
        finished=1000,
    )
    (action,) = decide(situation(plan(tools(done=True), importer()), lost_courier)).actions
    assert isinstance(action, StartJob)
    assert (action.stages, action.attempt) == ((), 0)


@pytest.mark.parametrize("final", [True, False])
def test_a_failed_build_of_a_stage_that_somebody_else_stored_is_no_failed_export(final):
    broken = job(
        "tools/install",
        parent=TOOLS_FROM.stored.manifest_digest,
        exports={"e0": IMPORT_KEY},
        phase=JobPhase.ENDED,
        result=failed(final=final),
        finished=1,
    )
    (action,) = decide(situation(plan(tools(done=True), importer()), broken)).actions
    assert isinstance(action, StartJob)
    assert (action.stages, action.attempt) == ((), 0)


def test_failed_exports_fail_the_stage_that_wants_them():
    parent = stored("tools/install", "debian", "t").manifest_digest
    broken = job(
        exports={"e0": IMPORT_KEY},
        parent=parent,
        phase=JobPhase.ENDED,
        result=failed(final=True, message="/bin does not exist"),
    )
    decision = decide(situation(plan(tools(done=True), importer()), broken))
    assert decision.settled
    assert states(decision)["app/importsBeforeInstall"] == "Failed"
    assert view(decision, "app/importsBeforeInstall").failure.message == "/bin does not exist"


def test_lost_exports_are_tried_again_only_so_often():
    parent = stored("tools/install", "debian", "t").manifest_digest
    jobs = [
        job(
            exports={"e0": IMPORT_KEY},
            parent=parent,
            attempt=n,
            phase=JobPhase.ENDED,
            result=failed(final=False),
            finished=1000,
        )
        for n in range(3)
    ]
    planned = plan(tools(done=True), importer())
    (action,) = decide(situation(planned, *jobs[:2])).actions
    assert action.attempt == 2
    assert decide(situation(planned, *jobs)).settled


def test_a_failed_source_skips_the_importer():
    broken = job(
        "tools/install",
        parent=TOOLS_FROM.stored.manifest_digest,
        phase=JobPhase.ENDED,
        result=failed(final=True),
    )
    decision = decide(situation(plan(tools(), importer()), broken))
    assert states(decision)["app/importsBeforeInstall"] == "Skipped"
    assert decision.settled


# --- records ----------------------------------------------------------------------------------------------------------


def test_a_stage_with_recorded_files_is_built():
    ready = to_build("app/importsBeforeInstall", work=WANTS_IMPORT)
    planned = plan(tools(done=True), importer(ready))
    (action,) = decide(situation(planned, bundles={IMPORT_KEY: bundle()})).actions
    assert [stage.name for stage in action.stages] == ["importsBeforeInstall"]


def test_a_copy_fits_only_when_it_was_taken_from_the_stage_that_is_used():
    planned = plan(tools(done=True), copier())
    key = copy_key(planned)
    taken_from = str(planned.image("tools").stages[-1].stored.id)
    (good,) = decide(situation(planned, bundles={key: bundle(taken_from=taken_from)})).actions
    assert [stage.name for stage in good.stages] == ["dockerfile"]
    other = f"{taken_from[:-1]}{int(taken_from[-1]) ^ 1}"
    (again,) = decide(situation(planned, bundles={key: bundle(taken_from=other)})).actions
    assert again.stages == ()
    assert [export.key for export in again.exports] == [key]


def test_an_external_source_is_exported_at_once():
    work = copying("docker.example/tools:1", external=True)
    planned = plan(image(to_build("web/dockerfile", base=EXTERNAL, work=work)))
    (action,) = decide(situation(planned)).actions
    (export,) = action.exports
    assert (export.source, export.external, action.stages) == ("docker.example/tools:1", True, ())
    (build,) = decide(situation(planned, bundles={export.key: bundle()})).actions
    assert [stage.name for stage in build.stages] == ["dockerfile"]


def test_all_missing_files_are_asked_for_at_once():
    second = importing("more", source_id="cd" * 32)
    both = StageWork(imports=(IMPORT, second))
    planned = plan(
        tools(done=True),
        image(cached("more/from", "m", base=EXTERNAL)),
        importer(unknown("app/importsBeforeInstall", work=both)),
    )
    assert len(decide(situation(planned)).actions) == 2
    assert len(decide(situation(planned, slots=1)).actions) == 1


def test_a_stage_that_waits_for_files_ends_a_chain():
    planned = plan(
        tools(done=True),
        image(
            cached("app/from", "debian"),
            to_build("app/install"),
            to_build("app/importsAfterInstall", work=WANTS_IMPORT),
            to_build("app/setup"),
        ),
    )
    (first,) = decide(situation(planned, fuse=True)).actions
    assert [stage.name for stage in first.stages] == ["install"]
    (whole,) = decide(situation(planned, bundles={IMPORT_KEY: bundle()}, fuse=True)).actions
    assert len(whole.stages) == 3


def test_the_order_of_work_is_not_changed_by_a_stage_without_files():
    planned = plan(
        tools(done=True),
        image(cached("app/from", "debian"), to_build("app/dockerInstructions", work=METADATA)),
    )
    (action,) = decide(situation(planned, lost("tools/install"))).actions
    assert isinstance(action, PublishStage)


def test_a_job_takes_a_hundred_exports_along_and_no_more():
    wanted = [replace(IMPORT, source_id=f"{number:064}") for number in range(150)]
    stage = unknown("app/importsBeforeInstall", work=StageWork(imports=tuple(wanted)))
    (action,) = decide(situation(plan(tools(), importer(stage)))).actions
    assert len(action.exports) == 100


def test_an_export_that_a_mount_was_in_the_way_of_is_made_by_a_job_of_its_own():
    """That is no lost attempt: nothing is waited for."""
    done = with_export(result={"e0": None}, phase=JobPhase.ENDED)
    decision = decide(situation(plan(tools(done=True), importer()), done, retry_limit=0))
    (action,) = decision.actions
    assert isinstance(action, StartJob)
    assert (action.stages, [it.key for it in action.exports]) == ((), [IMPORT_KEY])


def test_an_export_job_leaves_nothing_out():
    """Nothing is mounted there: a second one would say the same."""
    parent = stored("tools/install", "debian", "t").manifest_digest
    odd = job(
        exports={"e0": IMPORT_KEY},
        parent=parent,
        result=StageResult(exports={"e0": None}),
        phase=JobPhase.ENDED,
        finished=1000,
    )
    decision = decide(situation(plan(tools(done=True), importer()), odd, retry_limit=0))
    assert decision.actions == ()
    assert states(decision)["app/importsBeforeInstall"] == "Failed"
