"""Planning RUN --mount: sources, digests, places, refusals."""

import pytest
from tests.unit.plan.test_dockerfile import plan, refusal

from conveyor.plan.model import CopySource, PlannedMount


def mounts(text: str) -> tuple[PlannedMount, ...]:
    return next(step.mounts for step in plan(text)[-1].block.steps if step.mounts)


def refused(text: str) -> str:
    return plan(text)[-1].refused


RUN = "FROM alpine:3\nRUN --mount=%s true\n"


def test_a_bind_is_of_the_context_a_block_or_an_image() -> None:
    text = (
        "FROM alpine:3 AS a\nRUN x\nFROM alpine:3\n"
        "RUN --mount=source=src,target=/s --mount=from=a,target=/a --mount=from=alpine:3,target=/b "
        "--mount=type=cache,target=/c true\n"
    )
    assert [planned.files for planned in mounts(text)] == [
        CopySource(),
        CopySource(image="app/stage/a"),
        CopySource(image="alpine:3", external=True),
        None,
    ]


def test_a_cache_begins_with_files_of_a_block_or_an_image() -> None:
    text = (
        "FROM alpine:3 AS a\nRUN x\nFROM alpine:3\n"
        "RUN --mount=type=cache,from=a,source=/s,target=/s --mount=type=cache,from=alpine:3,target=/b "
        "--mount=type=cache,from=alpine:3,target=/c,uid=5 --mount=type=cache,from=scratch,target=/d true\n"
    )
    assert refused(text) == ""
    assert [planned.files for planned in mounts(text)] == [
        CopySource(image="app/stage/a"),
        CopySource(image="alpine:3", external=True),
        None,
        None,
    ]
    assert plan(text)[-1].depends_on == ("app/stage/a",)


def test_variables_are_replaced_where_they_are_known() -> None:
    text = "ARG T=/t\nFROM alpine:3\nARG T\nENV S=src\nRUN --mount=source=$S/x,target=${T}/$LANG true\n"
    (planned,) = mounts(text)
    assert (planned.mount.source, planned.mount.target) == ("src/x", "/t/C")


def values(text: str) -> list[str]:
    return [part.value for part in plan(text)[-1].digest_components]


def test_files_of_the_context_are_hashed_and_nothing_else_is() -> None:
    """werf hashes the text alone: what it says of other mounts stays."""
    for flag in ("type=cache,target=/x", "type=secret,id=x", "from=alpine:3,target=/x"):
        assert values(RUN % flag) == ["alpine:3", f"RUN --mount={flag} true"]
    found = plan(RUN % "source=src,target=/x")[-1].digest_components
    assert [part.label for part in found] == ["FROM", "RUN", "RUN --mount files: src"]
    copied = plan("FROM alpine:3\nCOPY src /x\n")[-1].digest_components
    assert found[-1].value == copied[-1].value


def test_a_bind_of_nothing_is_an_error() -> None:
    reason, message = refusal(RUN % "source=absent,target=/x")
    assert reason == "InvalidDockerfile"
    assert message.startswith("Dockerfile:2: RUN --mount: absent is not in the build context")


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("target=../..", "--mount: the target is the root directory"),
        ("type=cache,target=$NO", "--mount: the target is the root directory"),
        ("type=ssh,id=$LANG,source=x", "--mount: ssh has no source"),
        ("from=$X,target=/x", "--mount: from takes no variables"),
    ],
)
def test_mistakes_name_the_line(flag: str, said: str) -> None:
    reason, message = refusal(f"FROM alpine:3\nWORKDIR /\nRUN --mount={flag} true\n")
    assert reason == "InvalidDockerfile"
    assert message.startswith(f"Dockerfile:3: {said}")


def test_relative_targets_start_from_the_working_directory() -> None:
    """The base image's is asked for, so that a mistake is told before anything starts."""
    assert refused(RUN % "source=src,target=../proc").startswith(
        "Dockerfile:2: RUN --mount: nothing can be mounted to /proc"
    )
    assert refused(RUN % "source=src,target=proc") == ""


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--mount=type=tmpfs,from=alpine:3,target=/x", "RUN --mount=type=tmpfs: from and source"),
        ("--network=host", "RUN --network=host is not supported: commands use the network of"),
        ("--security=insecure", "RUN --security=insecure is not supported: build pods have no"),
    ],
)
def test_what_cannot_be_built_is_planned(flag: str, said: str) -> None:
    assert refused(f"FROM alpine:3\nRUN {flag} true\n").startswith(f"Dockerfile:2: {said}")


def test_what_happens_anyway_is_not_refused() -> None:
    assert refused("FROM alpine:3\nRUN --network=default --security=sandbox true\n") == ""
    assert refused("FROM alpine:3\nRUN --network=none true\n") == ""
