"""The courier's task, its reports, its file access."""

import base64
import fcntl
import json
import os
import zlib
from pathlib import Path

import pytest

from conveyor.builder import courier
from conveyor.builder.courier_errors import CourierError
from conveyor.builder.courier_inputs import BlobInput, ContextCopy, GitArchive, GitPatch
from conveyor.builder.courier_io import Exchange
from conveyor.builder.courier_report import (
    MESSAGE_LIMIT,
    PushedBlob,
    PushedExport,
    StageResult,
    message,
    pointer,
    reason_only,
    run_report,
    stage_failure,
)
from conveyor.builder.courier_task import SshAgent, parse_task
from conveyor.builder.inputs_git_access import check_url, without_secrets

COMMIT = "ab" * 20
MINIMAL = {"version": 2, "repo": "host:5000/a", "runs": 1}


GIT = {"git": [{"url": "https://g/x", "credentials": None}]}


def parse(**more: object) -> object:
    return parse_task(json.dumps(MINIMAL | GIT | more))


def test_whole_task() -> None:
    inputs = [
        {
            "run": 0,
            "kind": "gitArchive",
            "file": "in/a.tar",
            "commit": COMMIT,
            "add": "/src/./x/",
            "includePaths": ["a"],
            "excludePaths": [],
            "toName": None,
        },
        {
            "run": 1,
            "kind": "gitPatch",
            "file": "in/p.tar",
            "repository": 1,
            "from": "cd" * 20,
            "commit": COMMIT,
            "add": "",
        },
        {
            "run": 1,
            "kind": "context",
            "file": "in/c.tar",
            "commit": COMMIT,
            "context": ".",
            "sources": ["."],
        },
        {
            "run": 1,
            "kind": "blob",
            "file": "in/b.tar",
            "digest": "sha256:x",
            "size": 3,
            "gzip": True,
        },
    ]
    text = json.dumps(
        {
            "version": 2,
            "repo": "host:5000/proj/app",
            "runs": 2,
            "insecure": ["host:5000"],
            "mirrors": {"docker.io": "http://m"},
            "caFile": "/ca",
            "dockerConfig": "/secret",
            "git": [
                {"url": "https://g/x", "credentials": "/git"},
                {"url": "https://g/y", "credentials": None},
            ],
            "inputs": inputs,
            "exports": ["e0"],
            "callback": {"url": "http://cb", "token": "t0k"},
            "limits": {"layerBytes": 5, "entries": 6, "inputBytes": 7},
            "ssh": {"keys": ["/k"], "socket": "/s/sock", "knownHosts": "/s/hosts"},
        }
    )
    packed = "z:" + base64.b64encode(zlib.compress(text.encode())).decode()
    task = parse_task(text)
    assert parse_task(packed) == task
    archive, patch, context, blob = task.inputs
    assert isinstance(archive, GitArchive)
    assert (archive.file, archive.add, archive.include, archive.to_name) == (
        "a.tar",
        "src/x",
        ("a",),
        None,
    )
    assert isinstance(patch, GitPatch)
    assert (patch.start, patch.commit) == ("cd" * 20, COMMIT)
    assert [archive.repository, patch.repository] == [0, 1]
    assert [it.credentials for it in task.git] == ["/git", None]
    assert isinstance(context, ContextCopy)
    assert (context.context, context.dockerignore) == ("", None)
    assert isinstance(blob, BlobInput)
    assert (blob.size, blob.gzip) == (3, True)
    assert task.docker_configs == ("/secret",)
    assert task.ssh == SshAgent(keys=("/k",), socket="/s/sock", known_hosts="/s/hosts")
    assert (task.limits.layer_bytes, task.limits.entries, task.limits.input_bytes) == (5, 6, 7)
    assert [len(task.inputs_of(run)) for run in range(3)] == [1, 3, 0]
    assert "t0k" not in repr(task)


ARCHIVE = {"kind": "gitArchive", "file": "in/x", "commit": COMMIT, "add": "a"}


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"version": 1}, "task.version"),
        ({"repo": ""}, "task.repo"),
        ({"runs": "1"}, "task.runs"),
        ({"runs": -1}, "task.runs"),
        ({"insecure": [1]}, "task.insecure"),
        ({"inputs": {}, "exports": {"a": 1}}, "task.exports"),
        ({"inputs": [1]}, r"task.inputs\[0\]"),
        ({"inputs": [ARCHIVE | {"kind": "magic"}]}, r"task.inputs\[0\].kind"),
        ({"inputs": [ARCHIVE | {"file": "in/../out/x"}]}, r"task.inputs\[0\].file"),
        ({"inputs": [ARCHIVE | {"file": "in/.x"}]}, r"task.inputs\[0\].file"),
        ({"inputs": [ARCHIVE | {"file": "/etc/x"}]}, r"task.inputs\[0\].file"),
        ({"inputs": [ARCHIVE | {"commit": "HEAD"}]}, r"task.inputs\[0\].commit"),
        ({"inputs": [ARCHIVE | {"commit": "--upload-pack=x"}]}, r"task.inputs\[0\].commit"),
        ({"inputs": [ARCHIVE | {"add": "a/../../b"}]}, r"task.inputs\[0\].add"),
        ({"limits": {"entries": "many"}}, "task.limits.entries"),
        ({"ssh": {"keys": [], "socket": ""}}, "task.ssh.socket"),
        ({"git": {"url": "https://g/x"}, "inputs": []}, "task.git"),
        ({"git": [{}]}, r"task.git\[0\].url"),
        ({"git": [], "inputs": [ARCHIVE]}, r"task.inputs\[0\].repository"),
        ({"inputs": [ARCHIVE | {"repository": 1}]}, r"task.inputs\[0\].repository"),
        ({"inputs": [ARCHIVE | {"repository": -1}]}, r"task.inputs\[0\].repository"),
    ],
)
def test_mistakes_in_a_task_are_named(more: dict[str, object], path: str) -> None:
    with pytest.raises(CourierError, match=path) as caught:
        parse(**more)
    assert caught.value.reason == "TaskInvalid"


@pytest.mark.parametrize(
    "text", ["", "{", "z:", "z:!!", "z:" + base64.b64encode(b"no").decode(), "[]"]
)
def test_unreadable_tasks(text: str) -> None:
    with pytest.raises(CourierError) as caught:
        parse_task(text)
    assert caught.value.reason == "TaskInvalid"


def blob(n: int) -> PushedBlob:
    return PushedBlob(
        digest="sha256:" + f"{n:064}",
        diff_id="sha256:" + f"{n:064}",
        size=123456789,
        media_type="m" * 45,
    )


def result(layers: int, **failure: object) -> StageResult:
    return StageResult(runs=[tuple(blob(n) for n in range(layers))], failure=failure or None)


def test_a_usual_result_is_the_message() -> None:
    found = result(14)
    found.exports["e0"] = PushedExport(blob=blob(1), checksum="d41d8")
    text = message(found)
    assert text is not None
    assert len(text) <= MESSAGE_LIMIT
    value = json.loads(text)
    assert value["version"] == 1
    assert value["failure"] is None
    assert len(value["runs"][0]["layers"]) == 14
    assert value["exports"]["e0"]["checksum"] == "d41d8"


@pytest.mark.parametrize("char", ["x", "é", "😀", '"', "\n", "\x00", "\ud800"])
def test_texts_of_a_failure_are_cut_to_fit(char: str) -> None:
    failure = stage_failure(
        {
            "reason": "CommandFailed",
            "exitCode": 2,
            "run": 0,
            "command": char * 5000,
            "logTail": char * 20_000 + "END",
            "message": char * 5000,
        }
    )
    text = message(result(5, **failure))
    assert text is not None
    assert len(text) <= MESSAGE_LIMIT
    shown = json.loads(text)["failure"]
    assert (shown["reason"], shown["exitCode"]) == ("CommandFailed", 2)
    assert shown["logTail"].endswith("END")
    assert len(shown["message"]) > 50


def test_what_cannot_be_cut_goes_elsewhere() -> None:
    assert message(result(40)) is None
    assert message(result(40, reason="CommandFailed", logTail="x" * 9000)) is None
    assert len(pointer("sha256:" + "a" * 64)) < 200
    assert len(reason_only("Internal", "x" * 100_000)) < MESSAGE_LIMIT


def test_hostile_done_files_are_tamed() -> None:
    failure = stage_failure(
        {"reason": 5, "exitCode": True, "command": ["x"], "more": {}, "message": "m" * 99_999}
    )
    assert set(failure) == {"reason", "message"}
    assert failure["reason"] == "Internal"
    assert len(str(failure["message"])) < 9000


def test_a_run_is_one_line() -> None:
    line = run_report(3, (blob(1), None))
    assert b"\n" not in line
    value = json.loads(line)
    assert (value["run"], value["layers"][1]) == (3, None)
    assert set(value["layers"][0]) == {"digest", "diffID", "size", "mediaType"}


# --- the shared directory --------------------------------------------------------------------------------------------


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    return Exchange(str(tmp_path))


def test_life_of_the_stage(exchange: Exchange, tmp_path: Path) -> None:
    assert exchange.stage_lives() is None
    lock = os.open(tmp_path / "alive", os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert exchange.stage_lives() is True
    os.close(lock)
    assert exchange.stage_lives() is False
    (tmp_path / "alive").unlink()
    (tmp_path / "alive").symlink_to("elsewhere")
    assert exchange.stage_lives() is False


def test_outputs_are_regular_files_with_plain_names(exchange: Exchange, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("{}")
    (tmp_path / "out/link").symlink_to(tmp_path / "secret")
    (tmp_path / "out/dir").mkdir()
    os.mkfifo(tmp_path / "out/fifo")
    for name in (
        "link",
        "dir",
        "fifo",
        "missing",
        "../secret",
        ".hidden",
        "",
        "a/b",
        "x" * 300,
        "a\0b",
    ):
        with pytest.raises(CourierError) as caught:
            exchange.open_output(name)
        assert caught.value.reason == "LayerInvalid"


def test_json_of_the_stage_is_limited(exchange: Exchange, tmp_path: Path) -> None:
    for name, text in {
        "list": "[]",
        "broken": "{",
        "deep": "[" * 200_000,
        "huge": json.dumps({"a": "x" * (1 << 20)}),
        "binary": "\udcff",
    }.items():
        (tmp_path / "out" / name).write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(CourierError, match=name):
            exchange.read_output(name)
    (tmp_path / "out/good").write_text('{"a": 1}')
    assert exchange.read_output("good") == {"a": 1}


def test_a_replaced_directory_is_not_entered(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    base = tmp_path / "io"
    base.mkdir()
    exchange = Exchange(str(base))
    (base / "in").rmdir()
    (base / "in").symlink_to(elsewhere)
    with pytest.raises(FileNotFoundError):
        exchange.ready(0)
    assert list(elsewhere.iterdir()) == []
    (base / "out").rmdir()
    (base / "out").symlink_to(elsewhere)
    with pytest.raises(OSError, match=r"directory|symbolic"):
        Exchange(str(base))


def test_failure_is_written_whole(exchange: Exchange, tmp_path: Path) -> None:
    exchange.failed("CommitNotFound", "no such commit")
    exchange.failed("Another", "second")
    assert json.loads((tmp_path / "in/failed").read_text())["reason"] == "Another"


def test_runs_without_inputs_are_ready_at_once(exchange: Exchange, tmp_path: Path) -> None:
    item = ARCHIVE | {"run": 2}
    task = parse_task(json.dumps(MINIMAL | GIT | {"runs": 4, "inputs": [item]}))
    assert courier.ready_at_once(task, exchange) == 2
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["ready-0", "ready-1"]


def test_an_unreadable_task_is_told(tmp_path: Path) -> None:
    log = tmp_path / "log"
    environment = {
        "CONVEYOR_COURIER": "{",
        "CONVEYOR_TERMINATION_LOG": str(log),
        "CONVEYOR_IO": str(tmp_path),
    }
    assert courier.main(environment) == 1
    assert json.loads(log.read_text())["failure"]["reason"] == "TaskInvalid"


# --- git URLs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/a.git",
        "http://10.0.0.1:3000/a",
        "ssh://git@example.org:22/a.git",
        "git@example.org:group/a.git",
        "git@example.org:/srv/a.git",
        "https://user@example.org/a",
    ],
)
def test_good_urls(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/srv/a.git",
        "file:///srv/a.git",
        "git://example.org/a",
        "ext::sh -c id",
        "fd::3",
        "--upload-pack=id",
        "-x@host:path",
        "ssh://-oProxyCommand=id/a",
        "git@-oProxyCommand=id:a",
        "git@-host:a",
        "https:///a",
        "http://[::1/a",
        "https://user:s3cret@example.org/a",
    ],
)
def test_bad_urls(url: str) -> None:
    with pytest.raises(CourierError) as caught:
        check_url(url)
    assert caught.value.reason in {"GitUnreachable", "GitAuthFailed"}
    assert "s3cret" not in str(caught.value)


def test_secrets_are_taken_out_of_texts() -> None:
    text = "fatal: unable to access 'https://u:s3cret@h/a/': x ssh://t0k@h/"
    assert without_secrets(text) == "fatal: unable to access 'https://h/a/': x ssh://h/"
    assert without_secrets("https://u:a@s3cret@h/") == "https://h/"
