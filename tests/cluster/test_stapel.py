"""Stapel images: every covered directive of werf.yaml, seen from inside the built image."""

import re
from typing import Any

import pytest
from tests.cluster.builds import IMAGE_PER_JOB, STAGE_PER_JOB, image, stages
from tests.cluster.harness import Harness
from tests.cluster.projects import Content, Executable, Link
from tests.cluster.registry import STAGE_TAG, refs

WERF = """\
project: e2e
configVersion: 1
---
image: parts
from: debian:bookworm
shell:
  install:
  - mkdir -p /out/bin /out/doc/deep /out/conf
  - printf '#!/bin/sh\\necho tool\\n' > /out/bin/tool && chmod 0750 /out/bin/tool
  - ln -s tool /out/bin/alias
  - echo readme > /out/doc/readme && echo deep > /out/doc/deep/page && echo draft > /out/doc/draft
  - echo a > /out/conf/a.ini && echo b > /out/conf/b.ini && echo c > /out/conf/c.txt
  - echo single > /out/single && chown 7:8 /out/single
---
image: base
from: debian:bookworm
shell:
  beforeInstall: echo base > /base-mark
docker:
  USER: daemon
  WORKDIR: /var
  ENV: {FROM_BASE: inherited}
  LABEL: {of.base: kept}
---
image: app
fromImage: base
git:
- add: /src
  to: /app
  includePaths: ["**/*.txt", "bin"]
  excludePaths: ["private"]
  owner: www-data
  group: 1234
- add: /VERSION
  to: /etc/app-version
shell:
  beforeInstall:
  - cd /tmp
  - STATE=kept
  - echo "$STATE $PWD $(id -u) ${FROM_BASE}" > /beforeInstall
  - test ! -e /app && test ! -e /opt/tools
  install:
  - echo "${STATE:-lost} $PWD $WERF_COMMIT_HASH" > /install
  - test "$(/opt/tools/tool)" = tool && test -f /app/a.txt && test ! -e /opt/doc
  - |
    if true; then
      echo "several lines" >> /install
    fi
  beforeSetup:
  - test -f /opt/doc/readme && test ! -e /opt/conf
  - echo beforeSetup > /beforeSetup
  setup:
  - test -f /opt/conf/a.ini && test ! -e /opt/single
  - cat /app/a.txt /etc/app-version > /setup
import:
- {image: parts, add: /out/bin, to: /opt/tools, before: install}
- {image: parts, add: /out/doc, to: /opt/doc, after: install, excludePaths: [draft]}
- image: parts
  add: /out/conf
  to: /opt/conf
  before: setup
  includePaths: ["*.ini"]
  excludePaths: ["b.ini"]
  owner: daemon
  group: "77"
- {image: parts, add: /out/single, to: /opt/single, after: setup}
docker:
  ENV: {GREETING: hello, EMPTY: ""}
  LABEL: {com.example.kind: e2e}
  EXPOSE: ["8080", "53/udp"]
  WORKDIR: /app
  USER: "33:1234"
  VOLUME: ["/data"]
  ENTRYPOINT: ["/bin/sh", "-c"]
  CMD: ['echo $GREETING from $PWD as $(id -u)']
"""

FILES: dict[str, Content] = {
    "werf.yaml": WERF,
    "VERSION": "1.2.3\n",
    "src/a.txt": "a\n",
    "src/deep/b.txt": "b\n",
    "src/deep/left-out.md": "no\n",
    "src/bin/run": Executable("#!/bin/sh\necho run\n"),
    "src/bin/link": Link("run"),
    "src/private/secret.txt": "no\n",
    "elsewhere.txt": "no\n",
}

EXPECTED_STAGES = [
    "from",
    "beforeInstall",
    "dependenciesBeforeInstall",
    "gitArchive",
    "install",
    "dependenciesAfterInstall",
    "beforeSetup",
    "dependenciesBeforeSetup",
    "setup",
    "dependenciesAfterSetup",
    "dockerInstructions",
]

LOOK = r"""
cat /base-mark /beforeInstall /install /beforeSetup /setup
echo "run=$(/app/bin/run) cwd=$PWD uid=$(id -u) env=$GREETING,$FROM_BASE,${EMPTY-unset}"
cd / && find app opt etc/app-version -exec stat -c '%n %F %a %u:%g' {} + | LC_ALL=C sort
readlink /app/bin/link /opt/tools/alias
ls -d /.conveyor* /.werf* /data 2>/dev/null || true
"""

SEEN = """\
base
kept /tmp 0 inherited
lost / {commit}
several lines
beforeSetup
a
1.2.3
run=run cwd=/app uid=33 env=hello,inherited,
app directory 755 33:1234
app/a.txt regular file 644 33:1234
app/bin directory 775 33:1234
app/bin/link symbolic link 777 33:1234
app/bin/run regular file 755 33:1234
app/deep directory 775 33:1234
app/deep/b.txt regular file 644 33:1234
etc/app-version regular file 644 0:0
opt directory 755 0:0
opt/conf directory 755 1:77
opt/conf/a.ini regular file 644 1:77
opt/doc directory 755 0:0
opt/doc/deep directory 755 0:0
opt/doc/deep/page regular file 644 0:0
opt/doc/readme regular file 644 0:0
opt/single regular file 644 0:0
opt/tools directory 755 0:0
opt/tools/alias symbolic link 777 0:0
opt/tools/tool regular file 750 0:0
run
tool
/data
"""


@pytest.mark.parametrize("execution", [STAGE_PER_JOB, IMAGE_PER_JOB])
def test_every_directive(lab: Harness, execution: str) -> None:
    project = lab.git_project(FILES)
    build = lab.build(project, execution=execution)
    status = build.wait_ready()

    assert list(stages(status, "app")) == EXPECTED_STAGES
    assert {state for name in refs(status) for state in stages(status, name).values()} <= {
        "Built",
        "Cached",
    }
    ref = refs(status)["app"]
    assert lab.pods.shell(ref, LOOK) == SEEN.format(commit=project.commit)
    assert lab.pods.run(ref) == "hello from /app as 33\n"
    _check_config(lab.registry.config(ref), project.commit)
    _check_tag(lab, build.repo, image(status, "app"))
    _check_jobs(execution, [_names(job) for job in build.jobs() if _names(job)])


def _check_config(whole: dict[str, Any], commit: str) -> None:
    config = whole["config"]
    env = dict(line.split("=", 1) for line in config["Env"])
    assert (env["GREETING"], env["FROM_BASE"], env["EMPTY"]) == ("hello", "inherited", "")
    assert not [name for name in env if name.startswith("WERF") or "CONVEYOR" in name]
    assert set(config["ExposedPorts"]) == {"8080/tcp", "53/udp"}
    assert set(config["Volumes"]) == {"/data"}
    assert (config["WorkingDir"], config["User"]) == ("/app", "33:1234")
    assert config["Entrypoint"] == ["/bin/sh", "-c"]
    assert config["Cmd"] == ["echo $GREETING from $PWD as $(id -u)"]
    labels = config["Labels"]
    assert (labels["com.example.kind"], labels["of.base"]) == ("e2e", "kept")
    assert labels["werf"] == "e2e"
    assert labels["werf-project-repo-commit"] == commit
    assert re.fullmatch(r"[0-9a-f]{56}", labels["werf-stage-content-digest"])
    assert STAGE_TAG.fullmatch(labels["werf.io/parent-stage-id"])
    mappings = {
        key: value
        for key, value in labels.items()
        if re.fullmatch(r"werf-git-[0-9a-f]{64}-commit", key)
    }
    assert list(mappings.values()) == [commit, commit]
    imports = [key for key in labels if key.startswith("werf-import-source-stage-id-")]
    assert len(imports) == 4
    assert all(STAGE_TAG.fullmatch(labels[key]) for key in imports)
    assert len(whole["rootfs"]["diff_ids"]) == len(
        [x for x in whole["history"] if not x.get("empty_layer")]
    )


def _check_tag(lab: Harness, repo: str, row: dict[str, Any]) -> None:
    """The tag is DIGEST-TIMESTAMP of the last stage, and names the very manifest of the reference."""
    assert STAGE_TAG.fullmatch(row["tag"])
    assert row["tag"].startswith(row["stages"][-1]["digest"])
    assert f"{repo}@{lab.registry.manifest(repo + ':' + row['tag'])[0]}" == row["ref"]


def _names(job: dict[str, Any]) -> str:
    return str(job["metadata"]["annotations"]["conveyor.dev/stages"])


def _check_jobs(execution: str, jobs: list[str]) -> None:
    """Stages without files have no Job; with ImagePerJob the ones between two imports share one."""
    assert not [names for names in jobs if re.search("from|dockerInstructions", names)]
    if execution == STAGE_PER_JOB:
        assert not [names for names in jobs if "," in names]
        assert len(jobs) == 11
    else:
        assert len(jobs) < 11
        assert [names for names in jobs if "," in names]


def test_docker_values_of_the_base_survive(lab: Harness) -> None:
    """A stage's pod runs with service values; the image gets back what its base had."""
    build = lab.build(
        config="""\
project: e2e
configVersion: 1
---
image: base
from: debian:bookworm
docker: {USER: games, WORKDIR: /srv, ENTRYPOINT: ["/bin/echo", "entry"], CMD: ["point"], VOLUME: /vol}
---
image: same
fromImage: base
shell: {install: "echo $(id -un) $PWD > /who && mkdir -p /vol && echo written > /vol/file"}
---
image: entry
fromImage: base
docker: {ENTRYPOINT: ["/bin/echo", "other"]}
"""
    )
    found = refs(build.wait_ready())
    same, entry = lab.config(found["same"]), lab.config(found["entry"])
    assert (same["User"], same["WorkingDir"]) == ("games", "/srv")
    assert (same["Entrypoint"], same["Cmd"]) == (["/bin/echo", "entry"], ["point"])
    assert entry["Entrypoint"] == ["/bin/echo", "other"]
    assert not entry.get("Cmd")
    assert lab.pods.run(found["same"]) == "entry point\n"
    # A declared volume hides nothing while a stage is built: what is written there stays in the layer.
    assert lab.pods.shell(found["same"], "cat /who /vol/file") == "root /\nwritten\n"


def test_packages(lab: Harness) -> None:
    """Debian's package manager works in an unprivileged pod, and file capabilities survive."""
    build = lab.build(
        config="""\
project: e2e
configVersion: 1
---
image: net
from: debian:bookworm
shell:
  install:
  - apt-get update -qq
  - apt-get install -y -qq --no-install-recommends iputils-ping libcap2-bin >/dev/null
  - rm -rf /var/lib/apt/lists/*
docker: {USER: nobody}
"""
    )
    ref = refs(build.wait_ready())["net"]
    assert "cap_net_raw=ep" in lab.pods.shell(ref, "/usr/sbin/getcap /bin/ping /usr/bin/ping")
