"""What a stage takes from elsewhere, as the planner says it: files of git, files and values of other images.

In: nothing; values made by `conveyor.plan.walk`, `imports` and `dependencies`. Out: parts of a `StageWork`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from conveyor.config.model import Dependency, GitMapping, Import


@dataclass(frozen=True, slots=True, kw_only=True)
class GitArchive:
    """Put the mapping's files of `commit` into the image. `single`: the mapping is one file."""

    mapping: GitMapping
    commit: str
    single: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GitPatch:
    """Bring the mapping's files from one commit to another. Equal commits: nothing to do, only the label is stamped."""

    mapping: GitMapping
    from_commit: str
    commit: str
    single: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedImport:
    """Files of another image.

    Attributes:
        source: Planned image name, or the external reference when `import_.external`.
        import_id: werf's importID, part of label names.
        source_id: werf's importSourceID, the key of the record and the bundle.
        checksum: md5 of the files, 32 hex; "" while unknown.
    """

    import_: Import
    source: str
    import_id: str
    source_id: str
    checksum: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedDependency:
    """Values of another image: what names its last stage.

    Attributes:
        reference: `REPOSITORY:DIGEST-TIMESTAMP` of that stage, "" while it is not stored.
        values: What is handed over, by the name of the variable or build arg; {} while it is not stored.
    """

    dependency: Dependency
    reference: str = ""
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def known(self) -> bool:
        """Whether the values can be handed over."""
        return bool(self.reference)

    @property
    def tag(self) -> str:
        """The stage id (`DIGEST-TIMESTAMP`) of that stage."""
        return self.reference.rpartition(":")[2]
