"""Credentials for git servers, handed to git without showing them in arguments or URLs.

In: `GitCredentials`, the URL they are for. Out: environment variables and files for one git command. The askpass
program answers only prompts for the URL's own scheme and host, and knows them as a whole: a server that redirects elsewhere,
be it to a URL with our host in its user's name, gets nothing.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from conveyor.adapters.git_errors import without_user_info
from conveyor.api.errors import UserError
from conveyor.api.names import Reason

SCHEMES = ("http", "https", "ssh")
_SCP = re.compile(r"[A-Za-z0-9_][\w.-]*@[A-Za-z0-9][\w.-]*:(?!/{2})[^\s:][^\s]*")
_MAX_URL = 2048

_ASKPASS = """#!/bin/sh
case "$1" in
"Username for '$CONVEYOR_GIT_SCHEME://$CONVEYOR_GIT_HOST': ") printf '%s\\n' "$CONVEYOR_GIT_USERNAME" ;;
"Password for '$CONVEYOR_GIT_SCHEME://"*"@$CONVEYOR_GIT_HOST': ") printf '%s\\n' "$CONVEYOR_GIT_PASSWORD" ;;
*) exit 1 ;;
esac
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class GitCredentials:
    """What a Secret holds for a git server: basic auth, or an SSH key with the known host keys."""

    username: str = ""
    password: str = field(default="", repr=False)
    ssh_private_key: str = field(default="", repr=False)
    ssh_known_hosts: str = ""

    @property
    def fingerprint(self) -> str:
        """Stands for the credentials in the name of a clone: who has others never sees its files."""
        parts = (self.username, self.password, self.ssh_private_key)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def check_url(url: str, protocols: tuple[str, ...] = SCHEMES) -> str:
    """Return the URL if git may be called with it.

    Raises:
        UserError: Another protocol, a password inside, or characters that no URL has.
    """
    shown = without_user_info(url)[:200]
    if len(url) > _MAX_URL or not url.isprintable() or " " in url or url.startswith("-"):
        raise UserError(Reason.INVALID_SPEC, f"git url {shown!r} is malformed")
    if _SCP.fullmatch(url) and "ssh" in protocols:
        return url
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "-", parts.port
    except ValueError:
        raise UserError(Reason.INVALID_SPEC, f"git url {shown!r} is malformed") from None
    if "%" in parts.netloc:  # git decodes it for ssh: the host would be another one
        raise UserError(Reason.INVALID_SPEC, f"git url {shown!r} has a % before its path")
    # As it is written, for a courier takes no HTTPS. A host that begins with a dash would be an option of ssh.
    scheme = url.partition(":")[0]
    if scheme not in protocols or (scheme != "file" and host.startswith("-")):
        raise UserError(
            Reason.INVALID_SPEC, f"git url {shown!r} must begin with one of {', '.join(protocols)}"
        )
    if parts.password is not None or (parts.scheme.startswith("http") and parts.username):
        raise UserError(
            Reason.INVALID_SPEC, f"git url {shown!r} has credentials inside; put them into a Secret"
        )
    return url


@contextmanager
def credential_environment(
    url: str, credentials: GitCredentials | None
) -> Iterator[Mapping[str, str]]:
    """Provide the environment with which git finds the credentials, for as long as the block lasts."""
    if credentials is None:
        yield {"GIT_SSH_COMMAND": _ssh_command(None)}
        return
    with TemporaryDirectory(prefix="conveyor-git-") as name:
        directory = Path(name)
        yield {
            "GIT_ASKPASS": str(_write(directory / "askpass", _ASKPASS, mode=0o700)),
            "GIT_SSH_COMMAND": _ssh_command(directory, credentials),
            "CONVEYOR_GIT_SCHEME": urlsplit(url).scheme,
            "CONVEYOR_GIT_HOST": urlsplit(url).netloc.rpartition("@")[2],
            "CONVEYOR_GIT_USERNAME": credentials.username,
            "CONVEYOR_GIT_PASSWORD": credentials.password,
        }


def _ssh_command(directory: Path | None, credentials: GitCredentials | None = None) -> str:
    options = ["-o BatchMode=yes", "-o StrictHostKeyChecking=yes", "-F /dev/null"]
    if directory is not None and credentials is not None and credentials.ssh_private_key:
        key = _write(directory / "key", credentials.ssh_private_key.rstrip("\n") + "\n")
        options += [f"-i {key}", "-o IdentitiesOnly=yes"]
    if directory is not None and credentials is not None and credentials.ssh_known_hosts:
        hosts = _write(directory / "known_hosts", credentials.ssh_known_hosts)
        options.append(f"-o UserKnownHostsFile={hosts}")
    return " ".join(["ssh", *options])


def _write(path: Path, text: str, *, mode: int = 0o600) -> Path:
    path.touch(mode=mode)
    path.write_text(text, encoding="utf-8")
    return path
