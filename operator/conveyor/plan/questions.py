"""What the planner may ask the outside world.

In: nothing. Out: one frozen value a question, so that answers are a plain mapping. No question names a client, a clock or a
credential. Repositories are named as `GitMapping.repository` does: "own" is the project's, others are URLs.
"""

from dataclasses import dataclass

from conveyor.plan.answers import StageID


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
class ContextListing:
    """Which files does one ADD/COPY find in the build context, exactly? Answer: 64 hex digits.

    They stand for path, mode and object id of each file after the ignore file, and for the directories. Fields as of
    `ContextChecksum`; `sources` as the instruction names them.
    """

    repo: str
    commit: str
    context: str
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
    | ContextListing
    | ContextHash
    | AddedFiles
    | CommitParents
    | ImportChecksum
    | ImageReference
)
