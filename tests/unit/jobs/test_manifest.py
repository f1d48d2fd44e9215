"""Job orders to Job objects: golden files, and what no Job may ever have."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, union-attr, arg-type, var-annotated"

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.jobs.values import EXTERNAL, digest, sha, to_build

from conveyor.api.quantity import quantity
from conveyor.api.v1alpha1 import ImageBuild
from conveyor.config.dockerfile import Instruction
from conveyor.config.model import GitMapping, GitRemote
from conveyor.jobs.manifest import (
    PodSettings,
    job,
    job_name,
    labels_selector,
    run_id,
    secret_mounts,
    stage_names,
)
from conveyor.jobs.model import Export, JobOrder, ParentImage, Tasks
from conveyor.jobs.repositories import repositories
from conveyor.plan.model import BlockStep, CopySource, DockerfileBlock, StageWork
from conveyor.plan.model_sources import GitArchive, GitPatch

SETTINGS = PodSettings(
    courier_image="registry.example/conveyor:1", ca_config_map="conveyor-ca-shop"
)
SPEC = {
    "source": {
        "git": {
            "url": "https://git.example/shop.git",
            "commit": "c" * 40,
            "secretRef": {"name": "git-login"},
        }
    },
    "repo": "registry.example/shop",
    "pushSecretRef": {"name": "push"},
    "pullSecretRefs": [{"name": "pull-a"}, {"name": "pull-b"}],
    "imagePullSecrets": [{"name": "node-pull"}],
    "stageTimeout": "30m",
    "jobTTLSeconds": 3600,
    "podTemplate": {
        "labels": {"team": "shop"},
        "annotations": {"note": "x"},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "builders", "operator": "Exists", "effect": "NoSchedule"}],
        "priorityClassName": "low",
        "runtimeClassName": "gvisor",
        "serviceAccountName": "builder",
        "resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
    },
}
PARENT = ParentImage(manifest_digest=sha("parent"), config={}, layers=())
EXECUTION = f"registry.example/shop@{sha('execution')}"
MAPPED = to_build(
    "backend/app/beforeInstall",
    base=EXTERNAL,
    work=StageWork(archives=(GitArchive(mapping=GitMapping(to="/app"), commit="c" * 40),)),
)
STAGES = (
    MAPPED,
    to_build("backend/app/install"),
)
COPY = Export(key=f"copy-{'ab' * 32}", source="backend/app", sources=("/bin",))


def build(name="shop", requested=None, **spec):
    annotations = {"conveyor.dev/requestedAt": requested} if requested else {}
    return ImageBuild.from_object(
        {
            "metadata": {
                "name": name,
                "namespace": "team-shop",
                "uid": "0d2f4c1e-0000-4000-8000-000000000001",
                "generation": 3,
                "annotations": annotations,
            },
            "spec": {**SPEC, **spec},
        }
    )


MINIMAL = ImageBuild.from_object(
    {
        "metadata": {"name": "min", "namespace": "default", "uid": "u", "generation": 1},
        "spec": {"repo": "registry.example/min", "config": "project: x"},
    }
)


def order(*stages, exports=(), attempt=0, image="backend/app"):
    return JobOrder(
        image=image,
        stages=stages,
        parent=PARENT,
        execution=EXECUTION,
        exports=tuple(exports),
        attempt=attempt,
    )


def made(what=None, owner=None, settings=SETTINGS):
    return job(
        what or order(*STAGES, exports=[COPY], attempt=2),
        owner or build(requested="2024-05-06"),
        settings,
        Tasks(stage='{"stage":1}', courier='{"courier":1}'),
    )


@pytest.mark.parametrize(
    ("given", "default", "expected"),
    [
        ({}, "50m", {"requests": {"cpu": "50m"}}),
        ({}, "0", {}),
        (
            {"requests": {"memory": "1Gi"}},
            "0.1",
            {"requests": {"memory": "1Gi", "cpu": "0.1"}},
        ),
        ({"requests": {"cpu": 2}}, "50m", {"requests": {"cpu": "2"}}),
        # Kubernetes takes a limit for the request as well.
        ({"limits": {"cpu": "1"}}, "50m", {"limits": {"cpu": "1"}}),
    ],
)
def test_processor_of_a_stage(given: Any, default: str, expected: Any) -> None:
    settings = replace(SETTINGS, cpu_request=default)
    owner = build(podTemplate={"resources": given})
    containers = made(owner=owner, settings=settings)["spec"]["template"]["spec"]["containers"]
    assert containers[0]["resources"] == expected


def test_a_stage_outweighs_its_courier() -> None:
    """What a container requests is its weight where processors are scarce."""
    containers = made(owner=MINIMAL)["spec"]["template"]["spec"]["containers"]
    stage, courier = (quantity(it["resources"]["requests"]["cpu"]) for it in containers)
    assert stage >= 10 * courier


def test_a_stage_that_waits_for_inputs_comes_second() -> None:
    """The kubelet starts containers in turn: what fetches starts first, whose log people ask for is said."""
    told = Tasks(stage="{}", courier="{}", fetches_first=True)
    template = job(order(*STAGES), build(), SETTINGS, told)["spec"]["template"]
    assert [it["name"] for it in template["spec"]["containers"]] == ["courier", "stage"]
    notes = template["metadata"]["annotations"]
    assert notes["kubectl.kubernetes.io/default-container"] == "stage"


GOLDEN = {
    "stage": made,
    "export": lambda: made(order(exports=[COPY], image="")),
    "minimal": lambda: made(order(STAGES[0]), MINIMAL, PodSettings(courier_image="conveyor")),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_jobs(*, name: str, golden: Path, update_golden: bool) -> None:
    text = yaml.safe_dump(GOLDEN[name](), sort_keys=True, allow_unicode=True)
    path = golden / f"{name}.yaml"
    if update_golden:
        path.write_text(text)
    assert text == path.read_text(), "run pytest tests/unit/jobs --update-golden, look at the diff"


# --- what hostile code in a stage could use -----------------------------------------------------------------------------

ALL = [GOLDEN[name]() for name in GOLDEN]
EVERY = pytest.mark.parametrize("body", ALL, ids=list(GOLDEN))


def pod(body):
    return body["spec"]["template"]["spec"]


def container(body, name):
    (found,) = [one for one in pod(body)["containers"] if one["name"] == name]
    return found


@EVERY
def test_the_stage_container_sees_no_secret(body):
    secrets = {v["name"] for v in pod(body)["volumes"] if "secret" in v}
    stage = container(body, "stage")
    assert not secrets.intersection(mount["name"] for mount in stage["volumeMounts"])
    assert [one["name"] for one in stage["env"]] == ["CONVEYOR_TASK"]
    assert "envFrom" not in stage
    assert all("valueFrom" not in one for one in stage["env"])


@EVERY
def test_no_container_has_a_token_of_the_cluster(body):
    assert pod(body)["automountServiceAccountToken"] is False
    assert pod(body)["enableServiceLinks"] is False
    assert not any("projected" in volume for volume in pod(body)["volumes"])


@EVERY
def test_the_pod_passes_pod_security_baseline(body):
    spec = pod(body)
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"}.intersection(spec)
    assert "securityContext" not in spec
    kinds = {kind for volume in spec["volumes"] for kind in volume if kind != "name"}
    assert kinds <= {"emptyDir", "secret", "configMap"}
    for one in spec["containers"]:
        assert "ports" not in one
        allowed = {"runAsUser", "runAsGroup", "allowPrivilegeEscalation", "readOnlyRootFilesystem"}
        allowed |= {"capabilities", "seccompProfile"}
        context = one["securityContext"]
        assert set(context) <= allowed
        assert not context.get("capabilities", {}).get("add")
        assert context.get("seccompProfile", {"type": "RuntimeDefault"})["type"] != "Unconfined"


@EVERY
def test_the_courier_may_do_nothing_with_being_root(body):
    context = container(body, "courier")["securityContext"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    secrets = {volume["name"] for volume in pod(body)["volumes"] if "secret" in volume}
    mounts = container(body, "courier")["volumeMounts"]
    assert all(mount["readOnly"] for mount in mounts if mount["name"] in secrets)


def test_a_pod_without_secrets_waits_for_no_volume():
    assert pod(GOLDEN["minimal"]())["volumes"] == []


@EVERY
def test_every_mount_has_its_volume(body):
    volumes = [volume["name"] for volume in pod(body)["volumes"]]
    assert len(set(volumes)) == len(volumes)
    for one in pod(body)["containers"]:
        assert {mount["name"] for mount in one["volumeMounts"]} <= set(volumes)
        paths = [mount["mountPath"] for mount in one["volumeMounts"]]
        assert len(set(paths)) == len(paths)


@EVERY
def test_a_job_runs_one_pod_once(body):
    spec = body["spec"]
    assert (spec["backoffLimit"], spec["completions"], spec["parallelism"]) == (0, 1, 1)
    assert pod(body)["restartPolicy"] == "Never"
    assert "ttlSecondsAfterFinished" not in spec  # while the build goes on, its Jobs are its memory


def texts(value):
    """Label values of all parts of a Job."""
    meta = [value["metadata"], value["spec"]["template"]["metadata"]]
    return [text for one in meta for text in one["labels"].values()]


@pytest.mark.parametrize("name", ["a", "x" * 253, "a.b-c", "ä/ö " * 50, ""])
def test_names_and_labels_fit(name):
    stage = to_build(f"{name}/install", base=EXTERNAL)
    bodies = [
        made(order(stage, image=name, attempt=10), build(name=name or "b")),
        made(order(exports=[COPY], image=name, attempt=10), build(name=name or "b")),
    ]
    for body in bodies:
        assert len(body["metadata"]["name"]) <= 63
        assert all(len(text) <= 63 for text in texts(body))
        for volume in pod(body)["volumes"]:
            assert len(volume["name"]) <= 63


def test_a_users_labels_do_not_replace_ours():
    hostile = build(podTemplate={"labels": {"team": "shop"}})
    labels = made(owner=hostile)["spec"]["template"]["metadata"]["labels"]
    assert labels["team"] == "shop"
    assert labels["app.kubernetes.io/managed-by"] == "conveyor"


def test_the_deadline_grows_with_the_stages():
    def deadline(what):
        return made(what)["spec"]["activeDeadlineSeconds"]

    assert deadline(order(STAGES[0])) == 1800
    assert deadline(order(*STAGES)) == 3600
    assert deadline(order(exports=[COPY])) == 1800
    inner = replace(to_build("app/stage/base/RUN1"), inner=True)
    blocks = inner, to_build("app/stage/base/dockerfile"), to_build("app/dockerfile")
    assert deadline(order(*blocks)) == 3600


def test_what_an_observer_will_read():
    notes = made()["metadata"]["annotations"]
    assert notes["conveyor.dev/digests"].split(",") == [str(stage.digest) for stage in STAGES]
    assert notes["conveyor.dev/parent"] == sha("parent")
    assert notes["conveyor.dev/exports"] == f'{{"e0": "{COPY.key}"}}'
    assert notes["conveyor.dev/run"] == "3/2024-05-06"


def test_names_are_made_of_repository_digest_and_attempt():
    first = job_name(order(STAGES[0]), "registry.example/shop")
    assert first == job_name(order(*STAGES), "registry.example/shop")
    assert first.startswith(f"stage-{str(STAGES[0].digest)[:16]}-")
    others = {
        job_name(order(STAGES[0], attempt=1), "registry.example/shop"),
        job_name(order(STAGES[1]), "registry.example/shop"),
        job_name(order(STAGES[0]), "registry.example/other"),
        job_name(order(exports=[COPY]), "registry.example/shop"),
    }
    assert len(others | {first}) == 5


def test_a_new_request_is_a_new_run():
    assert run_id(build()) == "3/"
    assert run_id(build(requested="a")) != run_id(build(requested="b"))


def test_secrets_are_for_the_courier_in_a_known_order():
    registries = [("registry-0", "push"), ("registry-1", "pull-a"), ("registry-2", "pull-b")]
    mounts = secret_mounts(order(MAPPED), build())
    assert [(volume, ref.name) for volume, _, ref in mounts] == [
        *registries,
        ("git-0", "git-login"),
    ]
    assert secret_mounts(order(MAPPED), MINIMAL) == ()


def test_a_job_has_only_the_logins_that_its_stages_need():
    """A stage without files from git: none. One that maps a single other repository: not the project's, not others'."""
    spec = {
        "gitCredentials": [
            {"url": "https://git.example/libs", "secretRef": {"name": "libs"}},
            {"url": "https://git.example", "secretRef": {"name": "rest"}},
        ]
    }

    def git(*works):
        stages = [to_build(f"app/s{number}", work=work) for number, work in enumerate(works)]
        mounts = secret_mounts(order(*stages), build(**spec))
        return [(volume, ref.name) for volume, _, ref in mounts if volume.startswith("git")]

    lib, other, third = (
        GitMapping(name="x", to=f"/{name}", remote=GitRemote(url=f"https://{name}", tag="v"))
        for name in ("git.example/libs/a.git", "git.example/b", "other.example/c")
    )
    archives = StageWork(archives=tuple(GitArchive(mapping=it, commit="c") for it in (third, lib)))
    assert git(StageWork(commands=("make",))) == []
    assert git(archives) == [("git-1", "libs")]
    moved = StageWork(patches=(GitPatch(mapping=other, from_commit="a", commit="b"),))
    assert git(archives, moved) == [("git-1", "libs"), ("git-2", "rest")]
    same = StageWork(patches=(GitPatch(mapping=lib, from_commit="b", commit="b"),))
    assert git(same) == []


def test_a_dockerfile_without_files_of_its_context_needs_no_login():
    def step(keyword, source=None):
        instruction = Instruction(keyword=keyword, args=("a", "b"), original=keyword)
        return BlockStep(instruction=instruction, source=source)

    def names(*steps):
        block = DockerfileBlock(
            steps=steps, context="", dockerfile="Dockerfile", dockerignore="", commit="c"
        )
        stages = order(to_build("app/dockerfile", work=StageWork(block=block)))
        return [it.name for it in repositories(stages, build().spec)]

    assert names(step("RUN"), step("COPY", CopySource(image="tools"))) == []
    assert names(step("RUN"), step("COPY", CopySource())) == ["own"]
    assert names(step("ADD")) == ["own"]


def test_words_for_people():
    assert stage_names(STAGES[:1]) == "backend/app/beforeInstall"
    assert stage_names(STAGES) == "backend/app/beforeInstall…install"
    blocks = to_build("app/stage/base/dockerfile"), to_build("app/dockerfile")
    assert stage_names(blocks) == "app/stage/base/dockerfile…app/dockerfile"
    assert stage_names(()) == "export"
    assert stage_names((to_build("/install"),)) == "~/install"


def test_the_selector_finds_our_jobs_only():
    assert labels_selector() == "app.kubernetes.io/managed-by=conveyor"
    narrow = labels_selector({"conveyor.dev/repo-hash": "12"})
    assert narrow == "app.kubernetes.io/managed-by=conveyor,conveyor.dev/repo-hash=12"
    assert len(str(digest("x"))) == 56


def test_a_job_runs_on_a_node_of_its_platform_whatever_the_user_says():
    template = {
        **SPEC["podTemplate"],
        "nodeSelector": {"kubernetes.io/arch": "amd64", "disk": "fast"},
    }
    order = JobOrder(
        image="app",
        stages=STAGES,
        parent=PARENT,
        execution=EXECUTION,
        platform="linux/arm/v7",
    )
    made = job(order, build(podTemplate=template), SETTINGS, Tasks(stage="{}", courier="{}"))
    selector = made["spec"]["template"]["spec"]["nodeSelector"]
    assert selector == {"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm", "disk": "fast"}
    assert made["metadata"]["annotations"]["conveyor.dev/platform"] == "linux/arm/v7"
