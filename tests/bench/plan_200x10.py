"""How long planning takes: 200 images of 10 stages, facts given. Prints times; run it with the package on the path."""

# ruff: noqa: T201
import cProfile
import sys
import time

from conveyor.config.model import (
    DockerInstructions,
    GitMapping,
    Import,
    Meta,
    Shell,
    StapelImage,
    WerfConfig,
)
from conveyor.plan.assume import answers_for, assume_built
from conveyor.plan.facts import (
    Ancestry,
    Answer,
    Facts,
    ImportChecksum,
    ImportRecord,
    MappingPatch,
    Patch,
    PathKind,
    Question,
    TreeChecksum,
)
from conveyor.plan.planner import plan

IMAGES = 200
COMMITS = ("a" * 40, "b" * 40)


def make_image(number: int) -> StapelImage:
    """An image with ten stages; all but the first import from the first."""
    mapping = GitMapping(
        add=f"services/s{number}",
        to="/app",
        stage_dependencies={
            "install": ("package.json", "*.lock"),
            "beforeSetup": ("src",),
            "setup": ("**/*.css",),
        },
    )
    commands = {
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


def solve(config: WerfConfig, facts: Facts, label: str) -> Facts:
    """Plan until no question is open; print rounds and the time of the last planning."""
    rounds = questions = 0
    while True:
        begin = time.perf_counter()
        result = plan(config, facts)
        took = time.perf_counter() - begin
        if not isinstance(result, frozenset):
            break
        rounds, questions = rounds + 1, questions + len(result)
        stored = {q: a for q, a in STORED.items() if q in result}
        answers = {q: answer(q) for q in result if q not in stored}
        facts = Facts(
            commit=facts.commit, stages=facts.stages, answers={**facts.answers, **stored, **answers}
        )
    count = sum(len(image.stages) for image in result.images)
    print(
        f"{label}: {count} stages, {questions} questions in {rounds} rounds, last plan {took:.3f} s"
    )
    for stage in assume_built(result, timestamp=1_700_000_000_000 + len(STORED)):
        STAGES[stage.id.digest] = (*STAGES.get(stage.id.digest, ()), stage.id.timestamp)
        STORED.update(answers_for((stage,)))
    return facts


STORED: dict = {}
STAGES: dict = {}


def main() -> None:
    """Plan an empty repository, the same commit again, and the next commit."""
    config = WerfConfig(
        meta=Meta(project="bench"), images=tuple(make_image(n) for n in range(IMAGES))
    )
    known = {
        ImportChecksum(id=item.source_id, source_image=item.source): answer(
            ImportChecksum(id=item.source_id, source_image=item.source)
        )
        for item in _imports(config)
    }
    solve(config, Facts(commit=COMMITS[0], answers=known), "nothing stored")
    facts = solve(config, Facts(commit=COMMITS[0], stages=STAGES, answers={}), "all stored")
    solve(config, Facts(commit=COMMITS[1], stages=STAGES, answers={}), "next commit")
    if "--profile" in sys.argv:
        cProfile.runctx("plan(config, facts)", globals(), locals(), sort="cumtime")


def _imports(config: WerfConfig):
    facts = Facts(commit=COMMITS[0])
    while isinstance(result := plan(config, facts), frozenset):
        facts = Facts(
            commit=COMMITS[0], answers={**facts.answers, **{q: answer(q) for q in result}}
        )
    return [
        item for image in result.images for stage in image.stages for item in stage.work.imports
    ]


if __name__ == "__main__":
    main()
