"""What the outside world says to the planner: stored stages, images, records, patches.

In: nothing; these are values made by the shell. Out: the types of answers. A plain answer, such as a text or whether
something is so, has no type of its own; `conveyor.plan.questions` says what each question is answered with.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NewType

StageDigest = NewType("StageDigest", str)
ContentDigest = NewType("ContentDigest", str)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class StageID:
    """Identity of a stored stage: digest (56 hex) and creation time in Unix milliseconds (werf: stage id)."""

    digest: StageDigest
    timestamp: int

    def __str__(self) -> str:
        return f"{self.digest}-{self.timestamp}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageDesc:
    """A stored stage: what its tag, manifest and config say.

    Attributes:
        manifest_digest: `sha256:…` of its manifest in the stages repository.
        image_id: Digest of its image config (`sha256:…`, Docker's image id).
        labels: Labels of the image config.
        layers: Digests of its compressed layers, in order.
        entrypoint: ENTRYPOINT of the image config, () for none; None where nobody looked.
    """

    id: StageID
    manifest_digest: str
    labels: Mapping[str, str]
    layers: tuple[str, ...] = ()
    image_id: str = ""
    entrypoint: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseImage:
    """An external base image: `digest` of its (platform) manifest and its image config's `config` part.

    Attributes:
        id: Digest of its image config (`sha256:…`, Docker's image id); hashed only with `fromLatest`.
    """

    digest: str
    config: Mapping[str, object]
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """What names a stored image.

    Attributes:
        reference: `REPOSITORY:DIGEST-TIMESTAMP` of its last stage.
        digest, id: `sha256:…` of its manifest and of its config.
    """

    reference: str
    digest: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRecord:
    """An import's checksum (32 hex md5) and the stage it was taken from (`DIGEST-TS` or `external-image:REF`)."""

    checksum: str
    source_stage_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """What changed between two commits.

    Attributes:
        text: Exact patch text as werf hashes it; bytes that are no UTF-8 are surrogate-escaped.
        size: Bytes of the patch with full context and binaries.
        empty: No changed path belongs to the mapping.
        truncated: The text was too long to keep; `text` is "" and only `size` and `empty` count.
    """

    text: str
    size: int
    empty: bool
    truncated: bool = False


Answer = (
    StageDesc | BaseImage | StoredImage | Patch | ImportRecord | tuple[str, ...] | str | bool | None
)
