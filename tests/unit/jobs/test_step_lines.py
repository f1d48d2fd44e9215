"""The lines around instructions, in the stage task and in its log."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"

import os

from tests.unit.jobs.test_task import PARENT, block, step, written
from tests.unit.jobs.values import digest

from conveyor.builder.processes import Output, Runner
from conveyor.builder.rootfs import Rootfs
from conveyor.builder.steps import Workplace
from conveyor.jobs.step_lines import told_layers
from conveyor.plan.model import BlockStep

BELOW = "sha256:" + "0123456789abcdef" * 4


def named(keyword, told):
    return BlockStep(instruction=step(keyword, "x").instruction, told=told)


def test_every_instruction_is_told_and_followed_by_an_id():
    steps = [named(*one) for one in (("FROM", "1"), ("ENV", "2"), ("RUN", "3"), ("CMD", "4"))]
    (layer,) = told_layers(steps, [[], [], [{"op": "exec"}], []], below=BELOW, digest="d" * 56)
    before, task, after, last = layer["steps"]
    assert task == {"op": "exec"}
    first, short, second, between, third = before["text"].split("\n")
    assert (first, short, second, third) == ("1", " ---> 0123456789ab", "2", "3")
    assert len(between) == len(short) == 18
    assert between != short
    kept, _ = after["text"].split("\n")
    assert kept == "Layer taken from the pod; no intermediate container is left"
    assert last == {"op": "say", "text": "4\n ---> dddddddddddd"}


def test_a_copy_leaves_no_container_to_speak_of():
    steps = [named("FROM", "1"), named("COPY", "2")]
    (layer,) = told_layers(steps, [[], [{"op": "copy"}]], below="", digest="d" * 56)
    assert [one.get("text") for one in layer["steps"]] == [
        "1\n ---> scratch\n2",
        None,
        " ---> dddddddddddd",
    ]


def test_what_needs_no_pod_is_told_all_the_same():
    """The last part of a block whose RUN and COPY are parts of their own."""
    steps = [named("LABEL", "1"), named("CMD", "2")]
    (layer,) = told_layers(steps, [[], []], below=BELOW, digest="d" * 56)
    (said,) = layer["steps"]
    first, between, second, last = said["text"].split("\n")
    assert (first, second, last) == ("1", "2", " ---> dddddddddddd")
    assert len(between) == len(last)


def test_a_block_that_is_not_told_has_its_tasks_alone():
    steps = [named("FROM", ""), named("RUN", ""), named("CMD", "")]
    layers = told_layers(steps, [[], [{"op": "exec"}], []], below=BELOW, digest="d" * 56)
    assert layers == [{"steps": [{"op": "exec"}]}]


def test_the_task_of_a_stage_has_the_lines():
    one = BlockStep(instruction=step("RUN", "make").instruction, told="Step 2/2 : RUN make")
    stage, _ = written(block(named("FROM", "Step 1/2 : FROM x"), one))
    said, task, after = stage["runs"][0]["layers"][0]["steps"]
    short = PARENT.manifest_digest.removeprefix("sha256:")[:12]
    assert said["text"] == f"Step 1/2 : FROM x\n ---> {short}\nStep 2/2 : RUN make"
    assert task["argv"] == ["/bin/sh", "-c", "make"]
    assert after["text"].endswith(f" ---> {digest('app/s0')[:12]}")


def test_say_writes_a_line_and_changes_nothing(tmp_path):
    reader, writer = os.pipe()
    output = Output(writer)
    work = Workplace(Rootfs(os.fsencode(tmp_path)), Runner(output), str(tmp_path), {})
    work.run({"op": "say", "text": "Step 1/2 : é\n ---> abc"}, "0-0-0")
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert pipe.read().decode() == "Step 1/2 : é\n ---> abc\n"
    assert output.tail() == "Step 1/2 : é\n ---> abc\n"
    assert list(tmp_path.iterdir()) == []
