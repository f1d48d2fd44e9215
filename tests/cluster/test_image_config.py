"""The image config: `imageSpec` and `docker:` from werf.yaml to the registry, and what runs in a pod."""

from typing import Any

from tests.cluster.builds import Build, image, stages
from tests.cluster.harness import Harness
from tests.cluster.projects import Content
from tests.cluster.registry import refs

WERF = """\
project: e2e
configVersion: 1
build:
  imageSpec:
    config: {labels: {team: "%project%"}}
---
image: entry
final: false
from: debian:bookworm
docker:
  exactValues: true
  ENV: {EXACT: "'a  b' $HOME", TOOL: /opt/tool}
  LABEL: {vendor: acme, tier: base}
  VOLUME: [/old, /kept]
  EXPOSE: "80"
  USER: nobody
  WORKDIR: /tmp
  HEALTHCHECK: --interval=5s CMD true
  ENTRYPOINT: ["/bin/echo", "entry"]
  CMD: ["point"]
---
image: command
final: false
fromImage: entry
docker:
  ENV: {PLAIN: "x y", HERE: "$TOOL/bin"}
  CMD: ["/bin/echo", 'say "x"']
---
image: on-command
final: false
fromImage: command
shell: {setup: echo setup > /setup}
---
image: spec
fromImage: entry
git:
- {add: /src, to: /src}
imageSpec:
  author: Dev <dev@example.com>
  clearHistory: true
  config:
    env: {PATH: "/src:${PATH}", OLD: "${TOOL}-old"}
    removeEnv: [TOOL, "/EX.*/"]
    labels: {name: "%image% of %project%"}
    removeLabels: ["/^werf.*/", tier]
    volumes: [/new]
    removeVolumes: [/old]
    expose: ["8080"]
    clearUser: true
    workingDir: /src
    stopSignal: SIGINT
    healthcheck: {test: [CMD, check], interval: 30}
    entrypoint: [/bin/sh, -c]
    cmd: ['echo "$(cat file) in $PWD as $(id -u)" $OLD $PATH']
---
image: [pair-a, pair-b]
fromImage: entry
imageSpec: {config: {labels: {name: "%image%"}, clearEntrypoint: true, cmd: [/bin/echo, hello]}}
---
image: empty
from: scratch
git:
- {add: /src, to: /data}
imageSpec: {config: {cmd: [/data/file]}}
---
image: reader
from: debian:bookworm
import:
- {image: empty, add: /data, to: /data, after: setup}
---
image: df
dockerfile: Dockerfile
imageSpec: {config: {cmd: [/mark], clearEntrypoint: true}}
"""
FILES: dict[str, Content] = {
    "werf.yaml": WERF,
    "src/file": "one\n",
    "Dockerfile": 'FROM debian:bookworm\nRUN echo df > /mark\nENTRYPOINT ["/bin/cat"]\n',
}
PATH = "/src:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ESSENTIAL = {
    "werf",
    "werf-stage-content-digest",
    "werf.io/parent-stage-id",
    "werf-project-repo-commit",
}


def test_image_config(lab: Harness) -> None:
    project = lab.git_project(FILES)
    build = lab.build(project)
    status = build.wait_ready()
    found = refs(status)

    _check_spec(lab, found["spec"])
    _check_docker(lab, found)
    _check_pair(lab, status)
    _check_scratch(lab, status)
    assert list(stages(status, "df")) == ["dockerfile", "imageSpec"]
    assert any("removeLabels does not remove werf" in text for text in _warnings(lab, build))

    # The labels that the next commit needs are those of the stages before imageSpec.
    project.change({"src/file": "two\n"})
    status = lab.build(project, repo=build.repo, images=["spec"]).wait_ready()
    assert stages(status, "spec") == {
        "from": "Cached",
        "gitArchive": "Cached",
        "gitLatestPatch": "Built",
        "imageSpec": "Built",
    }
    assert lab.pods.run(refs(status)["spec"]) == f"two in /src as 0 /opt/tool-old {PATH}\n"


def _check_spec(lab: Harness, ref: str) -> None:
    whole, config = lab.registry.config(ref), lab.config(ref)
    assert (whole["author"], whole["history"]) == ("Dev <dev@example.com>", [])
    assert set(config["Env"]) == {f"PATH={PATH}", "OLD=/opt/tool-old"}
    assert set(config["Labels"]) == ESSENTIAL | {"name", "team", "vendor"}
    assert config["Labels"]["name"] == "spec of e2e"
    assert config["Labels"]["team"] == "e2e"
    assert set(config["Volumes"]) == {"/kept", "/new"}
    assert set(config["ExposedPorts"]) == {"8080/tcp"}
    assert not config.get("User")
    assert (config["WorkingDir"], config["StopSignal"]) == ("/src", "SIGINT")
    assert config["Healthcheck"] == {"Test": ["CMD", "check"], "Interval": 30 * 10**9}
    assert lab.pods.run(ref) == f"one in /src as 0 /opt/tool-old {PATH}\n"


def _check_docker(lab: Harness, found: dict[str, str]) -> None:
    config = lab.config(found["command"])
    assert {"EXACT='a  b' $HOME", "PLAIN=x y", "HERE=/opt/tool/bin"} <= set(config["Env"])
    assert (config["Labels"]["vendor"], config["Labels"]["tier"]) == ("acme", "base")
    assert config["Healthcheck"] == {"Test": ["CMD-SHELL", "true"], "Interval": 5 * 10**9}
    # A CMD of its own takes the ENTRYPOINT away, and [""] is no program for the runtime.
    for name in ("command", "on-command"):
        assert lab.config(found[name])["Entrypoint"] == [""]
        assert lab.pods.run(found[name]) == 'say "x"\n'


def _check_pair(lab: Harness, status: dict[str, Any]) -> None:
    """The same content and digest, each with its own name in its label."""
    rows = [image(status, name) for name in ("pair-a", "pair-b")]
    assert rows[0]["stages"][-1]["digest"] == rows[1]["stages"][-1]["digest"]
    assert [lab.config(row["ref"])["Labels"]["name"] for row in rows] == ["pair-a", "pair-b"]
    assert lab.pods.run(rows[0]["ref"]) == "hello\n"


def _check_scratch(lab: Harness, status: dict[str, Any]) -> None:
    """`from` of scratch is published without a pod, and the image has what git has and nothing else."""
    assert list(stages(status, "empty")) == ["from", "gitArchive", "imageSpec"]
    ref = refs(status)["empty"]
    assert len(lab.registry.layers(ref)) == 1
    assert lab.config(ref)["Cmd"] == ["/data/file"]
    assert lab.pods.shell(refs(status)["reader"], "cat /data/file") == "one\n"


def _warnings(lab: Harness, build: Build) -> list[str]:
    return [event["message"] for event in build.events() if event["reason"] == "LabelsKept"]


def test_two_options_in_one_repository(lab: Harness) -> None:
    """The digest does not know the option: each build gets its own ENTRYPOINT, whoever was first."""
    project = lab.git_project(FILES)
    keep: dict[str, Any] = {"compatibility": {"keepEntrypointWithCmd": True}}
    first = lab.build(project, images=["on-command"], **keep)
    kept = refs(first.wait_ready())
    second = lab.build(project, repo=first.repo, images=["on-command"])
    reset = refs(second.wait_ready())
    again = lab.build(project, repo=first.repo, images=["on-command"], **keep)
    status = again.wait_ready()

    assert refs(status) == kept
    assert set(stages(status, "on-command").values()) == {"Cached"}
    assert kept["entry"] == reset["entry"]
    assert kept["command"] != reset["command"]
    assert lab.config(kept["on-command"])["Entrypoint"] == ["/bin/echo", "entry"]
    assert lab.pods.run(kept["on-command"]) == 'entry /bin/echo say "x"\n'
    assert lab.pods.run(reset["on-command"]) == 'say "x"\n'
    assert lab.pods.shell(reset["on-command"], "cat /setup") == "setup\n"
