"""Where the project comes from and where its stages go: inline, branch, tag, private servers, parts of it."""

import pytest
from tests.cluster.builds import image
from tests.cluster.harness import Harness
from tests.cluster.registry import refs

META = "project: e2e\nconfigVersion: 1\n---\n"
GIT = META + "image: app\nfrom: debian:bookworm\ngit:\n- {add: /file, to: /file}\n"


def test_inline_without_git(lab: Harness) -> None:
    build = lab.build(
        config=META + "image: app\nfrom: debian:bookworm\nshell: {setup: echo x > /x}\n"
    )
    status = build.wait_ready()
    assert "commit" not in status
    assert lab.pods.shell(refs(status)["app"], "cat /x") == "x\n"


def test_inline_replaces_the_file(lab: Harness) -> None:
    """spec.config stands in for werf.yaml; files come from the commit."""
    project = lab.git_project({"werf.yaml": "broken: [", "file": "of the commit\n"})
    status = lab.build(project, config=GIT).wait_ready()
    assert status["commit"] == project.commit
    assert lab.pods.shell(refs(status)["app"], "cat /file") == "of the commit\n"


@pytest.mark.parametrize("kind", ["branch", "tag"])
def test_revision_is_resolved_once(lab: Harness, kind: str) -> None:
    """What a branch or tag meant when the build began is recorded and stays; a new request looks again."""
    project = lab.git_project({"werf.yaml": GIT, "file": "one\n"})
    first = project.commit
    project.tag("v1")
    name = "main" if kind == "branch" else "v1"
    build = lab.build(source={"url": project.url, kind: name})
    status = build.wait_ready()
    assert (status["commit"], status["shortCommit"]) == (first, first[:12])
    project.change({"file": "two\n"})
    build.stays_quiet()
    assert build.status()["commit"] == first
    build.retry()
    status = build.wait_ready()
    assert status["commit"] == (project.commit if kind == "branch" else first)
    expected = "two\n" if kind == "branch" else "one\n"
    assert lab.pods.shell(refs(status)["app"], "cat /file") == expected


def test_private_git(lab: Harness) -> None:
    """With basic auth, for the operator that plans and for the pod that fetches."""
    project = lab.git_project({"werf.yaml": GIT, "file": "private\n"})
    secret = {"name": lab.git_secret()}
    source = {"url": project.private_url, "commit": project.commit, "secretRef": secret}
    status = lab.build(source=source).wait_ready()
    assert lab.pods.shell(refs(status)["app"], "cat /file") == "private\n"


def test_private_registry(lab: Harness) -> None:
    """Stages go to a registry with a login; an import between two images too."""
    config = META + (
        "image: app\nfrom: debian:bookworm\nshell: {install: echo x > /x}\n---\n"
        "image: copy\nfrom: debian:bookworm\n"
        "import: [{image: app, add: /x, to: /y, after: install}]\n"
    )
    secret = {"name": lab.registry_secret()}
    build = lab.build(
        config=config,
        repo=lab.new_repo(lab.at.registry_auth),
        pushSecretRef=secret,
        imagePullSecrets=[secret],
    )
    ref = refs(build.wait_ready())["copy"]
    assert ref.startswith(lab.at.registry_auth)
    assert lab.pods.shell(ref, "cat /y", pull_secret=secret["name"]) == "x\n"


def test_selection(lab: Harness) -> None:
    """Only the wanted images and what they need are built."""
    config = META + "".join(
        f"image: {name}\n{base}\nshell: {{install: echo {name} > /{name}}}\n---\n"
        for name, base in (
            ("wanted", "fromImage: needed"),
            ("needed", "from: debian:bookworm"),
            ("other", "from: debian:bookworm"),
        )
    )
    build = lab.build(config=config, images=["wanted"])
    status = build.wait_ready()
    assert sorted(one["name"] for one in status["images"]) == ["needed", "wanted"]
    assert [sorted(entry["images"]) for entry in status["plan"]["sets"]] == [["needed"], ["wanted"]]
    assert len(build.jobs()) == 2
    assert image(status, "wanted")["state"] == "Ready"


def test_project_in_a_directory(lab: Harness) -> None:
    """spec.source.git.path: werf.yaml and contexts are relative to it, git.add to the repository's root, as in werf."""
    project = lab.git_project(
        {
            "services/api/werf.yaml": META
            + "image: app\nfrom: debian:bookworm\ngit:\n- {add: /src, to: /app}\n"
            + "- {add: /services/api/src, to: /inner}\n---\n"
            + "image: docker\ndockerfile: Dockerfile\n",
            "services/api/src/file": "inner\n",
            "services/api/Dockerfile": "FROM debian:bookworm\nCOPY src/file /copied\n",
            "src/file": "outer\n",
        }
    )
    source = {"url": project.url, "commit": project.commit, "path": "services/api"}
    found = refs(lab.build(source=source).wait_ready())
    assert lab.pods.shell(found["app"], "cat /app/file /inner/file") == "outer\ninner\n"
    assert lab.pods.shell(found["docker"], "cat /copied") == "inner\n"


def test_templates(lab: Harness) -> None:
    """werf.yaml is a template: loops, the environment, a file of the commit."""
    werf = META + (
        '{{- range $name := list "one" "two" }}\n---\nimage: {{ $name }}\nfrom: debian:bookworm\n'
        'shell: {install: "echo {{ $name }} {{ $.Env }} {{ $.Files.Get "word" | trim }} > /said"}\n'
        "{{- end }}\n"
    )
    project = lab.git_project({"werf.yaml": werf.replace("---\n{{-", "{{-"), "word": "hello\n"})
    found = refs(lab.build(project, environment="staging").wait_ready())
    assert lab.pods.shell(found["two"], "cat /said") == "two staging hello\n"
    assert lab.pods.shell(found["one"], "cat /said") == "one staging hello\n"
