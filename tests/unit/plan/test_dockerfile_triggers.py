"""ONBUILD: what a base has the block that starts from it do."""

import pytest
from tests.unit.plan.test_dockerfile import (
    ALPINE_CONFIG,
    INVALID,
    NOT_SUPPORTED,
    plan,
    refusal,
    words,
)

from conveyor.plan.model import BlockStep, CopySource, ExternalBase

BASE = {"Env": ["PATH=/bin", "A=base"], "OnBuild": ["ARG V=1", "ENV A=$V-$A", "RUN make"]}


def bases(*triggers: str, **config: object) -> dict[str, dict[str, object]]:
    return {"b:1": {**BASE, **config, "OnBuild": list(triggers)}, "alpine:3": {**ALPINE_CONFIG}}


def told(steps: tuple[BlockStep, ...]) -> list[tuple[str, ...]]:
    return [(one.instruction.keyword, *one.instruction.args) for one in steps]


def test_triggers_of_an_outside_image_run_after_from_in_the_variables_of_the_child() -> None:
    (block,) = plan("FROM b:1\nLABEL l=$A\n", bases={"b:1": BASE}, args={"V": "2"}, asked=True)
    assert told(block.block.steps) == [
        ("FROM", "b:1", "ARG V=1", "ENV A=$V-$A", "RUN make"),
        ("ARG", "V=1"),
        ("ENV", "A", "2-base"),
        ("RUN", "make"),
        ("LABEL", "l", "2-base"),
    ]
    assert block.block.steps[3].env == {"V": "2"}
    assert {one.instruction.line for one in block.block.steps[:4]} == {1}
    assert block.base == ExternalBase(reference="b:1", digest="sha256:1")


def test_the_digest_does_not_know_triggers_of_an_outside_image() -> None:
    (plain,) = plan("FROM b:1\nRUN x\n", bases=bases(), asked=True)
    (block,) = plan("FROM b:1\nRUN x\n", bases=bases("COPY . /app"), asked=True)
    assert block.digest_components == plain.digest_components
    (note,) = block.notes
    assert note.startswith("Dockerfile:1: FROM b:1 runs its ONBUILD 'COPY . /app': as in werf, ")
    assert plain.notes == ()
    assert plain.base == ExternalBase(reference="b:1")


def test_an_outside_image_is_asked_about_only_when_the_block_is_built() -> None:
    (block,) = plan("FROM b:1\nRUN x\n", bases=bases("RUN y"))
    assert [one.reference for one in block.asks] == ["b:1"]
    assert told(block.block.steps) == [("FROM", "b:1"), ("RUN", "x")]
    (again,) = plan("FROM b:1\nRUN x\n", bases=bases("RUN y"), asked=True)
    assert again.asks == ()
    assert plan("FROM scratch\nCOPY a /\n")[0].asks == ()


def test_triggers_of_a_block_run_once_and_are_not_handed_on() -> None:
    text = (
        "FROM alpine:3 AS a\nONBUILD RUN first\nENV X=1\nONBUILD LABEL x=$X y=$Y\n"
        "FROM a AS b\nENV Y=2\nFROM b\nRUN z\n"
    )
    a, b, last = plan(text)
    assert told(a.block.steps)[1:] == [
        ("ONBUILD", "RUN first"),
        ("ENV", "X", "1"),
        ("ONBUILD", "LABEL x=$X y=$Y"),
    ]
    assert told(b.block.steps) == [
        ("FROM", "a", "RUN first", "LABEL x=$X y=$Y"),
        ("RUN", "first"),
        ("LABEL", "x", "1", "y", ""),
        ("ENV", "Y", "2"),
    ]
    assert told(last.block.steps) == [("FROM", "b"), ("RUN", "z")]


def test_a_trigger_may_copy_from_a_block_of_the_child() -> None:
    text = "FROM alpine:3 AS builder\nRUN b\nFROM alpine:3 AS other\nRUN o\nFROM b:1\nRUN x\n"
    found = plan(text, bases=bases("COPY --from=builder /out /in"), asked=True)
    assert [one.name for one in found] == ["app/stage/builder", "app"]
    assert found[-1].depends_on == ("app/stage/builder",)
    assert found[-1].block.steps[1].source == CopySource(image="app/stage/builder")


def test_a_trigger_with_a_here_document() -> None:
    found = words("FROM b:1\n", bases=bases("RUN <<E\necho 1\nE"), asked=True)
    assert found == [("echo 1\n",)]


def test_a_trigger_may_set_the_command_before_an_entrypoint() -> None:
    text = 'FROM b:1\nENTRYPOINT ["e"]\n'
    (with_cmd,) = plan(text, bases=bases('CMD ["c"]'), asked=True)
    (without,) = plan(text, bases=bases("RUN x"), asked=True)
    assert [one.block.steps[-1].instruction.resets_cmd for one in (with_cmd, without)] == [
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("trigger", "reason", "problem"),
    [
        ("ONBUILD RUN x", INVALID, "it must be one instruction other than ONBUILD, FROM and"),
        ("FROM x", INVALID, "it must be one instruction other than ONBUILD, FROM and MAINTAINER"),
        ("RUN a\nRUN b", INVALID, "it must be one instruction other than"),
        ("FOO x", INVALID, "unknown instruction FOO; known are"),
        ("WORKDIR", INVALID, "WORKDIR takes exactly one argument"),
        ("COPY --from=later a b", INVALID, "COPY --from=later: the stage begins only in line 4"),
        ("COPY --from=7 a b", INVALID, "COPY --from=7: there is no stage 7"),
        ("ENV A=${B:?needed}", INVALID, "cannot expand '${B:?needed}': B: needed"),
        ("STOPSIGNAL $NO", INVALID, "'' is not a signal"),
        ("RUN --device=x y", NOT_SUPPORTED, "RUN --device is not supported"),
    ],
)
def test_what_is_wrong_with_a_trigger_names_the_base(
    trigger: str, reason: str, problem: str
) -> None:
    text = "ARG X\nFROM b:1 AS t\nRUN x\nFROM alpine:3 AS later\n"
    told = refusal(text, bases=bases(trigger), target="t", asked=True)
    said = trigger.split("\n", maxsplit=1)[0]
    assert told[0] == reason
    assert told[1].startswith(f"Dockerfile:2: FROM b:1 runs its ONBUILD {said!r}"[:-1])
    assert f": {problem}" in told[1]


def test_too_many_triggers_are_refused() -> None:
    reason, message = refusal("FROM b:1\n", bases=bases(*["RUN x"] * 501), asked=True)
    assert (reason, message) == (
        INVALID,
        "Dockerfile:1: FROM b:1 would run 501 ONBUILD instructions; 500 are allowed",
    )
