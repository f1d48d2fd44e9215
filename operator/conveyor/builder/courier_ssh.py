"""The SSH agent of a stage: the keys stay with the courier, the stage container has things signed.

In: directories of mounted secrets (`ssh-privatekey`, `known_hosts`). Out: a running `ssh-agent` on its socket, and a file
with all known hosts, before the stage container is told to begin. The agent is a child of the courier and ends with it.
"""

import os
import subprocess
import time
from pathlib import Path
from typing import Final

from conveyor.builder.courier_agent import AGENT, await_agent
from conveyor.builder.courier_errors import CourierError
from conveyor.builder.courier_task import SshAgent

_START_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.005
_ADD_SECONDS: Final = 30
# No library may be loaded into the process that holds the keys, whatever a client asks for.
_AGENT: Final = ("ssh-agent", "-D", "-P", "none", "-a")
_MOST_SAID: Final = 200


def start_agent(agent: SshAgent) -> "subprocess.Popen[bytes] | None":
    """Start the agent with every key, or wait for one that runs elsewhere (`courier_agent`).

    Returns:
        Its process, None of one elsewhere.

    Raises:
        CourierError: SecretInvalid, a key is missing or cannot be used. Internal, the agent does not start.
    """
    try:
        hosts = b"".join(_read(Path(folder) / "known_hosts") for folder in agent.keys)
        Path(agent.known_hosts).write_bytes(hosts)
        if any((Path(folder) / AGENT).is_file() for folder in agent.keys):
            _await_elsewhere(agent.socket)
            return None
        process = subprocess.Popen(  # noqa: S603 - our own words
            [*_AGENT, agent.socket],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=_environment(agent.socket),
        )
    except OSError as error:
        raise CourierError("Internal", f"the SSH agent does not start: {error}") from None
    try:
        _await_socket(process, agent.socket)
        for number, folder in enumerate(agent.keys):
            _add(agent.socket, number, _read(Path(folder) / "ssh-privatekey"))
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process


def _await_elsewhere(socket: str) -> None:
    if not await_agent(socket):
        raise CourierError("Internal", "the SSH agent of whoever builds does not answer")


def _await_socket(process: "subprocess.Popen[bytes]", socket: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not Path(socket).is_socket():
        if process.poll() is not None or time.monotonic() > deadline:
            raise CourierError("Internal", "the SSH agent does not start")
        time.sleep(_POLL_SECONDS)


def _add(socket: str, number: int, key: bytes) -> None:
    """Give the agent a key by standard input: it is written nowhere."""
    try:
        done = subprocess.run(
            ["ssh-add", "-q", "-"],  # noqa: S607 - of the courier's own image
            input=key,
            capture_output=True,
            env=_environment(socket),
            timeout=_ADD_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise CourierError("Internal", f"ssh-add does not answer: {error}") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()[:_MOST_SAID]
        raise CourierError(
            "SecretInvalid",
            f"the key of spec.sshKeySecretRefs[{number}] cannot be loaded ({said}); "
            "ssh-privatekey has to be a private key without a passphrase",
        )


def _read(path: Path) -> bytes:
    """A file of a secret with the end of its last line, b"" where there is none."""
    if not path.is_file():
        return b""
    return path.read_bytes().rstrip(b"\n") + b"\n"


def _environment(socket: str) -> dict[str, str]:
    # A key with a passphrase must fail, not ask.
    return {"PATH": os.defpath, "SSH_AUTH_SOCK": socket, "SSH_ASKPASS_REQUIRE": "never"}
