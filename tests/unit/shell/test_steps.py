"""Steps of a look: what Jobs have exported is recorded before it is decided what else to do."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, arg-type"

from types import SimpleNamespace

from tests.unit.jobs.values import (
    EXTERNAL,
    bundle,
    cached,
    copying,
    export_result,
    image,
    job,
    plan,
    ran,
    situation,
    to_build,
)

from conveyor.jobs import exports
from conveyor.jobs.decide import decide
from conveyor.jobs.decision import Decision, RecordExport, StartJob
from conveyor.jobs.model import StageResult
from conveyor.shell.look import Course, Step

TOOLS = image(cached("tools/from", "debian", base=EXTERNAL), cached("tools/install", "debian", "t"))
WEB = image(to_build("web/dockerfile", base=EXTERNAL, work=copying("tools")), needs=["tools"])


class Recorder:
    """Notes what is recorded, as `Dispatcher` does it."""

    def __init__(self):
        self.recorded = []

    async def record(self, _session, planned, action):
        self.recorded.append(action.export.key)
        stored = exports.source_stage(action.export, planned).stored
        return bundle("files", str(stored.id))


def _seen():
    planned = plan(TOOLS, WEB)
    (export,) = exports.exports_of(WEB.stages[0], planned)
    result = StageResult(runs=(ran("t"),), exports={"e0": export_result()})
    made = job(
        "tools/install",
        parent=TOOLS.stages[0].stored.manifest_digest,
        exports={"e0": export.key},
        result=result,
    )
    return planned, situation(planned, made), export.key


def _course(dispatcher):
    return Course(None, None, dispatcher, None, None)


async def test_who_waited_for_files_starts_in_the_step_that_records_them():
    planned, seen, key = _seen()
    first = decide(seen)
    assert [type(action) for action in first.actions] == [RecordExport]
    recorder = Recorder()
    made = await _course(recorder)._recorded(None, planned, first)
    assert recorder.recorded == list(made) == [key]
    then = decide(situation(planned, *seen.jobs, bundles=made))
    assert [type(action) for action in then.actions] == [StartJob]


async def test_a_record_asks_for_another_step():
    """Where a digest depends on the files, only a new plan knows it."""
    nothing = Decision(actions=(), views={}, look_again=None)
    step = Step(plan=None, jobs=(), decision=nothing, bundles={}, indexes={}, recorded=True)
    look = SimpleNamespace(session=None, run=None)
    assert await _course(None)._apply(look, step)
    calm = Step(plan=None, jobs=(), decision=nothing, bundles={}, indexes={})
    assert not await _course(None)._apply(look, calm)
