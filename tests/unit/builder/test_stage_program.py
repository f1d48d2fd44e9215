"""The stage program's small parts: tasks, scripts, files for the courier."""

import base64
import fcntl
import json
import os
import zlib
from pathlib import Path

import pytest

from conveyor.builder import script
from conveyor.builder.failure import StageFailure
from conveyor.builder.handover import hold_alive
from conveyor.builder.processes import Output
from conveyor.builder.stage import parse_task, write_json
from conveyor.builder.steps import environment

_TASK = {"version": 1, "env": {"A": "größe"}, "runs": []}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(_TASK),
        "z:" + base64.b64encode(zlib.compress(json.dumps(_TASK).encode())).decode(),
    ],
)
def test_task_plain_and_packed(text: str) -> None:
    assert parse_task(text) == _TASK


@pytest.mark.parametrize("text", ["", "[]", "{", '{"version": 2}', "z:***", "z:AAAA", "null"])
def test_broken_task(text: str) -> None:
    with pytest.raises(StageFailure) as caught:
        parse_task(text)
    assert caught.value.reason == "Internal"


def test_packed_bomb_is_cut() -> None:
    packed = zlib.compress(b"[" * (200 << 20), 9)
    with pytest.raises(StageFailure, match="cannot be read"):
        parse_task("z:" + base64.b64encode(packed).decode())


def test_json_appears_whole(tmp_path: Path) -> None:
    write_json(str(tmp_path / "x.json"), {"a": 1})
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": 1}


def test_alive_is_locked_from_the_first_moment(tmp_path: Path) -> None:
    descriptor = hold_alive(str(tmp_path / "alive"))
    with (tmp_path / "alive").open() as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not os.get_inheritable(descriptor), "a command of the user must not keep it"
    os.close(descriptor)


def test_script_is_werfs() -> None:
    lines = script.text(["a", "b\nc"], "/note").splitlines()
    assert (lines[0], lines[2:]) == ("#!/.conveyor/bin/bash -e", ["a", "b", "c"])
    assert script.argv("/s.sh") == [
        "/.conveyor/bin/bash",
        "-ec",
        'eval "$(echo L3Muc2g= | /.conveyor/bin/base64 -d)"',
    ]


@pytest.mark.parametrize(
    ("note", "expected"),
    [
        ("1 3 ", "first"),
        ("1 4 ", "second\nhas two lines"),
        ("1 5 ", "second\nhas two lines"),
        ("1 6 ", "third"),
        ("2 6 17 ", "third"),
        ("", "first\nsecond\nhas two lines\nthird"),
        ("garbage", "first\nsecond\nhas two lines\nthird"),
        ("1 999 ", "first\nsecond\nhas two lines\nthird"),
    ],
)
def test_failed_command(note: str, expected: str) -> None:
    assert script.failed_command(["first", "second\nhas two lines", "third"], note) == expected


def test_failed_command_is_bounded() -> None:
    assert len(script.failed_command(["x" * 5000], "")) == 512


def test_environment_is_the_tasks_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "1")
    environ = environment({"env": {"X": "1"}, "caFile": "/ca"})
    assert "SECRET" not in environ
    assert (environ["X"], environ["SSL_CERT_FILE"]) == ("1", "/ca")
    assert environ["PATH"].endswith("/bin")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"short\n",
        b"x" * 100_000,
        b"\xff" * 5000,
        "ü".encode() * 5000,
        b"a\n" * 5000,
        b"\0" * 9000,
    ],
)
def test_tail_is_valid_and_bounded(tmp_path: Path, data: bytes) -> None:
    out = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    output = Output(out)
    output.feed(data)
    os.close(out)
    tail = output.tail().encode()
    assert len(tail) <= 2048
    assert bool(tail) == bool(data)
    assert (tmp_path / "out").read_bytes() == data


def test_what_a_command_wrote_last_ends_its_line(tmp_path: Path) -> None:
    out = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    output = Output(out)
    for data in (b"", b"whole\n", b"part"):
        output.feed(data)
        output.end_line()
    os.close(out)
    assert (tmp_path / "out").read_bytes() == b"whole\npart\n"
    assert output.tail() == "whole\npart\n"
