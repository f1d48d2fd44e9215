"""`ImageBuild.spec`: what a user asks for.

In: the spec as JSON-like data. Out: `ImageBuildSpec`. The texts below fields become `kubectl
explain`. Every string, list and map is bounded, so that the API server can bound the cost of CEL.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from conveyor.api.dockerfile_mode import DockerfileMode
from conveyor.api.duration import DURATION_PATTERN, milliseconds, seconds
from conveyor.api.git_credentials import GitCredential, secret_for
from conveyor.api.model import Model, Rule
from conveyor.api.mounts import BuildSecret, Mounts
from conveyor.api.pod_template import PodTemplate
from conveyor.api.refs import ConfigMapKeyRef, LocalRef
from conveyor.api.source import Source, relative_path_rule

MAX_CONFIG_LENGTH = 256 * 1024
MAX_IMAGES = 256

# HOST[:PORT]/PATH. A host has a dot or a port or is "localhost"; anything else would be taken for a
# path on some default registry.
REPO_PATTERN = (
    r"^(localhost|[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)+"
    r"|[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?:[0-9]{1,5}"
    r"|localhost:[0-9]{1,5}|\[[0-9a-fA-F:]+\](:[0-9]{1,5})?)"
    r"(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)+$"
)

REFERENCE_PATTERN = f"{REPO_PATTERN.removesuffix('$')}:[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}$"

Repo = Annotated[str, Field(pattern=REPO_PATTERN, max_length=255)]
Duration = Annotated[str, Field(pattern=DURATION_PATTERN, max_length=32)]


class Execution(StrEnum):
    """How stages become pods."""

    STAGE_PER_JOB = "StagePerJob"
    IMAGE_PER_JOB = "ImagePerJob"


class Backend(StrEnum):
    """Where stages run."""

    KUBERNETES = "kubernetes"
    DOCKER = "docker"


class EnvVar(Model):
    """A variable that templates of werf.yaml may read with `env`."""

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=255)
    value: str = Field(default="", max_length=32768)


class CABundle(Model):
    """Additional trusted certificate authorities."""

    config_map_ref: ConfigMapKeyRef
    """ConfigMap in this namespace with PEM certificates."""


class ImageExport(Model):
    """An image of the build under a reference of the user's own."""

    image: str = Field(max_length=255)
    """Name of the image in werf.yaml; empty for the one without a name."""
    reference: str = Field(pattern=REFERENCE_PATTERN, max_length=384)
    """HOST[:PORT]/PATH:TAG. The image there has no labels that begin with werf (werf export)."""


class Compatibility(Model):
    """Where Conveyor and werf differ on purpose: do as werf does."""

    keep_entrypoint_with_cmd: bool = False
    """A docker.CMD in werf.yaml without docker.ENTRYPOINT leaves the base image's ENTRYPOINT, as werf does.
    Default: it resets it."""
    ignore_here_documents: bool = False
    """A stored stage serves though the text of a here-document in its Dockerfile was another one, as in werf, whose
    digests do not have that text. Default: it is built again."""


def _duration_rule(field: str) -> Rule:
    def holds(spec: "ImageBuildSpec") -> bool:
        value = {"stageTimeout": spec.stage_timeout, "timeout": spec.timeout}[field]
        return value is None or 1_000 <= milliseconds(value) <= 7 * 24 * 3_600_000

    expression = (
        f"duration(self.{field}) >= duration('1s') && duration(self.{field}) <= duration('168h')"
    )
    return Rule(
        cel=f"!has(self.{field}) || ({expression})",
        message=f"{field} must be between 1s and 168h",
        holds=holds,
        field=field,
    )


class ImageBuildSpec(Model):
    """What to build, where from, where to."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="has(self.source) || has(self.config)",
            message="give source (a repository) or config (werf.yaml inline), or both",
            holds=lambda spec: spec.source is not None or spec.config is not None,
        ),
        Rule(
            cel="!(has(self.config) && has(self.configPath))",
            message="config (werf.yaml inline) and configPath (a file) exclude each other",
            holds=lambda spec: spec.config is None or spec.config_path is None,
        ),
        relative_path_rule("configPath", lambda spec: spec.config_path),
        _duration_rule("stageTimeout"),
        _duration_rule("timeout"),
        Rule(
            message="images must not name an image twice",
            holds=lambda spec: len(set(spec.images)) == len(spec.images),
        ),
        Rule(
            message="gitCredentials must not name a url twice",
            holds=lambda spec: (
                len({it.url for it in spec.git_credentials}) == len(spec.git_credentials)
            ),
        ),
        Rule(
            message="imageExports must not name a reference twice",
            holds=lambda spec: (
                len({it.reference for it in spec.image_exports}) == len(spec.image_exports)
            ),
        ),
        Rule(
            message="secondaryRepos must not name a repository twice",
            holds=lambda spec: len(set(spec.secondary_repos)) == len(spec.secondary_repos),
        ),
        Rule(
            message="secrets must not name an id twice",
            holds=lambda spec: len({it.id for it in spec.secrets}) == len(spec.secrets),
        ),
        Rule(
            message="env must not name a variable twice",
            holds=lambda spec: len(spec.env_map()) == len(spec.env),
        ),
    )

    source: Source | None = None
    """Where the project comes from. May be left out when `config` is given and needs no files."""
    git_credentials: tuple[GitCredential, ...] = Field(
        default=(),
        max_length=16,
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["url"],
        },
    )
    """Secrets for repositories that git mappings of werf.yaml name by `url`; the longest url that fits counts."""
    config: str | None = Field(default=None, min_length=1, max_length=MAX_CONFIG_LENGTH)
    """werf.yaml inline; replaces the one in the repository."""
    config_path: str | None = Field(default=None, min_length=1, max_length=1024)
    """Path of werf.yaml in the project directory. Default: werf.yaml, then werf.yml."""
    images: tuple[Annotated[str, Field(min_length=1, max_length=255)], ...] = Field(
        default=(), max_length=MAX_IMAGES, json_schema_extra={"x-kubernetes-list-type": "set"}
    )
    """Names or patterns (`web-*`, `!web-debug`, `~`) of the images to build, with what they need. Empty: all."""
    repo: Repo
    """Repository of stages and images: HOST[:PORT]/PATH, without tag."""
    secondary_repos: tuple[Repo, ...] = Field(
        default=(), max_length=8, json_schema_extra={"x-kubernetes-list-type": "set"}
    )
    """Repositories that are only read: a stage that `repo` does not have is copied from the first that has it."""
    require_built: bool = False
    """Build nothing: fail with StagesRequired unless every stage is stored (werf --require-built-images)."""
    image_exports: tuple[ImageExport, ...] = Field(
        default=(),
        max_length=256,
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["reference"],
        },
    )
    """Images to write under references of your own before the build is Ready."""
    push_secret_ref: LocalRef | None = None
    """Secret of type kubernetes.io/dockerconfigjson for reading and writing `repo`."""
    pull_secret_refs: tuple[LocalRef, ...] = Field(default=(), max_length=16)
    """Secrets of type kubernetes.io/dockerconfigjson for reading base images."""
    image_pull_secrets: tuple[LocalRef, ...] = Field(default=(), max_length=16)
    """Secrets with which nodes pull stages from `repo`: imagePullSecrets of the build pods."""
    backend: Backend = Backend.KUBERNETES
    """kubernetes: pods of this cluster. docker: containers of the Docker Engine that the operator was given."""
    execution: Execution = Execution.STAGE_PER_JOB
    """StagePerJob: a pod for every stage; FROM blocks that only follow each other share one. ImagePerJob: consecutive stages
    of an image share one, too."""
    dockerfile_mode: DockerfileMode = DockerfileMode.BUILDKIT
    """buildkit: only the FROM blocks that a target needs, at the same time where they can. legacy: every block up
    to the target, one after the other, as Docker's first builder. The images are the same."""
    parallel_tasks_limit: int = Field(default=5, ge=1, le=100)
    """How many Jobs of this build run at once."""
    stage_timeout: Duration = "1h"
    """How long one stage may take, like 90s, 30m or 1h30m."""
    timeout: Duration | None = None
    """How long the whole build may take. Default: no limit."""
    retry_limit: int = Field(default=2, ge=0, le=10)
    """How often a stage starts again when its pod was evicted or lost (not: its command failed)."""
    suspend: bool = False
    """While true nothing new is started and running Jobs are stopped."""
    environment: str | None = Field(default=None, min_length=1, max_length=128)
    """Name of the environment, `.Env` in templates (werf --env)."""
    env: tuple[EnvVar, ...] = Field(
        default=(),
        max_length=256,
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        },
    )
    """Variables for templates of werf.yaml, as far as giterminism allows them."""
    ca_bundle: CABundle | None = None
    """Certificate authorities that git, the registry and programs in stages trust in addition."""
    compatibility: Compatibility = Compatibility()
    """Behaviour of werf where Conveyor's default is another one."""
    mounts: Mounts = Mounts()
    """Where the directories of `mount` of stapel images, and of RUN --mount=type=cache, come from."""
    secrets: tuple[BuildSecret, ...] = Field(
        default=(),
        max_length=64,
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["id"],
        },
    )
    """Secrets that RUN --mount=type=secret may ask for by id; only the pods of such a RUN have them."""
    ssh_key_secret_refs: tuple[LocalRef, ...] = Field(default=(), max_length=16)
    """Secrets of type kubernetes.io/ssh-auth, `known_hosts` or not: keys of an agent for user stages and RUN --mount."""
    pod_template: PodTemplate = PodTemplate()
    """Where and how build pods run."""
    job_ttl_seconds: int = Field(default=600, ge=60, le=604800)
    """How long finished Jobs (and their logs) are kept."""

    def env_map(self) -> Mapping[str, str]:
        """Variables by name."""
        return {variable.name: variable.value for variable in self.env}

    def git_secret(self, url: str) -> LocalRef | None:
        """Return the Secret for a repository that werf.yaml names."""
        return secret_for(url, self.git_credentials, self.source.git if self.source else None)

    def stage_timeout_seconds(self) -> int:
        """`stageTimeout` in seconds, at least 1."""
        return seconds(self.stage_timeout)

    def timeout_seconds(self) -> int | None:
        """`timeout` in seconds."""
        return None if self.timeout is None else seconds(self.timeout)
