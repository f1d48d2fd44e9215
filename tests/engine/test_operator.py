"""`backend: docker`: the operator with a real API server and a real Engine; no node, no kubelet."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.api.conftest import Api, api  # noqa: F401 - a fixture
from tests.cluster.builds import condition
from tests.engine.conftest import OURS, ROOT, SECONDS, Lab
from tests.registry.conftest import GitServer

from conveyor.cli.local_tools import _unpack

Json = dict[str, Any]

BUILDS = "/apis/conveyor.dev/v1alpha1/namespaces/default/imagebuilds"
WERF = """\
project: engine
configVersion: 1
---
image: lib
from: BASE
shell:
  install: ["mkdir /made", "echo made > /made/file"]
---
image: app
from: BASE
git:
- {add: /src, to: /app}
import:
- {image: lib, add: /made, to: /made, after: install}
shell:
  setup: ["cat /app/a /made/file > /both"]
"""
ONE = "project: one\nconfigVersion: 1\n---\nimage: app\nfrom: BASE\nshell:\n  install:\n  - {}\n"


@dataclass(kw_only=True)
class Operator:
    """The operator as a process, and ImageBuilds for it."""

    lab: Lab
    api: Api
    env: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.lab.folder / "operator.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "conveyor", "operator"],
                env={**os.environ, **self.env},
                stdout=log,
                stderr=log,
            )

    def end(self, sign: int = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(sign)
        self.process.wait(60)

    def build(self, name: str, **spec: object) -> None:
        status, said = self.api.request(
            "POST",
            BUILDS,
            {
                "apiVersion": "conveyor.dev/v1alpha1",
                "kind": "ImageBuild",
                "metadata": {"name": name},
                "spec": {"repo": self.lab.repo, "backend": "docker", **spec},
            },
        )
        assert status == 201, said

    def of_config(self, name: str, command: str) -> None:
        config = ONE.format(command).replace("BASE", self.lab.base)
        self.build(name, config=config)

    def wait(self, name: str, check: Callable[[Json], object]) -> Json:
        end = time.monotonic() + SECONDS
        while True:
            _, found = self.api.request("GET", f"{BUILDS}/{name}")
            status: Json = dict(found).get("status") or {}  # type: ignore[assignment]
            if check(status):
                return status
            log = (self.lab.folder / "operator.log").read_text()[-4000:]
            assert time.monotonic() < end, f"{status}\n{log}"
            time.sleep(0.2)

    def over(self, name: str) -> Json:
        return self.wait(name, lambda status: status.get("completedAt"))

    def delete(self, name: str) -> None:
        self.api.request("DELETE", f"{BUILDS}/{name}")


@pytest.fixture
def operator(lab: Lab, api: Api) -> Iterator[Operator]:  # noqa: F811 - a fixture
    """An operator of its own for each test."""
    tools = lab.folder / "tools"
    made = lab.client.containers.create(lab.image, "tools")
    try:
        archive, _ = made.get_archive("/usr/share/conveyor/tools")
        _unpack(b"".join(archive), tools)
    finally:
        made.remove()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {
        "PYTHONPATH": str(ROOT / "operator"),
        "KUBECONFIG": str(api.kubeconfig),
        "CONVEYOR_NAMESPACE": "default",
        "CONVEYOR_POD_NAME": f"operator-{os.urandom(4).hex()}",
        "CONVEYOR_IMAGE": lab.image,
        "CONVEYOR_TOOLS_DIR": str(tools),
        "CONVEYOR_CACHE_DIR": str(lab.folder / "clones"),
        "CONVEYOR_INSECURE_REGISTRIES": lab.repo.split("/")[0],
        "CONVEYOR_HTTP_PORT": str(port),
        "CONVEYOR_LEADER_ELECTION": "false",
        "CONVEYOR_RESYNC_SECONDS": "2",
        "CONVEYOR_DOCKER_ENDPOINT": os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock",
    }
    found = Operator(lab=lab, api=api, env=env)
    found.start()
    yield found
    found.end(signal.SIGKILL)
    status, listed = api.request("GET", BUILDS)
    assert status == 200
    for item in listed["items"]:  # type: ignore[attr-defined]
        found.delete(item["metadata"]["name"])


def _states(status: Json) -> dict[str, str]:
    return {
        f"{image['name']}/{stage['name']}": stage["state"]
        for image in status["images"]
        for stage in image["stages"]
    }


def _pushed(lab: Lab, server: GitServer) -> str:
    """The same commit in the project's directory and on the server."""
    return _push(lab, server, {"werf.yaml": WERF, "src/a": "hello\n"})


def _push(lab: Lab, server: GitServer, files: Mapping[str, str]) -> str:
    commit = lab.commit(files)
    lab.git("push", "-q", str(server.repo), "HEAD:refs/heads/main")
    return commit


def test_stages_built_by_the_operator_are_cached_here(
    operator: Operator, lab: Lab, git_server: GitServer
) -> None:
    commit = _pushed(lab, git_server)
    operator.build("app", source={"git": {"url": git_server.url, "commit": commit}})
    status = operator.over("app")
    assert status["conditions"][0]["status"] == "True", status
    assert set(_states(status).values()) == {"Built"}
    lab.wait_for("containers to go", lambda: not lab.left())

    here = lab.build("--json")
    assert here.code == 0, here.err
    assert set(here.states().values()) == {"Cached"}
    refs = {image["name"]: image["ref"] for image in here.json()["images"]}
    assert refs == {image["name"]: image["ref"] for image in status["images"]}
    assert lab.shell(refs["app"], "cat /both") == "hello\nmade\n"


def test_stages_built_here_are_cached_for_the_operator(
    operator: Operator, lab: Lab, git_server: GitServer
) -> None:
    commit = _pushed(lab, git_server)
    here = lab.build("--json")
    assert here.code == 0, here.err
    # The very same for pods: with everything stored not a single Job is needed, so no node is either.
    for backend in ("docker", "kubernetes"):
        source = {"git": {"url": git_server.url, "commit": commit}}
        operator.build(backend, source=source, backend=backend)
        status = operator.over(backend)
        assert set(_states(status).values()) == {"Cached"}
        refs = {image["name"]: image["ref"] for image in here.json()["images"]}
        assert refs == {image["name"]: image["ref"] for image in status["images"]}


def test_a_failing_command(operator: Operator, lab: Lab) -> None:
    operator.of_config("fails", '"echo some output; exit 3"')
    status = operator.over("fails")
    failure = status["failure"]
    assert (failure["reason"], failure["exitCode"]) == ("StageFailed", 3)
    assert "some output" in failure["logTail"]
    lab.wait_for("containers to go", lambda: not lab.left())


def test_the_next_operator_goes_on(operator: Operator, lab: Lab) -> None:
    operator.of_config("long", '"sleep 15"')
    lab.wait_for("a running stage", lab.stages)
    running = [it.id for it in lab.stages()]
    operator.end(signal.SIGKILL)
    operator.start()
    status = operator.over("long")
    assert set(_states(status).values()) == {"Built"}, status
    left = lab.client.containers.list(filters=OURS, ignore_removed=True)
    assert not {it.id for it in left} & set(running)


def test_a_deleted_build_leaves_nothing(operator: Operator, lab: Lab) -> None:
    operator.of_config("gone", '"sleep 600"')
    lab.wait_for("a running stage", lab.stages)
    operator.delete("gone")
    lab.wait_for("containers to go", lambda: not lab.left())


def test_a_suspended_build_is_stopped(operator: Operator, lab: Lab) -> None:
    operator.of_config("halt", '"sleep 600"')
    lab.wait_for("a running stage", lab.stages)
    merge = "application/merge-patch+json"
    operator.api.request("PATCH", f"{BUILDS}/halt", {"spec": {"suspend": True}}, kind=merge)
    lab.wait_for("containers to go", lambda: not lab.left())


def test_a_stage_over_its_time(operator: Operator, lab: Lab) -> None:
    config = ONE.format('"sleep 600"').replace("BASE", lab.base)
    operator.build("slow", config=config, stageTimeout="5s")
    status = operator.over("slow")
    assert status["failure"]["reason"] == "StageTimedOut"
    lab.wait_for("containers to go", lambda: not lab.left())


def test_without_an_engine_it_is_refused(operator: Operator, lab: Lab) -> None:
    operator.end()
    operator.env = {**operator.env, "CONVEYOR_DOCKER_ENDPOINT": ""}
    operator.start()
    operator.of_config("refused", '"true"')
    status = operator.over("refused")
    ready = condition(status, "Ready")
    assert ready["reason"] == "NotSupported"
    assert "builds.docker.endpoint" in ready["message"]


def test_another_platform_than_the_engines_is_refused_before_anything_starts(
    operator: Operator, lab: Lab, git_server: GitServer
) -> None:
    """Though the operator has tools for it."""
    operator.end()
    tools = json.dumps({"linux/arm64": operator.env["CONVEYOR_TOOLS_DIR"]})
    operator.env = {**operator.env, "CONVEYOR_TOOLS_PLATFORMS": tools}
    operator.start()
    werf = "project: other\nconfigVersion: 1\n---\nimage: app\ndockerfile: Dockerfile\nplatform: [linux/arm64]\n"
    dockerfile = "FROM scratch\nCOPY Dockerfile /\n"
    commit = _push(lab, git_server, {"werf.yaml": werf, "Dockerfile": dockerfile})
    operator.build("other", source={"git": {"url": git_server.url, "commit": commit}})
    status = operator.over("other")
    ready = condition(status, "Ready")
    assert ready["reason"] == "PlatformNotAvailable"
    assert "the Docker Engine builds for linux/amd64, not for linux/arm64" in ready["message"]
    assert {row["state"] for image in status.get("images", ()) for row in image["stages"]} <= {
        "Pending"
    }


def test_an_engine_that_is_away(operator: Operator, lab: Lab, tmp_path: Path) -> None:
    operator.end()
    away = {"CONVEYOR_DOCKER_ENDPOINT": f"unix://{tmp_path}/none", "CONVEYOR_OUTAGE_SECONDS": "1"}
    operator.env = {**operator.env, **away}
    operator.start()
    operator.of_config("away", '"true"')
    status = operator.over("away")
    ready = condition(status, "Ready")
    assert ready["reason"] == "EngineUnreachable"
