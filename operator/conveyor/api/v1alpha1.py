"""The kind ImageBuild, version v1alpha1.

In: an object as the API server returns it. Out: `ImageBuild`, frozen. Its parts live in their own
modules (`spec`, `source`, `pod_template`, `status`) and are exported here.
"""

from collections.abc import Mapping
from typing import Self

from pydantic import Field

from conveyor.api.git_credentials import GitCredential
from conveyor.api.model import Lenient, parse
from conveyor.api.mounts import BuildDir, Mounts, PersistentVolumeClaim
from conveyor.api.names import ANNOTATION_REQUESTED_AT, API_VERSION, KIND
from conveyor.api.pod_template import (
    PodTemplate,
    Resources,
    TaintEffect,
    Toleration,
    TolerationOperator,
)
from conveyor.api.refs import ConfigMapKeyRef, LocalRef
from conveyor.api.source import GitSource, Source
from conveyor.api.spec import Backend, CABundle, EnvVar, Execution, ImageBuildSpec, ImageExport
from conveyor.api.status import (
    Condition,
    ConditionStatus,
    Counts,
    FailureStatus,
    ImageBuildStatus,
    ImagesSet,
    ImageState,
    ImageStatus,
    PlanStatus,
    PlatformStatus,
    RemoteStatus,
    StageState,
    StageStatus,
)

__all__ = [
    "Backend",
    "BuildDir",
    "CABundle",
    "Condition",
    "ConditionStatus",
    "ConfigMapKeyRef",
    "Counts",
    "EnvVar",
    "Execution",
    "FailureStatus",
    "GitCredential",
    "GitSource",
    "ImageBuild",
    "ImageBuildSpec",
    "ImageBuildStatus",
    "ImageExport",
    "ImageState",
    "ImageStatus",
    "ImagesSet",
    "LocalRef",
    "Mounts",
    "ObjectMeta",
    "PersistentVolumeClaim",
    "PlanStatus",
    "PlatformStatus",
    "PodTemplate",
    "RemoteStatus",
    "Resources",
    "Source",
    "StageState",
    "StageStatus",
    "TaintEffect",
    "Toleration",
    "TolerationOperator",
]


class ObjectMeta(Lenient):
    """The part of an object's metadata that the operator looks at."""

    name: str
    namespace: str
    uid: str
    generation: int = 0
    labels: Mapping[str, str] = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None


class ImageBuild(Lenient):
    """One wish to have images built."""

    metadata: ObjectMeta
    spec: ImageBuildSpec
    status: ImageBuildStatus = ImageBuildStatus()

    @classmethod
    def from_object(cls, body: Mapping[str, object]) -> Self:
        """Read an object of the API server.

        Raises:
            UserError: Reason InvalidSpec, every mistake; normally the API server refuses these.
        """
        return parse(cls, body, KIND)

    @property
    def requested_at(self) -> str | None:
        """The wish for another try, if there ever was one."""
        return self.metadata.annotations.get(ANNOTATION_REQUESTED_AT)

    @property
    def deleting(self) -> bool:
        """Whether the object is going away."""
        return self.metadata.deletion_timestamp is not None

    def owner_reference(self) -> Mapping[str, object]:
        """Entry for `metadata.ownerReferences` of what belongs to this build."""
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": self.metadata.name,
            "uid": self.metadata.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
