"""Mistakes of the user: each gets its reason and a message a person can act on, once, and nothing happens afterwards."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest
from tests.cluster.builds import Build, condition
from tests.cluster.harness import Harness
from tests.cluster.kube import CORE
from tests.cluster.projects import Content

META = "project: e2e\nconfigVersion: 1\n---\n"
FINE = META + "image: app\nfrom: debian:bookworm\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A repository that is wrong, and what has to be said about it."""

    name: str
    files: Mapping[str, Content]
    reason: str
    says: tuple[str, ...]


MISTAKES = (
    Mistake(
        name="no werf.yaml",
        files={"README": "nothing here\n"},
        reason="WerfConfigNotFound",
        says=("werf.yaml", "spec.source.git.path"),
    ),
    Mistake(
        name="YAML error",
        files={"werf.yaml": META + "image: app\nfrom: [debian\n"},
        reason="InvalidWerfConfig",
        says=("werf.yaml:",),
    ),
    Mistake(
        name="unknown key",
        files={"werf.yaml": META + "image: app\nfrom: debian:bookworm\nshel: {install: x}\n"},
        reason="InvalidWerfConfig",
        says=("werf.yaml:6", "shel"),
    ),
    Mistake(
        name="template error",
        files={"werf.yaml": META + "image: app\nfrom: {{ .Nothing.Here | }}\n"},
        reason="InvalidWerfConfig",
        says=("werf.yaml:5",),
    ),
    Mistake(
        name="unknown image in fromImage",
        files={"werf.yaml": META + "image: app\nfromImage: nobody\n"},
        reason="InvalidWerfConfig",
        says=("werf.yaml:5", "nobody"),
    ),
    Mistake(
        name="unknown image in import",
        files={
            "werf.yaml": FINE + "import:\n- {image: nobody, add: /x, to: /x, after: install}\n",
        },
        reason="InvalidWerfConfig",
        says=("werf.yaml:7", "nobody"),
    ),
    Mistake(
        name="cycle",
        files={
            "werf.yaml": META
            + "image: one\nfromImage: two\n---\nimage: two\nfromImage: three\n---\n"
            + "image: three\nfrom: debian:bookworm\nimport:\n- {image: one, add: /x, to: /x, after: setup}\n"
        },
        reason="InvalidWerfConfig",
        says=("werf.yaml:", "one -> two -> three -> one"),
    ),
    Mistake(
        name="git mapping without files",
        files={"werf.yaml": FINE + "git:\n- {add: /nowhere, to: /app}\n"},
        reason="InvalidWerfConfig",
        says=("werf.yaml:7", "/nowhere"),
    ),
    Mistake(
        name="no Dockerfile",
        files={"werf.yaml": META + "image: app\ndockerfile: Dockerfile\n"},
        reason="InvalidDockerfile",
        says=("Dockerfile",),
    ),
    Mistake(
        name="unknown instruction",
        files={
            "werf.yaml": META + "image: app\ndockerfile: Dockerfile\n",
            "Dockerfile": "FROM debian:bookworm\nRUM echo\n",
        },
        reason="InvalidDockerfile",
        says=("Dockerfile:2", "RUM"),
    ),
    Mistake(
        name="unknown target",
        files={
            "werf.yaml": META + "image: app\ndockerfile: Dockerfile\ntarget: nowhere\n",
            "Dockerfile": "FROM debian:bookworm AS here\n",
        },
        reason="InvalidDockerfile",
        says=("Dockerfile:1", "nowhere", "here"),
    ),
)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_config(lab: Harness, mistake: Mistake) -> None:
    build = lab.build(lab.git_project(mistake.files))
    _told(build, mistake.reason, *mistake.says)


def test_base_image_not_found(lab: Harness) -> None:
    """The registry is there, the image is not."""
    reference = f"{lab.at.registry}/library/debian:no-such-release"
    build = lab.build(config=META + f"image: app\nfrom: {reference}\n")
    _told(build, "BaseImageNotFound", reference)


def _told(build: Build, reason: str, *says: str) -> None:
    """The reason, the words, one warning Event, and then silence."""
    status = build.wait_stalled(reason)
    message = condition(status, "Stalled")["message"]
    assert not [word for word in says if word not in message], f"{says} is not in: {message}"
    assert "Traceback" not in message
    assert status["failure"]["reason"] == reason
    warnings = [event for event in build.events() if event["type"] == "Warning"]
    assert [event["reason"] for event in warnings] == [reason]
    build.stays_quiet()
    assert build.jobs() == []


def test_a_mistake_can_be_mended(lab: Harness) -> None:
    """A new commit with the mistake mended is built by the same ImageBuild."""
    project = lab.git_project({"werf.yaml": META + "imag: app\nfrom: debian:bookworm\n"})
    build = lab.build(project)
    build.wait_stalled("InvalidWerfConfig")
    project.change({"werf.yaml": FINE})
    build.patch_spec(source={"git": {"commit": project.commit}})
    assert build.wait_ready()["commit"] == project.commit


@pytest.mark.parametrize(
    ("revision", "says"),
    [
        ({"commit": "0123456789abcdef" * 2 + "01234567"}, "0123456789abcdef"),
        ({"branch": "no-such-branch"}, "no-such-branch"),
        ({"tag": "no-such-tag"}, "no-such-tag"),
    ],
    ids=["commit", "branch", "tag"],
)
def test_unknown_revision(lab: Harness, revision: dict[str, object], says: str) -> None:
    project = lab.git_project({"werf.yaml": FINE})
    build = lab.build(source={"url": project.url, **revision})
    _told(build, "GitRevisionNotFound", says, project.url)


def test_repository_does_not_exist(lab: Harness) -> None:
    url = f"{lab.at.git_url}/no-such-repository.git"
    build = lab.build(source={"url": url, "branch": "main"})
    status = build.wait_for(
        "Stalled", lambda found: condition(found.get("status") or {}, "Stalled")
    )
    stalled = condition(status, "Stalled")
    assert stalled["reason"] in ("GitAuthFailed", "GitRevisionNotFound", "GitRemoteUnreachable")
    assert url in stalled["message"]
    build.stays_quiet()


def test_git_server_unreachable(lab: Harness) -> None:
    """An outage is waited for, said aloud, and given up after a while."""
    host = lab.at.git_url.split("/")[2]
    build = lab.build(source={"url": f"http://{host}:9/git/x.git", "branch": "main"})
    status = build.wait_for(
        "a reason", lambda found: _ready(found)[0] == "GitRemoteUnreachable", 90
    )
    assert host in condition(status, "Ready")["message"]
    assert condition(status, "Reconciling")["status"] == "True"
    _told(build, "GitRemoteUnreachable", host)


@pytest.mark.parametrize("secret", ["wrong", "none"])
def test_git_login(lab: Harness, secret: str) -> None:
    project = lab.git_project({"werf.yaml": FINE})
    source: dict[str, object] = {"url": project.private_url, "commit": project.commit}
    if secret == "wrong":  # noqa: S105 - a test's name
        source["secretRef"] = {"name": lab.git_secret("not-the-password")}
    _told(lab.build(source=source), "GitAuthFailed", project.private_url, "secretRef")


def test_secret_does_not_exist(lab: Harness) -> None:
    project = lab.git_project({"werf.yaml": FINE})
    source = {"url": project.url, "commit": project.commit, "secretRef": {"name": "nobody-made-it"}}
    _told(lab.build(source=source), "SecretNotFound", "nobody-made-it", lab.namespace)


def test_secret_may_not_be_read(lab: Harness, new_namespace: Callable[..., str]) -> None:
    """In a namespace that was not opened to the operator it cannot read Secrets, and says how to open it."""
    build = lab.build(
        config=FINE, namespace=new_namespace(credentials=False), pushSecretRef={"name": "login"}
    )
    _told(build, "SecretNotReadable", "login", "kubectl create rolebinding", "conveyor-credentials")


def test_images_that_do_not_exist(lab: Harness) -> None:
    _told(lab.build(config=FINE, images=["app", "ap"]), "InvalidSpec", "ap")


def test_quota(lab: Harness, new_namespace: Callable[..., str]) -> None:
    """No room for pods: said with the quota's name; with room the same ImageBuild goes on."""
    namespace = new_namespace()
    path = f"{CORE}/namespaces/{namespace}/resourcequotas"
    lab.kube.create(
        path,
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "no-pods"},
            "spec": {"hard": {"pods": "0"}},
        },
    )
    config = FINE + "shell: {install: echo > /x}\n"
    build = lab.build(config=config, namespace=namespace)
    status = build.wait_stalled("PodRejected")
    assert "no-pods" in condition(status, "Stalled")["message"]
    build.stays_quiet()
    lab.kube.delete(f"{path}/no-pods")
    build.retry()
    build.wait_ready()


def test_quota_of_jobs(lab: Harness, new_namespace: Callable[..., str]) -> None:
    """No room for Jobs: the build waits, says so, and goes on by itself."""
    namespace = new_namespace()
    path = f"{CORE}/namespaces/{namespace}/resourcequotas"
    hard = {"count/jobs.batch": "0"}
    lab.kube.create(
        path,
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "no-jobs"},
            "spec": {"hard": hard},
        },
    )
    build = lab.build(config=FINE + "shell: {install: echo > /x}\n", namespace=namespace)
    build.wait_for("PodRejected", lambda found: _ready(found)[0] == "PodRejected")
    assert "no-jobs" in _ready(build.get())[1]
    lab.kube.delete(f"{path}/no-jobs")
    build.wait_ready()


def _ready(found: Mapping[str, object]) -> tuple[str, str]:
    status = found.get("status")
    ready = condition(status, "Ready") if isinstance(status, dict) else {}
    return str(ready.get("reason", "")), str(ready.get("message", ""))
