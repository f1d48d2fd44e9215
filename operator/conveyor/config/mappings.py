"""`git:` of a stapel image → `GitMapping`s, local ones first as werf orders them.

In: the sections of the list. Out: mappings without the automatic excludes; mistakes go to the report.
Source: werf pkg/config/raw_git.go, raw_export_base.go; werf sorts local mappings before remote ones everywhere.
"""

import re
from dataclasses import dataclass
from typing import Final

from conveyor.api.errors import UserError
from conveyor.config.globs import compile_glob
from conveyor.config.model import GitMapping, GitRemote
from conveyor.config.paths import (
    TOO_LONG,
    clean,
    climbs_out,
    is_absolute,
    is_too_long,
    stays_inside,
)
from conveyor.config.raw import Section, shorten
from conveyor.config.yaml import Mapping

MAX_GLOBS: Final = 50_000
EXPORT_KEYS: Final = ("add", "to", "includePaths", "excludePaths", "owner", "group")
_REMOTE_KEYS: Final = ("branch", "tag", "commit")
_PASSWORDS: Final = ("env", "src", "value")
_PATCHED_STAGES: Final = ("install", "beforeSetup", "setup")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """The part that git mappings and imports have in common, cleaned."""

    add: str
    to: str
    include_paths: tuple[str, ...]
    exclude_paths: tuple[str, ...]
    owner: str
    group: str


def paths_of(section: Section, *, add: str, to: str) -> Paths:
    """Read what an export copies where.

    Args:
        section: A git mapping or an import.
        add: The source path, its default already applied.
        to: The target path, its default already applied.
    """
    for key, path in (("add", add), ("to", to)):
        if is_too_long(path):
            section.error(f"`{key}` {TOO_LONG}", key=key)
        elif not is_absolute(path):
            said = f"is {shorten(path)}" if path else "is missing"
            section.error(f"`{key}` {said}; write an absolute path such as `/app`", key=key)
        elif climbs_out(path):
            section.error(f"`{key}` is {shorten(path)}, which leads above the root", key=key)
    return Paths(
        add=clean(add),
        to=clean(to),
        include_paths=_relative(section, "includePaths"),
        exclude_paths=_relative(section, "excludePaths"),
        owner=section.text("owner"),
        group=section.text("group"),
    )


def _relative(section: Section, key: str) -> tuple[str, ...]:
    return tuple(clean(path) for path in _checked(section, key))


def _checked(section: Section, key: str) -> tuple[str, ...]:
    paths = section.texts(key)
    for path in paths:
        if is_too_long(path):
            section.error(f"`{key}` has a path that {TOO_LONG}", key=key)
        elif not stays_inside(path):
            section.error(
                f"`{key}` has {shorten(path)}; write paths relative to `add`, without a leading / and ..",
                key=key,
            )
        else:
            _check_glob(section, key, path)
    return paths


def _check_glob(section: Section, key: str, pattern: str) -> None:
    report = section.report
    try:
        report.globs += len(compile_glob(pattern))
    except UserError as error:
        section.error(f"`{key}`: {error.message}", key=key)
    if report.globs > MAX_GLOBS:
        section.error(
            f"`{key}`: the config has more than {MAX_GLOBS} globs, braces written out", key=key
        )
        report.raise_invalid()


def git_mappings(section: Section) -> tuple[GitMapping, ...]:
    """Read `git:` of an image."""
    found = [_mapping(entry) for entry in section.sections("git")]
    return tuple(sorted(found, key=lambda mapping: mapping.remote is not None))


def _mapping(section: Section) -> GitMapping:
    section.only(*EXPORT_KEYS, *_REMOTE_KEYS, "url", "basicAuth", "stageDependencies")
    remote = _remote(section)
    paths = paths_of(section, add=section.text("add") or "/", to=section.text("to"))
    return GitMapping(
        name=repository_id(remote.url) if remote else "own",
        add=paths.add.removeprefix("/"),
        to=paths.to,
        include_paths=paths.include_paths,
        exclude_paths=paths.exclude_paths,
        owner=paths.owner,
        group=paths.group,
        stage_dependencies=_stage_dependencies(section),
        remote=remote,
        at=section.at,
    )


def _remote(section: Section) -> GitRemote | None:
    url = section.text("url")
    refs = {key: section.text(key) for key in _REMOTE_KEYS}
    given = [key for key, value in refs.items() if value]
    if given and not url:
        section.error(f"`{given[0]}` is only for a remote repository; add its `url`", key=given[0])
    if len(given) > 1:
        section.error(f"`{'` and `'.join(given)}` are both set; keep one of them", key=given[1])
    if refs["commit"] and not _COMMIT.match(refs["commit"]):
        section.error(
            f"`commit` is {shorten(refs['commit'])}; write all 40 hex digits", key="commit"
        )
    password = _password(section, url)
    if not url:
        return None
    return GitRemote(
        url=url, branch=refs["branch"], tag=refs["tag"], commit=refs["commit"], password=password
    )


def _password(section: Section, url: str) -> str:
    """Return where `basicAuth` has the password; the password itself is never taken from werf.yaml."""
    auth = section.section("basicAuth")
    if auth is None:
        return ""
    if not url:
        section.error("`basicAuth` is only for a remote repository; add its `url`", key="basicAuth")
    auth.only("username", "password")
    if not auth.text("username"):
        auth.error("`username` is missing")
    entry = auth.node.entries.get("password")
    password = auth.section("password") if entry and isinstance(entry.value, Mapping) else None
    if password is None:  # what stands there instead is not repeated: it may be the password
        auth.error("`password` needs one of `env`, `src` and `value` below it", key="password")
        return ""
    password.only(*_PASSWORDS)
    given = [key for key in _PASSWORDS if password.text(key)]
    if len(given) != 1:
        password.error("give exactly one of `env`, `src` and `value`")
    return "".join(given[:1])


def _stage_dependencies(section: Section) -> dict[str, tuple[str, ...]]:
    inner = section.section("stageDependencies", example="setup: [package.json]")
    if inner is None:
        return {}
    inner.only(*_PATCHED_STAGES)
    found = {stage: _checked(inner, stage) for stage in _PATCHED_STAGES}
    return {stage: paths for stage, paths in found.items() if paths}


def repository_id(url: str) -> str:
    """Return the last `org/name` of a repository url, the url itself when it has none (werf: getRepositoryID)."""
    path = url.removesuffix("/").removesuffix(".git")
    head, slash, name = path.rpartition("/")
    cut = max(head.rfind(":"), head.rfind("/"))
    if not slash or not name or " " in name or cut < 0:
        return url
    return f"{head[cut + 1 :]}/{name}"
