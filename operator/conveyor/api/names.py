"""Every string that Kubernetes sees: group, labels, annotations, conditions, reasons, names.

In: image names, repositories, stage digests. Out: names and label values that the API server
accepts (<= 63 characters). Nothing here knows a cluster; the same input gives the same name.
"""

import hashlib
import re
from enum import StrEnum
from typing import Self

GROUP = "conveyor.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "ImageBuild"
PLURAL = "imagebuilds"
SINGULAR = "imagebuild"
SHORT_NAMES = ("ib", "ibs")
CATEGORY = "conveyor"
CRD_NAME = f"{PLURAL}.{GROUP}"

FIELD_MANAGER = "conveyor"
"""Field manager of every server-side apply."""
EVENT_COMPONENT = "conveyor"
"""`reportingController` of our Events."""

LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_PART_OF = "app.kubernetes.io/part-of"
LABEL_COMPONENT = "app.kubernetes.io/component"
MANAGED_BY = "conveyor"
COMPONENT_STAGE = "stage-build"
COMPONENT_EXPORT = "import-export"
COMPONENT_CA = "ca-bundle"

LABEL_IMAGE_BUILD = f"{GROUP}/imagebuild"
"""`label_value()` of the ImageBuild's name."""
LABEL_GENERATION = f"{GROUP}/generation"
LABEL_IMAGE = f"{GROUP}/image"
"""`label_value()` of the image's name in werf.yaml."""
LABEL_STAGE = f"{GROUP}/stage"
LABEL_STAGE_DIGEST = f"{GROUP}/stage-digest"
"""The whole stage digest (56 hex digits); of the first stage where a Job runs several."""
LABEL_ATTEMPT = f"{GROUP}/attempt"
LABEL_REPO_HASH = f"{GROUP}/repo-hash"
"""`repo_hash()` of the repository the stage goes to."""

ANNOTATION_REQUESTED_AT = f"{GROUP}/requestedAt"
"""On an ImageBuild: a new value asks for another try. Echo: `status.lastHandledRequestedAt`."""
ANNOTATION_IMAGE = f"{GROUP}/image"
"""On Jobs: the image's name as written in werf.yaml."""
ANNOTATION_PLATFORM = f"{GROUP}/platform"
"""On Jobs: os/arch[/variant] that it builds for; it runs on a node of that architecture."""
ANNOTATION_STAGES = f"{GROUP}/stages"
"""On Jobs: names of the stages it runs, comma separated."""

ANNOTATION_DIGESTS = f"{GROUP}/digests"
"""On Jobs: digests of the stages it runs, comma separated; empty for an export Job."""
ANNOTATION_CONTENTS = f"{GROUP}/contents"
"""On Jobs: content digests of the same stages: one digest stands for other files at another commit."""
ANNOTATION_PARENT = f"{GROUP}/parent"
"""On Jobs: manifest digest of the image that the first stage starts from."""
ANNOTATION_PARENT_LAYERS = f"{GROUP}/parent-layers"
"""On Jobs: how many layers that image has."""
ANNOTATION_EXPORTS = f"{GROUP}/exports"
"""On Jobs: JSON, local id of an export to the key it is recorded under; of an assembly to its key."""
ANNOTATION_OUTLINE = f"{GROUP}/outline"
"""On Jobs that only copy: key under which the outline of the image that the first stage starts from is recorded."""
ANNOTATION_RUN = f"{GROUP}/run"
"""On Jobs: which run of the ImageBuild made it: `GENERATION/REQUESTED_AT`."""

LEADER_LEASE = "conveyor-leader"

NODE_OS = "kubernetes.io/os"
NODE_ARCHITECTURE = "kubernetes.io/arch"

CONTAINER_STAGE = "stage"
CONTAINER_COURIER = "courier"
CONTAINER_MOUNTS = "mounts"
"""Init container of a Job whose RUN mounts files."""

DOCKER_CONFIG_SECRET_KEY = ".dockerconfigjson"  # noqa: S105 - a key in a Secret, no secret
SSH_SECRET_KEY = "ssh-privatekey"  # noqa: S105 - a key in a Secret, no secret

SHORT_DIGEST_LENGTH = 12
"""Hex digits of a stage digest or commit in status."""


class ConditionType(StrEnum):
    """Types of `status.conditions`."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    PLANNED = "Planned"


class Reason(StrEnum):
    """The `reason` of conditions, failures and Events; `meaning` says what it tells a user."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> Self:
        """Members are (word, sentence); the word is the value."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    PLANNING = (
        "Planning",
        "The source is fetched, the configuration read, stored stages are found.",
    )
    PROGRESSING = "Progressing", "Stages are being built."
    SUCCEEDED = "Succeeded", "Every wanted image is published; status.images has the references."
    SUSPENDED = "Suspended", "spec.suspend is true: nothing is started."

    INVALID_SPEC = "InvalidSpec", "The spec contradicts itself or has an unknown field."
    INVALID_WERF_CONFIG = (
        "InvalidWerfConfig",
        "werf.yaml is wrong; the message names file and line.",
    )
    INVALID_DOCKERFILE = (
        "InvalidDockerfile",
        "A Dockerfile is wrong; the message names file and line.",
    )
    NOT_SUPPORTED = "NotSupported", "The configuration asks for something Conveyor does not do."
    STAGES_REQUIRED = (
        "StagesRequired",
        "spec.requireBuilt is true, and the stages that the message names are not stored.",
    )
    MOUNT_NOT_ALLOWED = (
        "MountNotAllowed",
        "A fromPath of werf.yaml has no volume in this cluster: see mounts.fromPaths of the chart.",
    )
    REMOTE_SOURCE_NOT_ALLOWED = (
        "RemoteSourceNotAllowed",
        "An ADD names a host that builds may not fetch from: see addRemote of the chart.",
    )
    REMOTE_SOURCE_UNREACHABLE = (
        "RemoteSourceUnreachable",
        "The server of an ADD's URL or repository does not answer; tried again.",
    )
    WERF_CONFIG_NOT_FOUND = "WerfConfigNotFound", "There is no werf.yaml at that commit and path."

    GIT_REMOTE_UNREACHABLE = "GitRemoteUnreachable", "The git server does not answer; tried again."
    GIT_AUTH_FAILED = (
        "GitAuthFailed",
        "The git server refuses source.git.secretRef or gitCredentials, or wants one.",
    )
    GIT_REVISION_NOT_FOUND = (
        "GitRevisionNotFound",
        "The repository has no such commit or ref.",
    )

    BASE_IMAGE_NOT_FOUND = "BaseImageNotFound", "The registry has no such base image."
    REGISTRY_UNREACHABLE = "RegistryUnreachable", "The registry does not answer; tried again."
    REGISTRY_DENIED = "RegistryDenied", "The registry refuses the credentials or this repository."
    PUSH_FAILED = "PushFailed", "The registry did not take a layer, config or manifest."

    STAGE_FAILED = "StageFailed", "A command of the stage ended with an error; see status.failure."
    STAGE_TIMED_OUT = "StageTimedOut", "The stage ran longer than spec.stageTimeout."
    STAGE_OOM_KILLED = "StageOOMKilled", "The stage used more memory than its limit."
    STAGE_PULL_FAILED = (
        "StagePullFailed",
        "Nodes cannot pull from spec.repo: set spec.imagePullSecrets, or configure the nodes.",
    )
    STAGE_EVICTED = "StageEvicted", "The stage's pod was evicted, preempted or lost with its node."
    STAGE_UNSCHEDULABLE = "StageUnschedulable", "No node takes the stage's pod; see the message."
    PLATFORM_NOT_AVAILABLE = (
        "PlatformNotAvailable",
        "No node of the image's or the FROM block's platform takes pods, or this operator has no tools for it; see the message.",
    )
    POD_REJECTED = (
        "PodRejected",
        "The cluster refuses the pod: quota, pod security or other admission.",
    )
    TIMED_OUT = "TimedOut", "The build ran longer than spec.timeout."

    ENGINE_UNREACHABLE = (
        "EngineUnreachable",
        "The Docker Engine of backend docker does not answer; the build waits for it.",
    )
    SECRET_NOT_FOUND = "SecretNotFound", "A Secret or ConfigMap that the spec names does not exist."
    SECRET_NOT_READABLE = (
        "SecretNotReadable",
        "The operator may not read Secrets here: see credentialNamespaces of the chart.",
    )
    DEPENDENCY_FAILED = "DependencyFailed", "An image that this one is built from failed."
    LOCK_LOST = "LockLost", "The lock of a stage was lost while publishing; tried again."
    INTERNAL_ERROR = "InternalError", "A defect of Conveyor; the operator's log has the details."

    STAGE_STARTED = "StageStarted", "Event: a Job for a stage was created."
    STAGE_BUILT = "StageBuilt", "Event: a stage was built and published."
    INDEX_PUBLISHED = (
        "IndexPublished",
        "Event: the images of all platforms are stored and were joined to one index.",
    )
    STAGE_DISCARDED = (
        "StageDiscarded",
        "Event: somebody else published the same stage first; theirs is used, ours thrown away.",
    )
    STAGE_COPIED = (
        "StageCopied",
        "Event: stages were found in one of spec.secondaryRepos and copied into spec.repo.",
    )
    IMAGE_EXPORTED = (
        "ImageExported",
        "Event: an image stands under a reference of spec.imageExports; the message has its digest.",
    )
    LABELS_KEPT = (
        "LabelsKept",
        "Event: imageSpec asks to remove labels that stay, for without them the stage is not found again.",
    )
    NO_EFFECT = (
        "NoEffect",
        "Event: something in werf.yaml or a Dockerfile has no effect, or less than it seems; "
        "the message says what, and why.",
    )
    CANCELED = (
        "Canceled",
        "Event: Jobs were stopped: the spec changed or the object goes.",
    )


def repo_hash(repo: str) -> str:
    """8 hex digits that stand for a repository in object names."""
    return hashlib.sha256(repo.encode()).hexdigest()[:8]


def job_name(repo: str, digest: str, attempt: int) -> str:
    """Name of the Job that builds a stage: `stage-<16 hex>-<8 hex>-<attempt>`.

    Args:
        repo: The repository the stage goes to.
        digest: Stage digest, hex.
        attempt: 0 for the first try.

    Raises:
        ValueError: The digest is no hex digest.
    """
    return f"stage-{_hex(digest, 16)}-{repo_hash(repo)}-{attempt}"


def export_job_name(repo: str, key: str, attempt: int) -> str:
    """Name of the Job that exports files of an image; `key` says which files of which image."""
    return f"export-{hashlib.sha256(key.encode()).hexdigest()[:16]}-{repo_hash(repo)}-{attempt}"


def stage_lease_name(repo: str, digest: str) -> str:
    """Name of the Lease under which a stage is published: `stage-<32 hex>-<8 hex>`.

    Raises:
        ValueError: The digest is no hex digest.
    """
    return f"stage-{_hex(digest, 32)}-{repo_hash(repo)}"


def ca_config_map_name(build: str) -> str:
    """Name of the ConfigMap with the CA bundle of an ImageBuild's pods."""
    digest = hashlib.sha256(build.encode()).hexdigest()[:8]
    return f"conveyor-ca-{build[:40].strip('-.')}-{digest}"


def label_value(text: str) -> str:
    """`text` if it is a valid label value, else something close to it made unique by a hash."""
    if re.fullmatch(r"(|[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)", text):
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    close = re.sub(r"[^A-Za-z0-9._-]+", ".", text)[:54].strip("._-")
    return f"{close}-{digest}" if close else digest


def short(hex_id: str) -> str:
    """The first digits of a commit or digest, as shown in status."""
    return hex_id[:SHORT_DIGEST_LENGTH]


def _hex(digest: str, length: int) -> str:
    if not re.fullmatch(rf"[0-9a-f]{{{length},}}", digest):
        raise ValueError(f"not a stage digest: {digest!r}")
    return digest[:length]
