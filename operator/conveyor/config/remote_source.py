"""ADD of something that is not in the context: a file behind a URL, or a git repository.

In: an ADD or COPY with its words. Out: which of its sources are remote, as values, or why they cannot be. What is a
URL, what a repository and what a local path is decided as BuildKit does (moby/buildkit: dispatchCopy,
dfgitutil.ParseGitRef, gitutil.ParseURL). Nothing here knows which hosts may be asked: `remote_policy`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from conveyor.config.dockerfile_model import Instruction
from conveyor.config.remote_query import git_query

UNNAMED: Final = "__unnamed__"
_SCHEME: Final = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]*)://")
_SCP: Final = re.compile(r"^([a-zA-Z0-9_-]+)@([a-zA-Z0-9.-]+):(.*?)(?:\?(.*?))?(?:#(.*))?$")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9a-fA-F]{2})")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_SHA256: Final = re.compile(r"sha256:[0-9a-f]{64}")
_COMMIT_PREFIX: Final = re.compile(r"[0-9a-f]{1,64}")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REF: Final = re.compile(r"(?!-)[^\x00-\x20\x7f~^:?*\[\\]+")
_MAX_URL: Final = 8192
_MAX_NAME: Final = 255
_PORTS: Final = {"http": 80, "https": 443, "ssh": 22}
_BOOLEANS: Final = {"": True, "true": True, "false": False}


class UnsupportedSourceError(ValueError):
    """Legal in a Dockerfile, but not built by this version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSource:
    """A file behind a URL.

    Attributes:
        url: As written, variables replaced.
        name: What the file is called where the destination is a directory.
        checksum: `sha256:` and 64 hex digits, "" for none.
        at: `FILE:LINE` of the instruction.
    """

    url: str
    name: str
    checksum: str = ""
    at: str = ""

    @property
    def shown(self) -> str:
        """The source for messages."""
        return shown_url(self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class GitSource:
    """Files of another repository.

    Attributes:
        url: What git is given.
        ref: Branch, tag or commit, "" for the default branch.
        subdir: Directory without slashes at its ends, "" for the root.
        checksum: The first digits of the commit's or the tag's id, "" for any.
        keep_git_dir: Whether `.git` comes along; it never does with a `subdir`.
        submodules: False: they are left as empty directories. True: a submodule is an error.
        at: `FILE:LINE` of the instruction.
    """

    url: str
    ref: str = ""
    subdir: str = ""
    checksum: str = ""
    keep_git_dir: bool = False
    submodules: bool = True
    at: str = ""

    @property
    def shown(self) -> str:
        """The source for messages."""
        return shown_url(self.url)

    @property
    def over_ssh(self) -> bool:
        """Whether it is reached by ssh."""
        return not self.url.lower().startswith(("http://", "https://"))


RemoteSource = HttpSource | GitSource


def is_remote(source: str) -> bool:
    """Whether a source is none of the context; it may still be a wrong one."""
    return bool(_SCHEME.match(source) or _SCP.match(source))


def remote_sources(instruction: Instruction, *, expanded: bool) -> Mapping[int, RemoteSource]:
    """Return the remote sources of an ADD or COPY by their place among its sources.

    Args:
        instruction: The ADD or COPY.
        expanded: Whether variables are replaced; else words with a variable are passed over.

    Raises:
        UnsupportedSourceError: Docker would do it, this version does not.
        ValueError: It is wrong: a URL that is none, a COPY of one, flags that contradict each other.
    """
    words, flag = instruction.args[:-1], instruction.flag("checksum")
    open_words = not expanded and any("$" in word for word in (*words, flag))
    found = {
        place: _source(instruction, word)
        for place, word in enumerate(words)
        if is_remote(word) and (expanded or "$" not in word)
    }
    if found and instruction.flag("exclude"):
        raise UnsupportedSourceError("--exclude does not reach into URLs and repositories")
    if found and instruction.flag("unpack").lower() == "true":
        raise UnsupportedSourceError("--unpack does not open what is fetched; unpack it in a RUN")
    if flag and not open_words:
        if len(words) != 1:
            raise ValueError("--checksum is for one source; write an ADD for each")
        if not found:
            raise ValueError("--checksum is for URLs and git repositories only")
        found = {0: _pinned(found[0], flag)}
    return found


def shown_url(url: str) -> str:
    """Return a source for messages: `ADD URL` without login, nor the query, which may hold a signature."""
    return f"ADD {_plain(url)}"


def endpoint(source: RemoteSource) -> tuple[str, int]:
    """Return host (an IPv6 address without brackets) and port that a source is at."""
    if scp := _SCP.match(source.url):
        return scp[2], _PORTS["ssh"]
    parts = urlsplit(source.url)
    return parts.hostname or "", parts.port or _PORTS[parts.scheme]


def is_commit(ref: str) -> bool:
    """Whether a ref is the whole id of a commit."""
    return _COMMIT.fullmatch(ref) is not None


def _source(instruction: Instruction, word: str) -> RemoteSource:
    if instruction.keyword != "ADD":
        raise ValueError(f"COPY {word}: COPY takes no URL and no git repository; write ADD")
    if _CONTROL.search(word) or len(word) > _MAX_URL:
        raise ValueError(f"a URL of ADD has control characters, or more than {_MAX_URL} characters")
    scheme = _SCHEME.match(word)
    try:
        if scheme is None:
            return _kept(instruction, _scp(word))
        return _url(instruction, word, scheme[1])
    except UnsupportedSourceError as problem:
        raise UnsupportedSourceError(f"ADD {_plain(word)}: {problem}") from None
    except ValueError as problem:
        raise ValueError(f"ADD {_plain(word)}: {problem}") from None


def _plain(word: str) -> str:
    """Return a source for messages, without what may be secret in it."""
    return re.sub("://[^/]*@", "://", word.partition("?")[0])[:300]


def _url(instruction: Instruction, word: str, scheme: str) -> RemoteSource:
    parts = _split(word)
    name = scheme.lower()
    if name == "git":
        raise UnsupportedSourceError("git:// is not encrypted; write https:// or ssh://")
    if name not in ("http", "https", "ssh"):
        raise ValueError(f"{scheme} is no protocol of ADD; known are http, https and ssh")
    if parts.password is not None:
        raise UnsupportedSourceError(
            "a login in the URL would be in the image's history; git takes it from spec.gitCredentials"
        )
    if name == "ssh" or unquote(parts.path).endswith(".git"):
        return _kept(instruction, _git(parts))
    if scheme not in ("http", "https"):
        raise ValueError(f"write {name}:// in lower case")
    if parts.username is not None:
        raise UnsupportedSourceError("a user in the URL of a file is not supported")
    return HttpSource(url=word.partition("#")[0], name=_file_name(parts.path))


def _split(word: str) -> SplitResult:
    try:
        parts = urlsplit(word)
        port = parts.port
    except ValueError:
        raise ValueError("its host or port cannot be read") from None
    if _BAD_ESCAPE.search(word.partition("?")[0]):
        raise ValueError("it has a % without two hex digits")
    if not parts.hostname:
        raise ValueError("it has no host")
    if port == 0:
        raise ValueError("0 is no port")
    return parts


def _file_name(path: str) -> str:
    name = unquote(path, errors="surrogateescape").rstrip("/").rpartition("/")[2]
    if name in ("", "."):
        return UNNAMED
    if name == ".." or _CONTROL.search(name) or _is_long(name):
        raise ValueError(f"its last part {name[:80]!r} cannot name a file")
    return name


def _is_long(name: str) -> bool:
    return len(name.encode(errors="surrogateescape")) > _MAX_NAME


def _git(parts: SplitResult) -> GitSource:
    url = parts._replace(query="", fragment="").geturl()
    return _refined(GitSource(url=url), parts.query, unquote(parts.fragment))


def _scp(word: str) -> GitSource:
    found = _SCP.match(word)
    if found is None:  # is_remote has seen it
        raise ValueError("it is no repository")
    user, host, path, query, fragment = found.groups()
    if not path or path.startswith("-"):
        raise ValueError("it has no path")
    return _refined(GitSource(url=f"{user}@{host}:{path}"), query or "", fragment or "")


def _refined(source: GitSource, query: str, fragment: str) -> GitSource:
    ref, _, subdir = fragment.partition(":")
    told = git_query(query, ref=ref, subdir=subdir)
    if told.ref and (not _REF.fullmatch(told.ref) or ".." in told.ref):
        raise ValueError(f"{told.ref[:80]!r} cannot be a branch, tag or commit")
    source = replace(
        source,
        ref=told.ref,
        subdir=_directory(told.subdir),
        keep_git_dir=bool(told.keep_git_dir),
        submodules=told.submodules is not False,
    )
    return _pinned_git(source, told.checksum) if told.checksum else source


def _directory(subdir: str) -> str:
    parts: list[str] = []
    for part in subdir.split("/"):
        if part == "..":
            if not parts:
                raise ValueError(f"{subdir[:80]!r} leads out of the repository")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _kept(instruction: Instruction, source: GitSource) -> GitSource:
    """Return the source with what `--keep-git-dir` says."""
    if not any(flag.partition("=")[0] == "--keep-git-dir" for flag in instruction.flags):
        return source
    wanted = _BOOLEANS[instruction.flag("keep-git-dir").lower()]
    if source.keep_git_dir and not wanted:
        raise ValueError("--keep-git-dir=false and keep-git-dir of the URL contradict each other")
    return replace(source, keep_git_dir=wanted)


def _pinned(source: RemoteSource, checksum: str) -> RemoteSource:
    if isinstance(source, HttpSource):
        if not _SHA256.fullmatch(checksum):
            raise ValueError(f"--checksum={checksum[:90]}: write sha256: and 64 hex digits")
        return replace(source, checksum=checksum)
    return _pinned_git(source, checksum)


def _pinned_git(source: GitSource, checksum: str) -> GitSource:
    if not _COMMIT_PREFIX.fullmatch(checksum):
        raise ValueError(
            f"--checksum={checksum[:90]}: for a repository write a commit in hex digits"
        )
    if source.checksum and source.checksum != checksum:
        raise ValueError(f"--checksum={checksum} is not the URL's own {source.checksum}")
    if is_commit(source.ref) and not source.ref.startswith(checksum):
        raise ValueError(f"--checksum={checksum} is not the beginning of commit {source.ref}")
    return replace(source, checksum=checksum)
