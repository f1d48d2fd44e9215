"""FROM blocks that only follow each other: one pod for all of them, and each a stage that is stored by itself."""

import pytest
from tests.cluster.builds import Build, digests_of, image, stages, stages_of
from tests.cluster.harness import Harness
from tests.cluster.kube import CORE
from tests.cluster.projects import SEED
from tests.cluster.registry import doubled, refs

META = "project: e2e\nconfigVersion: 1\n---\n"
WERF = META + "image: app\ndockerfile: Dockerfile\n"


def _jobs(build: Build) -> list[list[str]]:
    found = sorted(build.jobs(), key=lambda job: str(job["metadata"]["creationTimestamp"]))
    return [stages_of(job) for job in found]


def test_the_seed_is_one_job_and_two_stages(lab: Harness) -> None:
    """Both are stored under digests of their own, with an Event each; another target then finds the first one."""
    werf = WERF + "target: stage2\n"
    project = lab.git_project({"werf.yaml": werf, "Dockerfile": SEED})
    build = lab.build(project)
    status = build.wait_ready()
    assert _jobs(build) == [["dockerfile", "dockerfile"]]
    assert stages(status, "app") == {"dockerfile (base)": "Built", "dockerfile": "Built"}
    (job,) = build.jobs()
    assert set(lab.registry.stages(build.repo)) == set(digests_of(job))
    assert [row["job"] for row in image(status, "app")["stages"]] == [job["metadata"]["name"]] * 2
    told = [one["message"] for one in build.events() if one["reason"] == "StageBuilt"]
    assert {text.partition(":")[0] for text in told} == {
        "app/stage/base/dockerfile",
        "app/dockerfile",
    }
    (said,) = build.logs()
    assert said.index("base") < said.index("stage2")
    project.change({"werf.yaml": werf.replace("stage2", "stage1")})
    other = lab.build(project, repo=build.repo)
    assert stages(other.wait_ready(), "app") == {
        "dockerfile (base)": "Cached",
        "dockerfile": "Built",
    }
    assert _jobs(other) == [["dockerfile"]]


SETTINGS = """\
ARG SUITE=bookworm
FROM debian:$SUITE AS base
ARG LEVEL=1
ENV PLACE=base
SHELL ["/bin/bash", "-ec"]
RUN [[ "$LEVEL" == 1 ]] && echo "$LEVEL $PLACE $PWD $(id -un)" > /seen; mkdir /data; touch /data/old
VOLUME /data
WORKDIR /app
RUN chown games .
USER games
ONBUILD RUN [[ -e /seen ]] && echo "trigger $LEVEL $PLACE $PWD $(id -un)" > trigger

FROM base AS middle
ARG LEVEL=2
RUN [[ "$LEVEL" == 2 ]] && echo "$LEVEL $PLACE $PWD $(id -un)" > middle
USER root
RUN touch /data/new
ENV PLACE=middle
COPY file copied

FROM middle
ARG OWN=own
RUN [[ "$LEVEL" == 2 ]] && echo "$OWN $LEVEL $PLACE $PWD $(id -un)" > last
LABEL of=three
CMD cat /seen trigger middle last copied; ls /data
"""
SEEN = """\
1 base / root
trigger 1 base /app games
2 base /app games
own 2 middle /app root
text
new
old
"""


def test_a_block_holds_for_those_on_it(lab: Harness) -> None:
    """ENV, USER, WORKDIR, SHELL and ONBUILD as from the stored image; ARGs reach blocks below, as with BuildKit."""
    project = lab.git_project({"werf.yaml": WERF, "Dockerfile": SETTINGS, "file": "text\n"})
    build = lab.build(project)
    status = build.wait_ready()
    assert len(build.jobs()) == 1
    ref = refs(status)["app"]
    assert lab.pods.run(ref) == SEEN
    config = lab.registry.config(ref)["config"]
    assert (config["User"], config["WorkingDir"]) == ("root", "/app")
    assert (config["Shell"], set(config["Volumes"])) == (["/bin/bash", "-ec"], {"/data"})
    assert "OnBuild" not in config
    # The same again, with every block in a pod of its own: in legacy mode.
    alone = lab.build(project, dockerfileMode="legacy")
    assert lab.pods.run(refs(alone.wait_ready())["app"]) == SEEN
    assert len(alone.jobs()) == 3
    other = lab.registry.config(refs(alone.status())["app"])["config"]
    unlike = {name for name in {*config, *other} if config.get(name) != other.get(name)}
    assert unlike <= {"Labels"}


FAILING = """\
FROM debian:bookworm AS base
RUN date +%s%N > /one
RUN date +%s%N > /two
FROM base
RUN date +%s%N > /three
RUN exit 7
"""


def test_a_failing_second_block_leaves_what_was_good(lab: Harness) -> None:
    project, repo = lab.git_project({"werf.yaml": WERF, "Dockerfile": FAILING}), lab.new_repo()
    failed = lab.build(project, repo=repo)
    status = failed.wait_stalled("StageFailed")
    assert stages(status, "app") == {"dockerfile (base)": "Built", "dockerfile": "Failed"}
    assert (status["failure"]["stage"], status["failure"]["exitCode"]) == ("dockerfile", 7)
    assert _jobs(failed) == [["RUN1", "dockerfile", "RUN1", "dockerfile"]]
    assert len(lab.registry.stages(repo)) == 3
    project.change({"Dockerfile": FAILING.replace("exit 7", "cat /one /two /three > /all")})
    build = lab.build(project, repo=repo)
    ref = refs(build.wait_ready())["app"]
    assert _jobs(build) == [["dockerfile"]]
    look = "cat /one /two /three | cmp - /all && echo same"
    assert lab.pods.shell(ref, look) == "same\n"


TWICE = """\
FROM debian:bookworm AS base
RUN date +%s%N > /base
FROM base AS left
RUN echo left > /left
FROM base
RUN echo right > /right
COPY --from=left /left /left
"""


def test_the_first_of_two_goes_on_where_a_block_ends(lab: Harness) -> None:
    build = lab.build(lab.git_project({"werf.yaml": WERF, "Dockerfile": TWICE}))
    ref = refs(build.wait_ready())["app"]
    assert sorted(_jobs(build)) == [["RUN1"], ["dockerfile"], ["dockerfile", "dockerfile"]]
    assert lab.pods.shell(ref, "cat /left /right") == "left\nright\n"


def test_a_block_that_is_an_image_too_is_built_once(lab: Harness) -> None:
    """Two targets of one Dockerfile: the first one's stage serves both."""
    text = "FROM debian:bookworm AS one\nRUN date +%s%N > /one\nFROM one AS two\nRUN echo > /two\n"
    werf = META + "image: first\ndockerfile: Dockerfile\ntarget: one\n---\n"
    werf += "image: second\ndockerfile: Dockerfile\ntarget: two\n"
    build = lab.build(lab.git_project({"werf.yaml": werf, "Dockerfile": text}))
    found = refs(build.wait_ready())
    assert _jobs(build) == [["dockerfile"], ["dockerfile"]]
    look = "cat /one"
    assert lab.pods.shell(found["first"], look) == lab.pods.shell(found["second"], look)


SLOW = """\
FROM debian:bookworm AS base
RUN date +%s%N > /one
FROM base
RUN sleep 12
RUN cat /one > /two
"""


def _until_the_first_block_is_stored(build: Build, lab: Harness) -> None:
    build.wait_jobs()
    build.wait_for("the first block is stored", lambda _: lab.registry.stages(build.repo), 60)


@pytest.mark.kills
def test_killed_between_the_blocks(lab: Harness) -> None:
    """The Job goes on, and so does the build."""
    build = lab.build(lab.git_project({"werf.yaml": WERF, "Dockerfile": SLOW}))
    _until_the_first_block_is_stored(build, lab)
    lab.operator.kill()
    ref = refs(build.wait_ready())["app"]
    assert _jobs(build) == [["dockerfile", "RUN1", "dockerfile"]]
    assert lab.pods.shell(ref, "cmp /one /two && echo same") == "same\n"
    assert doubled(lab.registry.stages(build.repo)) == []


def test_a_lost_pod_is_replaced_for_the_second_block(lab: Harness) -> None:
    build = lab.build(lab.git_project({"werf.yaml": WERF, "Dockerfile": SLOW}))
    _until_the_first_block_is_stored(build, lab)
    (pod,) = build.pods()
    lab.kube.delete(f"{CORE}/namespaces/{build.namespace}/pods/{pod['metadata']['name']}")
    ref = refs(build.wait_ready())["app"]
    assert _jobs(build) == [["dockerfile", "RUN1", "dockerfile"], ["RUN1", "dockerfile"]]
    assert lab.pods.shell(ref, "cmp /one /two && echo same") == "same\n"
    assert doubled(lab.registry.stages(build.repo)) == []
