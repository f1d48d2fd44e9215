"""Git mappings of other repositories: branch, tag, commit, default branch; logins; commits that stay for a run."""

from typing import Any

from tests.cluster.builds import stages, stages_of
from tests.cluster.harness import Harness
from tests.cluster.projects import Project
from tests.cluster.registry import refs

META = "project: e2e\nconfigVersion: 1\n---\n"
POLICY = "giterminismConfigVersion: 1\nconfig: {stapel: {git: {allowBranch: true}}}\n"
IMAGE = "image: app\nfrom: debian:bookworm\ngit:\n"


def _library(lab: Harness) -> Project:
    """A repository with a tag, a commit after it, and a branch that is further on."""
    library = lab.git_project({"lib/a": "first\n", "lib/b": "b\n", "other": "not mapped\n"})
    library.tag("v1")
    library.change({"lib/a": "second\n"})
    library.branch("next")
    library.change({"lib/a": "next\n", "lib/new": "new\n"})
    return library


def _everything(library: Project, private: Project) -> str:
    """By tag, commit, branch and default branch, one of them behind a password, beside the project's own files."""
    plain = f"url: {library.url}, add: /lib"
    return (
        META
        + IMAGE
        + (
            "- {add: /own, to: /own, stageDependencies: {install: [run]}}\n"
            f"- {{{plain}, to: /tag, tag: v1}}\n"
            f"- {{{plain}, to: /commit, commit: {library.commits[1]}}}\n"
            f"- {{{plain}, to: /branch, branch: next, stageDependencies: {{setup: ['*']}}}}\n"
            f"- {{url: {library.url}, to: /default, includePaths: [lib/a]}}\n"
            f"- {{url: {private.private_url}, add: /secret, to: /secret, branch: main,"
            " basicAuth: {username: u, password: {env: NOBODY_HAS_IT}}}\n"
            "shell: {install: cat /own/run > /ran, setup: cat /branch/* > /all}\n"
        )
    )


LOOK = (
    "cat /own/run /tag/a /commit/a /branch/a /branch/new /default/lib/a /secret /ran /all; ls /tag"
)


def _secrets_of(job: dict[str, Any]) -> set[str]:
    volumes = job["spec"]["template"]["spec"].get("volumes", [])
    return {it["secret"]["secretName"] for it in volumes if "secret" in it}


def test_other_repositories(lab: Harness) -> None:
    """Every kind of mapping in one image; only the stage that needs a password has it; a new commit of a branch is
    picked up by the next run, and by no other look.
    """
    library, private = _library(lab), lab.git_project({"secret": "hidden\n"})
    project = lab.git_project(
        {
            "werf.yaml": _everything(library, private),
            "werf-giterminism.yaml": POLICY,
            "own/run": "own\n",
        }
    )
    login = lab.git_secret()
    build = lab.build(
        project,
        gitCredentials=[{"url": private.private_url, "secretRef": {"name": login}}],
    )
    first = build.wait_ready(100)
    recorded = {
        (it["url"], it.get("branch"), it.get("tag")): it["commit"] for it in first["remotes"]
    }
    assert recorded == {
        (library.url, None, "v1"): library.commits[0],
        (library.url, "next", None): library.commits[2],
        (library.url, None, None): library.commits[1],
        (private.private_url, "main", None): private.commit,
    }
    ref = refs(first)["app"]
    assert lab.pods.lines(ref, LOOK) == [
        *("own", "first", "second", "next", "new", "second", "hidden"),
        *("own", "next", "b", "new", "a", "b"),
    ]
    secrets = {",".join(stages_of(job)): _secrets_of(job) for job in build.jobs()}
    assert secrets.pop("gitArchive") == {login}
    assert set(secrets) == {"install", "setup"}
    assert set().union(*secrets.values()) == set()

    library.change({"lib/a": "newer\n", "lib/new": None, "lib/run": "x\n"})
    build.stays_quiet()
    build.retry()
    second = build.wait_ready(100)
    assert stages(second, "app") == {
        "from": "Cached",
        "gitArchive": "Cached",
        "install": "Cached",
        "setup": "Built",
    }
    now = {it.get("branch"): it["commit"] for it in second["remotes"] if "tag" not in it}
    assert now["next"] == library.commit
    assert lab.pods.lines(refs(second)["app"], "cat /branch/* /all; ls /branch") == [
        *("newer", "b", "x"),
        *("newer", "b", "x"),
        *("a", "b", "run"),
    ]


def test_an_inline_config_may_map_repositories(lab: Harness) -> None:
    """No source at all: a tag needs no permission, a Secret reaches what its URL begins."""
    private = lab.git_project({"secret": "hidden\n"})
    private.tag("v1")
    config = META + IMAGE + f"- {{url: {private.private_url}, to: /r, tag: v1}}\n"
    begin = private.private_url.rpartition("/")[0]
    credentials = [{"url": begin, "secretRef": {"name": lab.git_secret()}}]
    status = lab.build(config=config, gitCredentials=credentials).wait_ready(100)
    assert lab.pods.shell(refs(status)["app"], "cat /r/secret") == "hidden\n"


def test_mistakes_are_told_before_anything_starts(lab: Harness) -> None:
    """Branches want a permission; other kinds of URLs, missing logins and revisions are named with their line."""
    project = lab.git_project({"f": "x\n"})

    def stalls(mapping: str, reason: str, says: str) -> None:
        build = lab.build(config=f"{META}{IMAGE}- {{{mapping}}}\n")
        assert says in build.wait_stalled(reason, 60)["failure"]["message"]
        assert build.jobs() == []

    url = project.url
    stalls(f"url: {url}, to: /x, branch: main", "InvalidWerfConfig", "allowBranch")
    stalls("url: 'file:///srv/git/x.git', to: /x, tag: v1", "NotSupported", ":7: image")
    stalls(
        f"url: {url}, to: /x, tag: v1, basicAuth: {{username: u, password: {{value: s3}}}}",
        "NotSupported",
        "spec.gitCredentials",
    )
    stalls(f"url: {url}, to: /x, tag: v9", "GitRevisionNotFound", ":7: ")
    stalls(f"url: {project.private_url}, to: /x, tag: v1", "GitAuthFailed", "gitCredentials")
    stalls(f"url: {url}x, to: /x, tag: v1", "GitRemoteUnreachable", "no such repository")


def test_submodules_are_refused_or_excluded(lab: Harness) -> None:
    """A submodule in what is mapped is named; one that is excluded does no harm, whatever happens to it."""
    werf = META + IMAGE + "- {add: /src, to: /src%s}\n"
    project = lab.git_project({"werf.yaml": werf % "", "src/f": "1\n"})
    project.submodule("src/module")
    build = lab.build(project)
    message = build.wait_stalled("NotSupported", 60)["failure"]["message"]
    assert "src/module" in message
    assert "excludePaths" in message
    assert build.jobs() == []

    project.change({"werf.yaml": werf % ", excludePaths: [module]"})
    repo = lab.new_repo()
    lab.build(project, repo=repo).wait_ready(100)
    project.submodule("src/module")
    project.change({"src/f": "2\n"})
    status = lab.build(project, repo=repo).wait_ready(100)
    assert stages(status, "app")["gitLatestPatch"] == "Built"
    assert lab.pods.lines(refs(status)["app"], "cat /src/f; ls /src") == ["2", "f"]
