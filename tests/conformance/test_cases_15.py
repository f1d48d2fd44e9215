"""werf-semantics §15.6: the tag of what joins the images of several platforms. The rest of §15 concerns werf's command line."""

from conveyor.plan.answers import StageDesc, StageDigest, StageID
from conveyor.plan.model import (
    BuildPlan,
    PlannedImage,
    PlannedStage,
    ScratchBase,
    StageState,
    StageWork,
)
from conveyor.plan.targets import indexes_of


def member(platform: str, stage_id: StageID) -> PlannedImage:
    """A stored image of one platform."""
    stored = StageDesc(id=stage_id, manifest_digest="", labels={})
    stage = PlannedStage(
        image=platform,
        name="from",
        state=StageState.CACHED,
        base=ScratchBase(),
        work=StageWork(),
        stored=stored,
    )
    return PlannedImage(name=platform, stages=(stage,), platform=platform, config_name="app")


def test_the_tag_of_an_index_is_a_digest_of_stage_ids_sorted_by_platform() -> None:
    images = [
        member("linux/arm64", StageID(digest=StageDigest("b"), timestamp=2)),
        member("linux/amd64", StageID(digest=StageDigest("a"), timestamp=1)),
    ]
    (index,) = indexes_of(BuildPlan(project="p", sets=(("app",),), images=tuple(images)))
    assert index.tag == "c412766e6ce09791a517de765c12fa0f0a8a87449ead9f295311f043"
