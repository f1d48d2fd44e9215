"""Images of several platforms on two nodes of amd64, of which one is labelled arm64 for as long as a test wants it.

The control plane is that node: pods of other tests do not tolerate its taint, so they do not miss it. Its kubelet writes the
label back with every status, and the controller manager makes it what the old label beta.kubernetes.io/arch says: so both are
set again and again for as long as the test runs.
The operator of the development cluster takes its amd64 tools for linux/arm64 too (hack/install.sh). Run alone: two of these
tests at once would take the label from each other.
"""

import hashlib
import threading
from collections.abc import Iterator

import pytest
from tests.cluster.builds import ANYWHERE, CONTROL_PLANE, Build, condition, image
from tests.cluster.harness import Harness
from tests.cluster.kube import CORE, Json, Kube
from tests.cluster.platform_base import Pusher

AMD, ARM = {"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm64"}
PLATFORMS = {"linux/amd64": AMD, "linux/arm64": ARM}
ARCH, OLD_ARCH = "kubernetes.io/arch", "beta.kubernetes.io/arch"

WERF = """\
project: e2e
configVersion: 1
build: {{platform: [linux/amd64, linux/arm64]}}
---
image: tool
final: false
from: {base}
shell: {{install: ["echo tool $MARK > /tool"]}}
---
image: app
dockerfile: Dockerfile
---
image: site
fromImage: app
platform: [linux/arm64]
import: [{{image: tool, add: /tool, to: /tool, before: install}}]
shell: {{install: ["cat /tool /made > /site"]}}
---
image: empty
from: scratch
docker: {{LABEL: {{kind: empty}}}}
"""
DOCKERFILE = """\
FROM {base} AS build
ARG TARGETARCH
RUN echo "made $MARK for $TARGETARCH" > /made
FROM {base}
COPY --from=build /made /made
CMD ["cat", "/made"]
"""
CROSS = """\
FROM --platform=$BUILDPLATFORM {base} AS build
ARG TARGETARCH
ARG BUILDARCH
RUN echo "made on $MARK, $BUILDARCH, for $TARGETARCH" > /made
FROM --platform=$BUILDPLATFORM {base} AS site
RUN echo "made once on $MARK" > /site
FROM {base}
COPY --from=build /made /made
COPY --from=site /site /site
RUN cat /made /site > /all && echo "runs on $MARK" >> /all
CMD ["cat", "/all"]
"""
ONE = "project: e2e\nconfigVersion: 1\n---\nimage: app\ndockerfile: Dockerfile\n"
CROSS_WERF = f"{ONE}platform: [linux/amd64, linux/arm64]\n"


@pytest.fixture
def arm_node(kube: Kube) -> Iterator["ArmNode"]:
    """The node that can be labelled; it has its own architecture again afterwards."""
    (node,) = kube.list(f"{CORE}/nodes", selector=CONTROL_PLANE)
    found = ArmNode(kube, node["metadata"]["name"])
    assert node["metadata"]["labels"][ARCH] == "amd64"
    yield found
    found.stop()


class ArmNode:
    """One node and its label."""

    def __init__(self, kube: Kube, name: str) -> None:
        self._kube = kube
        self.name = name
        self._over = threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True)

    def start(self) -> None:
        """Have the node say from now on that it is arm64."""
        self._keeper.start()

    def stop(self) -> None:
        """Have it say what it is."""
        self._over.set()
        if self._keeper.ident:
            self._keeper.join()
        self._label("amd64")

    def _keep(self) -> None:
        while not self._over.wait(0.2):
            self._label("arm64")

    def _label(self, architecture: str) -> None:
        patch = {"metadata": {"labels": {ARCH: architecture, OLD_ARCH: architecture}}}
        self._kube.patch(f"{CORE}/nodes/{self.name}", patch)


def test_platforms_are_built_on_their_nodes_and_joined(lab: Harness, arm_node: ArmNode) -> None:
    """Before there is a node for it the build says so; then every platform is built where it belongs."""
    build = _start(lab)
    waiting = build.wait_for("a platform without a node", _says("PlatformNotAvailable"), 120)
    message = condition(waiting, "Reconciling")["message"]
    assert "no node of linux/arm64 takes the pod: " in message, message

    arm_node.start()
    status = build.wait_ready()

    _ran_on_their_nodes(build, arm_node.name)
    _is_index(lab, build, image(status, "app"))
    _is_index(lab, build, image(status, "empty"))
    assert "ref" not in image(status, "tool")
    app = {it["platform"]: it["ref"] for it in image(status, "app")["platforms"]}
    pods = lab.pods
    assert pods.run(image(status, "app")["ref"]) == "made amd64 for amd64\n"
    assert pods.run(app["linux/arm64"]) == "made arm64 for arm64\n"
    site = image(status, "site")
    assert lab.registry.config(site["ref"])["architecture"] == "arm64"
    assert pods.shell(site["ref"], "cat /site") == "tool arm64\nmade arm64 for arm64\n"
    _nothing_is_built_again(lab, build, status)


def test_blocks_run_on_the_build_platform_for_every_target(lab: Harness, arm_node: ArmNode) -> None:
    """Cross compilation: blocks of $BUILDPLATFORM run on its nodes, and once where they do not ask for the target."""
    arm_node.start()
    base = _base(lab, AMD, ARM)
    files = {"werf.yaml": CROSS_WERF, "Dockerfile": CROSS.format(base=base)}
    build = lab.build(lab.git_project(files), podTemplate=ANYWHERE)
    status = build.wait_ready()

    _ran_on_their_nodes(build, arm_node.name)
    jobs = [job["metadata"]["annotations"] for job in build.jobs()]
    digests = _block_digests(image(status, "app"))
    where = [
        (
            digests.get(one["conveyor.dev/digests"].rpartition(",")[2][:16]),
            one["conveyor.dev/platform"],
        )
        for one in jobs
    ]
    assert sorted(it for it in where if it[0]) == [
        *[("build", "linux/amd64")] * 2,
        ("site", "linux/amd64"),
        ("target", "linux/amd64"),
        ("target", "linux/arm64"),
    ]
    said = {
        it["platform"]: lab.pods.shell(it["ref"], "cat /all")
        for it in image(status, "app")["platforms"]
    }
    assert said == {
        f"linux/{arch}": f"made on amd64, amd64, for {arch}\nmade once on amd64\nruns on {arch}\n"
        for arch in ("amd64", "arm64")
    }


def test_an_image_may_be_of_the_platform_that_its_from_says(
    lab: Harness, arm_node: ArmNode
) -> None:
    """Without `platform` in werf.yaml the image is what its base is."""
    arm_node.start()
    text = f'FROM --platform=linux/arm64 {_base(lab, AMD, ARM)}\nRUN echo "on $MARK" > /made\n'
    build = lab.build(lab.git_project({"werf.yaml": ONE, "Dockerfile": text}), podTemplate=ANYWHERE)
    status = build.wait_ready()
    assert {pod["spec"]["nodeName"] for pod in build.pods()} == {arm_node.name}
    ref = image(status, "app")["ref"]
    assert lab.registry.config(ref)["architecture"] == "arm64"
    assert lab.pods.shell(ref, "cat /made") == "on arm64\n"


def test_a_platform_without_tools_is_refused_before_any_job(lab: Harness) -> None:
    """The line of werf.yaml is named."""
    config = "project: e2e\nconfigVersion: 1\n---\nimage: app\nfrom: scratch\nplatform: [linux/riscv64]\n"
    build = lab.build(config=f"{config}shell: {{install: [x]}}\n")
    status = build.wait_stalled("PlatformNotAvailable")
    assert "spec.config:4" in status["failure"]["message"]
    assert "no tools for linux/riscv64" in status["failure"]["message"]
    assert build.jobs() == []


def test_a_base_without_the_platform_is_told(lab: Harness) -> None:
    """The platforms that it has are named."""
    base = _base(lab, AMD, {"os": "linux", "architecture": "s390x"})
    config = (
        f"project: e2e\nconfigVersion: 1\n---\nimage: app\nfrom: {base}\nplatform: [linux/arm64]\n"
    )
    build = lab.build(config=f"{config}shell: {{install: [x]}}\n")
    status = build.wait_stalled("BaseImageNotFound")
    assert (
        "has no image for linux/arm64; it has: linux/amd64, linux/s390x"
        in status["failure"]["message"]
    )


def _base(lab: Harness, *platforms: Json) -> str:
    pusher = Pusher(registry=lab.registry, repo=lab.new_repo().partition("/")[2])
    return pusher.index(f"{lab.at.registry}/library/debian:bookworm", list(platforms))


def _start(lab: Harness) -> Build:
    base = _base(lab, AMD, ARM)
    files = {"werf.yaml": WERF.format(base=base), "Dockerfile": DOCKERFILE.format(base=base)}
    return lab.build(lab.git_project(files), podTemplate=ANYWHERE)


def _block_digests(row: Json) -> dict[str, str]:
    """Names of the stages' blocks by digest as far as status shows it."""
    return {
        it["digest"]: it["name"].partition("(")[2].rstrip(")") or "target" for it in row["stages"]
    }


def _says(reason: str):  # type: ignore[no-untyped-def]
    return lambda found: condition(found.get("status") or {}, "Reconciling").get("reason") == reason


def _ran_on_their_nodes(build: Build, arm_node: str) -> None:
    wanted = {
        job["metadata"]["name"]: job["metadata"]["annotations"]["conveyor.dev/platform"]
        for job in build.jobs()
    }
    ran = {pod["metadata"]["labels"]["job-name"]: pod["spec"]["nodeName"] for pod in build.pods()}
    assert set(wanted.values()) == set(PLATFORMS)
    assert {name: node == arm_node for name, node in ran.items()} == {
        name: platform == "linux/arm64" for name, platform in wanted.items()
    }


def _is_index(lab: Harness, build: Build, row: Json) -> None:
    """The registry has, under the tag of werf's rule, an index of exactly the images in status."""
    parts = {it["platform"]: it for it in row["platforms"]}
    assert list(parts) == list(PLATFORMS)
    ids = ":::".join(parts[name]["tag"] for name in sorted(parts))
    assert row["tag"] == hashlib.sha3_224(ids.encode()).hexdigest()
    digest, index = lab.registry.index(f"{build.repo}:{row['tag']}")
    assert row["ref"] == f"{build.repo}@{digest}"
    assert index["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert [it["platform"] for it in index["manifests"]] == list(PLATFORMS.values())
    assert [f"{build.repo}@{it['digest']}" for it in index["manifests"]] == [
        it["ref"] for it in row["platforms"]
    ]
    for name, platform in PLATFORMS.items():
        config = lab.registry.config(parts[name]["ref"])
        assert {key: config[key] for key in platform} == platform


def _nothing_is_built_again(lab: Harness, build: Build, status: Json) -> None:
    source = build.get()["spec"]["source"]["git"]
    release = f"{lab.new_repo()}:v1"
    again = lab.build(
        source=source,
        repo=build.repo,
        podTemplate=ANYWHERE,
        imageExports=[{"image": "app", "reference": release}],
    )
    assert again.wait_ready()["images"][1]["ref"] == image(status, "app")["ref"]
    assert again.jobs() == []
    _, index = lab.registry.index(release)
    assert [it["platform"] for it in index["manifests"]] == list(PLATFORMS.values())
