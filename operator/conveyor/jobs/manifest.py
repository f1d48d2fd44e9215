"""A Job as Kubernetes wants it.

In: a `JobOrder`, the ImageBuild, its task texts and the operator's settings. Out: the Job dict. Two containers start at once:
`stage` runs user commands and sees no credential, `courier` holds them and runs no user command (architecture: one
stage Job). The pod passes Pod Security "baseline".
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from conveyor.api import names
from conveyor.api.v1alpha1 import ImageBuild, LocalRef
from conveyor.config.platforms import architecture_of, system_of
from conveyor.jobs import ssh
from conveyor.jobs.model import JobOrder, Tasks
from conveyor.jobs.mounts import Volumes, VolumeSources, volumes_of
from conveyor.jobs.own_containers import MOUNTS_VOLUME, courier_container, mounts_container
from conveyor.jobs.repositories import repositories
from conveyor.jobs.resources import CPU_REQUEST, stage_resources
from conveyor.jobs.run_volumes import run_volumes
from conveyor.plan.blocks import STAGE as DOCKERFILE
from conveyor.plan.model import PlannedStage

Json = dict[str, object]

STAGE_COMMAND: Final = ("/.conveyor/bin/stage",)
CA_PATH: Final = "/.conveyor-ca"
SECRETS_PATH: Final = ssh.SECRETS_PATH
_LABEL_VALUE: Final = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSettings:
    """What the operator itself contributes.

    Attributes:
        courier_image: The operator's own image.
        pull_policy: Of the courier image.
        ca_config_map: ConfigMap with the CA bundle in the build's namespace, "" for none.
        from_paths: Kubernetes volume source of every offered `mount: {fromPath: …}`.
        cpu_request: See `stage_resources`.
    """

    courier_image: str
    pull_policy: str = "IfNotPresent"
    ca_config_map: str = ""
    ca_key: str = "ca.crt"
    from_paths: VolumeSources = field(default_factory=dict)
    cpu_request: str = CPU_REQUEST


def run_id(build: ImageBuild) -> str:
    """Identity of the present run: a new one begins with a new generation or a new request."""
    return f"{build.metadata.generation}/{build.requested_at or ''}"


def job_name(order: JobOrder, repo: str) -> str:
    """The deterministic name: creating it twice is how two builders notice each other."""
    if order.stages:
        return names.job_name(repo, str(order.stages[0].digest), order.attempt)
    return names.export_job_name(repo, order.exports[0].key, order.attempt)


def job(
    order: JobOrder,
    build: ImageBuild,
    settings: PodSettings,
    tasks: Tasks,
    laying_tasks: tuple[str, str] | None = None,
) -> Json:
    """Return the Job that carries out the order; with `laying_tasks` it has the init container `mounts`."""
    spec = _pod_spec(order, build, settings, tasks)
    volumes = _every_volume(order, build, settings)
    if laying_tasks is not None:
        seen = _courier_mounts(order, build, settings)
        image = settings.courier_image, settings.pull_policy
        laid = run_volumes(order, build).laying
        spec["initContainers"] = [mounts_container(image, laying_tasks, [*seen, *laid])]
        volumes.append(MOUNTS_VOLUME)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(order, build.spec.repo),
            "namespace": build.metadata.namespace,
            "labels": _labels(order, build),
            "annotations": _annotations(order, build),
            "ownerReferences": [dict(build.owner_reference())],
        },
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "podReplacementPolicy": "Failed",
            "activeDeadlineSeconds": build.spec.stage_timeout_seconds() * _stage_count(order),
            "template": {
                "metadata": _pod_metadata(order, build),
                "spec": {**spec, "volumes": volumes},
            },
        },
    }


def _stage_count(order: JobOrder) -> int:
    """How many stages of the user's there are: inner ones are parts of one."""
    return max(1, sum(not stage.inner for stage in order.stages))


def _labels(order: JobOrder, build: ImageBuild) -> dict[str, str]:
    stages = order.stages
    component = names.COMPONENT_STAGE if stages else names.COMPONENT_EXPORT
    labels = {
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        names.LABEL_PART_OF: names.MANAGED_BY,
        names.LABEL_COMPONENT: component,
        names.LABEL_IMAGE_BUILD: names.label_value(build.metadata.name),
        names.LABEL_GENERATION: str(build.metadata.generation),
        names.LABEL_ATTEMPT: str(order.attempt),
        names.LABEL_REPO_HASH: names.repo_hash(build.spec.repo),
        names.LABEL_IMAGE: names.label_value(order.image),
    }
    if stages:
        shown = DOCKERFILE if stages[0].inner else stages[0].name
        labels[names.LABEL_STAGE] = names.label_value(shown)
        labels[names.LABEL_STAGE_DIGEST] = str(stages[0].digest)[:_LABEL_VALUE]
    return labels


def _annotations(order: JobOrder, build: ImageBuild) -> dict[str, str]:
    outline = {names.ANNOTATION_OUTLINE: order.outline} if order.outline else {}
    return {
        names.ANNOTATION_IMAGE: order.image,
        names.ANNOTATION_PLATFORM: order.platform,
        names.ANNOTATION_STAGES: ",".join(stage.name for stage in order.stages),
        names.ANNOTATION_DIGESTS: ",".join(str(stage.digest) for stage in order.stages),
        names.ANNOTATION_CONTENTS: ",".join(str(stage.content_digest) for stage in order.stages),
        names.ANNOTATION_PARENT: order.parent.manifest_digest,
        names.ANNOTATION_PARENT_LAYERS: str(len(order.parent.layers)),
        names.ANNOTATION_EXPORTS: json.dumps(order.keys),
        names.ANNOTATION_RUN: run_id(build),
        **outline,
    }


def _pod_metadata(order: JobOrder, build: ImageBuild) -> Json:
    template = build.spec.pod_template
    return {
        "labels": {**template.labels, **_labels(order, build)},
        "annotations": {
            # Stopping a builder half-way costs its work: let cluster autoscalers drain elsewhere first.
            "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
            "kubectl.kubernetes.io/default-container": names.CONTAINER_STAGE,
            **template.annotations,
        },
    }


def _pod_spec(order: JobOrder, build: ImageBuild, settings: PodSettings, tasks: Tasks) -> Json:
    template = build.spec.pod_template
    mounts = volumes_of(order, build, settings.from_paths)
    mounts.mounts += run_volumes(order, build).stage
    stage = _stage_container(order, build, settings, tasks.stage, mounts)
    courier = _courier_container(order, build, settings, tasks)
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "imagePullSecrets": [{"name": ref.name} for ref in build.spec.image_pull_secrets],
        "nodeSelector": {**template.node_selector, **_node_of(order.platform)},
        "tolerations": [_plain(toleration) for toleration in template.tolerations],
        # The kubelet starts them in turn.
        "containers": [courier, stage] if tasks.fetches_first else [stage, courier],
        **_optional(build),
    }


def _optional(build: ImageBuild) -> Json:
    template = build.spec.pod_template
    values = {
        "priorityClassName": template.priority_class_name,
        "runtimeClassName": template.runtime_class_name,
        "serviceAccountName": template.service_account_name,
    }
    return {key: value for key, value in values.items() if value}


def _node_of(platform: str) -> dict[str, str]:
    """Labels of the nodes that can run programs of the platform; they win over the user's."""
    return {
        names.NODE_OS: system_of(platform),
        names.NODE_ARCHITECTURE: architecture_of(platform),
    }


def _plain(toleration: object) -> object:
    return toleration.model_dump(mode="json", by_alias=True, exclude_none=True)  # type: ignore[attr-defined]


def _stage_container(
    order: JobOrder, build: ImageBuild, settings: PodSettings, task: str, mounts: Volumes
) -> Json:
    return {
        "name": names.CONTAINER_STAGE,
        "image": order.execution,
        # By digest: what the node has is right, and a registry that is down does not matter.
        "imagePullPolicy": "IfNotPresent",
        "command": list(STAGE_COMMAND),
        "workingDir": "/",
        "env": [{"name": "CONVEYOR_TASK", "value": task}],
        "securityContext": {"runAsUser": 0, "runAsGroup": 0},
        "resources": stage_resources(build.spec.pod_template.resources, settings.cpu_request),
        "volumeMounts": [
            *_ca_mount(settings),
            *ssh.stage_mounts(order, build),
            *mounts.mounts,
        ],
    }


def _courier_container(
    order: JobOrder, build: ImageBuild, settings: PodSettings, tasks: Tasks
) -> Json:
    seen: list[Json] = [
        *_courier_mounts(order, build, settings),
        *ssh.courier_mounts(order, build),
    ]
    image = settings.courier_image, settings.pull_policy
    return courier_container(image, tasks.courier, seen, awaited=tasks.fetches_first)


def _courier_mounts(order: JobOrder, build: ImageBuild, settings: PodSettings) -> list[Json]:
    """What reading the repositories needs."""
    secrets: list[Json] = [
        {"name": volume, "mountPath": path, "readOnly": True}
        for volume, path, _ in secret_mounts(order, build)
    ]
    return [*_ca_mount(settings), *secrets]


def secret_mounts(order: JobOrder, build: ImageBuild) -> tuple[tuple[str, str, LocalRef], ...]:
    """(volume name, path, Secret) of everything that only the courier sees."""
    found = repositories(order, build.spec)
    return (
        *registry_mounts(build),
        *((it.volume, it.path, it.secret) for it in found if it.secret is not None),
    )


def registry_mounts(build: ImageBuild) -> tuple[tuple[str, str, LocalRef], ...]:
    """(volume name, path, Secret) of the registries' logins, the same for all Jobs."""
    refs = [build.spec.push_secret_ref, *build.spec.pull_secret_refs]
    named = [(f"registry-{index}", ref) for index, ref in enumerate(filter(None, refs))]
    return tuple((name, f"{SECRETS_PATH}/{name}", ref) for name, ref in named)


def _ca_mount(settings: PodSettings) -> list[Json]:
    if not settings.ca_config_map:
        return []
    return [{"name": "ca", "mountPath": CA_PATH, "readOnly": True}]


def _every_volume(order: JobOrder, build: ImageBuild, settings: PodSettings) -> list[Json]:
    return [
        *_volumes(order, build, settings),
        *ssh.volumes(order, build),
        *volumes_of(order, build, settings.from_paths).volumes,
        *run_volumes(order, build).volumes.values(),
    ]


def _volumes(order: JobOrder, build: ImageBuild, settings: PodSettings) -> list[Json]:
    volumes: list[Json] = []
    if name := settings.ca_config_map:
        items = [{"key": settings.ca_key, "path": "ca.crt"}]
        volumes.append({"name": "ca", "configMap": {"name": name, "items": items}})
    for volume, _, ref in secret_mounts(order, build):
        volumes.append({"name": volume, "secret": {"secretName": ref.name, "defaultMode": 0o400}})
    return volumes


def stage_names(stages: tuple[PlannedStage, ...]) -> str:
    """The stages of a Job for people: `app/install`, `app/install…setup` or `app/stage/base/dockerfile…app/dockerfile`."""
    if not stages:
        return "export"
    first, last = stages[0], stages[-1]
    shown = last.name if last.image == first.image else f"{last.image or '~'}/{last.name}"
    tail = "" if first is last else f"…{shown}"
    return f"{first.image or '~'}/{first.name}{tail}"


def labels_selector(extra: Mapping[str, str] | None = None) -> str:
    """Label selector of all our Jobs and pods, narrowed by `extra`."""
    wanted = {names.LABEL_MANAGED_BY: names.MANAGED_BY, **(extra or {})}
    return ",".join(f"{key}={value}" for key, value in wanted.items())
