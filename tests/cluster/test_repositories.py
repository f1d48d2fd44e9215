"""Several repositories: stages that only a secondary one has, builds that may build nothing, references of the user's own."""

from tests.cluster.builds import stages
from tests.cluster.harness import Harness
from tests.cluster.registry import refs

WERF = """\
project: e2e
configVersion: 1
---
image: tool
final: false
from: debian:bookworm
shell: {install: ["echo made > /made"]}
---
image: app
from: debian:bookworm
docker: {LABEL: {team: web}, CMD: ["cat", "/got"]}
import: [{image: tool, add: /made, to: /got, after: install}]
"""


def test_a_secondary_repository_and_a_reference_of_ones_own(lab: Harness) -> None:
    """Nothing is built a second time elsewhere, tags stay, and the exported image has the labels of its owner alone."""
    project = lab.git_project({"werf.yaml": WERF})
    there = lab.new_repo()
    lab.build(project, repo=there).wait_ready()

    here = lab.new_repo()
    release = f"{lab.new_repo()}:v1.0"
    build = lab.build(
        project,
        repo=here,
        secondaryRepos=[lab.new_repo(), there],
        requireBuilt=True,
        imageExports=[{"image": "app", "reference": release}],
    )
    status = build.wait_ready()
    assert set(stages(status, "app").values()) == {"Cached"}, build.story()
    assert build.jobs() == []
    assert lab.registry.stages(here) == lab.registry.stages(there)
    assert {"StageCopied", "ImageExported"} <= set(build.event_reasons())

    digest, _ = lab.registry.manifest(release)
    config = lab.registry.config(release)
    assert config["config"]["Labels"] == {"team": "web"}
    stored = lab.registry.config(refs(status)["app"])
    assert config["rootfs"] == stored["rootfs"]
    assert lab.pods.run(f"{release.rpartition(':')[0]}@{digest}") == "made\n"


def test_nothing_may_be_built(lab: Harness) -> None:
    """The stages that are missing are named, and no Job starts."""
    build = lab.build(lab.git_project({"werf.yaml": WERF}), requireBuilt=True)
    status = build.wait_stalled("StagesRequired")
    assert "image 'tool': from, install" in status["failure"]["message"]
    assert build.jobs() == []


def test_an_export_of_an_image_that_is_not_built(lab: Harness) -> None:
    """It is told before anything starts."""
    wanted = [{"image": "shop", "reference": f"{lab.new_repo()}:v1"}]
    build = lab.build(lab.git_project({"werf.yaml": WERF}), imageExports=wanted)
    status = build.wait_stalled("InvalidSpec")
    assert "'shop'" in status["failure"]["message"]
    assert "'app'" in status["failure"]["message"]
