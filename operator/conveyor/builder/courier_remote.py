"""The remote sources of an ADD as the courier is told of them.

In: fields of the task. Out: values. Where they may be fetched from is `conveyor.config.remote_policy`.
"""

from dataclasses import dataclass

from conveyor.builder.courier_fields import Fields, invalid
from conveyor.config.remote_policy import RemotePolicy, policy_of


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpInput:
    """A file behind a URL: the bundle holds it as `0/NAME`; `at` is `FILE:LINE` of the ADD."""

    run: int
    file: str
    url: str
    name: str
    checksum: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GitTreeInput:
    """A directory of another repository, its files in the folder `0/`; see `GitSource` for the rest."""

    run: int
    file: str
    repository: int
    ref: str
    subdir: str
    checksum: str
    keep_git_dir: bool
    submodules: bool
    at: str


RemoteInput = HttpInput | GitTreeInput


def http_input(fields: Fields, run: int, file: str) -> HttpInput:
    """Read an input of kind `http`."""
    return HttpInput(
        run=run,
        file=file,
        url=fields.text("url"),
        name=fields.text("name"),
        checksum=fields.optional("checksum") or "",
        at=fields.text("at"),
    )


def git_tree_input(fields: Fields, run: int, file: str) -> GitTreeInput:
    """Read an input of kind `gitTree`."""
    return GitTreeInput(
        run=run,
        file=file,
        repository=fields.number("repository", 0),
        ref=fields.optional("ref") or "",
        subdir=fields.optional("subdir") or "",
        checksum=fields.optional("checksum") or "",
        keep_git_dir=fields.flag("keepGitDir"),
        submodules=fields.flag("submodules"),
        at=fields.text("at"),
    )


def remote_policy(fields: Fields | None) -> RemotePolicy:
    """Read the administrator's policy; without one public addresses only.

    Raises:
        CourierError: TaskInvalid.
    """
    if fields is None:
        return RemotePolicy()
    try:
        return policy_of(fields.plain())
    except ValueError as error:
        raise invalid(fields.path, f"a policy: {error}") from None
