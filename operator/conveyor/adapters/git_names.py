"""Names inside a repository: commit ids, branches and tags, paths behind links.

In: text from users and repositories. Out: the same text, checked, so that no option, range or expression of git can
hide in it.
"""

import re

from conveyor.api.errors import UserError
from conveyor.api.names import Reason

_FULL_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_BAD_REF = re.compile(r"^[-/.]|[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|[/.]$|\.lock(/|$)")


def is_full_id(text: str) -> bool:
    """Whether the text is a full object id, SHA-1 or SHA-256."""
    return _FULL_ID.fullmatch(text) is not None


def check_id(commit: str) -> str:
    """Return a full commit id; `UserError` GitRevisionNotFound for anything else."""
    if not is_full_id(commit):
        raise UserError(
            Reason.GIT_REVISION_NOT_FOUND,
            f"{commit[:80]!r} is not a full commit id (40 hex digits)",
        )
    return commit


def check_ref(name: str) -> str:
    """Return a branch or tag name that git would allow; `UserError` GitRevisionNotFound for anything else."""
    if len(name) > 1000 or _BAD_REF.search(name):
        raise UserError(
            Reason.GIT_REVISION_NOT_FOUND, f"{name[:80]!r} is not a valid branch or tag name"
        )
    return name


def follow_link(path: str, target: str) -> str:
    """Return where a link at `path` leads, relative to the repository root.

    Raises:
        UserError: Out of the repository.
    """
    parts = [] if target.startswith("/") else path.split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            if not parts:
                raise UserError(
                    Reason.INVALID_WERF_CONFIG, f"{path} is a link that leads out of the repository"
                )
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
