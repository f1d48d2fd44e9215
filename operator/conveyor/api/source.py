"""`spec.source`: the repository and the revision.

In: JSON-like data. Out: frozen values. Whether the revision exists is not known here.
"""

import re
from collections.abc import Callable
from typing import ClassVar

from pydantic import Field

from conveyor.api.model import Model, Rule
from conveyor.api.refs import LocalRef

_URL = r"^(http|https|ssh)://[^\s]+$"
_PASSWORD = r"^[a-z]+://[^/@]*:[^/@]*@"  # noqa: S105 - a pattern that finds passwords
_COMMIT = r"^([0-9a-f]{40}|[0-9a-f]{64})$"
# What git-check-ref-format(1) forbids, and a leading "-", which git would read as an option.
_REF = r"^[^\s~^:?*\[\\-][^\s~^:?*\[\\]*$"


def relative_path_rule(field: str, get: Callable[..., str | None]) -> Rule:
    """The path must stay inside of what it is relative to."""

    def holds(model: Model) -> bool:
        path = get(model)
        return path is None or not (path.startswith("/") or ".." in path.split("/"))

    inside = f"!self.{field}.startsWith('/') && !self.{field}.split('/').exists(part, part == '..')"
    return Rule(
        cel=f"!has(self.{field}) || ({inside})",
        message=f"{field} must be relative and must not contain '..'",
        holds=holds,
        field=field,
    )


def _ref_rule(field: str, get: Callable[["GitSource"], str | None]) -> Rule:
    def holds(git: "GitSource") -> bool:
        ref = get(git)
        return ref is None or (re.fullmatch(_REF, ref) is not None and ".." not in ref)

    pattern = _REF.replace("\\", "\\\\")
    return Rule(
        cel=(
            f"!has(self.{field}) || "
            f"(self.{field}.matches('{pattern}') && !self.{field}.contains('..'))"
        ),
        message=f"{field} must be a name that git allows: no spaces, no '..', no leading '-'",
        holds=holds,
        field=field,
    )


def url_rules(form: str, password: str) -> tuple[Rule, Rule]:
    """Rules of a field `url`, with what is said when its form is wrong and when it has a password."""
    return (
        Rule(
            cel=r"self.url.matches('^(http|https|ssh)://[^\\s]+$')",
            message=form,
            holds=lambda it: re.fullmatch(_URL, it.url) is not None,
            field="url",
        ),
        Rule(
            cel=f"!self.url.matches('{_PASSWORD}')",
            message=password,
            holds=lambda it: re.match(_PASSWORD, it.url) is None,
            field="url",
        ),
    )


def _is_full_commit(git: "GitSource") -> bool:
    return git.commit is None or re.fullmatch(_COMMIT, git.commit) is not None


class GitSource(Model):
    """A git repository at one commit, or at the one a branch or tag has when the build begins."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="[has(self.commit), has(self.branch), has(self.tag)].filter(it, it).size() == 1",
            message="give exactly one of commit, branch and tag",
            holds=lambda git: [git.commit, git.branch, git.tag].count(None) == 2,
        ),
        *url_rules(
            "url must be https://…, http://… or ssh://… (git@host:path is ssh://git@host/path)",
            "url must not contain a password; put it into a Secret named by secretRef",
        ),
        Rule(
            cel=f"!has(self.commit) || self.commit.matches('{_COMMIT}')",
            message="commit must be the whole id: 40 (or 64) lower-case hex digits",
            holds=_is_full_commit,
            field="commit",
        ),
        _ref_rule("branch", lambda git: git.branch),
        _ref_rule("tag", lambda git: git.tag),
        relative_path_rule("path", lambda git: git.path),
    )

    url: str = Field(min_length=1, max_length=2048)
    """Address: http, https or ssh."""
    commit: str | None = Field(default=None, max_length=64)
    """Full commit id."""
    branch: str | None = Field(default=None, min_length=1, max_length=255)
    """Branch; its commit is looked up once per change of the spec and recorded in status.commit."""
    tag: str | None = Field(default=None, min_length=1, max_length=255)
    """Tag; its commit is looked up once per change of the spec and recorded in status.commit."""
    secret_ref: LocalRef | None = None
    """Secret with `username` and `password` (http), or `ssh-privatekey` and `known_hosts` (ssh)."""
    path: str | None = Field(default=None, min_length=1, max_length=1024)
    """Directory of the project in the repository. Default: its root."""
    virtual_merge: bool = False
    """The commit is a merge that is only proposed, such as a pull request's. Stages built before on the branch that is merged
    serve then, as with werf's `--virtual-merge`. Default: false."""


class Source(Model):
    """Where the project comes from."""

    git: GitSource
    """A git repository."""
