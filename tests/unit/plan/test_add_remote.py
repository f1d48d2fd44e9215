"""Remote sources of ADD in a plan: what is fetched, what the digest sees, what is refused before a Job."""

from dataclasses import replace

import pytest
from tests.unit.jobs.values import cached, image, plan, to_build
from tests.unit.plan.test_dockerfile import digest, refusal, steps
from tests.unit.plan.test_dockerfile import plan as plan_blocks
from tests.unit.plan.test_inner_stages import Project

from conveyor.api.errors import UserError
from conveyor.config.remote_policy import RemotePolicy
from conveyor.config.remote_source import GitSource, HttpSource
from conveyor.plan.add_remote import check_remotes
from conveyor.plan.digest import sha256_args
from conveyor.plan.model import BuildPlan, DockerfileBlock, StageWork
from conveyor.plan.questions import ContextListing

SHA256 = f"sha256:{'a' * 64}"
URL = "https://example.org/x.tar.gz"


def test_sources_are_told_apart_when_variables_are_replaced() -> None:
    (*_, step) = steps(
        "FROM alpine:3\nARG V=1.2\nARG SUM=" + SHA256 + "\n"
        "ADD --checksum=$SUM --chown=1:2 https://example.org/$V/a-${V}.tgz /x/\n"
    )
    assert step.remotes == {
        0: HttpSource(
            url="https://example.org/1.2/a-1.2.tgz", name="a-1.2.tgz", checksum=SHA256, at="Dockerfile:4"
        )
    }  # fmt: skip
    assert step.instruction.flags == ("--chown=1:2",)


def test_sources_of_several_kinds() -> None:
    (step,) = steps("FROM alpine:3\nADD a https://h.example/x git@h.example:d#v1:docs b*/ /x/\n")
    assert step.instruction.args == (
        *("a", "https://h.example/x", "git@h.example:d#v1:docs", "b*/", "/x/"),
    )
    assert step.remotes == {
        1: HttpSource(url="https://h.example/x", name="x", at="Dockerfile:2"),
        2: GitSource(url="git@h.example:d", ref="v1", subdir="docs", at="Dockerfile:2"),
    }


def test_the_digest_has_the_line_and_no_content() -> None:
    """werf: the raw line, and a checksum of the files of the context that the sources name, here none."""
    text = f"FROM alpine:3\nADD {URL} /x\n"
    (block,) = plan_blocks(text)
    assert [one.value for one in block.digest_components] == [
        "alpine:3",
        f"ADD {URL} /x",
        sha256_args(""),
    ]
    pinned = f"FROM alpine:3\nADD --checksum={SHA256} {URL} /x\n"
    assert digest(pinned) != digest(text)


def test_files_beside_a_url_are_in_the_digest() -> None:
    one, other = (f"FROM alpine:3\nADD {URL} {name} /x/\n" for name in ("a", "b"))
    parts = [plan_blocks(text)[0].digest_components[-1] for text in (one, other)]
    assert parts[0].value != parts[1].value
    assert plan_blocks(f"FROM alpine:3\nADD a {URL} /x/\n")[0].digest_components[-1] == parts[0]


UNSUPPORTED = "ADD git://h/d: git:// is not encrypted; write https:// or ssh://"
COPIED = "COPY https://h/x: COPY takes no URL and no git repository; write ADD"
NO_DIGEST = "--checksum=md5:1: write sha256: and 64 hex digits"
NO_PROTOCOL = "ADD ftp://h/x: ftp is no protocol of ADD; known are http, https and ssh"
ABSENT = "ADD: absent is not in the build context (the commit, without ignored files)"


@pytest.mark.parametrize(
    ("line", "reason", "said"),
    [
        ("ARG U=git://h/d\nADD $U /x", "NotSupported", UNSUPPORTED),
        ("ARG U=https://h/x\nCOPY $U /x", "InvalidDockerfile", COPIED),
        ("ARG C=md5:1\nADD --checksum=$C https://h/x /x", "InvalidDockerfile", NO_DIGEST),
        ("ARG U=ftp://h/x\nADD $U /x", "InvalidDockerfile", NO_PROTOCOL),
        ("ARG X\nADD https://h/x absent /x/", "InvalidDockerfile", ABSENT),
    ],
)
def test_refusals_name_the_line(line: str, reason: str, said: str) -> None:
    assert refusal(f"FROM alpine:3\n{line}\n") == (reason, f"Dockerfile:3: {said}")


def planned(text: str, *, stored: bool = False) -> BuildPlan:
    block = plan_blocks(f"FROM alpine:3\n{text}\n")[-1].block
    return of_block(block, stored=stored)


def of_block(block: DockerfileBlock, *, stored: bool) -> BuildPlan:
    made = (cached if stored else to_build)("app/dockerfile", work=StageWork(block=block))
    return plan(image(made))


def refused(text: str, policy: RemotePolicy, *, login: bool = True) -> tuple[str, list[str]]:
    with pytest.raises(UserError) as caught:
        check_remotes(planned(text), policy, lambda _: login)
    return caught.value.reason, caught.value.message.splitlines()


def test_hosts_are_judged_before_any_job() -> None:
    reason, lines = refused(
        "ADD http://10.0.0.1/x?token=s3cret /x\nADD https://example.org/x /y\nADD git@localhost:a/b.git a /z/",
        RemotePolicy(),
    )
    assert reason == "RemoteSourceNotAllowed"
    hint = (
        "the cluster's administrator allows hosts with `addRemote.privateHosts` of Conveyor's chart"
    )
    assert lines == [
        f"Dockerfile:2: ADD http://10.0.0.1/x: 10.0.0.1 is no public address (private); {hint}",
        f"Dockerfile:4: ADD git@localhost:a/b.git: localhost is a name inside a network; {hint}",
    ]


def test_what_is_stored_is_not_fetched() -> None:
    text = "ADD http://10.0.0.1/x /x"
    check_remotes(planned(text, stored=True), RemotePolicy(), lambda _: False)
    check_remotes(planned("COPY a /x"), RemotePolicy(enabled=False), lambda _: False)
    assert refused(text, RemotePolicy())[0] == "RemoteSourceNotAllowed"


def test_ten_lines_are_enough() -> None:
    text = "\n".join(f"ADD http://10.0.0.{number}/x /x" for number in range(30))
    assert len(refused(text, RemotePolicy())[1]) == 10


def test_ssh_needs_a_login() -> None:
    text = "ADD git@example.org:a/b.git /x"
    assert refused(text, RemotePolicy(), login=False) == (
        "GitAuthFailed",
        [
            "Dockerfile:2: ADD git@example.org:a/b.git: ssh needs a login: add one for it to spec.gitCredentials"
        ],
    )
    asked: list[str] = []
    check_remotes(planned(text), RemotePolicy(), lambda url: not asked.append(url))
    assert asked == ["git@example.org:a/b.git"]
    check_remotes(
        planned("ADD https://example.org/b.git /x"), RemotePolicy(), lambda _: False
    )  # may be public


def test_a_plan_without_blocks_has_no_sources() -> None:
    work = replace(StageWork(), commands=("make",))
    check_remotes(
        plan(image(to_build("app/install", work=work))), RemotePolicy(enabled=False), bool
    )


PINNED = "FROM python:3\nADD --checksum=sha256:{} https://h.example/x /x\nRUN a\nADD src git@h.example:d /y/\nRUN b\n"


def test_an_inner_stage_knows_what_is_pinned_and_asks_for_no_files() -> None:
    project = Project(PINNED.format("a" * 64))
    project.plan()
    listed = {it.sources for it in project.asked if isinstance(it, ContextListing)}
    assert listed == {("src",)}
    project.build()
    assert project.to_build() == []
    project.text = "# a line more\n" + PINNED.format("a" * 64)
    assert project.to_build() == []
    project.text = PINNED.format("b" * 64)
    assert project.to_build() == ["ADD1", "RUN2", "ADD3", "dockerfile"]
