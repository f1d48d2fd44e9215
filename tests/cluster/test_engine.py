"""Builds with a Docker Engine beside builds in the cluster: one repository, the same stages."""

import json
import os
import subprocess
import sys

from tests.cluster.builds import condition, stages
from tests.cluster.harness import Harness
from tests.cluster.projects import ROOT, Project
from tests.cluster.registry import refs

NETWORK = "conveyor"
"""The Engine's network that the development cluster is in."""
WERF = """\
project: e2e
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
---
image: site
dockerfile: Dockerfile
"""
DOCKERFILE = """\
FROM BASE AS one
RUN echo one > /one
FROM BASE
COPY --from=one /one /one
COPY src /src
RUN cat /one /src/a > /two
"""


def _project(lab: Harness) -> Project:
    base = f"{lab.at.registry}/library/debian:bookworm"
    files = {"werf.yaml": WERF, "Dockerfile": DOCKERFILE, "src/a": "hello\n"}
    return lab.git_project({name: text.replace("BASE", base) for name, text in files.items()})


def _here(lab: Harness, project: Project, repo: str) -> dict[str, dict[str, object]]:
    """`conveyor build`; answers its images by name."""
    command = [sys.executable, "-m", "conveyor", "build", "--git", str(project.folder)]
    command += ["--commit", project.commit, "--repo", repo, "--json", "--network", NETWORK]
    command += ["--insecure-registry", lab.at.registry, "--conveyor-image", "conveyor:dev"]
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "operator"),
        "XDG_CACHE_HOME": str(lab.folder / "cache"),
    }
    done = subprocess.run(  # noqa: S603 - our own program
        command, env=env, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stderr
    return {image["name"]: image for image in json.loads(done.stdout)["images"]}


def _states(image: dict[str, object]) -> set[str]:
    found = image["stages"]
    assert isinstance(found, list)
    return {stage["state"] for stage in found}


def test_what_is_built_here_is_cached_in_the_cluster(lab: Harness) -> None:
    project, repo = _project(lab), lab.new_repo()
    here = _here(lab, project, repo)
    assert set().union(*map(_states, here.values())) == {"Built"}
    build = lab.build(project, repo=repo)
    status = build.wait_ready()
    for name, image in here.items():
        assert set(stages(status, name).values()) == {"Cached"}, build.story()
        assert image["ref"] == refs(status)[name]
    assert build.jobs() == []
    assert lab.pods.shell(refs(status)["app"], "cat /both") == "hello\nmade\n"


def test_what_the_cluster_built_is_cached_here(lab: Harness) -> None:
    project, repo = _project(lab), lab.new_repo()
    status = lab.build(project, repo=repo).wait_ready()
    here = _here(lab, project, repo)
    assert set().union(*map(_states, here.values())) == {"Cached"}
    assert {name: image["ref"] for name, image in here.items()} == refs(status)


def test_backend_docker_without_an_engine(lab: Harness) -> None:
    build = lab.build(_project(lab), backend="docker")
    status = build.wait_stalled("NotSupported")
    assert "builds.docker.endpoint" in condition(status, "Ready")["message"]
    assert build.jobs() == []
