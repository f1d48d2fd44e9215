"""What the courier fetches for a run: files of a repository, bundles of other images.

In: the `inputs` of the courier's task. Out: values, those of remote sources included (`courier_remote`).
Pure; imports nothing heavy, because the stage container waits for the first marker.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from conveyor.builder.courier_fields import Fields, invalid
from conveyor.builder.courier_remote import RemoteInput, git_tree_input, http_input

_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class GitArchive:
    """Files of a commit as a tar; `to_name` renames the only one."""

    run: int
    file: str
    repository: int
    commit: str
    add: str
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    to_name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GitPatch:
    """Files that differ between two commits as a tar, and the list of the deleted ones."""

    run: int
    file: str
    repository: int
    start: str
    commit: str
    add: str
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    to_name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextCopy:
    """The sources of one COPY or ADD from the build context.

    Attributes:
        select: What is taken below them, as `exclude` and `parents` of the task; {} for all.
        unpack: Archives among the sources are unpacked.
    """

    run: int
    file: str
    repository: int
    commit: str
    context: str
    sources: tuple[str, ...]
    dockerignore: str | None
    select: Mapping[str, object] = field(default_factory=lambda: _NOTHING)
    unpack: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobInput:
    """A bundle that another stage pushed."""

    run: int
    file: str
    digest: str
    size: int | None
    gzip: bool


GitInput = GitArchive | GitPatch | ContextCopy
StageInput = GitInput | BlobInput | RemoteInput
_WITHOUT_REPOSITORY: Final = frozenset({"blob", "http"})


def stage_input(value: object, index: int, repositories: int) -> StageInput:
    """Read one of the task's `inputs`.

    Args:
        value: Its JSON.
        index: Its place among them, for messages.
        repositories: How many `task.git` has.

    Raises:
        CourierError: TaskInvalid, with the path of the field.
    """
    fields = Fields(value, f"task.inputs[{index}]")
    run, file, kind = fields.number("run", 0), _file(fields), fields.text("kind")
    if kind not in _WITHOUT_REPOSITORY and fields.number("repository", 0) >= repositories:
        raise invalid(
            f"{fields.path}.repository", f"the number of one of {repositories} in task.git"
        )
    match kind:
        case "gitArchive":
            return _archive(fields, run, file)
        case "gitPatch":
            return _patch(fields, run, file)
        case "context":
            return _context(fields, run, file)
        case "blob":
            return _blob(fields, run, file)
        case "http":
            return http_input(fields, run, file)
        case "gitTree":
            return git_tree_input(fields, run, file)
        case _:
            known = "gitArchive, gitPatch, context, blob, http or gitTree"
            raise invalid(f"{fields.path}.kind", known)


def _file(fields: Fields) -> str:
    """The name inside `in/`."""
    folder, _, name = fields.text("file").partition("/")
    if folder != "in" or not name or "/" in name or name.startswith("."):
        raise invalid(f"{fields.path}.file", "in/NAME")
    return name


def _archive(fields: Fields, run: int, file: str) -> GitArchive:
    return GitArchive(
        run=run,
        file=file,
        repository=fields.number("repository", 0),
        commit=_commit(fields, "commit"),
        add=_path(fields, "add"),
        include=fields.texts("includePaths"),
        exclude=fields.texts("excludePaths"),
        to_name=fields.optional("toName"),
    )


def _patch(fields: Fields, run: int, file: str) -> GitPatch:
    return GitPatch(
        run=run,
        file=file,
        repository=fields.number("repository", 0),
        start=_commit(fields, "from"),
        commit=_commit(fields, "commit"),
        add=_path(fields, "add"),
        include=fields.texts("includePaths"),
        exclude=fields.texts("excludePaths"),
        to_name=fields.optional("toName"),
    )


def _context(fields: Fields, run: int, file: str) -> ContextCopy:
    return ContextCopy(
        run=run,
        file=file,
        repository=fields.number("repository", 0),
        commit=_commit(fields, "commit"),
        context=_path(fields, "context"),
        sources=fields.texts("sources"),
        dockerignore=fields.optional("dockerignore"),
        select=_select(fields),
        unpack=fields.flag("unpack"),
    )


def _select(fields: Fields) -> Mapping[str, object]:
    """What `--exclude` and `--parents` leave; the rules in it are read by `selection`."""
    found = {name: fields.items(name) for name in ("exclude", "parents")}
    return {name: value for name, value in found.items() if value}


def _blob(fields: Fields, run: int, file: str) -> BlobInput:
    return BlobInput(
        run=run,
        file=file,
        digest=fields.text("digest"),
        size=fields.number("size", 0) or None,
        gzip=fields.flag("gzip"),
    )


def _commit(fields: Fields, name: str) -> str:
    commit = fields.text(name)
    if len(commit) not in {40, 64} or not set(commit) <= set("0123456789abcdef"):
        raise invalid(f"{fields.path}.{name}", "a full commit id")
    return commit


def _path(fields: Fields, name: str) -> str:
    """A path inside the repository: no slash at either end, "" for the root."""
    parts = [part for part in (fields.optional(name) or "").split("/") if part not in {"", "."}]
    if ".." in parts:
        raise invalid(f"{fields.path}.{name}", "a path inside the repository")
    return "/".join(parts)
