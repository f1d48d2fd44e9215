"""`spec.gitCredentials`: Secrets for the repositories that git mappings of werf.yaml name.

In: JSON-like data, and the URL of a repository. Out: the Secret that is meant for it, or none. A Secret is bound to the
beginning of a URL by whoever writes the ImageBuild, for the URL itself is written by whoever can push to the project:
scheme, host and port have to be equal, and the path has to begin with whole segments.
"""

import re
from collections.abc import Iterable
from typing import ClassVar, Final
from urllib.parse import urlsplit

from pydantic import Field

from conveyor.api.model import Model, Rule
from conveyor.api.refs import LocalRef
from conveyor.api.source import GitSource, url_rules

_PORTS: Final = {"http": 80, "https": 443, "ssh": 22}
_SCP: Final = re.compile(r"[^@/:\s]+@([^:/\s]+):(.+)")

Address = tuple[str, str, int, tuple[str, ...]]
"""Scheme, host, port, segments of the path."""


class GitCredential(Model):
    """A Secret and the repositories that it is for."""

    rules: ClassVar[tuple[Rule, ...]] = url_rules(
        "url must be https://HOST…, http://HOST… or ssh://HOST…",
        "url must not contain a password; it is in the Secret",
    )

    url: str = Field(min_length=1, max_length=1024)
    """What addresses of repositories begin with, like https://git.example.com/team: whole parts of the path."""
    secret_ref: LocalRef
    """Secret with `username` and `password` (http), or `ssh-privatekey` and `known_hosts` (ssh)."""


def secret_for(
    url: str, credentials: Iterable[GitCredential], source: GitSource | None
) -> LocalRef | None:
    """Return the Secret for a repository: that of the longest beginning of its URL.

    The project's own repository, named again in werf.yaml, is reached with `source.git.secretRef`.
    """
    wanted = address_of(url)
    known = [(address_of(item.url), item.secret_ref) for item in credentials]
    if source is not None and source.secret_ref is not None:
        known.append((address_of(source.url), source.secret_ref))
    found = [
        (len(begin[3]), ref) for begin, ref in known if begin and wanted and _begins(begin, wanted)
    ]
    return max(found, key=lambda item: item[0])[1] if found else None


def address_of(url: str) -> Address | None:
    """Take a URL apart, `user@host:path` too; None when nothing can be said about it.

    A path with `.` or `..`, written plainly or encoded, is not where it seems to be, nor is a host with `%`.
    """
    scp = _SCP.fullmatch(url)
    try:
        parts = urlsplit(f"ssh://{scp[1]}/{scp[2].lstrip('/')}" if scp else url)
        host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    segments = [segment for segment in parts.path.split("/") if segment]
    hidden = "%" in parts.netloc or re.search(r"%(2e|2f|5c)|\\", parts.path, re.IGNORECASE)
    if not (host and port) or hidden or {".", ".."} & set(segments):
        return None
    if segments:
        segments[-1] = segments[-1].removesuffix(".git")
    return parts.scheme, host, port, tuple(segments)


def _begins(begin: Address, whole: Address) -> bool:
    return begin[:3] == whole[:3] and begin[3] == whole[3][: len(begin[3])]
