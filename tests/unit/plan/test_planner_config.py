"""What no digest tells: the option about ENTRYPOINT, and names in labels of an imageSpec."""

from dataclasses import replace

import pytest
from tests.unit.plan.test_planner import APP, NEW, OLD, World, config, stapel

from conveyor.config.model import DockerfileImage, Shell
from conveyor.config.model_image_config import DockerInstructions, ImageSpec
from conveyor.plan import labels
from conveyor.plan.answers import BaseImage
from conveyor.plan.model import BuildPlan, StageState
from conveyor.plan.planner import plan
from conveyor.plan.questions import BaseImageInfo, FileText, StageInfo

CMD = DockerInstructions(cmd='["c"]', cmd_words=("c",))
BASE = ("/entry",)
KEEP, RESET = True, False


class Repository(World):
    """Storage that knows the ENTRYPOINT of what was built, as publishing makes it.

    `base` is that of the external base image.
    """

    def __init__(self, base=BASE):
        super().__init__()
        self.base = base
        self.time = 0

    def plans(self, made, keep):
        answers = {}
        while True:
            result = plan(made, self.facts("", answers), keep_entrypoint_with_cmd=keep)
            if isinstance(result, BuildPlan):
                return result
            answers |= {question: self.reply(question) for question in result}

    def builds(self, made, keep):
        """Build one stage after the other until nothing is left; how many were built."""
        built = 0
        while True:
            result = self.plans(made, keep)
            todo = [
                (image, index)
                for image in result.images
                for index, stage in enumerate(image.stages)
                if stage.state is StageState.TO_BUILD
            ]
            if not todo:
                return built
            assert built < 20, "it builds for ever"
            self._publish(result, *todo[0], keep)
            built += 1

    def _publish(self, result, image, index, keep):
        stage = image.stages[index]
        before = image.stages[index - 1].stored if index else None
        if not index and image.depends_on:
            before = result.image(image.depends_on[0]).stages[-1].stored
        self.time += 100
        one = replace(result, images=(replace(image, stages=(stage,)),))
        super().build(one, self.time)
        (question,) = [q for q in self.stored if q.id.timestamp == self.time]
        desc = self.stored[question]
        parent_labels = before.labels if before else {}
        self.stored[question] = replace(
            desc,
            entrypoint=self._entrypoint(
                stage.work, before.entrypoint if before else self.base, keep
            ),
            labels={**parent_labels, **desc.labels},
        )

    def _entrypoint(self, work, before, keep):
        docker, spec = work.instructions, work.image_spec
        if spec and spec.entrypoint:
            return spec.entrypoint
        if docker and docker.entrypoint:
            return docker.entrypoint_words
        return before if keep or not docker or not docker.cmd else ()

    def entrypoints(self, made, keep):
        """ENTRYPOINT of every image as it is stored for a build with this option."""
        result = self.plans(made, keep)
        assert all(image.ready for image in result.images)
        return {image.name: image.stages[-1].stored.entrypoint for image in result.images}


def images():
    """CMD in the first; one on it with commands, one with an imageSpec, one with an ENTRYPOINT, one on that."""
    spec = ImageSpec(labels={"a": "b"})
    own = DockerInstructions(
        entrypoint='["own"]', entrypoint_words=("own",), cmd="[]", cmd_words=()
    )
    on = {"base_internal": True}
    return config(
        stapel("cmd", docker=CMD),
        stapel("run", base="cmd", shell=Shell(commands={"setup": ("x",)}), **on),
        stapel("spec", docker=CMD, image_spec=spec),
        stapel("on-spec", base="spec", docker=DockerInstructions(user="me"), **on),
        stapel("own", base="cmd", docker=own, **on),
        stapel("on-own", base="own", **on),
    )


NAMES = {"cmd", "run", "spec", "on-spec"}
WANTED = {
    RESET: {**dict.fromkeys(NAMES, ()), "own": ("own",), "on-own": ("own",)},
    KEEP: {**dict.fromkeys(NAMES, BASE), "own": ("own",), "on-own": ("own",)},
}


@pytest.mark.parametrize("order", [(KEEP, RESET), (RESET, KEEP), (KEEP, RESET, KEEP, RESET)])
def test_builds_with_other_options_do_not_get_each_others_entrypoint(order):
    repository, made = Repository(), images()
    for keep in order:
        repository.builds(made, keep)
        assert repository.entrypoints(made, keep) == WANTED[keep]
    for keep in (KEEP, RESET):
        assert repository.builds(made, keep) == 0
        assert repository.entrypoints(made, keep) == WANTED[keep]


def test_what_does_not_depend_on_the_option_is_shared():
    repository = Repository()
    made = config(
        stapel("a", docker=DockerInstructions(user="me")),
        stapel("b", docker=DockerInstructions(entrypoint="e", cmd="c")),
    )
    assert repository.builds(made, KEEP) == 4 - 1  # `from` is the same for both
    assert repository.builds(made, RESET) == 0


def test_a_base_without_entrypoint_makes_no_difference():
    repository, made = Repository(base=()), images()
    assert repository.builds(made, KEEP) > 0
    assert repository.builds(made, RESET) == 0


def test_a_stage_of_werf_is_used_where_it_is_right():
    """werf keeps the ENTRYPOINT: the option finds its stages, the default builds its own beside them."""
    repository, made = Repository(), config(stapel("cmd", docker=CMD))
    repository.builds(made, KEEP)
    assert repository.builds(made, KEEP) == 0
    assert repository.builds(made, RESET) == 1
    assert repository.builds(made, RESET) == 0


def test_an_entrypoint_that_nobody_looked_at_is_taken_as_right():
    world, made = World(), config(stapel("cmd", docker=CMD))
    world.build(world.plan(made), 100)
    assert world.plan(made).image("cmd").ready


# --- imageSpec ----------------------------------------------------------------------------------


def test_images_of_one_digest_have_their_own_names_in_labels():
    spec = ImageSpec(labels={"name": "%image%", "plain": "x"})
    repository = Repository()
    made = config(stapel("a", image_spec=spec), stapel("b", image_spec=spec))
    assert repository.builds(made, RESET) == 3  # one `from`, two imageSpec
    result = repository.plans(made, RESET)
    a, b = (result.image(name).stages[-1] for name in "ab")
    assert a.digest == b.digest
    assert a.stored.id != b.stored.id
    assert (a.stored.labels["name"], b.stored.labels["name"]) == ("a", "b")
    assert repository.builds(made, RESET) == 0


def test_without_a_name_they_are_one():
    spec = ImageSpec(labels={"plain": "x"})
    made = config(stapel("a", image_spec=spec), stapel("b", image_spec=spec))
    assert Repository().builds(made, RESET) == 2


def test_assuming_that_both_are_built_gives_both():
    spec = ImageSpec(labels={"name": "%image%"})
    made = config(stapel("a", image_spec=spec), stapel("b", image_spec=spec))
    world = World()
    world.build(world.plan(made), 100)
    assert sorted(question.id.timestamp for question in world.stored) == [100, 100, 101]
    assert all(image.ready for image in world.plan(made).images)


def test_removed_labels_are_not_missed_by_the_next_commit():
    spec = ImageSpec(remove_labels=("/werf.*/",))
    world = World()
    made = config(
        stapel("a", git=(APP,), image_spec=spec), stapel("b", base="a", base_internal=True)
    )
    world.build(world.plan(made, OLD), 100)
    stored = {desc.id.digest: desc for desc in world.stored.values()}
    result = world.plan(made, OLD)
    assert result.image("a").ready
    assert result.image("b").ready
    last = stored[result.image("a").stages[-1].digest]
    assert set(last.labels) == {labels.WERF, labels.CONTENT_DIGEST, labels.PARENT_STAGE_ID}

    result = world.plan(made, NEW)
    states = {stage.name: stage.state.value for stage in result.image("a").stages}
    assert states == {
        "from": "Cached",
        "gitArchive": "Cached",
        "gitLatestPatch": "ToBuild",
        "imageSpec": "ToBuild",
    }
    (patch,) = result.image("a").stages[2].work.patches
    assert (patch.from_commit, patch.commit) == (OLD, NEW)


def test_a_dockerfile_image_gets_it_after_its_target():
    file = "FROM x AS first\nRUN a\nFROM y\nCOPY --from=first /a /a\n"

    def answers(question):
        match question:
            case FileText(path="Dockerfile"):
                return file
            case FileText():
                return None
            case BaseImageInfo():
                return BaseImage(digest="sha256:1", config={})
            case StageInfo():
                raise AssertionError(question)

    world = World(answers)
    image = DockerfileImage(name="df", dockerfile="Dockerfile", image_spec=ImageSpec(user="me"))
    result = world.plan(config(image))
    assert [row.name for row in result.images] == ["df/stage/first", "df"]
    names = [[stage.name for stage in row.stages] for row in result.images]
    assert names == [["dockerfile"], ["dockerfile", "imageSpec"]]

    # With the files of the image stored, an imageSpec on top needs no other block.
    world.build(result, 100)
    changed = config(replace(image, image_spec=ImageSpec(user="you")))
    result = world.plan(changed)
    assert [row.name for row in result.images] == ["df"]
    assert [stage.state.value for stage in result.images[0].stages] == ["Cached", "ToBuild"]
