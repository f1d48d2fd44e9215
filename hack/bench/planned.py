"""The large project that is planned, and answers to all that the planner asks about it.

In: how many images. Out: a `WerfConfig` of images with ten stages each, and answers as a repository with one small change would
give them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.config.model import (
    GitMapping,
    Import,
    Meta,
    Shell,
    StapelImage,
    WerfConfig,
)
from conveyor.config.model_image_config import DockerInstructions
from conveyor.plan.answers import ImportRecord, Patch
from conveyor.plan.facts import Facts
from conveyor.plan.model import BuildPlan
from conveyor.plan.planner import plan
from conveyor.plan.questions import (
    Ancestry,
    ImportChecksum,
    MappingPatch,
    PathKind,
    TreeChecksum,
)

if TYPE_CHECKING:
    from conveyor.config.model import UserStageName
    from conveyor.plan.answers import Answer
    from conveyor.plan.questions import Question

IMAGES = 200
COMMITS = ("a" * 40, "b" * 40)


def config_of(images: int) -> WerfConfig:
    """A project; all images but the first import from the first."""
    return WerfConfig(meta=Meta(project="bench"), images=tuple(map(_image, range(images))))


def _image(number: int) -> StapelImage:
    mapping = GitMapping(
        add=f"services/s{number}",
        to="/app",
        stage_dependencies={
            "install": ("package.json", "*.lock"),
            "beforeSetup": ("src",),
            "setup": ("**/*.css",),
        },
    )
    commands: dict[UserStageName, tuple[str, ...]] = {
        "beforeInstall": ("apt-get update", "apt-get install -y curl"),
        "install": (f"make install-{number}",),
        "beforeSetup": ("make prepare",),
        "setup": ("make",),
    }
    imports = (
        Import(image="image-0", add="/out", to="/out", before="setup"),
        Import(image="image-0", add="/tool", to="/tool", after="install"),
        Import(image="image-0", add="/lib", to="/lib", after="setup"),
    )
    return StapelImage(
        name=f"image-{number}",
        base="debian:12",
        git=(mapping,),
        shell=Shell(commands=commands),
        imports=imports if number else (),
        docker=DockerInstructions(cmd="run", env={"A": "1", "B": "2"}),
    )


def answer(question: Question) -> Answer:
    """Answer as a repository with one small change would."""
    match question:
        case TreeChecksum():
            return "c" * 64
        case PathKind():
            return "directory"
        case Ancestry():
            return True
        case MappingPatch():
            return Patch(text="diff --git a/x b/x\n" * 40, size=5000, empty=False)
        case ImportChecksum():
            return ImportRecord(checksum="d" * 32, source_stage_id=f"{'e' * 56}-1")
        case _:
            raise TypeError(str(question))


def import_questions(config: WerfConfig) -> list[ImportChecksum]:
    """What the planner will want to know of the imports."""
    facts = Facts(commit=COMMITS[0])
    while not isinstance(result := plan(config, facts), BuildPlan):
        answers = {question: answer(question) for question in result}
        facts = Facts(commit=COMMITS[0], answers={**facts.answers, **answers})
    return [
        ImportChecksum(id=item.source_id, source_image=item.source)
        for image in result.images
        for stage in image.stages
        for item in stage.work.imports
    ]
