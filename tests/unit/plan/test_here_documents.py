"""Text of here-documents that werf's digests do not have: it decides whether a stored stage serves."""

import pytest
from tests.unit.plan.test_dockerfile_modes import World

from conveyor.api.dockerfile_mode import DockerfileMode
from conveyor.plan.model import PlannedStage, StageState

BUILDKIT = DockerfileMode.BUILDKIT
PLAIN = "FROM a AS tool\nRUN <<EOF\nmake one\nEOF\nFROM b\nCOPY --from=tool /x /\nRUN <<-EOF\n\tcheck one\nEOF\n"


def target(world: World) -> PlannedStage:
    return world.plan(BUILDKIT).image("app").stages[0]


@pytest.mark.parametrize("where", ["make", "check"])
def test_a_changed_text_of_the_target_or_of_what_it_copies_from_is_built_again(where: str) -> None:
    world = World(PLAIN)
    before = world.plan(BUILDKIT)
    world.build(before, "app", "app/stage/tool")
    assert target(world).state is StageState.CACHED
    world.text = PLAIN.replace(f"{where} one", f"{where} two")
    after = target(world)
    assert after.digest == before.image("app").stages[0].digest
    assert after.state is StageState.TO_BUILD
    world.heredocs_differ = False
    assert target(world).state is StageState.CACHED, "as in werf"


def test_only_what_has_the_text_is_built_again() -> None:
    world = World(PLAIN)
    world.build(world.plan(BUILDKIT), "app", "app/stage/tool")
    world.text = PLAIN.replace("check one", "check two")
    states = {one.name: one.stages[0].state for one in world.plan(BUILDKIT).images}
    assert states == {"app/stage/tool": StageState.CACHED, "app": StageState.TO_BUILD}


def test_without_such_text_content_digests_are_werfs() -> None:
    world = World("FROM a\nRUN make\nCOPY <<EOF /x\ntext\nEOF\n")
    ours = target(world).content_digest
    world.heredocs_differ = False
    assert target(world).content_digest == ours
