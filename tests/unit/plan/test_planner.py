"""From a config and facts to a plan: questions, states, unknown stages, what a stage has to do."""

from collections.abc import Callable

import pytest

from conveyor.api.errors import UserError
from conveyor.config.model import (
    GitMapping,
    GitRemote,
    Import,
    Meta,
    Mount,
    Shell,
    StapelImage,
    WerfConfig,
)
from conveyor.config.model_image_config import DockerInstructions
from conveyor.config.source_line import SourceLine
from conveyor.plan.answers import BaseImage, ImportRecord, Patch
from conveyor.plan.assume import answers_for, assume_built
from conveyor.plan.digest import paramshash
from conveyor.plan.facts import Facts
from conveyor.plan.model import (
    BuildPlan,
    ExternalBase,
    ImageBase,
    PreviousStage,
    ScratchBase,
    StageState,
)
from conveyor.plan.model_sources import GitArchive, GitPatch
from conveyor.plan.planner import plan
from conveyor.plan.questions import (
    Ancestry,
    BaseImageInfo,
    ImportChecksum,
    MappingPatch,
    PathKind,
    RemoteHead,
    StageInfo,
    TreeChecksum,
)

OLD, NEW = "a" * 40, "b" * 40
APP = GitMapping(to="/app")


def config(*images, **meta):
    return WerfConfig(meta=Meta(project="shop", **meta), images=images)


def stapel(name="app", **fields):
    return StapelImage(**{"name": name, "base": "debian:12", "at": SourceLine(line=3), **fields})


def sources(question):
    """A repository in which everything exists and one small file changed."""
    match question:
        case TreeChecksum():
            return "c" * 64
        case PathKind():
            return "directory"
        case Ancestry():
            return question.ancestor == OLD
        case MappingPatch():
            return Patch(text="diff", size=4, empty=False)
        case ImportChecksum():
            return None
        case RemoteHead():
            return NEW
        case _:
            raise TypeError(question)


class World:
    """Storage and repository; plans until no question is open and counts the rounds."""

    def __init__(self, answer: Callable = sources):
        self.answer = answer
        self.stored = {}
        self.answers = {}
        self.rounds = []

    def plan(self, made, commit=OLD, images=()):
        self.rounds = []
        answers = dict(self.answers)
        while True:
            assert len(self.rounds) < 30
            result = plan(made, self.facts(commit, answers), images=images)
            if isinstance(result, BuildPlan):
                return result
            assert result
            assert not result & answers.keys()
            self.rounds.append(len(result))
            answers |= {question: self.reply(question) for question in result}

    def facts(self, commit, answers):
        stages = {}
        for question in sorted(self.stored, key=lambda question: question.id):
            stages.setdefault(question.id.digest, []).append(question.id.timestamp)
        return Facts(
            commit=commit, stages={k: tuple(v) for k, v in stages.items()}, answers=answers
        )

    def reply(self, question):
        return self.stored[question] if isinstance(question, StageInfo) else self.answer(question)

    def build(self, result, timestamp):
        self.stored |= answers_for(assume_built(result, timestamp=timestamp))


def states(image):
    return {stage.name: stage.state.value for stage in image.stages}


def test_an_image_of_nothing_needs_no_facts():
    result = plan(config(stapel()), Facts())
    assert isinstance(result, BuildPlan)
    (stage,) = result.image("app").stages
    assert stage.name == "from"
    assert stage.state is StageState.TO_BUILD
    assert stage.base == ExternalBase(reference="debian:12")
    assert stage.work.labels == {"werf": "shop"}
    assert [part.label for part in stage.components] == [
        "BuildCacheVersion",
        "StageName",
        "StageDependencies",
    ]
    assert [part.value for part in stage.components[2].parts] == ["debian:12"]


def test_what_is_built_is_found_again():
    made = config(stapel(git=(APP,), shell=Shell(commands={"install": ("make",)})))
    world = World()
    first = world.plan(made)
    assert set(states(first.image("app")).values()) == {"ToBuild"}
    world.build(first, 1000)
    second = world.plan(made)
    assert states(second.image("app")) == {
        "from": "Cached",
        "gitArchive": "Cached",
        "install": "Cached",
    }
    assert second.image("app").ready
    assert [s.digest for s in first.image("app").stages] == [
        s.digest for s in second.image("app").stages
    ]


def test_an_unchanged_commit_is_asked_about_in_one_more_round():
    shell = Shell(commands=dict.fromkeys(("beforeInstall", "install", "setup"), ("x",)))
    made = config(*(stapel(f"i{n}", git=(APP,), shell=shell) for n in range(3)))
    world = World()
    world.build(world.plan(made), 1000)
    world.plan(made)
    assert len(world.rounds) == 2


def test_the_next_commit_arrives_as_a_patch():
    made = config(stapel(git=(APP,), docker=DockerInstructions(cmd="x")))
    world = World()
    world.build(world.plan(made), 1000)
    image = world.plan(made, NEW).image("app")
    assert states(image) == {
        "from": "Cached",
        "gitArchive": "Cached",
        "gitLatestPatch": "ToBuild",
        "dockerInstructions": "ToBuild",
    }
    patch = image.stages[2]
    assert patch.work.patches == (GitPatch(mapping=APP, from_commit=OLD, commit=NEW),)
    assert patch.work.labels[f"werf-git-{paramshash(APP)}-commit"] == NEW
    assert patch.base == PreviousStage()


def test_a_large_patch_makes_git_cache_and_an_empty_one_nothing():
    def large(question):
        if isinstance(question, MappingPatch):
            return Patch(text="", size=3 * 1024 * 1024 + 5, empty=False, truncated=True)
        return sources(question)

    def nothing(question):
        if isinstance(question, MappingPatch):
            return Patch(text="", size=0, empty=True)
        return sources(question)

    made = config(stapel(git=(APP,)))
    for answer, expected in ((large, "gitCache"), (nothing, "gitArchive")):
        world = World(answer)
        world.build(world.plan(made), 1000)
        image = world.plan(made, NEW).image("app")
        assert image.stages[-1].name == expected


def test_the_stored_stage_of_another_branch_is_not_used():
    made = config(stapel(git=(APP,)))
    world = World(lambda q: False if isinstance(q, Ancestry) else sources(q))
    world.build(world.plan(made), 1000)
    assert states(world.plan(made, NEW).image("app")) == {"from": "Cached", "gitArchive": "ToBuild"}


def test_a_user_stage_brings_the_sources_up_to_date():
    mapping = GitMapping(to="/app", stage_dependencies={"install": ("lock",)})

    def changed(question):
        if isinstance(question, TreeChecksum) and question.narrow:
            return question.commit[:1] * 64
        return sources(question)

    made = config(stapel(git=(mapping,), shell=Shell(commands={"install": ("make",)})))
    world = World(changed)
    world.build(world.plan(made), 1000)
    image = world.plan(made, NEW).image("app")
    assert states(image) == {"from": "Cached", "gitArchive": "Cached", "install": "ToBuild"}
    work = image.stages[-1].work
    assert work.commands == ("make",)
    assert work.patches == (GitPatch(mapping=mapping, from_commit=OLD, commit=NEW),)


def test_a_single_file_is_marked_and_needs_a_file_as_target():
    def file(question):
        return "file" if isinstance(question, PathKind) else sources(question)

    mapping = GitMapping(add="a.ini", to="/etc/a.ini")
    result = World(file).plan(config(stapel(git=(mapping,))))
    work = result.image("app").stages[-1].work
    assert work.archives == (GitArchive(mapping=mapping, commit=OLD, single=True),)
    assert work.labels[f"werf-git-{paramshash(mapping)}-type"] == "file"
    wrong = GitMapping(add="x/a.ini", to="/", at=SourceLine(line=9))
    with pytest.raises(UserError, match=r"werf\.yaml:9: .*for example /a\.ini"):
        World(file).plan(config(stapel(git=(wrong,))))


def test_a_mapping_that_matches_nothing_is_a_mistake():
    world = World(lambda q: "" if isinstance(q, TreeChecksum) else sources(q))
    mapping = GitMapping(add="nowhere", to="/n", at=SourceLine(line=9))
    with pytest.raises(UserError, match=r'werf\.yaml:9: "git\.add: /nowhere" matches no files'):
        world.plan(config(stapel(git=(mapping,))))


def test_git_in_an_inline_config_is_a_mistake():
    with pytest.raises(UserError, match="needs a git source"):
        World().plan(config(stapel(git=(APP,))), commit="")


def test_remote_mappings_ask_for_their_commit():
    remote = GitMapping(
        name="org/lib", to="/lib", remote=GitRemote(url="https://h/org/lib", tag="v")
    )
    result = World().plan(config(stapel(git=(remote,))), commit="")
    archive = result.image("app").stages[-1].work.archives[0]
    assert archive.commit == NEW


def test_repositories_of_one_name_on_two_servers_are_two():
    mappings = [
        GitMapping(name="org/lib", to=f"/{host}", remote=GitRemote(url=f"https://{host}/org/lib"))
        for host in ("a", "b")
    ]
    asked = set()

    def answer(question):
        asked.add((type(question).__name__, getattr(question, "repo", "")))
        return sources(question)

    World(answer).plan(config(stapel(git=tuple(mappings))), commit="")
    assert {repo for kind, repo in asked if kind == "TreeChecksum"} == {
        "https://a/org/lib",
        "https://b/org/lib",
    }


def test_images_on_images_wait_for_nothing_but_their_order():
    made = config(
        stapel("site", base="base", base_internal=True),
        stapel("base", shell=Shell(cache_version="1")),
    )
    result = World().plan(made)
    assert result.sets == (("base",), ("site",))
    assert [image.name for image in result.images] == ["base", "site"]
    site = result.image("site")
    assert site.depends_on == ("base",)
    assert site.stages[0].base == ImageBase(image="base")
    inner = site.stages[0].components[2].parts[-1]
    assert inner.value == result.image("base").stages[-1].content_digest


def test_scratch():
    result = plan(config(stapel(base="scratch")), Facts())
    assert isinstance(result, BuildPlan)
    assert result.image("app").stages[0].base == ScratchBase()


def test_equal_images_keep_both_rows():
    made = config(stapel("a"), stapel("b"))
    result = World().plan(made)
    assert result.image("a").stages[0].digest == result.image("b").stages[0].digest
    assert {image.stages[0].state for image in result.images} == {StageState.TO_BUILD}
    assert len(assume_built(result, timestamp=1)) == 1


def imports(**fields):
    return (Import(**{"image": "src", "add": "/o", "to": "/o", "before": "setup", **fields}),)


def importing(**fields):
    return config(
        stapel("src", shell=Shell(commands={"setup": ("make",)})),
        stapel("dst", imports=imports(**fields), shell=Shell(commands={"setup": ("use",)})),
        stapel("top", base="dst", base_internal=True),
    )


def test_an_import_from_an_unbuilt_image_makes_unknown_stages():
    result = World().plan(importing())
    assert states(result.image("src")) == {"from": "ToBuild", "setup": "ToBuild"}
    dst = result.image("dst")
    assert states(dst) == {
        "from": "ToBuild",
        "dependenciesBeforeSetup": "Unknown",
        "setup": "Unknown",
    }
    waiting = dst.stages[1]
    assert isinstance(waiting.question, ImportChecksum)
    assert waiting.question.source_image == "src"
    assert waiting.question.id == waiting.work.imports[0].source_id
    assert waiting.digest is None
    assert dst.stages[2].question == waiting.question
    assert dst.stages[2].work.commands == ("use",)
    top = result.image("top")
    assert states(top) == {"from": "Unknown"}
    assert top.stages[0].question == waiting.question


def test_a_record_makes_them_known_even_before_the_source_is_built():
    world = World()
    waiting = world.plan(importing()).image("dst").stages[1].question
    world.answers[waiting] = ImportRecord(checksum="e" * 32, source_stage_id="id-1")
    dst = world.plan(importing()).image("dst")
    assert set(states(dst).values()) == {"ToBuild"}
    stage = dst.stages[1]
    assert stage.work.imports[0].checksum == "e" * 32
    import_id = stage.work.imports[0].import_id
    assert stage.work.labels[f"werf-import-checksum-{import_id}"] == "e" * 32
    assert stage.work.labels[f"werf-import-source-stage-id-{import_id}"] == "id-1"


def test_the_checksum_is_asked_for_once_the_source_is_stored():
    made = importing()
    world = World()
    source = plan(made, Facts(commit=OLD), images=("src",))
    world.build(source, 1000)
    result = world.plan(made)
    assert result.image("src").ready
    assert states(result.image("dst"))["setup"] == "Unknown"
    assert sum(world.rounds) == 3  # two stage infos of src and one import checksum


def test_a_record_without_a_checksum_counts_as_missing():
    world = World()
    question = world.plan(importing()).image("dst").stages[1].question
    world.answers[question] = ImportRecord(checksum="", source_stage_id="id-1")
    assert states(world.plan(importing()).image("dst"))["setup"] == "Unknown"


def test_an_import_of_a_named_stage_takes_that_ones_content():
    named = World().plan(importing(stage="from")).image("dst").stages[1].work.imports[0]
    last = World().plan(importing(stage="install")).image("dst").stages[1].work.imports[0]
    default = World().plan(importing()).image("dst").stages[1].work.imports[0]
    assert named.source_id != default.source_id
    # A stage that the source does not have stands for its last one.
    assert last.source_id == default.source_id


def test_an_import_from_an_unknown_image_waits_for_what_that_one_waits_for():
    made = config(
        *importing().images[:2],
        stapel("far", imports=imports(image="dst")),
    )
    result = World().plan(made)
    far = result.image("far").stages[-1]
    assert far.state is StageState.UNKNOWN
    assert far.question == result.image("dst").stages[-1].question
    assert far.work.imports[0].source_id == ""


def test_an_external_import_asks_at_once():
    made = config(stapel(imports=imports(image="reg/tool:1", external=True)))
    first = plan(made, Facts())
    assert isinstance(first, frozenset)
    (question,) = first
    assert question == ImportChecksum(id=question.id, source_image="")
    known = Facts(answers={question: ImportRecord(checksum="e" * 32, source_stage_id="x")})
    result = plan(made, known)
    assert isinstance(result, BuildPlan)
    assert result.image("app").stages[-1].state is StageState.TO_BUILD


def test_git_sources_behind_an_unknown_stage_are_brought_by_user_stages():
    made = config(
        stapel("src"),
        stapel("dst", git=(APP,), imports=imports(before="", after="install")),
    )
    world = World()
    question = world.plan(made).image("dst").stages[-1].question
    world.answers[question] = ImportRecord(checksum="e" * 32, source_stage_id="x")
    world.build(world.plan(made), 1000)
    world.answers.clear()
    dst = world.plan(made, NEW).image("dst")
    assert states(dst) == {
        "from": "Cached",
        "gitArchive": "Cached",
        "dependenciesAfterInstall": "Unknown",
        "gitLatestPatch": "Unknown",
    }


def test_from_latest_hashes_the_id_of_the_base():
    made = config(stapel(from_latest=True))
    question = BaseImageInfo(reference="debian:12", platform="linux/amd64")
    assert plan(made, Facts()) == frozenset({question})
    known = Facts(answers={question: BaseImage(digest="sha256:1", config={}, id="sha256:2")})
    result = plan(made, known)
    assert isinstance(result, BuildPlan)
    parts = result.image("app").stages[0].components[2].parts
    assert [part.value for part in parts] == ["sha256:2", "debian:12"]


def test_mounts_are_labels_of_the_first_stage():
    mounts = (
        Mount(type="tmp_dir", to="/a"),
        Mount(type="tmp_dir", to="/b"),
        Mount(type="custom_dir", to="/c", from_path="/var/cache"),
    )
    result = plan(config(stapel(mounts=mounts)), Facts())
    assert isinstance(result, BuildPlan)
    assert result.image("app").stages[0].work.labels == {
        "werf": "shop",
        "werf-mount-type-tmp-dir": "/a;/b",
        "werf-mount-type-custom-dir---var--cache": "/c",
    }


def test_the_platform_is_part_of_digests_and_rows():
    one = plan(config(stapel(platforms=("linux/arm64",))), Facts())
    other = plan(config(stapel()), Facts())
    assert isinstance(one, BuildPlan)
    assert isinstance(other, BuildPlan)
    assert one.image("app").platform == "linux/arm64"
    assert one.image("app").stages[0].digest != other.image("app").stages[0].digest


def test_a_stage_that_vanished_is_built_again():
    made = config(stapel(shell=Shell(commands={"setup": ("x",)})))
    world = World()
    world.build(world.plan(made), 1000)
    gone = next(question for question in world.stored)
    world.stored[gone] = None
    assert sorted(states(world.plan(made).image("app")).values()) == ["Cached", "ToBuild"]


def test_a_mistake_that_follows_from_an_assumption_waits_until_it_is_checked():
    made = config(stapel(git=(APP,)))
    world = World()
    world.build(world.plan(made), 1000)

    def asked(question):
        if isinstance(question, MappingPatch):
            return Patch(text="", size=1000, empty=False, truncated=True)
        return sources(question)

    answers = {}
    while not any(isinstance(question, MappingPatch) for question in answers):
        result = plan(made, world.facts(NEW, answers))
        assert isinstance(result, frozenset)
        answers |= {q: world.stored[q] if isinstance(q, StageInfo) else asked(q) for q in result}
    ancestry = next(question for question in answers if isinstance(question, Ancestry))
    unchecked = {q: a for q, a in answers.items() if q != ancestry}
    assert plan(made, world.facts(NEW, unchecked)) == frozenset({ancestry})
    with pytest.raises(UserError, match="too long"):
        plan(made, world.facts(NEW, answers))


def test_the_same_input_gives_the_same_plan():
    made = importing()
    assert World().plan(made) == World().plan(made)
