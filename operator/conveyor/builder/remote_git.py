"""git against a server that a Dockerfile names.

In: a URL, the addresses that passed the gate, a login. Out: which commit a ref stands for, and the commit in a
repository of our own. git connects to the addresses it is given and looks no name up; it follows no redirect and no
list of alternates, asks one host only, and may write so much and no more.
"""

import re
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Self
from urllib.parse import urlsplit

from conveyor.builder.courier_errors import CourierError
from conveyor.builder.courier_task import GitAccess, Limits
from conveyor.builder.inputs_git import GitStore
from conveyor.builder.inputs_git_access import access_environment, without_secrets
from conveyor.builder.inputs_objects import stdout
from conveyor.builder.remote_hosts import Gate
from conveyor.config.remote_source import GitSource, endpoint, is_commit

_MAX_REFS: Final = 1 << 20
_MAX_SAID: Final = 1000
_BLOCK: Final = 512  # the unit of `ulimit -f` in a POSIX shell
_DEFAULT: Final = re.compile(r"^ref: (refs/heads/\S+)\tHEAD$", re.MULTILINE)
_AUTH: Final = re.compile(
    r"Authentication failed|could not read (Username|Password)|Permission denied|"
    r"Host key verification failed|returned error: 40[13]|terminal prompts disabled|Access denied",
    re.IGNORECASE,
)
_GONE: Final = re.compile(r"not found|does not exist|not appear to be a git", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """A repository whose server has been judged.

    Attributes:
        access: URL after all redirects, and the login where it is still for that host.
        addresses: Where to connect to.
    """

    access: GitAccess
    addresses: tuple[str, ...]
    ca_file: str | None
    limits: Limits
    gate: Gate


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a ref stands for: its full name ("" for a bare commit), the object it names and the commit behind a tag."""

    ref: str
    id: str
    commit: str


class RemoteStore(GitStore):
    """A bare repository for one fetch from a foreign server."""

    def __init__(self, home: Path, pinned: Pinned) -> None:
        super().__init__(home)
        self.pinned = pinned
        blocks = str(pinned.limits.input_bytes // _BLOCK + 1)
        self._program = ("sh", "-c", 'ulimit -f "$0"; exec git "$@"', blocks)
        self._seconds = pinned.limits.remote_seconds
        self._variables: dict[str, str] = {}

    @classmethod
    def make(cls, pinned: Pinned) -> Self:
        """Make an empty one in a directory of its own; `home` is to be removed."""
        store = cls(Path(tempfile.mkdtemp(prefix="conveyor-git-")), pinned)
        store._run(["init", "--quiet", "--bare", "--template=", str(store._repo)], inside=False)
        return store

    @property
    def home(self) -> Path:
        """The directory with everything in it."""
        return self._home

    @property
    def path(self) -> Path:
        """The repository."""
        return self._repo

    def git(self, *arguments: str) -> str:
        """Run a command inside the repository that asks nobody; returns what it prints."""
        done = self._run([*arguments])
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace")[-_MAX_SAID:]
            raise CourierError("Internal", f"git {arguments[0]}: {said}")
        return done.stdout.decode("utf-8", "replace").strip()

    def resolve(self, ref: str) -> Found:
        """Find out what a ref stands for: a branch before a tag, "" is the default branch (moby/buildkit: source/git).

        Raises:
            CourierError: CommitNotFound, GitAuthFailed, GitUnreachable.
        """
        if is_commit(ref):
            return Found(ref="", id=ref, commit=ref)
        if not ref:
            head = _DEFAULT.search(self._ask("--symref", "HEAD"))
            if head is None:
                raise self.pinned.gate.error("CommitNotFound", "it has no default branch")
            ref = head[1]
        rows = (line.partition("\t") for line in self._ask(ref, f"{ref}^{{}}").splitlines())
        known = {name: digest for digest, _, name in rows}
        names = (
            f"refs/{ref.removeprefix('refs/')}",
            f"refs/heads/{ref.removeprefix('refs/heads/')}",
            f"refs/tags/{ref.removeprefix('refs/tags/')}",
        )
        for name in names:
            if is_commit(known.get(name, "")):
                commit = known.get(f"{name}^{{}}", known[name])
                return Found(ref=name, id=known[name], commit=commit)
        raise self.pinned.gate.error("CommitNotFound", f"it has no branch or tag {ref}")

    def bring(self, found: Found) -> None:
        """Fetch a commit, and the tag that names it, without history if the server lets us.

        Raises:
            CourierError: GitUnreachable, GitAuthFailed, CommitNotFound.
        """
        try:
            self.fetch(self.pinned.access, [found.id], ca_file=self.pinned.ca_file)
        except CourierError as error:
            raise self.pinned.gate.error(error.reason, error.message) from None

    def _fetch_once(self, environment: dict[str, str], arguments: list[str]) -> str:
        said = super()._fetch_once(environment, arguments)
        most = self.pinned.limits.input_bytes
        for path in self._repo.glob(
            "objects/pack/tmp_pack_*"
        ):  # git says no more than that it failed
            size = path.stat().st_size
            path.unlink()
            if size >= most:
                raise CourierError("InputTooLarge", f"what git fetches has more than {most} bytes")
        return said

    def environment(self) -> dict[str, str]:
        """What git is started with when it asks the server; the files that it needs are made once."""
        if not self._variables:
            self._variables = self._made(self.pinned.access, self.pinned.ca_file)
        return self._variables

    def _environment(self, access: GitAccess, ca_file: str | None) -> dict[str, str]:
        return self.environment()

    def _made(self, access: GitAccess, ca_file: str | None) -> dict[str, str]:
        environment = access_environment(self._home, access, ca_file)
        environment = {
            name: value
            for name, value in environment.items()
            if not name.lower().endswith("_proxy")
        }
        settings = {"http.followRedirects": "false", "fetch.unpackLimit": "1", "http.proxy": ""}
        source = GitSource(url=access.url)
        host, port = endpoint(source)
        if source.over_ssh:
            environment["GIT_SSH_COMMAND"] += _ssh_options(host, port, self.pinned.addresses[0])
        else:
            settings["http.curloptResolve"] = _pin(host, port, self.pinned.addresses)
        scheme = "ssh" if source.over_ssh else urlsplit(access.url).scheme
        return environment | {"GIT_ALLOW_PROTOCOL": scheme} | _as_variables(settings)

    def _ask(self, *wanted: str) -> str:
        """The output of `git ls-remote`, which a hostile server can make as long as it likes."""
        options = [word for word in wanted if word.startswith("--")]
        patterns = [word for word in wanted if not word.startswith("--")]
        command = [*self._program, "ls-remote", *options, "--", self.pinned.access.url, *patterns]
        with tempfile.TemporaryFile(dir=self._home) as errors:
            text, code = self._bounded(command, errors)
            errors.seek(0)
            said = errors.read(_MAX_REFS).decode("utf-8", "replace").strip()[-_MAX_SAID:]
        if code:
            raise self._failed(without_secrets(said) or f"exit code {code}")
        return text

    def _bounded(self, command: list[str], errors: IO[bytes]) -> tuple[str, int]:
        with subprocess.Popen(  # noqa: S603 - a list, every part of it checked
            command,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as process:
            clock = threading.Timer(self._seconds, process.kill)
            clock.start()
            try:
                data = stdout(process).read(_MAX_REFS + 1)
                if len(data) > _MAX_REFS:
                    text = f"the list of its refs is longer than {_MAX_REFS} bytes"
                    raise self.pinned.gate.error("InputTooLarge", text)
                code = process.wait()
            finally:
                clock.cancel()
                process.kill()
        return data.decode("utf-8", "replace"), code

    def _failed(self, said: str) -> CourierError:
        gone = _GONE.search(said) is not None
        reason = "GitAuthFailed" if _AUTH.search(said) else "CommitNotFound"
        if reason != "GitAuthFailed" and not gone:
            reason = "GitUnreachable"
        return self.pinned.gate.error(reason, f"git: {said}")


def _pin(host: str, port: int, addresses: tuple[str, ...]) -> str:
    """curl's `HOST:PORT:ADDRESS,ADDRESS`."""
    shown = ",".join(f"[{one}]" if ":" in one else one for one in addresses)
    return f"{f'[{host}]' if ':' in host else host}:{port}:{shown}"


def _ssh_options(host: str, port: int, address: str) -> str:
    """Connect to the address, but know the host by its name."""
    alias = host if port == 22 else f"[{host}]:{port}"
    return f" -o 'HostName={address}' -o 'HostKeyAlias={alias}' -o CheckHostIP=no"


def _as_variables(settings: dict[str, str]) -> dict[str, str]:
    """Configuration for git and the programs it starts, which get no `-c`."""
    found = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        found |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return found
