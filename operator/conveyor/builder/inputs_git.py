"""Commits fetched into a bare repository of our own, and their trees and files.

In: URL, commit ids, a mounted secret. Out: tree entries and file contents. The git binary does the work,
kept on a short leash: protocols http, https and ssh only, no configuration but ours, no hooks, no prompts,
credentials never in arguments, environment or URL, and given only to the host of the URL.

The repository lies in a private directory, not in the one shared with the stage container: whoever can
write `.git/config` runs commands.
"""

import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, Self

from conveyor.builder.courier_errors import CourierError
from conveyor.builder.courier_task import GitAccess
from conveyor.builder.inputs_git_access import (
    access_environment,
    base_environment,
    check_url,
    safe_url,
    without_secrets,
)
from conveyor.builder.inputs_objects import GitObjects, TreeEntry, stdout

_FETCH_SECONDS: Final = 900
_ATTEMPTS: Final = 3
PACK: Final = "pack"
_MAX_NAMES: Final = 512 << 20
_OPTIONS: Final = (
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "credential.helper=",
    "-c",
    "http.lowSpeedLimit=1000",
    "-c",
    "http.lowSpeedTime=60",
    "-c",
    "gc.auto=0",
    "-c",
    "protocol.version=2",
)
_AUTH: Final = re.compile(
    r"Authentication failed|could not read (Username|Password)|Permission denied|"
    r"Host key verification failed|returned error: 40[13]|terminal prompts disabled|Access denied",
    re.IGNORECASE,
)
_REFUSED: Final = re.compile(
    r"not our ref|unadvertised object|couldn't find remote ref|no such ref", re.IGNORECASE
)
_GONE: Final = re.compile(r"not found|does not exist|not appear to be a git", re.IGNORECASE)


class GitStore:
    """A bare repository in a temporary directory of this container."""

    _program: tuple[str, ...] = ("git",)
    _seconds: float = _FETCH_SECONDS

    def __init__(self, home: Path) -> None:
        self._home = home
        self._repo = home / "repo.git"

    @classmethod
    def create(cls) -> Self:
        """Make an empty one."""
        store = cls(Path(tempfile.mkdtemp(prefix="conveyor-git-")))
        store._run(["init", "--quiet", "--bare", "--template=", str(store._repo)], inside=False)
        return store

    def fetch(self, access: GitAccess, commits: Sequence[str], *, ca_file: str | None) -> None:
        """Fetch commits, each without its history if the server lets us.

        Raises:
            CourierError: GitUnreachable, GitAuthFailed, CommitNotFound.
        """
        check_url(access.url)
        pack = Path(access.credentials or "/nowhere") / PACK
        if pack.is_file():
            self._unpack(pack)
        else:
            self._fetch_commits(access, commits, ca_file)
        for commit in commits:
            if not self.has_commit(commit):
                where = safe_url(access.url)
                raise CourierError("CommitNotFound", f"commit {commit} is not in {where}")

    def _unpack(self, pack: Path) -> None:
        """Take commits out of a pack that was handed over in place of a login: there is no server (ADR 23)."""
        with pack.open("rb") as file:
            done = self._run(["index-pack", "--stdin"], stdin=file)
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()[-1000:]
            raise CourierError("GitUnreachable", f"git index-pack: {said}")

    def _fetch_commits(
        self, access: GitAccess, commits: Sequence[str], ca_file: str | None
    ) -> None:
        environment = self._environment(access, ca_file)
        done = self._fetch(access.url, environment, ["--depth=1", "--", access.url, *commits])
        if done is not None and _REFUSED.search(done):
            heads = ["--", access.url, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
            done = self._fetch(access.url, environment, heads)
        if done is not None and not _REFUSED.search(done):
            raise CourierError("GitUnreachable", f"git fetch {safe_url(access.url)}: {done}")

    def _environment(self, access: GitAccess, ca_file: str | None) -> dict[str, str]:
        return access_environment(self._home, access, ca_file)

    def has_commit(self, commit: str) -> bool:
        """Whether the commit is here."""
        return self._run(["cat-file", "-e", f"{commit}^{{commit}}"]).returncode == 0

    def tree(self, commit: str, path: str, most: int) -> Iterator[TreeEntry]:
        """All files below a path (or the file itself) in git's order.

        Raises:
            CourierError: InputTooLarge, more than `most`.
        """
        arguments = ["ls-tree", "-r", "-z", "--full-tree", commit]
        for index, record in enumerate(
            self._records([*arguments, "--", path] if path else arguments)
        ):
            if index >= most:
                raise CourierError("InputTooLarge", f"commit {commit} has more than {most} files")
            meta, _, name = record.partition(b"\t")
            mode, _, oid = meta.decode().split(" ")
            yield TreeEntry(path=name, mode=mode, oid=oid)

    def changes(self, start: str, commit: str) -> Iterator[tuple[bytes, TreeEntry | None]]:
        """Paths that differ between two commits: what they are in the second, None if not there."""
        arguments = ["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", start, commit]
        records = self._records(arguments)
        for meta in records:
            path = next(records)
            _, mode, _, oid, _ = meta.decode().lstrip(":").split(" ")
            gone = set(mode) == {"0"}
            yield path, None if gone else TreeEntry(path=path, mode=mode, oid=oid)

    def objects(self) -> "GitObjects":
        """Open a reader of file contents."""
        return GitObjects(self._start(["cat-file", "--batch"], stdin=subprocess.PIPE))

    def _records(self, arguments: list[str]) -> Iterator[bytes]:
        """NUL-terminated records of a command's output."""
        with self._start(arguments, stdin=subprocess.DEVNULL) as process:
            rest, total = b"", 0
            while data := stdout(process).read1(1 << 20):
                total += len(data)
                if total > _MAX_NAMES:
                    process.kill()
                    raise CourierError("InputTooLarge", "the list of files is larger than 512 MiB")
                *whole, rest = (rest + data).split(b"\0")
                yield from whole
        if process.returncode:
            raise CourierError("Internal", f"git {arguments[0]} ended with {process.returncode}")

    def _start(self, arguments: list[str], stdin: int) -> subprocess.Popen[bytes]:
        command = ["git", *_OPTIONS, f"--git-dir={self._repo}", *arguments]
        return subprocess.Popen(  # noqa: S603 - a list, every part of it checked
            command,
            env=base_environment(self._home),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def _run(
        self,
        arguments: list[str],
        environment: dict[str, str] | None = None,
        *,
        inside: bool = True,
        stdin: BinaryIO | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        where = [f"--git-dir={self._repo}"] if inside else []
        return subprocess.run(  # noqa: S603 - a list, every part of it checked
            [*self._program, *_OPTIONS, *where, *arguments],
            env=environment or base_environment(self._home),
            stdin=stdin or subprocess.DEVNULL,
            capture_output=True,
            timeout=self._seconds,
            check=False,
        )

    def _fetch(self, url: str, environment: dict[str, str], arguments: list[str]) -> str | None:
        """Fetch; returns None, or what git said when trying again is no use."""
        said = ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(attempt)
            said = self._fetch_once(environment, arguments)
            if not said:
                return None
            said = without_secrets(said)
            if _AUTH.search(said):
                raise CourierError("GitAuthFailed", f"git fetch {safe_url(url)}: {said}")
            if _REFUSED.search(said) or _GONE.search(said):
                return said
        return said

    def _fetch_once(self, environment: dict[str, str], arguments: list[str]) -> str:
        command = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
        ]
        try:
            done = self._run([*command, "--no-recurse-submodules", *arguments], environment)
        except subprocess.TimeoutExpired:
            return f"not finished after {self._seconds} s"
        if done.returncode == 0:
            return ""
        return (
            done.stderr.decode("utf-8", "replace").strip()[-1000:] or f"exit code {done.returncode}"
        )
