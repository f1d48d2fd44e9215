"""Branches: what is shared between them, what never is, and what is said about a merge that is only proposed."""

from tests.cluster.builds import Build, image, stages
from tests.cluster.harness import Harness
from tests.cluster.registry import refs

WERF = """\
project: e2e
configVersion: 1
---
image: app
from: debian:bookworm
git:
- {add: /src, to: /app, stageDependencies: {install: [lock]}}
shell:
  install: ["cp /app/lock /installed"]
"""
COMMON = ("from", "gitArchive", "install")


def _digest(build: Build, stage: str) -> str:
    found = {one["name"]: one["digest"] for one in image(build.status(), "app")["stages"]}
    return str(found[stage])


def _times(lab: Harness, repo: str) -> dict[str, int]:
    """How often each digest was published; digests as short as in status."""
    return {digest[:16]: len(found) for digest, found in lab.registry.stages(repo).items()}


def test_branches_at_the_same_time(lab: Harness) -> None:
    """Two branches make the same change, a third one the same files without the past: each has its own git stages.

    What the common commit built serves both branches. Their patches have one digest and are two stages; nothing of them serves
    the unrelated branch.
    """
    project = lab.git_project({"werf.yaml": WERF, "src/lock": "1\n", "src/file": "0\n"})
    repo = lab.new_repo()
    common = lab.build(project, repo=repo)
    first = common.wait_ready()
    base = project.commit
    builds = []
    for name in ("one", "two"):
        project.branch_from(base, name)
        project.change({"src/file": "same change\n"}, f"branch {name}")
        builds.append(lab.build(project, repo=repo))
    project.orphan("unrelated")
    project.change({}, "no past")
    unrelated = lab.build(project, repo=repo)

    for build in builds:
        status = build.wait_ready()
        patched = dict.fromkeys(COMMON, "Cached") | {"gitLatestPatch": "Built"}
        assert stages(status, "app") == patched, build.story()
        text = lab.pods.shell(refs(status)["app"], "cat /app/file /installed")
        assert text == "same change\n1\n"
    apart = unrelated.wait_ready()
    assert stages(apart, "app") == {"from": "Cached", "gitArchive": "Built", "install": "Built"}
    assert lab.pods.shell(refs(apart)["app"], "cat /app/file") == "same change\n"

    times = _times(lab, repo)
    patch, archive = _digest(builds[0], "gitLatestPatch"), _digest(common, "gitArchive")
    assert _digest(builds[1], "gitLatestPatch") == patch
    assert (times[patch], times[archive], times[_digest(common, "from")]) == (2, 2, 1)
    assert len({refs(build.status())["app"] for build in builds}) == 2
    assert refs(first)["app"] not in refs(apart).values()


def test_rewritten_history(lab: Harness) -> None:
    """A branch is replaced by one of another past: stages of the old commits are not used, and the old ones stay."""
    project = lab.git_project({"werf.yaml": WERF, "src/lock": "1\n", "src/file": "0\n"})
    repo = lab.new_repo()
    source = {"url": project.url, "branch": "main"}
    old = lab.build(repo=repo, source=source)
    old.wait_ready()
    project.orphan("again")
    project.change({"src/file": "1\n"}, "history begins here")
    project.rewrite("main")
    new = lab.build(repo=repo, source=source)
    status = new.wait_ready()
    assert status["commit"] == project.commit
    assert stages(status, "app") == {"from": "Cached", "gitArchive": "Built", "install": "Built"}
    archive = _digest(new, "gitArchive")
    assert archive == _digest(old, "gitArchive")
    assert _times(lab, repo)[archive] == 2
    again = lab.build(repo=repo, source=source).wait_ready()
    assert set(stages(again, "app").values()) == {"Cached"}


def test_virtual_merge(lab: Harness) -> None:
    """A pull request's merge: stages of its branch serve, those of the target do not, and labels tell both parents."""
    project = lab.git_project({"werf.yaml": WERF, "src/lock": "1\n", "src/file": "0\n"})
    repo, base = lab.new_repo(), project.commit
    lab.build(project, repo=repo).wait_ready()
    project.change({"src/target": "target\n"}, "on the target branch")
    into = project.commit
    project.branch_from(base, "request")
    request = project.change({"src/request": "request\n"}, "the pull request")
    project.branch_from(into, "merged")
    merge = project.merge(request)
    source = {"url": project.url, "commit": merge, "virtualMerge": True}
    status = lab.build(repo=repo, source=source).wait_ready()
    assert stages(status, "app") == dict.fromkeys(COMMON, "Cached") | {"gitLatestPatch": "Built"}
    ref = refs(status)["app"]
    assert lab.pods.shell(ref, "cat /app/request /app/target") == "request\ntarget\n"
    labels: dict[str, str] = lab.registry.config(ref)["config"]["Labels"]
    told = {
        name.split("-", 3)[-1]: value for name, value in labels.items() if "-virtual-merge" in name
    }
    assert told == {
        "virtual-merge": "true",
        "virtual-merge-from-commit": request,
        "virtual-merge-into-commit": into,
    }


def test_a_patch_meets_what_commands_changed(lab: Harness) -> None:
    """Only files that the commit changes are put back, be the patch binary or not; what commands left elsewhere stays."""
    config = WERF.replace("cp /app/lock /installed", "echo by command | tee /app/file /app/kept")
    files = {"src/lock": "1\n", "src/file": "0\n", "src/kept": "0\n", "src/blob": b"\0\1"}
    project = lab.git_project({"werf.yaml": config, **files})
    repo = lab.new_repo()
    lab.build(project, repo=repo).wait_ready()
    project.change({"src/file": "1\n", "src/blob": b"\0\2"})
    status = lab.build(project, repo=repo).wait_ready()
    assert stages(status, "app")["gitLatestPatch"] == "Built"
    text = lab.pods.shell(refs(status)["app"], "cat /app/file /app/kept; od -An -tx1 /app/blob")
    assert text.split() == ["1", "by", "command", "00", "02"]


def test_what_has_no_effect_is_told(lab: Harness) -> None:
    """`disableGitAfterPatch` takes `docker` away, as in werf; an Event says so, once."""
    config = WERF + "disableGitAfterPatch: true\ndocker: {CMD: [never]}\n"
    project = lab.git_project({"werf.yaml": config, "src/lock": "1\n"})
    build = lab.build(project)
    assert list(stages(build.wait_ready(), "app")) == list(COMMON)
    told = [event for event in build.events() if event["reason"] == "NoEffect"]
    assert [event["type"] for event in told] == ["Warning"]
    assert "disableGitAfterPatch" in told[0]["message"]
