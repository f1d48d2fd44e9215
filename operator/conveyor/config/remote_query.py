"""What the query of a git URL in an ADD says: `?branch=main&subdir=docs`.

In: the query, and ref and subdir of the fragment. Out: both together, or a ValueError where they contradict each
other (moby/buildkit: dfgitutil, loadQuery).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

_BOOLEANS: Final = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True", ""), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}
_KEYS: Final = (
    *("ref", "tag", "branch", "subdir", "checksum", "commit", "keep-git-dir", "submodules"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GitQuery:
    """Of `keep_git_dir` and `submodules` None means: not said."""

    ref: str
    subdir: str
    checksum: str
    keep_git_dir: bool | None
    submodules: bool | None


def git_query(query: str, *, ref: str, subdir: str) -> GitQuery:
    """Read a query.

    Raises:
        ValueError: An unknown key, one without a value or with two, or two that contradict each other.
    """
    told = _values(query)
    return GitQuery(
        ref=_ref(ref, told),
        subdir=_one("subdirs", [subdir, told.get("subdir", "")]),
        checksum=_one("checksums", [told.get("checksum", ""), told.get("commit", "")]),
        keep_git_dir=_boolean(told, "keep-git-dir"),
        submodules=_boolean(told, "submodules"),
    )


def _values(query: str) -> Mapping[str, str]:
    told: dict[str, str] = {}
    for key, values in parse_qs(query, keep_blank_values=True).items():
        if key not in _KEYS:
            raise ValueError(f"{key[:80]!r} is unknown in its query; known are {', '.join(_KEYS)}")
        if len(values) > 1:
            raise ValueError(f"{key} stands more than once in its query")
        if not values[0] and key not in ("keep-git-dir", "submodules"):
            raise ValueError(f"{key} has no value in its query")
        told[key] = values[0]
    return told


def _ref(ref: str, told: Mapping[str, str]) -> str:
    tag = _full("refs/tags/", told.get("tag", ""))
    branch = _full("refs/heads/", told.get("branch", ""))
    return _one("refs", [ref, told.get("ref", ""), tag, branch])


def _full(prefix: str, name: str) -> str:
    return prefix + name.removeprefix(prefix) if name else ""


def _one(what: str, values: list[str]) -> str:
    given = [*dict.fromkeys(value for value in values if value)]
    if len(given) > 1:
        raise ValueError(f"it names two {what}: {given[0][:80]} and {given[1][:80]}")
    return given[0] if given else ""


def _boolean(told: Mapping[str, str], key: str) -> bool | None:
    if key not in told:
        return None
    if told[key] not in _BOOLEANS:
        raise ValueError(f"{key}={told[key][:80]} is neither true nor false")
    return _BOOLEANS[told[key]]
