"""Publishing slices of a FROM block: in one go, upon each other, and not at all when others were faster."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, arg-type"

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace

from tests.unit.jobs.values import (
    EXTERNAL,
    cached,
    image,
    instruction,
    job,
    layer,
    plan,
    ran,
    sha,
    stored,
    to_build,
)

from conveyor.jobs.decision import PublishStage
from conveyor.jobs.model import ParentImage, StageResult
from conveyor.plan import labels
from conveyor.plan.answers import StageDesc
from conveyor.shell.publish import publish, take_locks

RUN = instruction("RUN")
KEYS = ("app/RUN1", "app/RUN2", "app/dockerfile")


class Storage:
    """A repository that has the base image `debian`."""

    def __init__(self):
        self.written = []

    async def parent(self, manifest_digest, stage_id=""):
        config = {"rootfs": {"diff_ids": [sha("debian")]}, "config": {}}
        below = ({"mediaType": "t", "digest": sha("debian"), "size": 1},)
        return ParentImage(
            manifest_digest=manifest_digest, config=config, layers=below, stage_id=stage_id
        )

    async def stages(self):
        return {}

    async def publish(self, stage_id, parent, config, layers):
        self.written.append((stage_id, config, [one.digest for one in layers]))
        return StageDesc(id=stage_id, manifest_digest=sha(str(stage_id)), labels={})


class Locks:
    """Notes which locks are Leases."""

    def __init__(self):
        self.leases, self.local_ones = [], []

    @asynccontextmanager
    async def lock(self, name):
        self.leases.append(name)
        yield lambda: True

    @asynccontextmanager
    async def local(self, name):
        self.local_ones.append(name)
        yield


def inner(name, make=to_build, layers=()):
    return replace(make(f"app/{name}", *layers, work=RUN, base=EXTERNAL), inner=True)


BLOCK = image(inner("RUN1"), inner("RUN2"), to_build("app/dockerfile", work=RUN))
JOB = job(*KEYS, parent=sha("m"), result=StageResult(runs=(ran("1"), ran(None), ran("3"))))


def action(first, last):
    """Have the runs from `first` to `last` of JOB published."""
    parts = [
        PublishStage(
            image="app", stage=BLOCK.stages[run], job=JOB, run=run, result=JOB.result.runs[run]
        )
        for run in range(first, last + 1)
    ]
    return replace(parts[0], then=tuple(parts[1:]))


async def published(what, fresh=BLOCK):
    """Return what was written, the locks and what publish says."""
    storage, locks = Storage(), Locks()
    build = SimpleNamespace(spec=SimpleNamespace(repo="reg.example.com/p"))
    session = SimpleNamespace(storage=storage, build=build)

    async def replan():
        return plan(fresh), await storage.stages()

    async with AsyncExitStack() as held:
        lock = await take_locks(held, "reg.example.com/p", what, locks)
        done = await publish(session, plan(BLOCK), what, replan, "c" * 40, lock)
    return storage.written, locks, done


async def test_slices_are_written_upon_each_other_and_the_last_one_last():
    written, locks, done = await published(action(0, 2))
    assert [layers for _, _, layers in written] == [
        [layer("1").digest],
        [layer("1").digest],
        [layer("1").digest, layer("3").digest],
    ]
    ids = [str(stage_id) for stage_id, _, _ in written]
    parents = [config["config"]["Labels"].get(labels.PARENT_STAGE_ID) for _, config, _ in written]
    assert parents == [None, *ids[:2]]
    assert written[2][0].timestamp > written[1][0].timestamp > written[0][0].timestamp
    diffs = written[2][1]["rootfs"]["diff_ids"]
    assert diffs == [sha("debian"), layer("1").diff_id, layer("3").diff_id]
    assert [(one.planned.name, one.discarded) for one in done] == [
        ("RUN1", False),
        ("RUN2", False),
        ("dockerfile", False),
    ]
    assert (len(locks.local_ones), len(locks.leases)) == (2, 1)


async def test_inner_stages_alone_take_no_lease():
    _, locks, _ = await published(action(0, 1))
    assert locks.leases == []


async def test_what_was_built_upon_a_discarded_slice_is_not_written():
    theirs = replace(inner("RUN2", cached, ("debian", "x")), stored=stored("app/RUN2", "x"))
    fresh = image(inner("RUN1"), theirs, BLOCK.stages[2])
    written, _, done = await published(action(0, 2), fresh)
    assert len(written) == 1
    assert [(one.planned.name, one.discarded) for one in done] == [("RUN1", False), ("RUN2", True)]


async def test_slices_below_what_others_stored_are_not_written():
    whole = image(cached("app/dockerfile", "debian", "x", work=RUN, base=EXTERNAL))
    written, _, done = await published(action(0, 1), whole)
    assert (written, done) == ([], ())
