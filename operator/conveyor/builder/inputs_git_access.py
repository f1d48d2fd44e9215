"""How git reaches a repository: environment, credentials, acceptable URLs.

In: a URL and the directory of a mounted secret (`username` and `password`, or `ssh-privatekey` and
`known_hosts`). Out: the environment of the git process. A password is never in an argument, in the environment
or in a URL: git asks a script for it, which answers for scheme and host of the URL only.
"""

import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from conveyor.builder.courier_errors import CourierError
from conveyor.builder.courier_task import GitAccess

_SCP_LIKE: Final = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9_.-]*@[A-Za-z0-9][A-Za-z0-9.-]*:(?!-|//)[^\s]+"
)
_PASSED_ON: Final = (
    "PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
)
_PROXIES: Final = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
# Git asks "Username for 'https://host': " and "Password for 'https://user@host': ". The answer is given for scheme
# and host of the URL only: a redirect elsewhere gets nothing, be it to a URL with our host in its user's name.
_ASKPASS: Final = """#!/bin/sh
case "$1" in
"Username for '$CONVEYOR_GIT_SCHEME://$CONVEYOR_GIT_HOST': ") exec cat "$CONVEYOR_GIT_SECRET/username" ;;
"Password for '$CONVEYOR_GIT_SCHEME://"*"@$CONVEYOR_GIT_HOST': ") exec cat "$CONVEYOR_GIT_SECRET/password" ;;
*) exit 1 ;;
esac
"""


def base_environment(home: Path) -> dict[str, str]:
    """What every git process gets."""
    passed = (*_PASSED_ON, *_PROXIES, *(name.upper() for name in _PROXIES))
    return {name: os.environ[name] for name in passed if name in os.environ} | {
        "HOME": str(home),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "http:https:ssh",
        "GIT_ASKPASS": "/bin/false",
        "SSH_ASKPASS": "/bin/false",
        "GIT_SSH_COMMAND": "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=yes",
        "GIT_NO_LAZY_FETCH": "1",
    }


def access_environment(home: Path, access: GitAccess, ca_file: str | None) -> dict[str, str]:
    """The environment of a fetch, with the credentials of the mounted secret.

    Raises:
        CourierError: GitAuthFailed, the secret lacks a key.
    """
    environment = base_environment(home)
    if ca_file is not None:
        environment["GIT_SSL_CAINFO"] = ca_file
    if access.credentials is None:
        return environment
    secret = Path(access.credentials)
    login = access.url.startswith("http") and (secret / "password").exists()
    if (secret / "ssh-privatekey").exists() and not login:
        environment["GIT_SSH_COMMAND"] += _ssh(home, secret)
    else:
        environment |= _askpass(home, access.url, secret)
    return environment


def _askpass(home: Path, url: str, secret: Path) -> dict[str, str]:
    for key in ("username", "password"):
        if not (secret / key).exists():
            raise CourierError("GitAuthFailed", f"the git secret has no key {key}")
    script = home / "askpass"
    script.write_text(_ASKPASS)
    script.chmod(0o700)
    parts = urlsplit(url)
    return {
        "GIT_ASKPASS": str(script),
        "CONVEYOR_GIT_SCHEME": parts.scheme,
        "CONVEYOR_GIT_HOST": parts.netloc.rpartition("@")[2],
        "CONVEYOR_GIT_SECRET": str(secret),
    }


def _ssh(home: Path, secret: Path) -> str:
    """Options for ssh; the key is copied, for ssh wants it readable by nobody else."""
    if not (secret / "known_hosts").exists():
        raise CourierError(
            "GitAuthFailed",
            "the git secret has ssh-privatekey but no key known_hosts: add the output of ssh-keyscan HOST",
        )
    key = home / "ssh-privatekey"
    descriptor = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write((secret / "ssh-privatekey").read_bytes().rstrip() + b"\n")
    known = secret / "known_hosts"
    return f" -o IdentitiesOnly=yes -i {key} -o UserKnownHostsFile={known}"


def check_url(url: str) -> None:
    """Refuse what is no http, https or ssh URL, or carries a password."""
    if _SCP_LIKE.fullmatch(url):
        return
    try:
        parts = urlsplit(url)
        host, password = parts.hostname or "-", parts.password
    except ValueError:
        host, password = "-", None
    if host.startswith("-") or not url.startswith(("http://", "https://", "ssh://")):
        what = f"{safe_url(url)} is not an http, https or ssh repository URL"
        raise CourierError("GitUnreachable", what)
    if password is not None:
        what = "a password in the repository's URL is not used: put it into a secret"
        raise CourierError("GitAuthFailed", what)


def safe_url(url: str) -> str:
    """A URL for messages."""
    return without_secrets(url)[:300]


def without_secrets(text: str) -> str:
    """Text without the user part of URLs."""
    return re.sub(r"://[^/\s]*@", "://", text)
