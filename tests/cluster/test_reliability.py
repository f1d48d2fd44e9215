"""The operator is killed, or two builds want the same: the outcome is as if nothing had happened."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime

import pytest
from tests.cluster.builds import IMAGE_PER_JOB, STAGE_PER_JOB, Build, digests_of, stages_of
from tests.cluster.harness import Harness
from tests.cluster.kube import LEASES, Json
from tests.cluster.operator_pod import NAMESPACE
from tests.cluster.registry import doubled, refs

from conveyor.api import names

pytestmark = pytest.mark.kills

META = "project: e2e\nconfigVersion: 1\n---\n"
KILLS = 8

SLOW = META + (
    "image: slow\nfrom: debian:bookworm\nshell:\n"
    "  install: sleep 12; date +%s%N > /when\n  setup: cat /when > /again\n"
)


def _check_exactly_once(lab: Harness, build: Build) -> None:
    """One tag a digest, and no Job for a stage that was published before the Job began."""
    published = lab.registry.stages(build.repo)
    assert doubled(published) == []
    for job in build.jobs():
        created = datetime.fromisoformat(job["metadata"]["creationTimestamp"]).timestamp()
        for digest in digests_of(job):
            # A creation time has whole seconds, cut.
            assert published[digest][0] / 1000 >= created, (
                f"{digest} was built again\n{build.story()}"
            )


@pytest.mark.parametrize("execution", [STAGE_PER_JOB, IMAGE_PER_JOB])
def test_killed_while_a_stage_runs(lab: Harness, execution: str) -> None:
    build = lab.build(config=SLOW, execution=execution)
    build.wait_jobs()
    lab.operator.kill()
    status = build.wait_ready()
    assert lab.pods.shell(refs(status)["slow"], "cmp /when /again && echo same") == "same\n"
    built = [digest for job in build.jobs() for digest in digests_of(job)]
    assert len(built) == len(set(built)) == 2
    _check_exactly_once(lab, build)


def test_killed_between_push_and_publish(lab: Harness) -> None:
    """Somebody holds the stage's Lease, so the pushed stage cannot be published; there the operator dies."""
    build = lab.build(config=SLOW)
    job = build.wait_jobs()[0]
    assert stages_of(job) == ["install"]
    with _foreign_lease(lab, build.repo, digests_of(job)[0]):
        build.wait_for("the stage is pushed", lambda _: _all_ended(build))
        time.sleep(2)
        assert digests_of(job)[0] not in lab.registry.stages(build.repo)
        lab.operator.kill()
        lab.operator.wait_leading()
        time.sleep(2)
        assert digests_of(job)[0] not in lab.registry.stages(build.repo)
    build.wait_ready()
    assert sorted(stages_of(job) for job in build.jobs()) == [["install"], ["setup"]]
    _check_exactly_once(lab, build)


@contextmanager
def _foreign_lease(lab: Harness, repo: str, digest: str) -> Iterator[None]:
    """The Lease of a stage is held by another operator."""
    path = f"{LEASES}/namespaces/{NAMESPACE}/leases"
    name = names.stage_lease_name(repo, digest)
    lab.kube.create(
        path,
        {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name},
            "spec": {"holderIdentity": "another-operator", "leaseDurationSeconds": 300},
        },
    )
    try:
        yield
    finally:
        lab.kube.delete(f"{path}/{name}")


def _all_ended(build: Build) -> bool:
    pods = build.pods()
    return bool(pods) and all(pod["status"].get("phase") == "Succeeded" for pod in pods)


MANY = META + "---\n".join(
    f"image: i{number}\nfrom: debian:bookworm\nshell:\n"
    + "".join(
        f"  {stage}: sleep 1; echo {number} {stage} >> /log\n"
        for stage in ("beforeInstall", "install", "beforeSetup", "setup")
    )
    for number in range(4)
)


@pytest.mark.parametrize("execution", [STAGE_PER_JOB, IMAGE_PER_JOB])
def test_killed_whenever_status_changes(lab: Harness, execution: str) -> None:
    """SIGKILL at every change of the status that is seen, with growing delay after it, again and again."""
    # One Job at a time: the build has to outlive all the kills.
    build = lab.build(config=MANY, execution=execution, parallelTasksLimit=1)
    kills = 0
    for number in range(KILLS):
        if not _wait_changed(build):
            break
        time.sleep(0.05 * number)
        lab.operator.kill()
        kills += 1
    status = build.wait_ready(600)
    assert kills >= (KILLS if execution == STAGE_PER_JOB else 3)
    for number in range(4):
        log = lab.pods.shell(refs(status)[f"i{number}"], "cat /log")
        stages = ("beforeInstall", "install", "beforeSetup", "setup")
        assert log == "".join(f"{number} {stage}\n" for stage in stages)
    _check_exactly_once(lab, build)


def _wait_changed(build: Build) -> bool:
    """Wait for the next change of an unfinished build; False when it is finished."""
    before = build.get()

    def changed(found: Json) -> bool:
        version = str(before["metadata"]["resourceVersion"])
        return str(found["metadata"]["resourceVersion"]) != version

    if "completedAt" in (before.get("status") or {}):
        return False
    return "completedAt" not in build.wait_for("a change of the status", changed, 180)


@pytest.mark.parametrize("execution", [STAGE_PER_JOB, IMAGE_PER_JOB])
def test_two_builds_of_one_commit(lab: Harness, execution: str) -> None:
    """Started at once in one namespace: every stage is built once, both are Ready with the same images."""
    project = lab.git_project({"werf.yaml": MANY})
    repo = lab.new_repo()
    builds = _at_once(lambda: lab.build(project, repo=repo, execution=execution))
    statuses = [build.wait_ready() for build in builds]
    assert refs(statuses[0]) == refs(statuses[1])
    built = [digest for build in builds for job in build.jobs() for digest in digests_of(job)]
    assert len(built) == len(set(built)) == 16
    for build in builds:
        _check_exactly_once(lab, build)


def test_two_namespaces_share_a_repository(lab: Harness, new_namespace: Callable[..., str]) -> None:
    """Both may build the same stage, but one is published, and both end with the same images."""
    repo, other = lab.new_repo(), new_namespace()
    spaces = iter([lab.namespace, other])
    builds = _at_once(lambda: lab.build(config=MANY, repo=repo, namespace=next(spaces)))
    statuses = [build.wait_ready() for build in builds]
    assert refs(statuses[0]) == refs(statuses[1])
    assert doubled(lab.registry.stages(repo)) == []


def test_a_lost_pod_is_replaced(lab: Harness) -> None:
    """A pod that goes away (drain, eviction, a lost node) is no failure of the user: the stage starts again."""
    build = lab.build(config=SLOW)
    build.wait_jobs()
    pod = build.running_pods()[0]["metadata"]["name"]
    lab.kube.delete(f"/api/v1/namespaces/{build.namespace}/pods/{pod}", grace=0)
    status = build.wait_ready()
    assert sorted(stages_of(job) for job in build.jobs()) == [["install"], ["install"], ["setup"]]
    assert "failure" not in status
    assert doubled(lab.registry.stages(build.repo)) == []


def test_an_operator_crash_of_its_container(lab: Harness) -> None:
    """A stage that is done while no operator lives is published by the next one, without its report."""
    build = lab.build(config=SLOW)
    job = build.wait_jobs()[0]
    with _no_operator(lab):
        build.wait_for("the stage is pushed", lambda _: _all_ended(build))
        assert digests_of(job)[0] not in lab.registry.stages(build.repo)
    build.wait_ready()
    _check_exactly_once(lab, build)
    assert len(build.jobs()) == 2


@contextmanager
def _no_operator(lab: Harness) -> Iterator[None]:
    """The Deployment is scaled to nothing for a while."""
    path = "/apis/apps/v1/namespaces/conveyor-system/deployments/conveyor"
    lab.kube.patch(path, {"spec": {"replicas": 0}})
    try:
        lab.operator.kill_all()
        yield
    finally:
        lab.kube.patch(path, {"spec": {"replicas": 1}})
        lab.operator.wait_leading()


def _at_once(make: Callable[[], Build]) -> list[Build]:
    with ThreadPoolExecutor(2) as pool:
        return [future.result() for future in [pool.submit(make), pool.submit(make)]]


def test_a_branch_moves_while_the_operator_is_dead(lab: Harness) -> None:
    """What the branches stood for is in status, the project's and another repository's: a new process goes on with it."""
    library = lab.git_project({"f": "old\n"})
    werf = META + (
        "image: slow\nfrom: debian:bookworm\ngit:\n- {add: /f, to: /own/f}\n"
        f"- {{url: {library.url}, to: /lib, branch: main, stageDependencies: {{setup: ['*']}}}}\n"
        "shell: {install: sleep 12, setup: cat /own/f /lib/f > /all}\n"
    )
    policy = "giterminismConfigVersion: 1\nconfig: {stapel: {git: {allowBranch: true}}}\n"
    project = lab.git_project({"werf.yaml": werf, "werf-giterminism.yaml": policy, "f": "old\n"})
    begun = {"commit": project.commit, "library": library.commit}
    build = lab.build(source={"url": project.url, "branch": "main"})
    build.wait_for(
        "install runs", lambda _: any(stages_of(it) == ["install"] for it in build.jobs())
    )
    project.change({"f": "new\n"})
    library.change({"f": "new\n"})
    lab.operator.kill()
    status = build.wait_ready()
    assert status["commit"] == begun["commit"]
    assert [it["commit"] for it in status["remotes"]] == [begun["library"]]
    assert lab.pods.shell(refs(status)["slow"], "cat /all /lib/f") == "old\nold\nold\n"
