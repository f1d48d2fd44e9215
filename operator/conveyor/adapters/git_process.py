"""Running git so that neither the machine, the repository nor its server can change what it does.

In: arguments, limits. Out: stdout as bytes, whole or piece by piece. No system or user configuration, no hooks,
no prompts, no external diff; only the protocols that were allowed; a limit of time and output for every command; the
whole process group ends with it.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from conveyor.adapters.git_errors import GitFailed, GitMissing

DEFAULT_PROTOCOLS = "http:https:ssh"
MAX_OUTPUT = 512 * 1024 * 1024
_CHUNK = 256 * 1024
_MAX_STDERR = 64 * 1024
_END_SECONDS = 10.0
_PASSED_ON = (
    *("PATH", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "TMPDIR"),
)
_ENVIRONMENT = {
    "LC_ALL": "C",
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_ASKPASS": "/bin/false",
}
# The patch text is part of digests: everything that could change it is said explicitly.
_CONFIG = (
    *("safe.directory=*", "core.hooksPath=/dev/null", "core.fsmonitor=false"),
    *("gc.auto=0", "maintenance.auto=false", "protocol.version=2", "color.ui=never"),
    *("core.quotePath=false", "diff.renames=false", "diff.algorithm=default"),
    *("diff.noprefix=false", "diff.mnemonicPrefix=false", "diff.interHunkContext=0"),
    *("diff.suppressBlankEmpty=false", "diff.indentHeuristic=true", "diff.orderFile=/dev/null"),
    *("http.lowSpeedLimit=1000", "http.lowSpeedTime=60", "credential.helper="),
    *("transfer.fsckObjects=false", "submodule.recurse=false", "advice.detachedHead=false"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GitProcess:
    """How to call git for one repository.

    Attributes:
        git_dir: The repository, None for commands outside one.
        environment: Added to the fixed one, for example what `GIT_ASKPASS` needs.
        protocols: Value of GIT_ALLOW_PROTOCOL.
        slots: Bounds the git processes of one repository that run at once.
    """

    git_dir: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    protocols: str = DEFAULT_PROTOCOLS
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(4))

    async def run(self, *args: str, timeout: float = 60, limit: int = MAX_OUTPUT) -> bytes:  # noqa: ASYNC109
        """Return what the command prints.

        Args:
            *args: Arguments after `git`.
            timeout: Seconds until it is ended.
            limit: Bytes of output at which it is ended.

        Raises:
            GitFailed: It ended with an error, or was ended.
        """
        pieces: list[bytes] = []
        await self.stream(*args, into=pieces.append, timeout=timeout, limit=limit)
        return b"".join(pieces)

    async def stream(
        self,
        *args: str,
        into: Callable[[bytes], None],
        timeout: float = 60,  # noqa: ASYNC109
        limit: int = MAX_OUTPUT,
        stdin: IO[bytes] | None = None,
    ) -> None:
        """Run a command and hand its output over piece by piece. Arguments and errors as for `run`.

        `stdin` is an open file that the command reads.
        """
        async with self.slots:
            process = await self._start(args, stdin)
            complaints = asyncio.create_task(_tail(process.stderr))
            try:
                async with asyncio.timeout(timeout):
                    await _pump(process.stdout, into, limit, args[0])
                    stderr = await complaints
                    code = await process.wait()
            except TimeoutError:
                raise GitFailed(args[0], -1, f"no end after {timeout:g} s".encode()) from None
            finally:
                complaints.cancel()
                await asyncio.wait([complaints])
                await _end(process)
        if code:
            raise GitFailed(args[0], code, stderr)

    async def _start(
        self, args: tuple[str, ...], stdin: IO[bytes] | None
    ) -> asyncio.subprocess.Process:
        options = [option for setting in _CONFIG for option in ("-c", setting)]
        if self.git_dir is not None:
            options.append(f"--git-dir={self.git_dir}")
        try:
            return await asyncio.create_subprocess_exec(
                *("git", *options, *args),
                stdin=stdin or asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=self._environment(),
                cwd="/",
                start_new_session=True,
            )
        except FileNotFoundError:
            raise GitMissing("git is not installed, or not in PATH") from None

    def _environment(self) -> dict[str, str]:
        passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        fixed = {**_ENVIRONMENT, "GIT_ALLOW_PROTOCOL": self.protocols}
        return {**passed, **fixed, **self.environment}


async def _pump(
    stream: asyncio.StreamReader | None, into: Callable[[bytes], None], limit: int, command: str
) -> None:
    size = 0
    while stream is not None and (piece := await stream.read(_CHUNK)):
        size += len(piece)
        if size > limit:
            raise GitFailed(command, -1, f"more than {limit} bytes of output".encode())
        into(piece)


async def _tail(stream: asyncio.StreamReader | None) -> bytes:
    kept = b""
    while stream is not None and (piece := await stream.read(_CHUNK)):
        kept = (kept + piece)[-_MAX_STDERR:]
    return kept


async def _end(process: asyncio.subprocess.Process) -> None:
    """End what is left of the process group, transports of git included, and reap it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(TimeoutError):
        async with asyncio.timeout(_END_SECONDS):
            # asyncio counts a process as ended only when its pipes are, and a full pipe is not read.
            for stream in (process.stdout, process.stderr):
                while stream is not None and await stream.read(_CHUNK):
                    pass
            await process.wait()
