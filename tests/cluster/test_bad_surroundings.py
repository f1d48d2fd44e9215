"""Registries and nodes that refuse, stages that need too much: each has its own reason."""

from tests.cluster.builds import condition
from tests.cluster.harness import Harness
from tests.cluster.registry import refs

META = "project: e2e\nconfigVersion: 1\n---\n"
FINE = META + "image: app\nfrom: debian:bookworm\nshell: {install: echo fine > /fine}\n"


def test_registry_refuses_push(lab: Harness) -> None:
    build = lab.build(config=FINE, repo=lab.new_repo(lab.at.registry_readonly))
    status = build.wait_stalled("PushFailed")
    assert build.repo in condition(status, "Stalled")["message"]
    build.stays_quiet()


def test_registry_refuses_push_of_a_pod(lab: Harness) -> None:
    """The parent is stored already, so it is the courier that meets the refusal."""
    path = lab.new_repo()
    lab.build(config=META + "image: app\nfrom: debian:bookworm\n", repo=path).wait_ready()
    readonly = lab.at.registry_readonly + path.removeprefix(lab.at.registry)
    build = lab.build(config=FINE, repo=readonly)
    build.wait_stalled("PushFailed")
    build.stays_quiet()


def test_registry_denies_without_login(lab: Harness) -> None:
    build = lab.build(config=FINE, repo=lab.new_repo(lab.at.registry_auth))
    status = build.wait_stalled("RegistryDenied")
    assert lab.at.registry_auth in condition(status, "Stalled")["message"]
    build.stays_quiet()


def test_registry_denies_wrong_login(lab: Harness) -> None:
    secret = {"name": lab.registry_secret("not-the-password")}
    build = lab.build(config=FINE, repo=lab.new_repo(lab.at.registry_auth), pushSecretRef=secret)
    status = build.wait_stalled("RegistryDenied")
    message = condition(status, "Stalled")["message"]
    assert lab.at.registry_auth in message
    assert "not-the-password" not in str(status)
    build.stays_quiet()


def test_registry_unreachable(lab: Harness) -> None:
    host = lab.at.registry.partition(":")[0]
    build = lab.build(config=FINE, repo=f"{host}:9/e2e/nobody")
    build.wait_for(
        "the reason",
        lambda found: _reason(found.get("status") or {}) == "RegistryUnreachable",
        90,
    )
    status = build.wait_stalled("RegistryUnreachable")
    assert f"{host}:9" in condition(status, "Stalled")["message"]
    build.stays_quiet()


def test_nodes_cannot_pull(lab: Harness) -> None:
    """Reading and writing is allowed, but nodes have no login: said with what to do, and doing it helps."""
    secret = {"name": lab.registry_secret()}
    build = lab.build(config=FINE, repo=lab.new_repo(lab.at.registry_auth), pushSecretRef=secret)
    status = build.wait_stalled("StagePullFailed")
    message = condition(status, "Stalled")["message"]
    assert "imagePullSecrets" in message
    assert build.repo in message
    build.stays_quiet()
    assert not build.running_pods()

    build.patch_spec(imagePullSecrets=[secret])
    ref = refs(build.wait_ready())["app"]
    assert lab.pods.shell(ref, "cat /fine", pull_secret=secret["name"]) == "fine\n"


def test_stage_over_its_deadline(lab: Harness) -> None:
    config = META + "image: app\nfrom: debian:bookworm\nshell: {install: sleep 600}\n"
    build = lab.build(config=config, stageTimeout="8s")
    status = build.wait_stalled("StageTimedOut")
    assert "stageTimeout" in condition(status, "Stalled")["message"]
    assert (status["failure"]["image"], status["failure"]["stage"]) == ("app", "install")
    build.stays_quiet()


def test_build_over_its_deadline(lab: Harness) -> None:
    config = META + "image: app\nfrom: debian:bookworm\nshell: {install: sleep 600}\n"
    build = lab.build(config=config, timeout="10s")
    status = build.wait_stalled("TimedOut")
    assert "10s" in condition(status, "Stalled")["message"]
    build.wait_for("its pods are stopped", lambda _: not build.running_pods(), 60)
    build.stays_quiet()


def test_out_of_memory(lab: Harness) -> None:
    command = "perl -e '$x = \"x\" x 500_000_000; print length $x'"
    config = META + f"image: app\nfrom: debian:bookworm\nshell:\n  install:\n  - {command}\n"
    build = lab.build(config=config, podTemplate={"resources": {"limits": {"memory": "64Mi"}}})
    status = build.wait_stalled("StageOOMKilled")
    assert "limits.memory" in condition(status, "Stalled")["message"]
    assert len(build.jobs()) == 1
    build.stays_quiet()


def test_no_node_takes_the_pod(lab: Harness) -> None:
    """A pod that no node takes is waited for, with the scheduler's own words."""
    build = lab.build(config=FINE, podTemplate={"nodeSelector": {"example.com/nowhere": "x"}})
    status = build.wait_for(
        "StageUnschedulable",
        lambda found: _reason(found.get("status") or {}) == "StageUnschedulable",
    )
    assert "node" in condition(status, "Ready")["message"]
    assert condition(status, "Reconciling")["status"] == "True"
    build.patch_spec(podTemplate=None)
    build.wait_ready(90)


def _reason(status: dict[str, object]) -> str:
    return str(condition(status, "Ready").get("reason", ""))
