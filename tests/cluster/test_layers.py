"""What is stored of a Dockerfile is reused line by line; seen from Jobs and from inside the built images."""

import time

from tests.cluster.builds import Build, image, stages_of
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
    """A file, a line, a label, the mode of a file: each rebuilds from where it is used."""
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

    project.change({"Dockerfile": SERVICE.replace("of=service", "of=it")})
    fourth = lab.build(project, repo=repo)
    ref = refs(fourth.wait_ready())["app"]
    assert _jobs(fourth) == []
    assert lab.config(ref)["Labels"]["of"] == "it"  # type: ignore[index]
    assert lab.pods.run(ref) == "c2\n1 /app /app\n"

    project.change({"deps.txt": "d2\n"})
    fifth = lab.build(project, repo=repo)
    ref = refs(fifth.wait_ready())["app"]
    assert _jobs(fifth) == [ALL]
    assert lab.pods.shell(ref, "cat /installed").endswith("d2\n")
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
