"""What surrounds a build on this machine: who is alive, logins, packs, progress."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, union-attr, arg-type, var-annotated"

import asyncio
import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from projects import git

from conveyor.api.dockerfile_mode import DockerfileMode
from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.api.v1alpha1 import ImageBuild
from conveyor.cli import local_build
from conveyor.cli.build_text import Progress, document, failure_lines
from conveyor.cli.local_login import docker_config
from conveyor.cli.local_packs import Packs
from conveyor.cli.local_runs import Run
from conveyor.cli.project import ProjectOptions

# --- who is alive -------------------------------------------------------------------------------------------------------


def test_a_living_build_is_not_dead(tmp_path):
    one, two = Run.begin(tmp_path), Run.begin(tmp_path)
    assert not one.is_dead(two.uid)
    assert not one.is_dead(one.uid)
    two.end()
    assert one.is_dead(two.uid)
    one.end()


def test_a_killed_build_is_dead(tmp_path):
    code = (
        "import sys, pathlib, os\nfrom conveyor.cli.local_runs import Run\n"
        "print(Run.begin(pathlib.Path(sys.argv[1])).uid, flush=True)\nos.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    ).stdout.strip()
    assert (tmp_path / "builds" / killed).exists()
    run = Run.begin(tmp_path)
    assert run.is_dead(killed)
    assert run.is_dead(killed), "its file is gone, and it is still dead"
    run.end()


@pytest.mark.parametrize("uid", ["", "x", "0d2f4c1e-0000-4000-8000-000000000001", "../../etc/x"])
def test_nothing_is_known_of_builds_of_others(tmp_path, uid):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    run, other = Run.begin(tmp_path / "a"), Run.begin(tmp_path / "b")
    other.end()
    assert not run.is_dead(uid)
    assert not run.is_dead(other.uid)
    run.end()


# --- logins -------------------------------------------------------------------------------------------------------------


def auth(user, password):
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def logins(folder, config, *hosts, path=""):
    folder.mkdir(exist_ok=True)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return json.loads(docker_config({"DOCKER_CONFIG": str(folder), "PATH": path}, hosts))["auths"]


def test_logins_in_the_file(tmp_path):
    auths = {"registry.example": {"auth": auth("me", "secret")}}
    assert logins(tmp_path, {"auths": auths}, "registry.example") == auths
    assert logins(tmp_path / "none", None, "registry.example") == {}


@pytest.fixture
def helper(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "docker-credential-test"
    program.write_text(
        "#!/bin/sh\nread host\necho $host >> $0.asked\n"
        'case $host in known) echo \'{"Username": "me", "Secret": "kept"}\';;\n'
        'token) echo \'{"Username": "<token>", "Secret": "id"}\';;\n*) echo none; exit 1;; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_logins_that_a_helper_keeps(tmp_path, helper):
    config = {"auths": {"known": {}, "gone": {}}, "credsStore": "test"}
    found = logins(tmp_path / "config", config, "token")
    assert found == {"known": {"auth": auth("me", "kept")}, "token": {"identitytoken": "id"}}
    asked = (helper / "docker-credential-test.asked").read_text().split()
    assert sorted(asked) == ["gone", "known", "token"]


def test_helpers_of_single_registries(tmp_path, helper):
    config = {"credHelpers": {"known": "test"}}
    assert logins(tmp_path / "config", config, "other") == {"known": {"auth": auth("me", "kept")}}
    assert logins(tmp_path / "config", {"credHelpers": {"known": "missing"}}) == {}


@pytest.mark.parametrize("config", [[], {"credsStore": "../../bin/sh"}])
def test_a_docker_config_that_is_none(tmp_path, config):
    with pytest.raises(UserError):
        logins(tmp_path, config, "known")


# --- packs --------------------------------------------------------------------------------------------------------------


def test_a_pack_has_the_files_of_its_commits_alone(repo, tmp_path):
    first = repo.commit({"a": "1\n", "dir/b": "2\n"})
    repo.commit({"a": "between\n"})
    last = repo.commit({"a": "3\n"})

    async def twice():
        packs = Packs(tmp_path)
        return [await packs.of(repo.path, (first, last)) for _ in range(2)]

    one, two = asyncio.run(twice())
    assert one == two
    git(tmp_path, "init", "--quiet", "--bare", "there.git")
    there = tmp_path / "there.git"
    with one.open("rb") as file:
        command = ["git", f"--git-dir={there}", "index-pack", "--stdin"]
        subprocess.run(command, stdin=file, check=True, capture_output=True)  # noqa: S603
    assert git(there, "show", f"{first}:dir/b") == "2"
    assert git(there, "show", f"{last}:a") == "3"
    kept = git(there, "cat-file", "--batch-all-objects", "--batch-check=%(objecttype)")
    assert kept.split().count("commit") == 2
    assert kept.split().count("blob") == 3


def test_a_commit_that_is_not_there(repo, tmp_path):
    repo.commit({"a": "1\n"})
    with pytest.raises(UserError) as caught:
        asyncio.run(Packs(tmp_path).of(repo.path, ("e" * 40,)))
    assert caught.value.reason is Reason.GIT_REVISION_NOT_FOUND
    assert not list(tmp_path.glob("*.pack"))


# --- progress -----------------------------------------------------------------------------------------------------------


def build(*states, **status):
    stages = [
        {
            "name": name,
            "state": state,
            "startedAt": "2026-05-06T07:08:09Z",
            "finishedAt": "2026-05-06T07:08:21Z",
        }
        for name, state in states
    ]
    return ImageBuild.from_object(
        {
            "metadata": {"name": "build", "namespace": "_local", "uid": "u"},
            "spec": {"repo": "r.example/x", "config": "-"},
            "status": {
                "commit": "c" * 40,
                "plan": {"sets": [{"images": ["", "app"]}]},
                "images": [{"name": "app", "state": "Building", "stages": stages}],
                **status,
            },
        }
    )


def test_a_line_for_everything_that_is_new():
    progress = Progress(colour=False)
    first = build(("from", "Cached"), ("install", "Building"), ("setup", "Pending"))
    assert list(progress.lines(first.status)) == [
        f"commit {'c' * 40}",
        "Set #0: ~, app",
        "● [1/3] app/from  cached",
        "▶ [2/3] app/install  building",
    ]
    assert list(progress.lines(first.status)) == []
    second = build(("from", "Cached"), ("install", "Built"), ("setup", "Failed"))
    assert list(progress.lines(second.status)) == [
        "✔ [2/3] app/install  built in 12 s",
        "✘ [3/3] app/setup  failed in 12 s",
    ]


def test_a_failure_is_told_whole():
    failure = {
        "image": "app",
        "stage": "setup",
        "reason": "StageFailed",
        "message": "make ended with 2",
        "command": "make",
        "exitCode": 2,
        "logTail": "one\ntwo\n",
    }
    found = build(("setup", "Failed"), failure=failure)
    assert list(failure_lines(found)) == [
        "StageFailed: image app, stage setup: make ended with 2",
        "  command: make",
        "  exit code: 2",
        "  | one",
        "  | two",
    ]
    assert document(found)["failure"]["exitCode"] == 2
    assert document(found)["images"][0]["stages"][0]["state"] == "Failed"


# --- the spec -----------------------------------------------------------------------------------------------------------


def test_the_mode_of_dockerfiles_gets_into_the_spec():
    project = ProjectOptions(
        git=Path(), commit="HEAD", repo="r.example/x", dockerfile_mode=DockerfileMode.LEGACY
    )
    options = SimpleNamespace(
        project=project,
        images=(),
        parallel=5,
        stage_timeout="1h",
        ssh_keys=(),
        ssh_agent=None,
        secrets={},
        cache_volume="",
    )
    assert local_build._spec(options, "c" * 40, {"u": Path()})["dockerfileMode"] == "legacy"
