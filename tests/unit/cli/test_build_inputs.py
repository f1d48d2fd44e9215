"""What `conveyor build` is given: secrets, SSH, mirrors, hosts; messages without a cluster; lines of logs."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, union-attr, arg-type, var-annotated"

import asyncio
import io
import socket
import struct
import threading

import pytest

from conveyor.adapters.engine_api import EngineError
from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.builder.courier_agent import HEAD, Relay
from conveyor.builder.courier_agent import main as relay
from conveyor.cli.build_inputs import add_policy, key_of, mirrors_of, secrets_of, ssh_of
from conveyor.cli.build_log import lines_of, shown
from conveyor.cli.local_agent import _converse
from conveyor.cli.local_words import without_cluster
from conveyor.config.remote_policy import RemotePolicy
from conveyor.jobs.run_mounts import _missing
from conveyor.jobs.tools import _only

# --- secrets ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("id=a,src={0}/file", b"of the file\xff"),
        ("id=a,source={0}/file", b"of the file\xff"),
        ("id=a,env=OTHER", b"of the variable"),
        ("type=env,id=a,src=OTHER", b"of the variable"),
        ("type=file,id=a,src={0}/file", b"of the file\xff"),
        ("id=OTHER", b"of the variable"),
    ],
)
def test_a_secret(tmp_path, text, value):
    (tmp_path / "file").write_bytes(b"of the file\xff")
    (found,) = secrets_of([text.format(tmp_path)], {"OTHER": "of the variable"}).values()
    assert found == value


def test_without_a_variable_the_id_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "token").write_text("x")
    assert secrets_of(["id=token"], {}) == {"token": b"x"}


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["token"], "wants id=ID"),
        (["id=a,value=hunter2"], "wants id=ID"),
        (["src=x"], "wants id=ID"),
        (["id=a b,env=A"], "wants id=ID"),
        (["id=a,env=A", "id=a,env=A"], "given twice"),
        (["id=a,env=NONE"], "no variable NONE"),
        (["id=a,src=/none"], "cannot be read"),
        (["id=a,src=x,env=A"], "not both"),
        (["id=a,type=other"], "type is file or env"),
    ],
)
def test_a_secret_that_is_none(texts, told):
    with pytest.raises(UserError, match=told) as caught:
        secrets_of(texts, {"A": "1"})
    assert caught.value.reason is Reason.INVALID_SPEC
    assert "hunter2" not in caught.value.message


def test_a_secret_has_a_limit(tmp_path):
    (tmp_path / "big").write_bytes(b"x" * ((1 << 20) + 1))
    with pytest.raises(UserError, match="more than 1048576 bytes"):
        secrets_of([f"id=a,src={tmp_path}/big"], {})


# --- SSH ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def listening(tmp_path):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "agent"))
        one.listen()
        yield one


def test_ssh(tmp_path, listening):
    agent, keys = tmp_path / "agent", [tmp_path / "a", tmp_path / "b"]
    assert ssh_of(["default"], {"SSH_AUTH_SOCK": str(agent)}) == ((), agent)
    assert ssh_of([f"default={agent}"], {}) == ((), agent)
    assert ssh_of([f"x={keys[0]},{keys[1]}"], {}) == (tuple(keys), None)
    assert ssh_of([], {"SSH_AUTH_SOCK": str(agent)}) == ((), None)
    with pytest.raises(UserError, match="no agent runs here"):
        ssh_of(["default"], {})
    with pytest.raises(UserError, match="keys, or an agent"):
        ssh_of([f"default={agent}", f"x={keys[0]}"], {})


def test_a_key(tmp_path):
    key = tmp_path / "key"
    key.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert key_of(key) == key.read_bytes()
    key.write_text("ssh-ed25519 AAAA me\n")
    with pytest.raises(UserError, match="no private key"):
        key_of(key)


def test_requests_that_commands_may_make(tmp_path, listening):
    """Listing and signing reach the agent; whatever changes it is refused here."""

    def agent():
        connection, _ = listening.accept()
        with connection:
            for _ in range(2):
                size = struct.unpack(">I", connection.recv(4))[0]
                kind = connection.recv(size)[:1]
                connection.sendall(struct.pack(">I", 2) + b"!" + kind)

    async def ask():
        queue, answers = asyncio.Queue(), []

        async def answer(data):
            answers.append(data)

        for kind in (11, 17, 19, 18, 9, 22, 25, 27, 13):
            request = struct.pack(">I", 3) + bytes([kind]) + b"xy"
            for piece in (request[:2], request[2:]):
                queue.put_nowait(piece)
        queue.put_nowait(b"")
        await _converse(tmp_path / "agent", queue, answer)
        return answers

    thread = threading.Thread(target=agent)
    thread.start()
    answers = asyncio.run(ask())
    thread.join(30)
    failure = b"\0\0\0\1\5"
    assert answers == [b"\0\0\0\2!\x0b", *[failure] * 7, b"\0\0\0\2!\x0d"]


def test_the_socket_in_the_courier(tmp_path):
    """What a client sends goes out in frames with its number, what comes in goes to that client."""
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "s"))
        one.listen()
        out, written = io.BytesIO(), threading.Event()
        out.flush = written.set
        found = Relay(out)
        threading.Thread(target=found.accept, args=(one,), daemon=True).start()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "s"))
            client.sendall(b"ask")
            assert written.wait(30)
            assert out.getvalue() == HEAD.pack(1, 3) + b"ask"
            found.deliver(1, b"answer")
            assert client.recv(6) == b"answer"
            found.deliver(1, b"")
            assert client.recv(1) == b""
        found.deliver(7, b"nobody")


def test_the_socket_goes_with_its_other_end(tmp_path):
    assert relay(str(tmp_path / "s"), io.BytesIO(b"cut"), io.BytesIO()) == 0
    assert not (tmp_path / "s").exists()


# --- mirrors, hosts -----------------------------------------------------------------------------------------------------


def test_mirrors():
    given = ["https://mirror.example", "quay.io=http://10.0.0.1:5000"]
    assert mirrors_of(given) == {
        "docker.io": "https://mirror.example",
        "quay.io": "http://10.0.0.1:5000",
    }


@pytest.mark.parametrize(
    "given",
    [
        ["mirror.example"],
        ["docker.io=mirror"],
        ["https://u:p@mirror.example"],
        ["a/b=https://mirror.example"],
        ["https://a.example", "https://b.example"],
    ],
)
def test_mirrors_that_are_none(given):
    with pytest.raises(UserError, match="--container-registry-mirror"):
        mirrors_of(given)


def test_hosts_of_add():
    found = add_policy(enabled=True, allowed=["A.example"], private=["b"], blocked=["10.0.0.0/8"])
    assert found == RemotePolicy(
        allowed_hosts=("a.example",), private_hosts=("b",), blocked_networks=("10.0.0.0/8",)
    )
    with pytest.raises(UserError, match="--add-remote"):
        add_policy(enabled=True, allowed=[], private=[], blocked=["10.0.0.1/8"])


# --- words --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "own"),
    [
        (RemotePolicy(enabled=False).refuses_host("a.example", 443), "leave --no-add-remote out"),
        (
            RemotePolicy(allowed_hosts=("b.example",)).refuses_host("a.example", 443),
            "allow it with --add-remote-allowed-host",
        ),
        (RemotePolicy().refuses_host("a.local", 443), "allow it with --add-remote-private-host"),
        (
            f"this operator has no tools for {_only('linux/arm64', ['linux/amd64'])}",
            "the Docker Engine here builds for linux/amd64, not for linux/arm64; use --platform linux/amd64",
        ),
        (
            "the Docker Engine builds for linux/amd64, not for linux/arm64",
            "the Docker Engine here builds for linux/amd64, not for linux/arm64; use --platform linux/amd64",
        ),
        ("spec.repo: wrong; spec.stageTimeout too", "--repo: wrong; --stage-timeout too"),
        ("ImageBuild.spec.secrets: too many", "--secret: too many"),
        ("the pod was lost (no result)", "the container was lost (no result)"),
    ],
)
def test_messages_without_a_cluster(message, own):
    found = without_cluster(message)
    assert own in found
    for word in ("chart", "cluster's administrator", "spec.", " pod"):
        assert word not in found


def test_what_a_run_requires():
    from conveyor.api.spec import ImageBuildSpec  # noqa: PLC0415
    from conveyor.config.dockerfile_mounts import RunMount  # noqa: PLC0415

    spec = ImageBuildSpec.model_construct(secrets=(), ssh_key_secret_refs=())
    told = [
        without_cluster(_missing(RunMount(type=kind, source="x", cache_id="x"), spec))
        for kind in ("secret", "ssh")
    ]
    assert "give it with --secret id=x,src=FILE" in told[0]
    assert "give it with --ssh default" in told[1]


# --- logs ---------------------------------------------------------------------------------------------------------------


def test_lines_of_pieces():
    async def pieces():
        for piece in (b"a\nb", b"c\n\n", b"x" * 9000, b"end"):
            yield piece

    async def collected():
        return [line async for line in lines_of(pieces())]

    assert asyncio.run(collected()) == [b"a", b"bc", b"", b"x" * 9000, b"end"]


def test_the_last_line_of_a_container_that_is_taken_away():
    async def pieces():
        yield b"a\nlast"
        raise EngineError(404, "no such container")

    async def collected():
        return [line async for line in lines_of(pieces())]

    assert asyncio.run(collected()) == [b"a", b"last"]


@pytest.mark.parametrize(
    ("line", "plain", "coloured"),
    [
        (b"text\r", "text", "text"),
        (b" 10%\r 50%\r100%", "100%", "100%"),
        (b"\x1b[31mred\x1b[0m", "red", "\x1b[31mred\x1b[0m\x1b[0m"),
        (b"\x1b[2J\x1b]0;title\x07\x08", "[2J]0;title", "[2J]0;title"),
        (b"\xff\tx", "\ufffd\tx", "\ufffd\tx"),
    ],
)
def test_lines_for_a_terminal(line, plain, coloured):
    assert shown(line, colour=False) == plain
    assert shown(line, colour=True) == coloured
