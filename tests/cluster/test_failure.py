"""A stage that fails, a build that is deleted, suspended, tried again."""

import pytest
from tests.cluster.builds import IMAGE_PER_JOB, STAGE_PER_JOB, condition, image, stages
from tests.cluster.harness import Harness
from tests.cluster.kube import eventually
from tests.cluster.registry import refs

META = "project: e2e\nconfigVersion: 1\n---\n"
FAILING = (
    META
    + """\
image: broken
from: debian:bookworm
shell:
  beforeInstall: echo fine > /fine
  install:
  - echo first line
  - echo "a complaint" >&2; sh -c 'exit 42'
  - echo never
  setup: echo never
---
image: dependent
fromImage: broken
shell: {install: echo never}
---
image: importing
from: debian:bookworm
import: [{image: broken, add: /fine, to: /fine, after: install}]
---
image: independent
from: debian:bookworm
shell: {install: sleep 5; echo done > /done}
"""
)


@pytest.mark.parametrize("execution", [STAGE_PER_JOB, IMAGE_PER_JOB])
def test_failed_stage(lab: Harness, execution: str) -> None:
    build = lab.build(config=FAILING, execution=execution)
    status = build.wait_stalled("StageFailed")
    failure = status["failure"]
    assert (failure["image"], failure["stage"]) == ("broken", "install")
    assert failure["exitCode"] == 42
    assert failure["command"] == "echo \"a complaint\" >&2; sh -c 'exit 42'"
    assert "first line\na complaint" in failure["logTail"]
    assert "never" not in failure["logTail"]
    assert failure["job"] in [job["metadata"]["name"] for job in build.jobs()]
    message = condition(status, "Ready")["message"]
    assert "broken" in message
    assert "install" in message
    assert "42" in message

    assert stages(status, "broken") == {
        "from": "Built",
        "beforeInstall": "Built",
        "install": "Failed",
        "setup": "Skipped",
    }
    assert image(status, "broken")["state"] == "Failed"
    assert image(status, "dependent")["state"] == "Skipped"
    assert image(status, "importing")["state"] == "Skipped"
    assert image(status, "independent")["state"] == "Ready"
    assert lab.pods.shell(refs(status)["independent"], "cat /done") == "done\n"

    warning = next(event for event in build.events() if event["reason"] == "StageFailed")
    assert warning["type"] == "Warning"
    assert "install" in warning["message"]
    build.stays_quiet()


def test_retry_annotation(lab: Harness) -> None:
    """The same spec once more: only the failed stage runs again."""
    build = lab.build(config=FAILING, images=["broken"])
    first = build.wait_stalled("StageFailed")
    jobs = {job["metadata"]["name"] for job in build.jobs()}
    build.retry()
    second = build.wait_stalled("StageFailed")
    assert second["failure"]["job"] != first["failure"]["job"]
    assert {job["metadata"]["name"] for job in build.jobs()} == jobs | {second["failure"]["job"]}
    assert second["startedAt"] > first["startedAt"]
    build.stays_quiet()


def test_editing_the_spec_tries_again(lab: Harness) -> None:
    """A repaired config builds on what was published before the failure."""
    build = lab.build(config=FAILING, images=["broken", "dependent"])
    build.wait_stalled("StageFailed")
    build.patch_spec(config=FAILING.replace("exit 42", "exit 0"))
    status = build.wait_ready()
    assert stages(status, "broken") == {
        "from": "Cached",
        "beforeInstall": "Cached",
        "install": "Built",
        "setup": "Built",
    }
    assert "failure" not in status
    assert set(refs(status)) == {"broken", "dependent"}


def test_dockerfile_failure_names_the_instruction(lab: Harness) -> None:
    dockerfile = "FROM debian:bookworm\nRUN echo fine\nRUN echo trouble && exit 3\nRUN echo never\n"
    project = lab.git_project(
        {"werf.yaml": META + "image: docker\ndockerfile: Dockerfile\n", "Dockerfile": dockerfile}
    )
    failure = lab.build(project).wait_stalled("StageFailed")["failure"]
    assert (failure["image"], failure["exitCode"]) == ("docker", 3)
    assert failure["command"] == "echo trouble && exit 3"
    assert "trouble" in failure["logTail"]


def test_delete_while_a_stage_runs(lab: Harness) -> None:
    """Jobs and pods go with the ImageBuild; what was published stays."""
    config = META + (
        "image: slow\nfrom: debian:bookworm\n"
        "shell: {beforeInstall: echo quick > /quick, install: sleep 600}\n"
    )
    build = lab.build(config=config)
    build.wait_for(
        "the second stage runs",
        lambda found: found.get("status", {}).get("stages") == "2/3" and build.running_pods(),
    )
    published = lab.registry.tags(build.repo)
    assert len(lab.registry.stages(build.repo)) == 2
    build.delete()
    eventually("Jobs and pods are gone", 90, lambda: not build.jobs() and not build.pods())
    assert lab.registry.tags(build.repo) == published


def test_suspend_and_resume(lab: Harness) -> None:
    """Suspending stops the running Job and keeps what is published; resuming goes on from there."""
    config = META + (
        "image: slow\nfrom: debian:bookworm\n"
        "shell: {beforeInstall: echo quick > /quick, install: sleep 8; echo done > /done}\n"
    )
    build = lab.build(config=config)
    build.wait_for(
        "the second stage runs",
        lambda found: found.get("status", {}).get("stages") == "2/3" and build.running_pods(),
    )
    build.patch_spec(suspend=True)
    build.wait_for("suspended", lambda found: _ready_reason(found["status"]) == "Suspended")
    eventually("the Job is gone", 60, lambda: not build.running_pods())
    assert condition(build.status(), "Reconciling") == {}
    build.stays_quiet()
    build.patch_spec(suspend=False)
    status = build.wait_ready()
    assert stages(status, "slow")["beforeInstall"] == "Cached"
    assert lab.pods.shell(refs(status)["slow"], "cat /quick /done") == "quick\ndone\n"


def test_created_suspended(lab: Harness) -> None:
    build = lab.build(config=META + "image: a\nfrom: debian:bookworm\n", suspend=True)
    build.wait_for(
        "suspended", lambda found: _ready_reason(found.get("status") or {}) == "Suspended"
    )
    build.stays_quiet()
    assert lab.registry.tags(build.repo) == []


def _ready_reason(status: dict[str, object]) -> str:
    return str(condition(status, "Ready").get("reason", ""))
