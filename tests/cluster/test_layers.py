"""What is stored of a Dockerfile is reused line by line; seen from Jobs and from inside the built images."""

import time

import pytest
from tests.cluster.builds import IMAGE_PER_JOB, STAGE_PER_JOB, Build, image, stages_of
from tests.cluster.harness import Harness
from tests.cluster.kube import CORE
from tests.cluster.registry import doubled, refs

META = "project: e2e\nconfigVersion: 1\n---\n"
WERF = META + "image: app\ndockerfile: Dockerfile\n"

SERVICE = """\
FROM debian:bookworm
ARG LEVEL=1
WORKDIR /app
COPY deps.txt .
ENV HOME=/app
RUN date +%s%N > /installed && cat deps.txt >> /installed
COPY src src
RUN cat src/code > made && echo "$LEVEL $PWD $HOME" >> made
USER games
LABEL of=service
CMD ["cat", "made"]
"""
ALL = ["COPY3", "RUN5", "COPY6", "RUN7", "dockerfile"]


def _jobs(build: Build) -> list[list[str]]:
    found = sorted(build.jobs(), key=lambda job: str(job["metadata"]["creationTimestamp"]))
    return [stages_of(job) for job in found]


def test_a_change_rebuilds_only_what_follows(lab: Harness) -> None:
    """A changed file rebuilds its COPY and what follows, one that nothing copies nothing."""
    project, repo = lab.git_project({"werf.yaml": WERF, "Dockerfile": SERVICE}), lab.new_repo()
    project.change({"deps.txt": "d1\n", "src/code": "c1\n", "notes.md": "1\n"})
    first = lab.build(project, repo=repo)
    status = first.wait_ready()
    assert _jobs(first) == [ALL]
    assert [stage["name"] for stage in image(status, "app")["stages"]] == ["dockerfile"]
    assert lab.pods.run(refs(status)["app"]) == "c1\n1 /app /app\n"
    installed = lab.pods.shell(refs(status)["app"], "cat /installed")
    assert installed.endswith("d1\n")

    project.change({"src/code": "c2\n"})
    second = lab.build(project, repo=repo)
    ref = refs(second.wait_ready())["app"]
    assert _jobs(second) == [ALL[2:]]
    assert lab.pods.run(ref) == "c2\n1 /app /app\n"
    assert lab.pods.shell(ref, "cat /installed") == installed

    project.change({"notes.md": "2\n"})
    third = lab.build(project, repo=repo)
    assert refs(third.wait_ready())["app"] == ref
    assert _jobs(third) == []


def test_a_change_of_the_config_needs_no_pod(lab: Harness) -> None:
    project, repo = lab.git_project({"werf.yaml": WERF, "Dockerfile": SERVICE}), lab.new_repo()
    project.change({"deps.txt": "d1\n", "src/code": "c1\n"})
    lab.build(project, repo=repo).wait_ready()
    project.change({"Dockerfile": SERVICE.replace("of=service", "of=it")})
    relabelled = lab.build(project, repo=repo)
    ref = refs(relabelled.wait_ready())["app"]
    assert _jobs(relabelled) == []
    assert lab.config(ref)["Labels"]["of"] == "it"  # type: ignore[index]
    assert lab.pods.run(ref) == "c1\n1 /app /app\n"
    project.change({"deps.txt": "d2\n"})
    whole = lab.build(project, repo=repo)
    assert lab.pods.shell(refs(whole.wait_ready())["app"], "cat /installed").endswith("d2\n")
    assert _jobs(whole) == [ALL]
    assert doubled(lab.registry.stages(repo)) == []


FAILING = """\
FROM debian:bookworm
RUN date +%s%N > /one
RUN date +%s%N > /two
RUN exit 7
"""


def test_a_failed_build_leaves_what_was_good(lab: Harness) -> None:
    """The next build begins where the last one failed."""
    project, repo = lab.git_project({"werf.yaml": WERF, "Dockerfile": FAILING}), lab.new_repo()
    failed = lab.build(project, repo=repo)
    status = failed.wait_stalled("StageFailed")
    assert status["failure"]["stage"] == "dockerfile"
    assert status["failure"]["exitCode"] == 7
    assert _jobs(failed) == [["RUN1", "RUN2", "dockerfile"]]
    assert len(lab.registry.stages(repo)) == 2
    project.change({"Dockerfile": FAILING.replace("exit 7", "cat /one /two > /three")})
    build = lab.build(project, repo=repo)
    ref = refs(build.wait_ready())["app"]
    assert _jobs(build) == [["dockerfile"]]
    assert lab.pods.shell(ref, "cat /one /two | cmp - /three && echo same") == "same\n"


SLOW = """\
FROM debian:bookworm
RUN date +%s%N > /one
RUN sleep 12
RUN cat /one > /two
"""


@pytest.mark.kills
def test_killed_in_the_middle(lab: Harness) -> None:
    """The operator dies between two slices: the Job goes on, and so does the build."""
    project = lab.git_project({"werf.yaml": WERF, "Dockerfile": SLOW})
    build = lab.build(project)
    build.wait_jobs()
    build.wait_for("the first slice is stored", lambda _: lab.registry.stages(build.repo), 60)
    lab.operator.kill()
    ref = refs(build.wait_ready())["app"]
    assert _jobs(build) == [["RUN1", "RUN2", "dockerfile"]]
    assert lab.pods.shell(ref, "cmp /one /two && echo same") == "same\n"
    assert doubled(lab.registry.stages(build.repo)) == []


def test_a_lost_pod_is_replaced_from_where_it_was(lab: Harness) -> None:
    project = lab.git_project({"werf.yaml": WERF, "Dockerfile": SLOW})
    build = lab.build(project)
    build.wait_jobs()
    build.wait_for("the first slice is stored", lambda _: lab.registry.stages(build.repo), 60)
    (pod,) = build.pods()
    lab.kube.delete(f"{CORE}/namespaces/{build.namespace}/pods/{pod['metadata']['name']}")
    ref = refs(build.wait_ready())["app"]
    assert _jobs(build) == [["RUN1", "RUN2", "dockerfile"], ["RUN2", "dockerfile"]]
    assert lab.pods.shell(ref, "cmp /one /two && echo same") == "same\n"


def test_two_builds_share_what_they_have_in_common(lab: Harness) -> None:
    """Two Dockerfiles that differ in the last line, at once: what comes before runs once."""
    text = "FROM debian:bookworm\nRUN sleep 6; date +%s%N > /when\nRUN echo a > /who\n"
    project, repo = lab.git_project({"werf.yaml": WERF, "Dockerfile": text}), lab.new_repo()
    first = lab.build(project, repo=repo)
    time.sleep(1)
    project.change({"Dockerfile": text.replace("echo a", "echo b")})
    second = lab.build(project, repo=repo)
    one, two = (refs(build.wait_ready())["app"] for build in (first, second))
    look = "cat /when"
    assert lab.pods.shell(one, look) == lab.pods.shell(two, look)
    assert lab.pods.shell(two, "cat /who") == "b\n"
    assert _jobs(first) == [["RUN1", "dockerfile"]]
    assert _jobs(second) == [["dockerfile"]]


WAITING = """\
FROM debian:bookworm AS builder
RUN sleep 4; date +%s%N > /made
FROM debian:bookworm
COPY --from=builder /etc/debian_version /version
COPY --from=builder /made /made
CMD ["cat", "/made"]
"""


def test_a_block_without_commands_waits_for_what_it_copies(lab: Harness) -> None:
    """Two Jobs, one for each block: none for a part of the copying."""
    build = lab.build(lab.git_project({"werf.yaml": WERF, "Dockerfile": WAITING}))
    ref = refs(build.wait_ready())["app"]
    assert _jobs(build) == [["dockerfile"], ["COPY1", "COPY2", "dockerfile"]]
    assert lab.pods.run(ref).strip().isdigit()


def test_commands_do_not_wait_for_other_blocks(lab: Harness) -> None:
    """What needs no other block is built meanwhile."""
    text = WAITING.replace("COPY --from=builder /etc/debian_version /version", "RUN date > /mine")
    build = lab.build(lab.git_project({"werf.yaml": WERF, "Dockerfile": text}))
    ref = refs(build.wait_ready())["app"]
    assert sorted(_jobs(build)) == [["COPY2", "dockerfile"], ["RUN1"], ["dockerfile"]]
    assert lab.pods.shell(ref, "cat /mine /made").count("\n") == 2


STAGED = """\
ARG SUITE=bookworm
FROM debian:$SUITE AS builder
ARG WHAT=tool
WORKDIR /src
COPY src .
RUN cat code > /$WHAT && echo "$WHAT in $PWD" >> /tool

FROM debian:bookworm
ENV A=1
WORKDIR /app
USER games
RUN echo "$A $PWD $(id -un)" > /tmp/seen
ENV A=2
RUN echo "$A" >> /tmp/seen
COPY --from=builder --chown=games /tool tool
LABEL of=staged
CMD cat tool /tmp/seen; stat -c %U tool
"""
STAGED_WERF = META + "image: app\ndockerfile: Dockerfile\nstaged: true\n"
STAGED_ROWS = [
    *(f"{name} (builder)" for name in ("WORKDIR1", "COPY2", "RUN3")),
    *("ENV1", "WORKDIR2", "USER3", "RUN4", "ENV5", "RUN6", "COPY7", "LABEL8", "CMD9"),
]
STAGED_SAID = "c1\ntool in /src\n1 /app games\n2\ngames\n"


@pytest.mark.parametrize("execution", [STAGE_PER_JOB, IMAGE_PER_JOB])
def test_staged(lab: Harness, execution: str) -> None:
    """Every instruction is a stage with werf's digest; those that change files are built in pods."""
    project, repo = (
        lab.git_project({"werf.yaml": STAGED_WERF, "Dockerfile": STAGED}),
        lab.new_repo(),
    )
    project.change({"src/code": "c1\n"})
    build = lab.build(project, repo=repo, execution=execution)
    status = build.wait_ready()
    assert [stage["name"] for stage in image(status, "app")["stages"]] == STAGED_ROWS
    assert lab.pods.run(refs(status)["app"]) == STAGED_SAID
    assert doubled(lab.registry.stages(repo)) == []
    jobs = _jobs(build)
    if execution == STAGE_PER_JOB:
        assert sorted(jobs) == sorted(
            [[name] for name in ("WORKDIR1", "COPY2", "RUN3", "WORKDIR2", "RUN4", "RUN6", "COPY7")]
        )
    else:
        assert ["WORKDIR1", "COPY2", "RUN3"] in jobs
        assert ["WORKDIR2", "USER3", "RUN4", "ENV5", "RUN6"] in jobs
    project.change({"Dockerfile": STAGED.replace("of=staged", "of=it")})
    again = lab.build(project, repo=repo, execution=execution)
    assert lab.pods.run(refs(again.wait_ready())["app"]) == STAGED_SAID
    assert again.jobs() == []


GIVEN_WERF = """\
project: e2e
configVersion: 1
---
image: base
dockerfile: Dockerfile.base
final: false
---
image: app
dockerfile: Dockerfile
staged: true
dependencies:
- image: base
  imports: [{type: ImageName, targetBuildArg: BASE}, {type: ImageRepo, targetBuildArg: REPO}]
imageSpec: {config: {labels: {name: "%image%"}, cmd: [cat, /seen]}}
"""
GIVEN_BASE = """\
FROM debian:bookworm
ONBUILD ARG WHO=nobody
ONBUILD ENV WORD=$WHO
ONBUILD COPY word /word
ONBUILD RUN echo "trigger $WORD $(cat /word)" > /seen
"""
GIVEN = """\
ARG BASE
FROM $BASE
ARG REPO
RUN echo "own $WORD $REPO" >> /seen
USER games
"""


def test_staged_on_a_base_with_triggers_that_another_image_is(lab: Harness) -> None:
    """ONBUILD of an outside base runs in the first stage, values of `dependencies` are build args, imageSpec comes last."""
    files = {"werf.yaml": GIVEN_WERF, "Dockerfile.base": GIVEN_BASE, "Dockerfile": GIVEN}
    project = lab.git_project({**files, "word": "w1\n"})
    build = lab.build(project)
    status = build.wait_ready()
    row = image(status, "app")
    assert [stage["name"] for stage in row["stages"]] == ["RUN1", "USER2", "imageSpec"]
    assert lab.pods.run(row["ref"]) == f"trigger nobody w1\nown nobody {build.repo}\n"
    config = lab.registry.config(row["ref"])["config"]
    assert (config["User"], config["Labels"]["name"]) == ("games", "app")
    assert "OnBuild" not in config
    assert _jobs(build) == [["RUN1"]]
    again = lab.build(project, repo=build.repo)
    assert image(again.wait_ready(), "app")["ref"] == row["ref"]
    assert again.jobs() == []
