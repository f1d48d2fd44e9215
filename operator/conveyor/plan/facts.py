"""Everything the outside world may tell the planner, as questions and answers.

In: answers gathered by the shell. Out: `Facts`, the planner's second input. A question is a frozen value, so
facts are a plain mapping and a user's bug report is a file of them. No question names a client, a clock
or a credential. Repositories are named as `GitMapping.repository` does: "own" is the project's, others are URLs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
class PathFilter:
    """A part of a repository: directory or file `base` ("" is the root), globs relative to it."""

    base: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StageInfo:
    """What is stored under this stage id? Answer: StageDesc, or None when it is broken or vanished."""

    id: StageID


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseImageInfo:
    """What is the external image `reference` now, for `platform`? Answer: BaseImage.

    None means that nobody can tell, as in a plan without a registry: a stage whose digest needs it is Unknown.
    """

    reference: str
    platform: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileText:
    """What does the file say at the commit? Answer: str, or None when there is no such file."""

    repo: str
    commit: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteHead:
    """Which commit does this remote mapping stand for now? Answer: 40 hex digits."""

    url: str
    branch: str
    tag: str
    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PathKind:
    """What is this path at the commit? Answer: "file", "directory" or "" (nothing)."""

    repo: str
    commit: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeChecksum:
    """Checksum of the matched part of a tree (werf: ls-tree checksum, werf-semantics 4.11).

    Answer: 64 hex digits, or "" when nothing matches. `narrow` are further globs relative to
    `filter.base` that must match too (stageDependencies); () means no further restriction.
    """

    repo: str
    commit: str
    filter: PathFilter
    narrow: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingPatch:
    """What changed in a mapping between two commits? Answer: Patch, or None when the first one is not in the clone.

    `to` is the mapping's target: its basename replaces the path of a single-file mapping.
    """

    repo: str
    from_commit: str
    to_commit: str
    filter: PathFilter
    to: str


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Ancestry:
    """Is `ancestor` an ancestor of, or equal to, `commit`? Answer: bool; False when it is not in the clone."""

    repo: str
    ancestor: str
    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitExists:
    """Is the commit in the clone? Answer: bool."""

    repo: str
    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextChecksum:
    """Checksum of the build context's files that match (werf-semantics 4.10, "Files checksum" before the outer SHA256J).

    Answer: 64 hex digits of the ls-tree checksum, or "" when nothing matches. `context` is relative to the repository
    root; `dockerignore` is the effective ignore text ("" for none), `sources` the globs of one ADD/COPY.
    """

    repo: str
    commit: str
    context: str
    dockerfile: str
    dockerignore: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextHash:
    """Hash of names and contents of the build context's files (werf: BuildContextArchive checksums, werf-semantics 4.9).

    Answer: 64 hex digits, or "" when something is named that is not there. Fields as of `ContextChecksum`; `sources` are
    the globs of one ADD/COPY, or plain paths when not `globs`.
    """

    repo: str
    commit: str
    context: str
    dockerfile: str
    dockerignore: str
    sources: tuple[str, ...]
    globs: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedFiles:
    """Checksum of paths and contents of those `contextAddFiles` that an ADD/COPY names (werf: ContextAddFilesChecksum).

    Answer: 64 hex digits, or "" when it names none of them. `project_dir` and `context` are relative to the repository root,
    `files` to `project_dir`, in the order of the config; all of them are there.
    """

    repo: str
    commit: str
    project_dir: str
    context: str
    files: tuple[str, ...]
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitParents:
    """Which parents has the commit? Answer: tuple of commit ids, in order."""

    repo: str
    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportChecksum:
    """What is the checksum of the files this import would copy?  Answer: ImportRecord or None.

    None means: nobody knows yet, the source image has to be built and asked (werf: import metadata).

    Attributes:
        id: importSourceID, 64 hex.
        source_image: Name of the source image in the config, "" for an external one.
    """

    id: str
    source_image: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReference:
    """Which reference does the planned image `image` have?  Answer: StoredImage.

    Nobody knows before it is built (werf: `dependencies`, stages of staged Dockerfiles), so it stays open while the image
    is not stored.
    """

    image: str


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


Question = (
    StageInfo
    | BaseImageInfo
    | FileText
    | RemoteHead
    | PathKind
    | TreeChecksum
    | MappingPatch
    | Ancestry
    | CommitExists
    | ContextChecksum
    | ContextHash
    | AddedFiles
    | CommitParents
    | ImportChecksum
    | ImageReference
)
Answer = (
    StageDesc | BaseImage | StoredImage | Patch | ImportRecord | tuple[str, ...] | str | bool | None
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known.

    Attributes:
        commit: The project's commit that is being built, "" for an inline config without git.
        repo: Name of the stages repository, HOST[:PORT]/PATH; "" when there is none, and then nobody
            knows the reference of an image.
        stages: Every stage tag of the repository by digest, timestamps ascending, rejected ones left out.
        answers: Answers so far. A missing key is an open question, a None value is an answer.
        staged_version: "v1" or "v2" of staged Dockerfiles (werf: WERF_STAGED_DOCKERFILE_VERSION).
        virtual_merge: The commit stands for a merge that is only proposed (werf: --virtual-merge).
    """

    commit: str = ""
    repo: str = ""
    staged_version: str = "v1"
    virtual_merge: bool = False
    stages: Mapping[StageDigest, tuple[int, ...]] = field(default_factory=dict)
    answers: Mapping[Question, Answer] = field(default_factory=dict)
