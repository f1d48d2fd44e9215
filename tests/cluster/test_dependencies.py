"""What images hand each other (values, files, bases) and which base `fromLatest` is, seen from inside the images."""

import urllib.request

import pytest
from tests.cluster.builds import IMAGE_PER_JOB, STAGE_PER_JOB, image, stages
from tests.cluster.harness import Harness
from tests.cluster.projects import Content
from tests.cluster.registry import STAGE_TAG, refs

from conveyor.plan.digest import sha256_args

WERF = """\
project: e2e
configVersion: 1
---
image: app
from: debian:bookworm
dependencies:
- image: lib
  after: install
  imports:
  - {type: ImageName, targetEnv: LIB_NAME}
  - {type: ImageRepo, targetEnv: LIB_REPO}
  - {type: ImageTag, targetEnv: LIB_TAG}
- image: lib
  before: setup
  imports:
  - {type: ImageDigest, targetEnv: LIB_DIGEST}
  - {type: ImageID, targetEnv: LIB_ID}
- image: page
  before: setup
  imports:
  - {type: ImageTag, targetEnv: PAGE_TAG}
import:
- {artifact: tools, add: /out, to: /opt, after: install}
shell:
  install: echo "install ${LIB_TAG:-unset}" > /log
  beforeSetup: echo "beforeSetup ${LIB_TAG:-unset} ${LIB_ID:-unset} $(cat /opt/tool)" >> /log
  setup: env | grep -E '^(LIB|PAGE)_' | LC_ALL=C sort >> /log
---
image: page
dockerfile: Dockerfile
args: {GREETING: hello}
dependencies:
- image: lib
  imports:
  - {type: ImageName, targetBuildArg: BASE}
  - {type: ImageTag, targetBuildArg: LIB_TAG}
  - {type: ImageID, targetBuildArg: NOWHERE}
---
image: lib
from: debian:bookworm
final: false
shell: {setup: echo lib > /word}
---
artifact: tools
from: debian:bookworm
shell: {install: mkdir /out && echo tool > /out/tool}
"""

DOCKERFILE = """\
ARG BASE=none
FROM ${BASE} AS first
ARG LIB_TAG=none
RUN echo "$(cat /word) $LIB_TAG" > /first
FROM debian:bookworm
ARG GREETING LIB_TAG=none
ENV TAG=$LIB_TAG
COPY --from=first /first /first
RUN echo "$GREETING ${NOWHERE:-unset} $(cat /first)" > /page
"""

FILES: dict[str, Content] = {"werf.yaml": WERF, "Dockerfile": DOCKERFILE}


@pytest.mark.parametrize("execution", [STAGE_PER_JOB, IMAGE_PER_JOB])
def test_values_and_files_of_other_images(lab: Harness, execution: str) -> None:
    build = lab.build(lab.git_project(FILES), execution=execution)
    status = build.wait_ready()
    lib, page = image(status, "lib"), image(status, "page")
    assert not lib["final"]
    assert not image(status, "tools")["final"]
    name = f"{build.repo}:{lib['tag']}"
    digest, manifest = lab.registry.manifest(name)
    image_id = manifest["config"]["digest"]

    ready = refs(status)
    assert lab.pods.lines(ready["app"], "cat /log; echo; printenv LIB_NAME PAGE_TAG") == [
        "install unset",
        f"beforeSetup {lib['tag']} unset tool",
        f"LIB_DIGEST={digest}",
        f"LIB_ID={image_id}",
        f"LIB_NAME={name}",
        f"LIB_REPO={build.repo}",
        f"LIB_TAG={lib['tag']}",
        f"PAGE_TAG={page['tag']}",
        "",
        name,
        page["tag"],
    ]
    assert lab.pods.lines(ready["page"], "cat /page; echo $TAG") == [
        f"hello unset lib {lib['tag']}",
        lib["tag"],
    ]
    _check_labels(lab, ready["app"], [lib["tag"], page["tag"]])
    _check_labels(lab, ready["page"], [lib["tag"]])
    _check_again(lab, build.repo)


def _check_labels(lab: Harness, ref: str, tags: list[str]) -> None:
    labels = lab.config(ref)["Labels"]
    assert isinstance(labels, dict)
    found = {key: value for key, value in labels.items() if "dependency-stage-id" in key}
    assert found == {f"werf-dependency-stage-id-{sha256_args(tag)}": tag for tag in tags}
    assert all(STAGE_TAG.fullmatch(tag) for tag in tags)


def _check_again(lab: Harness, repo: str) -> None:
    """The same config once more: everything is found, for the references are the same."""
    status = lab.build(lab.git_project(FILES), repo=repo).wait_ready()
    states = {state for name in refs(status) for state in stages(status, name).values()}
    assert states == {"Cached"}


BASES = """\
project: bases
configVersion: 1
---
image: one
from: debian:bookworm
docker: {LABEL: {number: one}}
---
image: two
from: debian:bookworm
docker: {LABEL: {number: two}}
"""

FROM_LATEST = """\
project: e2e
configVersion: 1
---
image: latest
from: BASE
fromLatest: true
shell: {install: echo latest > /mark}
---
image: plain
from: BASE
"""

POLICY = "giterminismConfigVersion: 1\nconfig: {stapel: {allowFromLatest: true}}\n"


def test_from_latest_follows_a_tag_that_moves(lab: Harness) -> None:
    ready = refs(lab.build(config=BASES).wait_ready())
    moving = f"{ready['one'].partition('@')[0]}:moving"
    files: dict[str, Content] = {"werf.yaml": FROM_LATEST.replace("BASE", moving)}
    _tag(lab, ready["one"], moving)
    stalled = lab.build(lab.git_project(files)).wait_stalled("InvalidWerfConfig")
    assert "config.stapel.allowFromLatest: true" in stalled["failure"]["message"]

    project, repo = lab.git_project(files | {"werf-giterminism.yaml": POLICY}), lab.new_repo()
    first = lab.build(project, repo=repo).wait_ready()
    assert _numbers(lab, first) == {"latest": "one", "plain": "one"}
    _tag(lab, ready["two"], moving)
    second = lab.build(project, repo=repo).wait_ready()
    assert _numbers(lab, second) == {"latest": "two", "plain": "one"}
    assert set(stages(second, "latest").values()) == {"Built"}
    assert set(stages(second, "plain").values()) == {"Cached"}
    assert lab.pods.shell(refs(second)["latest"], "cat /mark") == "latest\n"


def _numbers(lab: Harness, status: dict[str, object]) -> dict[str, object]:
    """The base that each image has, by its label."""
    configs = {name: lab.config(ref) for name, ref in refs(status).items()}
    labels = {name: config["Labels"] for name, config in configs.items()}
    return {name: of["number"] for name, of in labels.items() if isinstance(of, dict)}


def _tag(lab: Harness, ref: str, name: str) -> None:
    """Put a tag on an image of the same repository."""
    repo, _, tag = name.rpartition(":")
    path = repo.partition("/")[2]
    kind = "application/vnd.oci.image.manifest.v1+json"
    url = f"http://{lab.registry.host}/v2/{path}/manifests/"
    headers = {"Accept": kind, "Content-Type": kind}
    asked = urllib.request.Request(url + ref.partition("@")[2], headers=headers)  # noqa: S310
    with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310 - our own registry
        body = answer.read()
    put = urllib.request.Request(url + tag, data=body, headers=headers, method="PUT")  # noqa: S310
    with urllib.request.urlopen(put, timeout=30) as answer:  # noqa: S310
        assert answer.status == 201
