"""Which FROM blocks are built, in which order, and what a base has the block on it do."""

import re
from collections.abc import Iterator

import pytest
from tests.cluster.builds import ANYWHERE, Build, condition, image, stages
from tests.cluster.harness import Harness
from tests.cluster.kube import CORE, Json
from tests.cluster.registry import refs

from conveyor.api.quantity import quantity

META = "project: e2e\nconfigVersion: 1\n---\n"
TO_STAGE2 = META + "image: seed\ndockerfile: Dockerfile\ntarget: stage2\n"

SEED = """\
FROM debian:bookworm AS base
RUN echo "this is base" > /base
FROM base AS stage1
RUN echo "this is stage1" > /stage1
FROM base AS stage2
RUN echo "this is stage2" > /stage2
"""

# The example of Docker's documentation of multi-stage builds, "Differences between legacy builder and BuildKit".
DOCUMENTED = """\
# syntax=docker/dockerfile:1
FROM ubuntu AS base
RUN echo "base"

FROM base AS stage1
RUN echo "stage1"

FROM base AS stage2
RUN echo "stage2"
"""

# What ends with instructions that need no pod is told by the pod before.
TRAILING = """\
FROM debian:bookworm AS base
RUN echo one > /one
ENV ONE=/one
FROM base AS stage1
RUN echo "this is stage1" > /stage1
FROM base AS stage2
RUN echo "this is stage2" > /stage2
LABEL two=2
CMD ["cat", "/one"]
"""

BLOCKS = {
    "buildkit": ["dockerfile (base)", "dockerfile"],
    "legacy": ["dockerfile (base)", "dockerfile (stage1)", "dockerfile"],
}


def followed(build: Build) -> tuple[Json, set[tuple[str, str]]]:
    """The last status, and every stage with every state it was ever seen in."""
    seen: set[tuple[str, str]] = set()

    def over(found: Json) -> bool:
        status = found.get("status") or {}
        for one in status.get("images") or []:
            seen.update((stage["name"], stage["state"]) for stage in one["stages"])
        return condition(status, "Ready").get("status") in ("True", "False")

    return build.wait_for("the end", over), seen


def times(status: Json) -> Iterator[tuple[str, str]]:
    for stage in image(status, "seed")["stages"]:
        yield stage["startedAt"], stage["finishedAt"]


@pytest.mark.parametrize("mode", ["buildkit", "legacy"])
@pytest.mark.parametrize(
    "text", [SEED, DOCUMENTED, TRAILING], ids=["seed", "documented", "trailing"]
)
def test_blocks_of_a_mode(lab: Harness, text: str, mode: str) -> None:
    """For target stage2 the block stage1 gets a pod in legacy mode only; the image is the same."""
    project = lab.git_project({"werf.yaml": TO_STAGE2, "Dockerfile": text})
    build = lab.build(project, dockerfileMode=mode)
    status, seen = followed(build)
    assert list(stages(status, "seed")) == BLOCKS[mode], build.story()
    assert set(stages(status, "seed").values()) == {"Built"}
    assert (("dockerfile (stage1)", "Building") in seen) == (mode == "legacy")
    # In buildkit mode nothing but stage2 needs the block base: they share a pod.
    assert len(build.jobs()) == (1 if mode == "buildkit" else len(BLOCKS[mode]))
    said = "\n".join(build.logs())
    assert ("stage1" in said) == (mode == "legacy")
    ends = [end for _, end in times(status)]
    assert ends == sorted(ends)
    assert all(starts for starts, _ in times(status))
    steps = re.findall(r"^Step .*", said, re.MULTILINE)
    expected = [line for line in text.splitlines() if line and not line.startswith("#")]
    numbered = [
        f"Step {number}/{len(expected)} : {line}" for number, line in enumerate(expected, 1)
    ]
    assert sorted(steps) == [re.sub(" AS .*", "", line) for line in numbered if mode == "legacy"]
    assert len(re.findall(r"^ ---> [0-9a-f]{12}$", said, re.MULTILINE)) == len(steps)
    if text is DOCUMENTED:
        (told,) = [one["message"] for one in build.events() if one["reason"] == "NoEffect"]
        assert told.startswith("Dockerfile:1: `# syntax=docker/dockerfile:1` has no effect")


def test_both_modes_share_what_is_stored(lab: Harness) -> None:
    """The digests are the same: after buildkit, legacy has nothing to build, until the target changes."""
    project, repo = lab.git_project({"werf.yaml": TO_STAGE2, "Dockerfile": SEED}), lab.new_repo()
    first = refs(lab.build(project, repo=repo).wait_ready())
    again = lab.build(project, repo=repo, dockerfileMode="legacy")
    assert refs(again.wait_ready()) == first
    assert again.jobs() == []
    project.change({"Dockerfile": SEED + "RUN cat /base >> /stage2; test ! -e /stage1\n"})
    changed = lab.build(project, repo=repo, dockerfileMode="legacy")
    found = stages(changed.wait_ready(), "seed")
    assert found == {
        "dockerfile (base)": "Cached",
        "dockerfile (stage1)": "Built",
        "dockerfile": "Built",
    }


def test_legacy_stops_at_the_first_block_that_fails(lab: Harness) -> None:
    """A block that nothing needs fails the build in legacy mode, and what comes after it never starts."""
    text = SEED.replace('echo "this is stage1" > /stage1', "false")
    project = lab.git_project({"werf.yaml": TO_STAGE2, "Dockerfile": text})
    build = lab.build(project, dockerfileMode="legacy")
    found = stages(build.wait_stalled("StageFailed"), "seed")
    assert found == {
        "dockerfile (base)": "Built",
        "dockerfile (stage1)": "Failed",
        "dockerfile": "Skipped",
    }
    lab.build(project, repo=build.repo).wait_ready()


BASE = """\
FROM debian:bookworm
ARG FLAVOUR=none
ONBUILD ARG FLAVOUR=plain
ONBUILD ENV FROM_BASE=$FLAVOUR
ONBUILD COPY *.txt /app/
ONBUILD COPY --from=tools /tool /app/tool
ONBUILD RUN echo "$FROM_BASE $FLAVOUR" > /app/trigger
CMD ["cat", "/app/trigger"]
"""

CHILD = """\
FROM debian:bookworm AS tools
RUN echo tool > /tool
FROM {base} AS child
RUN echo "own $FROM_BASE" >> /app/trigger
USER games
WORKDIR /home/made/here
ONBUILD RUN echo "of the child" > /tmp/child
FROM child
RUN cat /tmp/child; test ! -e /app/app
"""

LOOK = """\
cat /app/trigger /app/tool /app/a.txt /tmp/child
stat -c '%n %U %a' /home/made /home/made/here
"""


def test_onbuild(lab: Harness) -> None:
    """Instructions of an outside base run in the child, once; those of a block in the block on it."""
    base_project = lab.git_project(
        {"werf.yaml": META + "image: base\ndockerfile: Dockerfile\n", "Dockerfile": BASE}
    )
    base = refs(lab.build(base_project).wait_ready())["base"]
    assert len(lab.registry.config(base)["config"]["OnBuild"]) == 5
    files = {
        "werf.yaml": META + "image: app\ndockerfile: Dockerfile\nargs: {FLAVOUR: spicy}\n",
        "Dockerfile": CHILD.format(base=base),
        "a.txt": "a\n",
    }
    build = lab.build(lab.git_project(files))
    status = build.wait_ready()
    ref = refs(status)["app"]
    assert lab.pods.shell(ref, LOOK) == (
        "spicy spicy\nown spicy\ntool\na\nof the child\n"
        "/home/made games 755\n/home/made/here games 755\n"
    )
    config = lab.registry.config(ref)["config"]
    assert "OnBuild" not in config
    assert "FROM_BASE=spicy" in config["Env"]
    assert list(stages(status, "app")) == [
        "dockerfile (tools)",
        "dockerfile (child)",
        "dockerfile",
    ]
    (told,) = [one["message"] for one in build.events() if one["reason"] == "NoEffect"]
    assert "runs its ONBUILD 'COPY *.txt /app/': as in werf, the files it takes are not" in told


def test_a_wrong_trigger_is_told_before_any_job(lab: Harness) -> None:
    """The message names the line of the FROM, the base and what it wants to run."""
    base_project = lab.git_project(
        {
            "werf.yaml": META + "image: base\ndockerfile: Dockerfile\n",
            "Dockerfile": BASE.replace("--from=tools", "--from=nowhere"),
        }
    )
    base = refs(lab.build(base_project).wait_ready())["base"]
    files = {
        "werf.yaml": META + "image: app\ndockerfile: Dockerfile\n",
        "Dockerfile": f"FROM debian:bookworm AS one\nRUN true\nFROM {base} AS nowhere\nRUN true\n",
    }
    build = lab.build(lab.git_project(files))
    status = build.wait_stalled("InvalidDockerfile")
    message = condition(status, "Stalled")["message"]
    assert message.startswith(f"Dockerfile:3: FROM {base} runs its ONBUILD 'COPY --from=nowhere ")
    assert message.endswith("a stage cannot copy from itself (circular)")
    assert build.jobs() == []


APART = """\
FROM debian:bookworm AS one
RUN sleep 4; echo one > /one
FROM debian:bookworm AS two
RUN sleep 4; echo two > /two
FROM debian:bookworm
COPY --from=one /one /
COPY --from=two /two /
RUN cat /one /two > /both
"""


def test_independent_blocks_run_at_once_on_different_nodes(lab: Harness) -> None:
    project = lab.git_project({"werf.yaml": TO_STAGE2.rpartition("target")[0], "Dockerfile": APART})
    # Half of the largest node: none has room for two of them and what else is there.
    cpus = (node["status"]["allocatable"]["cpu"] for node in lab.kube.list(f"{CORE}/nodes"))
    half = {"requests": {"cpu": f"{int(max(map(quantity, cpus)) * 500)}m"}}
    build = lab.build(project, podTemplate={**ANYWHERE, "resources": half})
    status = build.wait_ready()
    both = [it for it in image(status, "seed")["stages"] if it["name"] != "dockerfile"]
    assert len({it["job"] for it in both}) == 2
    assert max(it["startedAt"] for it in both) < min(it["finishedAt"] for it in both)
    nodes = {pod["metadata"]["labels"]["job-name"]: pod["spec"]["nodeName"] for pod in build.pods()}
    assert len({nodes[it["job"]] for it in both}) == 2
    assert lab.pods.shell(refs(status)["seed"], "cat /both") == "one\ntwo\n"
