"""The courier's SSH agent, with the real ssh-agent."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conveyor.builder import courier
from conveyor.builder.courier_errors import CourierError
from conveyor.builder.courier_ssh import start_agent
from conveyor.builder.courier_task import SshAgent


def run(*argv: str, **env: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own words
        argv, env={"PATH": os.defpath, **env}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def secret(folder: Path, name: str, *, passphrase: str = "", hosts: str | None = None) -> str:
    """A mounted Secret; the key has lost the end of its last line, as happens in editors."""
    made = folder / name
    made.mkdir()
    key = made / "ssh-privatekey"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", name, "-f", str(key))
    key.write_bytes(key.read_bytes().rstrip(b"\n"))
    if hosts is not None:
        (made / "known_hosts").write_text(hosts)
    return str(made)


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    """A short path: sockets have 107 characters."""
    folder = Path("/tmp") / f"ssh-{os.getpid()}-{abs(hash(tmp_path)) % 10_000}"  # noqa: S108
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def agent(shared: Path, *keys: str) -> SshAgent:
    return SshAgent(keys=keys, socket=f"{shared}/sock", known_hosts=f"{shared}/known_hosts")


def test_it_offers_every_key_and_knows_every_host(tmp_path: Path, shared: Path) -> None:
    keys = [
        secret(tmp_path, "one", hosts="a ssh-ed25519 AAAA"),
        secret(tmp_path, "two"),
        secret(tmp_path, "three", hosts="b ssh-ed25519 BBBB\n\n"),
    ]
    process = start_agent(agent(shared, *keys))
    try:
        listed = run("ssh-add", "-l", SSH_AUTH_SOCK=f"{shared}/sock").splitlines()
        assert [line.split()[2] for line in listed] == ["one", "two", "three"]
    finally:
        process.kill()
        process.wait()
    lines = (shared / "known_hosts").read_text().split("\n")
    assert [line for line in lines if line] == ["a ssh-ed25519 AAAA", "b ssh-ed25519 BBBB"]
    assert sorted(path.name for path in shared.iterdir()) == ["known_hosts", "sock"]


def test_it_loads_no_library(tmp_path: Path, shared: Path) -> None:
    process = start_agent(agent(shared, secret(tmp_path, "one")))
    try:
        done = subprocess.run(
            ["ssh-add", "-s", "/usr/lib/x86_64-linux-gnu/libc.so.6"],  # noqa: S607
            env={"PATH": os.defpath, "SSH_AUTH_SOCK": f"{shared}/sock"},
            input=b"\n",
            capture_output=True,
            check=False,
        )
        assert done.returncode != 0
        assert b"refused" in done.stderr or b"failed" in done.stderr
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("kind", ["passphrase", "garbage", "missing"])
def test_a_key_that_cannot_be_used_is_named(tmp_path: Path, shared: Path, kind: str) -> None:
    good = secret(tmp_path, "good")
    bad = secret(tmp_path, "bad", passphrase="words and words" if kind == "passphrase" else "")
    if kind == "garbage":
        (tmp_path / "bad/ssh-privatekey").write_text("top secret garbage")
    if kind == "missing":
        (tmp_path / "bad/ssh-privatekey").unlink()
    with pytest.raises(CourierError, match=r"sshKeySecretRefs\[1\].*passphrase") as caught:
        start_agent(agent(shared, good, bad))
    assert caught.value.reason == "SecretInvalid"
    assert "garbage" not in caught.value.message
    refused = subprocess.run(
        ["ssh-add", "-l"],  # noqa: S607
        env={"PATH": os.defpath, "SSH_AUTH_SOCK": f"{shared}/sock"},
        check=False,
        capture_output=True,
    )
    assert refused.returncode == 2, "the agent is gone"


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CourierError, match="does not start") as caught:
        start_agent(agent(tmp_path / "nowhere"))
    assert caught.value.reason == "Internal"


def test_the_operator_and_the_stage_hear_of_a_bad_key(tmp_path: Path, shared: Path) -> None:
    """Before any run is ready: no command of the user has begun."""
    bad = secret(tmp_path, "bad", passphrase="words and words")  # noqa: S106
    (tmp_path / "io").mkdir()
    ssh = {"keys": [bad], "socket": f"{shared}/sock", "knownHosts": f"{shared}/known_hosts"}
    task = {"version": 2, "repo": "host:5000/a", "runs": 1, "ssh": ssh}
    environment = {
        "CONVEYOR_COURIER": json.dumps(task),
        "CONVEYOR_TERMINATION_LOG": str(tmp_path / "log"),
        "CONVEYOR_IO": str(tmp_path / "io"),
    }
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert courier.main(environment) == 1
    finally:
        signal.signal(signal.SIGTERM, before)
    assert json.loads((tmp_path / "log").read_text())["failure"]["reason"] == "SecretInvalid"
    told = json.loads((tmp_path / "io/in/failed").read_text())
    assert told["reason"] == "SecretInvalid"
    assert [path.name for path in (tmp_path / "io/in").iterdir()] == ["failed"]
