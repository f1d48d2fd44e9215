"""What git's error messages mean for a user.

In: the stderr of a git command (LC_ALL=C) and the repository's URL. Out: a `ConveyorError`. URLs and messages are
shown without user information.
"""

import re

from conveyor.api.errors import ConveyorError, NotYet, UserError
from conveyor.api.names import Reason

RETRY_SECONDS = 30.0
_MAX_DETAIL = 300

_REFUSED = re.compile(
    r"authentication failed|could not read (username|password)|permission denied|"
    r"host key verification failed|returned error: 40[13]|access denied|no route to credentials",
    re.IGNORECASE,
)
_ABSENT = re.compile(
    r"repository .{0,500}not found|does not appear to be a git repository|returned error: 404",
    re.IGNORECASE | re.DOTALL,
)
_BROKEN = re.compile(
    r"not a git repository|object file .{0,500} is empty|loose object .{0,500} is corrupt|"
    r"bad object|bad tree object|unable to read tree|index-pack died|packfile .{0,500} (cannot|does not)|"
    r"commit-graph.{0,80}(corrupt|too small)|object .{0,100} is (missing|corrupt)|bad signature",
    re.IGNORECASE | re.DOTALL,
)
_USER_INFO = re.compile(r"//[^/\s]*@")


class GitMissing(Exception):  # noqa: N818 - named after what happened
    """There is no git program."""


class GitFailed(Exception):  # noqa: N818 - named after what happened
    """A git command ended with an error that is not a user's.

    Attributes:
        code: Exit code.
        detail: Its stderr, shortened and without user information.
    """

    def __init__(self, command: str, code: int, stderr: bytes) -> None:
        self.code = code
        self.detail = detail_of(stderr)
        super().__init__(f"git {command} ended with {code}: {self.detail}")

    @property
    def broken(self) -> bool:
        """Whether the clone itself seems to be damaged."""
        return _BROKEN.search(self.detail) is not None


def without_user_info(url: str) -> str:
    """Return a URL that may be shown."""
    return _USER_INFO.sub("//", url)


def detail_of(stderr: bytes) -> str:
    """Return the end of git's complaint on one line."""
    text = without_user_info(stderr.decode("utf-8", "replace"))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(lines)[-_MAX_DETAIL:]


def remote_error(url: str, failure: GitFailed, *, with_login: bool = False) -> ConveyorError:
    """Explain why a command that talks to a server failed; `with_login`: credentials were sent along."""
    shown = without_user_info(url)
    if _REFUSED.search(failure.detail):
        advice = (
            "it refuses the login of the Secret that spec.source.git.secretRef or gitCredentials names"
            if with_login
            else "name a Secret with username and password (or an ssh key) in spec.source.git.secretRef, or "
            "in spec.gitCredentials for a repository that werf.yaml names"
        )
        return UserError(
            Reason.GIT_AUTH_FAILED,
            f"{shown}: the git server refuses access: {failure.detail}; {advice}",
        )
    if _ABSENT.search(failure.detail):
        return UserError(
            Reason.GIT_REMOTE_UNREACHABLE, f"{shown}: no such repository: {failure.detail}"
        )
    return NotYet(
        Reason.GIT_REMOTE_UNREACHABLE,
        f"{shown}: the git server does not answer: {failure.detail}",
        after=RETRY_SECONDS,
    )
