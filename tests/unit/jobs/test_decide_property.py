"""Whatever happens, decisions lead to an end: simulated clusters, by chance.

The operator of these tests remembers nothing at all between two looks: all it knows is in the world.
"""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.unit.jobs.simulation import ImageSpec, Luck, World

from conveyor.jobs.decision import Decision

ROUNDS = 400
KINDS = st.sampled_from(["run", "run", "run", "config", "import", "copy"])
SETTINGS = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def projects(draw: st.DrawFn) -> tuple[ImageSpec, ...]:
    """Up to five images on each other, some alike, so that they share stages; or all of them FROM blocks of the last one."""
    images: list[ImageSpec] = []
    block = draw(st.booleans())
    for index in range(draw(st.integers(1, 5))):
        earlier = st.none() | st.integers(0, index - 1) if index else st.none()
        source = draw(earlier)
        kinds = draw(st.lists(KINDS, min_size=1, max_size=4))
        if source is None:
            kinds = ["run" if kind in ("import", "copy") else kind for kind in kinds]
        inner = draw(st.integers(0, len(kinds) - 1))
        if inner or block:
            kinds = ["copy" if kind == "import" else kind for kind in kinds]
        images.append(
            ImageSpec(
                kinds=tuple(kinds), inner=inner, base=draw(earlier), source=source, block=block
            )
        )
    return tuple(images)


@st.composite
def copiers(draw: st.DrawFn) -> tuple[ImageSpec, ...]:
    """FROM blocks, most of which only copy from an earlier one."""
    images = [ImageSpec(kinds=("run",) * draw(st.integers(1, 2)), block=True)]
    for index in range(1, draw(st.integers(2, 5))):
        kinds = [
            "copy",
            *draw(st.lists(st.sampled_from(["copy", "copy", "config", "run"]), max_size=3)),
        ]
        images.append(
            ImageSpec(
                kinds=tuple(kinds),
                inner=len(kinds) - 1,
                base=draw(st.none() | st.none() | st.integers(0, index - 1)),
                source=draw(st.integers(0, index - 1)),
                block=True,
            )
        )
    return tuple(images)


@st.composite
def bad_luck(draw: st.DrawFn, *, empty: bool = False) -> Luck:
    """Some of everything that can go wrong."""
    return Luck(
        faults=draw(st.integers(0, 12)),
        rivals=draw(st.integers(0, 6)),
        fatal=draw(st.sampled_from([0, 0, 3, 7])),
        forgetful=draw(st.booleans()),
        empty=empty,
        untold=draw(st.booleans()),
    )


def settle(world: World, *, fuse: bool, limit: int, retry_limit: int = 2) -> Decision:
    """Look and let time pass until nothing is left to do."""
    for _ in range(ROUNDS):
        decision = world.look(fuse=fuse, limit=limit, retry_limit=retry_limit)
        assert len([sim for sim in world.live() if not sim.deleting]) <= limit
        if decision.settled:
            return decision
        world.move()
    raise AssertionError(f"not settled after {ROUNDS} looks")


def check_end(world: World, decision: Decision) -> None:
    """Everything is stored but what failed and what needs it."""
    plan = world.plan()
    failed = {name for name, _, _ in decision.failures}
    lost = set(failed)
    for image in plan.images:
        if lost.intersection((image.name, *image.depends_on)):
            lost.add(image.name)
        assert image.ready or image.name in lost
        assert not image.ready or image.name not in failed


@SETTINGS
@given(
    project=projects(),
    fuse=st.booleans(),
    limit=st.integers(1, 5),
    seed=st.integers(0, 2**32),
)
@example(
    project=(ImageSpec(kinds=("run", "run")), ImageSpec(kinds=("import", "run"), source=0)),
    fuse=True,
    limit=1,
    seed=0,
)
def test_without_bad_luck_every_stage_is_built_exactly_once(
    *, project: tuple[ImageSpec, ...], fuse: bool, limit: int, seed: int
) -> None:
    world = World(project, Luck(), seed)
    decision = settle(world, fuse=fuse, limit=limit)
    assert not decision.failures
    check_end(world, decision)
    assert set(world.good_runs.values()) <= {1}
    pods = {
        str(stage.digest)
        for image, spec in zip(world.plan(whole=True).images, project, strict=True)
        for stage, kind in zip(image.stages, spec.kinds, strict=True)
        if kind != "config"
    }
    assert pods == set(world.good_runs)


@SETTINGS
@given(project=copiers(), luck=bad_luck(), limit=st.integers(1, 5), seed=st.integers(0, 2**32))
def test_blocks_that_other_pods_make(
    *, project: tuple[ImageSpec, ...], luck: Luck, limit: int, seed: int
) -> None:
    world = World(project, luck, seed)
    decision = settle(world, fuse=False, limit=limit)
    check_end(world, decision)


@SETTINGS
@given(
    project=projects(),
    luck=bad_luck(),
    fuse=st.booleans(),
    limit=st.integers(1, 5),
    seed=st.integers(0, 2**32),
)
def test_with_bad_luck_it_still_comes_to_an_end(
    *, project: tuple[ImageSpec, ...], luck: Luck, fuse: bool, limit: int, seed: int
) -> None:
    world = World(project, luck, seed)
    decision = settle(world, fuse=fuse, limit=limit)
    check_end(world, decision)
    for _, _, failure in decision.failures:
        assert failure.final
    if not luck.fatal and luck.faults <= 2:
        assert not decision.failures, "two lost attempts are always made good"


@SETTINGS
@given(projects(), bad_luck(empty=True), st.integers(1, 5), st.integers(0, 2**32))
def test_stages_that_change_nothing_are_no_exception(
    project: tuple[ImageSpec, ...], luck: Luck, limit: int, seed: int
) -> None:
    """As in werf, an image of several stages begins with `from`, which needs no pod."""
    begun = tuple(
        replace(spec, kinds=("config", *spec.kinds), inner=0) if spec.base is None else spec
        for spec in project
    )
    world = World(begun, luck, seed)
    check_end(world, settle(world, fuse=True, limit=limit))


@pytest.mark.parametrize("fuse", [False, True])
def test_the_settled_world_stays_settled(*, fuse: bool) -> None:
    project = (ImageSpec(kinds=("run", "config", "run")), ImageSpec(kinds=("copy",), source=0))
    world = World(project, Luck(), 1)
    settle(world, fuse=fuse, limit=2)
    jobs = set(world.jobs)
    world.move()
    decision = world.look(fuse=fuse, limit=2, retry_limit=2)
    assert decision.settled
    assert set(world.jobs) == jobs
