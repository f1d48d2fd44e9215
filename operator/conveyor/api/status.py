"""`ImageBuild.status`: what is known about the build.

In: values from `conveyor.jobs.status` and its parts, or the stored status. Out: `ImageBuildStatus` and its JSON.
Times are RFC 3339 in UTC, whole seconds. Lists are atomic, conditions apart: there is one writer,
and managedFields stay small.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from conveyor.api.model import Lenient

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]

MAX_LOG_TAIL = 4096
"""Characters of `failure.logTail`."""
MAX_MESSAGE = 1024
"""Characters of a condition's message."""


class ConditionStatus(StrEnum):
    """Status of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Lenient):
    """The same as metav1.Condition."""

    type: str = Field(min_length=1, max_length=316)
    status: ConditionStatus
    reason: str = Field(min_length=1, max_length=1024)
    message: str = Field(max_length=32768)
    last_transition_time: Time
    observed_generation: int | None = Field(default=None, ge=0)


class StageState(StrEnum):
    """Cached: stored before. Skipped: not tried, since something before it failed."""

    CACHED = "Cached"
    PENDING = "Pending"
    BUILDING = "Building"
    BUILT = "Built"
    FAILED = "Failed"
    SKIPPED = "Skipped"


class ImageState(StrEnum):
    """Ready: published, `ref` can be pulled. Skipped: an image that it needs failed."""

    PENDING = "Pending"
    BUILDING = "Building"
    READY = "Ready"
    FAILED = "Failed"
    SKIPPED = "Skipped"


class StageStatus(Lenient):
    """One stage of an image."""

    name: str = Field(max_length=255)
    """Name of the stage."""
    platform: str | None = Field(default=None, max_length=64)
    """Platform that it is built for, where the image has several."""
    digest: str | None = Field(default=None, max_length=56)
    """First digits of the stage digest, once it is known."""
    state: StageState
    """Cached, Pending, Building, Built, Failed or Skipped."""
    job: str | None = Field(default=None, max_length=63)
    """Job that builds or built it."""
    started_at: Time | None = None
    finished_at: Time | None = None
    reason: str | None = Field(default=None, max_length=64)
    """Why it failed or was skipped."""


class PlatformStatus(Lenient):
    """The image of one platform."""

    platform: str = Field(max_length=64)
    """os/architecture[/variant]."""
    state: ImageState
    """Pending, Building, Ready, Failed or Skipped."""
    ref: str | None = Field(default=None, max_length=512)
    """Reference by digest of this platform's image."""
    tag: str | None = Field(default=None, max_length=128)
    """Tag of its last stage in the repository."""


class ImageStatus(Lenient):
    """One image of werf.yaml."""

    name: str = Field(max_length=255)
    """Name in werf.yaml."""
    final: bool = True
    """False: only other images need it. Left out when true."""
    state: ImageState
    """Pending, Building, Ready, Failed or Skipped."""
    ref: str | None = Field(default=None, max_length=512)
    """Reference by digest, REPO@sha256:…, to pull the image by; of the index where there are several platforms."""
    tag: str | None = Field(default=None, max_length=128)
    """Tag of its last stage in the repository, or of the index."""
    platforms: tuple[PlatformStatus, ...] = ()
    """Its images by platform; left out for linux/amd64 alone."""
    stages: tuple[StageStatus, ...] = ()
    """Stages in order."""
    omitted_stages: int | None = Field(default=None, ge=0)
    """How many stages are not listed, to keep the object small."""


class ImagesSet(Lenient):
    """Images that may be built at the same time."""

    images: tuple[str, ...] = ()


class PlanStatus(Lenient):
    """The concurrent build plan."""

    sets: tuple[ImagesSet, ...] = ()
    """Sets in order; every image needs only images of earlier sets."""


class RemoteStatus(Lenient):
    """A repository that a git mapping names, and the commit that it is built at."""

    url: str = Field(max_length=2048)
    """As in werf.yaml."""
    branch: str | None = Field(default=None, max_length=1024)
    """Its branch; neither branch nor tag: the default branch."""
    tag: str | None = Field(default=None, max_length=1024)
    """Its tag."""
    commit: str = Field(max_length=64)
    """What it stood for when the work began."""


class FailureStatus(Lenient):
    """The first failure of the build."""

    image: str | None = Field(default=None, max_length=255)
    stage: str | None = Field(default=None, max_length=255)
    job: str | None = Field(default=None, max_length=63)
    reason: str = Field(max_length=64)
    message: str = Field(max_length=32768)
    command: str | None = Field(default=None, max_length=32768)
    """The command that failed."""
    exit_code: int | None = None
    log_tail: str | None = Field(default=None, max_length=32768)
    """Last lines of the log."""


class Counts(Lenient):
    """Stages by state."""

    total: int
    cached: int
    built: int
    building: int
    failed: int


class ImageBuildStatus(Lenient):
    """What is known about the build."""

    observed_generation: int = -1
    """Generation of the spec that this status tells about."""
    conditions: tuple[Condition, ...] = Field(
        default=(),
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    )
    """Ready; Reconciling and Stalled only while true; Planned."""
    last_handled_requested_at: str | None = Field(default=None, max_length=1024)
    """Value of the annotation conveyor.dev/requestedAt that was acted on."""
    commit: str | None = Field(default=None, max_length=64)
    """The commit that is built."""
    short_commit: str | None = Field(default=None, max_length=12)
    """Its first digits."""
    remotes: tuple[RemoteStatus, ...] = ()
    """Branches and tags of other repositories, looked up once like source.git's."""
    started_at: Time | None = None
    """When work on this generation began."""
    completed_at: Time | None = None
    """When it succeeded or finally failed."""
    stages: str | None = Field(default=None, max_length=32)
    """Stages that are there / all stages, like 7/12."""
    counts: Counts | None = None
    """Stages by state."""
    plan: PlanStatus | None = None
    """Which images are built at the same time."""
    images: tuple[ImageStatus, ...] = ()
    """The images in the plan's order."""
    failure: FailureStatus | None = None
    """The first failure."""

    def to_json(self) -> Mapping[str, object]:
        """JSON-like data for the status subresource; nothing that is empty or a default."""
        data: dict[str, object] = self.model_dump(
            mode="json", by_alias=True, exclude_none=True, exclude_defaults=True
        )
        return {"observedGeneration": self.observed_generation} | data
