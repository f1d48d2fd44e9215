"""What a RUN mounts in the stage container: caches, locks, tmpfs, secrets as variables, sockets of the agent."""

import fcntl
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from conveyor.builder.failure import StageFailure
from conveyor.builder.processes import Output, Runner
from conveyor.builder.rootfs import Rootfs
from conveyor.builder.run_mounts import RunMounts
from conveyor.builder.snapshot import Snapshot
from conveyor.builder.steps import Workplace

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="owners are set")


def mounted(root: Path, **mounts: object) -> RunMounts:
    return RunMounts(Rootfs(os.fsencode(root)), mounts, Output(1))


def cache(path: str, **more: object) -> dict[str, object]:
    return {"path": path, "mode": 0o755, "uid": 0, "gid": 0, "lock": "", **more}


@needs_root
def test_a_new_cache_gets_its_owner_and_a_used_one_keeps_what_it_has(tmp_path: Path) -> None:
    for name in ("new", "used"):
        (tmp_path / name).mkdir(mode=0o777)
    (tmp_path / "used/file").touch()
    (tmp_path / "used").chmod(0o750)
    wanted = [cache(f"/{name}", mode=0o711, uid=5, gid=6) for name in ("new", "used")]
    mounted(tmp_path, caches=wanted).prepare({})
    new, used = ((tmp_path / name).stat() for name in ("new", "used"))
    assert (new.st_mode & 0o7777, new.st_uid, new.st_gid) == (0o711, 5, 6)
    assert (used.st_mode & 0o7777, used.st_uid, used.st_gid) == (0o750, 0, 0)


@needs_root
def test_a_cache_that_began_with_files_is_as_they_were(tmp_path: Path) -> None:
    """Even if there were none."""
    (tmp_path / "c").mkdir(mode=0o711)
    (tmp_path / "c").chmod(0o711)
    lock = tmp_path / "lock"
    mounts = mounted(tmp_path, caches=[{"path": "/c", "lock": str(lock)}])
    mounts.prepare({})
    assert _held(lock)
    mounts.release()
    assert (tmp_path / "c").stat().st_mode & 0o7777 == 0o711


@needs_root
def test_a_mount_inside_of_a_cache_does_not_make_it_used(tmp_path: Path) -> None:
    """The runtime has made its mount point there."""
    (tmp_path / "c/deep").mkdir(parents=True)
    (tmp_path / "c/deep/token").touch()
    rootfs = Rootfs(os.fsencode(tmp_path), mounts=[os.fsencode(tmp_path / "c/deep/token")])
    mounts = RunMounts(rootfs, {"caches": [cache("/c", mode=0o700, uid=5)]}, Output(1))
    mounts.prepare({})
    assert ((tmp_path / "c").stat().st_mode & 0o7777, (tmp_path / "c").stat().st_uid) == (0o700, 5)
    (tmp_path / "c/own").touch()
    (tmp_path / "c").chmod(0o750)
    mounts.prepare({})
    assert (tmp_path / "c").stat().st_mode & 0o7777 == 0o750


def test_a_tmpfs_is_empty_for_every_run(tmp_path: Path) -> None:
    (tmp_path / "t/deep").mkdir(parents=True)
    (tmp_path / "t/deep/file").touch()
    mounts = mounted(tmp_path, tmpfs=["/t"])
    mounts.prepare({})
    assert list((tmp_path / "t").iterdir()) == []
    assert (tmp_path / "t").stat().st_mode & 0o7777 == 0o1777


def _held(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_locks_are_held_for_one_run(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    locks = [tmp_path / name for name in ("two", "one")]
    mounts = mounted(tmp_path, caches=[cache("/c", lock=str(lock)) for lock in locks])
    mounts.prepare({})
    assert [_held(lock) for lock in locks] == [True, True]
    mounts.release()
    assert [_held(lock) for lock in locks] == [False, False]


def test_who_finds_a_lock_taken_waits_for_it(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    lock = tmp_path / "lock"
    first, second = (mounted(tmp_path, caches=[cache("/c", lock=str(lock))]) for _ in range(2))
    first.prepare({})
    done = threading.Event()

    def other() -> None:
        second.prepare({})
        done.set()

    waiting = threading.Thread(target=other)
    waiting.start()
    assert not done.wait(0.2)
    first.release()
    assert done.wait(30)
    waiting.join()
    second.release()


def test_a_volume_without_locks_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    (tmp_path / "c").mkdir()
    monkeypatch.setattr(fcntl, "flock", refuse)
    mounts = mounted(tmp_path, caches=[cache("/c", lock=str(tmp_path / "lock"))])
    with pytest.raises(StageFailure, match=r"spec\.mounts\.cache has no locks .*sharing=shared"):
        mounts.prepare({})


def test_a_secret_is_a_variable_of_the_command_alone(tmp_path: Path) -> None:
    (tmp_path / "value").write_bytes(b"s3cret\xff\n")
    work = Workplace(Rootfs(os.fsencode(tmp_path)), Runner(Output(1)), str(tmp_path), {"A": "1"})
    work.mounts = mounted(tmp_path, variables={"TOKEN": str(tmp_path / "value")})
    script = f'printf %s "$A$TOKEN" > {tmp_path}/seen'
    step = {"op": "exec", "argv": ["/bin/sh", "-c", script], "env": {"TOKEN": "of the image"}}
    work.run(step, "0-0-0")
    assert (tmp_path / "seen").read_bytes() == b"1s3cret\xff\n"
    assert "TOKEN" not in {**work.environ, **os.environ}


def test_a_secret_that_is_no_text_cannot_be_a_variable(tmp_path: Path) -> None:
    (tmp_path / "value").write_bytes(b"a\0hidden")
    with pytest.raises(StageFailure, match="TOKEN has zero bytes") as raised:
        mounted(tmp_path, variables={"TOKEN": str(tmp_path / "value")}).prepare({})
    assert "hidden" not in str(raised.value)


# --- the agent --------------------------------------------------------------------------------------------------------


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """An agent that answers every line with itself, twice."""
    path = f"/tmp/agent-{os.getpid()}-{abs(hash(tmp_path)) % 10_000}"  # noqa: S108 - sockets have 107 characters
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()

    def serve() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            with client:
                while data := client.recv(100):
                    client.sendall(data * 2)

    threading.Thread(target=serve, daemon=True).start()
    yield path
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    Path(path).unlink()


@pytest.fixture
def short(tmp_path: Path) -> Iterator[Path]:
    folder = Path(f"/tmp/r-{os.getpid()}-{abs(hash(tmp_path)) % 10_000}")  # noqa: S108
    folder.mkdir()
    yield folder
    os.system(f"rm -rf {folder}")  # noqa: S605 - our own words


def ask(path: Path, text: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(text)
        answer = b""
        while len(answer) < 2 * len(text):
            answer += client.recv(100)
        return answer


@needs_root
def test_sockets_lead_to_the_agent_while_a_run_lasts(agent: str, short: Path) -> None:
    sockets = [
        {"path": "/run/a/first", "agent": agent, "mode": 0o600, "uid": 1000, "gid": 7},
        {"path": "/second", "agent": agent, "mode": 0o666, "uid": 0, "gid": 0},
    ]
    mounts = mounted(short, sockets=sockets)
    assert mounts.prepare({"A": "1"}) == {"A": "1", "SSH_AUTH_SOCK": "/run/a/first"}
    assert ask(short / "run/a/first", b"one") == b"oneone"
    assert ask(short / "second", b"two") == b"twotwo"
    assert ask(short / "second", b"again") == b"againagain"
    status = (short / "run/a/first").stat()
    assert (status.st_mode & 0o777, status.st_uid, status.st_gid) == (0o600, 1000, 7)
    mounts.release()
    assert mounts.prepare({"SSH_AUTH_SOCK": "/own"})["SSH_AUTH_SOCK"] == "/own"
    assert ask(short / "second", b"later") == b"laterlater"
    mounts.release()


def test_what_is_made_for_sockets_is_no_change(agent: str, short: Path) -> None:
    sockets = [{"path": "/run/x/s", "agent": agent, "mode": 0o600, "uid": 0, "gid": 0}]
    (short / "kept").mkdir()
    mounts = mounted(short, sockets=sockets)
    snapshot = Snapshot(os.fsencode(short))
    snapshot.take()
    snapshot.settle()
    mounts.prepare({})
    (short / "made").touch()
    mounts.release()
    assert [path for path, _ in snapshot.changes()] == [b"made"]


def test_what_a_container_makes_for_mounts_is_no_change(tmp_path: Path) -> None:
    """The runtime makes mount points before the first walk: a file, a directory, and their parents."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app/new/deep").mkdir(parents=True)
    (tmp_path / "app/config").touch()
    points = [os.fsencode(tmp_path / name) for name in ("app/new/deep", "app/config")]
    snapshot = Snapshot(os.fsencode(tmp_path), mounts=points)
    snapshot.take()
    snapshot.settle()
    (tmp_path / "app/new/deep/cached").touch()
    (tmp_path / "app/config").write_text("mounted")
    assert list(snapshot.changes()) == []
    (tmp_path / "app/new/beside").touch()
    changed = [path for path, _ in snapshot.changes()]
    assert changed == [b"app/new", b"app/new/beside"]
