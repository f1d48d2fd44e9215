"""The next commit: what is reused, what is patched, what is built again."""

from typing import Any

import pytest
from tests.cluster.builds import IMAGE_PER_JOB, STAGE_PER_JOB, image, stages, stages_of
from tests.cluster.harness import Harness
from tests.cluster.projects import Content, Executable, Link
from tests.cluster.registry import doubled, refs

META = "project: e2e\nconfigVersion: 1\n---\n"
PLAIN = META + "image: app\nfrom: debian:bookworm\ngit:\n- {add: /src, to: /app}\n"

BINARY = bytes(range(256)) * 40

LOOK = r"""
cd /app && find . -mindepth 1 ! -type d -exec stat -c '%n %F %a' {} + | LC_ALL=C sort
find . -type d | LC_ALL=C sort
find . -type f -exec sha256sum {} + | LC_ALL=C sort -k2 | cut -c1-8
readlink link kind
"""


def _stage_digests(status: dict[str, Any], name: str) -> dict[str, str]:
    return {stage["name"]: stage["digest"] for stage in image(status, name)["stages"]}


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_patch_is_exact(lab: Harness, binary: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """After a patch the directory is what an archive of the new commit would have made."""
    first: dict[str, Content] = {
        "werf.yaml": PLAIN,
        "src/changed": "one\n",
        "src/deleted": "gone soon\n",
        "src/folder/only": "the folder goes too\n",
        "src/mode": "mode\n",
        "src/link": Link("changed"),
        "src/kind": "a file becomes a link\n",
        "src/turned": Link("mode"),
        "src/with blank": "blank\n",
        "src/no-newline": "no newline",
        "src/blob": BINARY,
        "src/kept": "kept\n",
    }
    second: dict[str, Content] = {
        "src/changed": "one\ntwo\n",
        "src/deleted": None,
        "src/folder/only": None,
        "src/mode": Executable("mode\n"),
        "src/link": Link("mode"),
        "src/kind": Link("changed"),
        "src/turned": "a link becomes a file\n",
        "src/with blank": "blank\nmore\n",
        "src/no-newline": "no newline still",
        "src/added/deep/file": "added\n",
        "src/added/run": Executable("#!/bin/sh\n"),
        "src/empty": "",
        "src/naïve-ü": "utf-8\n",
    } | ({"src/blob": BINARY[::-1], "src/new-blob": BINARY[:77]} if binary else {})
    project, repo = lab.git_project(first), lab.new_repo()
    before = lab.build(project, repo=repo).wait_ready()
    assert list(stages(before, "app")) == ["from", "gitArchive"]

    project.change(second)
    build = lab.build(project, repo=repo)
    after = build.wait_ready()
    assert stages(after, "app") == {
        "from": "Cached",
        "gitArchive": "Cached",
        "gitLatestPatch": "Built",
    }
    assert [stages_of(job) for job in build.jobs()] == [["gitLatestPatch"]]

    fresh = refs(lab.build(project).wait_ready())["app"]
    assert lab.pods.shell(refs(after)["app"], LOOK) == lab.pods.shell(fresh, LOOK)
    assert _commit_labels(lab, refs(after)["app"]) == {project.commit}


def _commit_labels(lab: Harness, ref: str) -> set[str]:
    labels: dict[str, str] = lab.registry.config(ref)["config"]["Labels"]
    return {
        value
        for key, value in labels.items()
        if key.startswith("werf-git-") and key.endswith("-commit")
    }


DEPENDING = (
    META
    + """\
image: app
from: debian:bookworm
git:
- add: /
  to: /app
  excludePaths: [werf.yaml]
  stageDependencies:
    install: ["requirements"]
    beforeSetup: ["*.css"]
    setup: ["src"]
shell:
  beforeInstall: date +%N > /t0
  install: date +%N > /t1; cp /app/requirements /installed
  beforeSetup: date +%N > /t2; cat /app/*.css > /styles
  setup: date +%N > /t3; cat /app/src/* > /sources
"""
)
TIMES = "cat /t0 /t1 /t2 /t3; cat /installed /styles /sources; cat /app/notes"


@pytest.mark.parametrize("execution", [STAGE_PER_JOB, IMAGE_PER_JOB])
def test_stage_dependencies(lab: Harness, execution: str) -> None:
    """A changed file builds the stage that depends on it again, and the later ones; nothing before."""
    project = lab.git_project(
        {
            "werf.yaml": DEPENDING,
            "requirements": "r1\n",
            "main.css": "c1\n",
            "src/code": "s1\n",
            "notes": "n1\n",
        }
    )
    repo = lab.new_repo()
    built = [lab.build(project, repo=repo, execution=execution).wait_ready()]
    changes: list[tuple[dict[str, Content], set[str]]] = [
        ({"notes": "n2\n"}, {"gitLatestPatch"}),
        ({"main.css": "c2\n"}, {"beforeSetup", "setup"}),
        ({"src/code": "s2\n", "notes": "n3\n"}, {"setup"}),
        ({"requirements": "r2\n"}, {"install", "beforeSetup", "setup"}),
    ]
    for files, expected in changes:
        project.change(files)
        status = lab.build(project, repo=repo, execution=execution).wait_ready()
        states = stages(status, "app")
        assert {name for name, state in states.items() if state == "Built"} == expected
        built.append(status)
    looks = [lab.pods.lines(refs(status)["app"], TIMES) for status in built]
    assert looks[1] == [*looks[0][:7], "n2"]
    assert looks[2][:2] == looks[0][:2]
    assert looks[2][4:] == ["r1", "c2", "s1", "n2"]
    assert looks[3][:3] == looks[2][:3]
    assert looks[3][4:] == ["r1", "c2", "s2", "n3"]
    assert looks[4][0] == looks[0][0]
    assert looks[4][4:] == ["r2", "c2", "s2", "n3"]
    assert len({look[1] for look in looks}) == 2
    assert doubled(lab.registry.stages(repo)) == []


def test_excluded_change_builds_nothing(lab: Harness) -> None:
    """A commit that touches no mapped file needs no stage, no Job, and gives the same image."""
    project = lab.git_project({"werf.yaml": PLAIN, "src/file": "1\n", "other": "1\n"})
    repo = lab.new_repo()
    before = lab.build(project, repo=repo).wait_ready()
    project.change({"other": "2\n"})
    build = lab.build(project, repo=repo)
    assert refs(build.wait_ready()) == refs(before)
    assert build.jobs() == []


def test_fully_cached(lab: Harness) -> None:
    """The same commit under another name: Ready without a single Job, and nothing is published."""
    project = lab.git_project(
        {"werf.yaml": DEPENDING, "requirements": "", "a.css": "", "src/x": "", "notes": ""}
    )
    repo = lab.new_repo()
    first = lab.build(project, repo=repo).wait_ready()
    tags = lab.registry.tags(repo)
    again = lab.build(project, repo=repo, execution=IMAGE_PER_JOB)
    status = again.wait_ready(60)
    assert refs(status) == refs(first)
    assert set(stages(status, "app").values()) == {"Cached"}
    assert again.jobs() == []
    assert "StageStarted" not in again.event_reasons()
    assert lab.registry.tags(repo) == tags
    counts = status["counts"]
    assert (counts["total"], counts["cached"], counts["built"]) == (6, 6, 0)
    assert _stage_digests(status, "app") == _stage_digests(first, "app")
    again.stays_quiet(3)


def test_branches_share_what_they_may(lab: Harness) -> None:
    """Two branches from one commit: the common stages are built once, each image has its own files."""
    project = lab.git_project({"werf.yaml": PLAIN, "src/file": "main\n"})
    repo = lab.new_repo()
    lab.build(project, repo=repo).wait_ready()
    project.branch("feature")
    project.change({"src/file": "feature\n", "src/new": "new\n"})
    status = lab.build(repo=repo, source={"url": project.url, "branch": "feature"}).wait_ready()
    assert status["commit"] == project.commit
    assert stages(status, "app")["gitArchive"] == "Cached"
    assert lab.pods.shell(refs(status)["app"], "cat /app/file /app/new") == "feature\nnew\n"


def test_owner_that_does_not_exist(lab: Harness) -> None:
    """The stage that brings the files fails and says what would be right."""
    werf = META + (
        "image: app\nfrom: debian:bookworm\n"
        "git: [{add: /src, to: /app, owner: nobody-such, group: '1'}]\n"
    )
    build = lab.build(lab.git_project({"werf.yaml": werf, "src/f": "1\n"}))
    failure = build.wait_stalled("StageFailed")["failure"]
    assert failure["stage"] == "gitArchive"
    assert "no user 'nobody-such' in /etc/passwd of this image" in failure["message"]
    assert "create it in an earlier stage or use a number" in failure["message"]
