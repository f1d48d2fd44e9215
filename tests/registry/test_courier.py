"""The courier as a process, against a real docker-registry and real git over http.

The stage container's side of the protocol is played by the test, with a real flock.
"""

import asyncio
import gzip
import hashlib
import http.server
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from conveyor.adapters.oci import OCI_LAYER_GZIP
from conveyor.adapters.oci_ref import ImageRef, sha256_digest
from conveyor.adapters.registry import RegistryClient
from conveyor.adapters.registry_auth import Credentials
from conveyor.adapters.registry_endpoints import RegistryOptions
from conveyor.builder.exports import export_copy
from conveyor.builder.rootfs import Rootfs
from conveyor.shell.reports import Reports


@pytest.fixture
def repo(registry: Any) -> ImageRef:
    return ImageRef(registry=registry.host, repository=f"proj/{uuid.uuid4().hex}")


def task_for(repo: ImageRef, **more: object) -> dict[str, object]:
    return {"repo": repo.name, "insecure": [repo.registry], **more}


def blob(repo: ImageRef, digest: str, credentials: str = "") -> bytes:
    async def get() -> bytes:
        options = RegistryOptions(insecure=frozenset({repo.registry}))
        known = Credentials.parse([credentials] if credentials else [])
        async with RegistryClient(known, options) as client:
            return b"".join([part async for part in client.read_blob(repo, digest)])

    return asyncio.run(get())


def push(repo: ImageRef, data: bytes) -> str:
    async def put() -> str:
        async with RegistryClient(
            None, RegistryOptions(insecure=frozenset({repo.registry}))
        ) as client:
            return (await client.upload_blob(repo, data)).digest

    return asyncio.run(put())


def members(data: bytes | Path) -> dict[str, tuple[str, int, bytes]]:
    """Name → (kind, mode, content or link target)."""
    source = io.BytesIO(data) if isinstance(data, bytes) else data.open("rb")
    found = {}
    with source, tarfile.open(fileobj=source) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            content = file.read() if file else member.linkname.encode()
            found[member.name] = (member.type.decode(), member.mode, content)
    return found


def test_two_runs_are_pushed_and_reported(delivery: Any, repo: ImageRef) -> None:
    delivery.start(task_for(repo, runs=2))
    delivery.live()
    delivery.await_ready(0)
    delivery.await_ready(1)
    first = delivery.layer("0-0.tar", {"etc/motd": b"hello", "etc/.wh.issue": b""})
    nothing = {"file": None, "size": 0, "entries": 0, "whiteouts": 0}
    tar = (delivery.out / "0-0.tar").read_bytes()
    delivery.run(0, first, nothing)
    delivery.run(1, delivery.layer("1-0.tar", {"a": b"b"}))
    delivery.done()
    code, result = delivery.end()
    assert code == 0
    assert result["failure"] is None
    layer, empty = result["runs"][0]["layers"]
    assert empty is None
    assert layer["diffID"] == sha256_digest(tar)
    assert layer["mediaType"] == OCI_LAYER_GZIP
    stored = blob(repo, layer["digest"])
    assert len(stored) == layer["size"]
    assert gzip.decompress(stored) == tar
    assert [line["run"] for line in delivery.lines] == [0, 1]
    assert delivery.lines[0]["layers"] == result["runs"][0]["layers"]


def test_a_large_layer_is_streamed(delivery: Any, repo: ImageRef) -> None:
    delivery.start(task_for(repo))
    delivery.live()
    noise = os.urandom(9_000_000)
    delivery.run(0, delivery.layer("0-0.tar", {"noise": noise, "zeros": bytes(9_000_000)}))
    delivery.done()
    code, result = delivery.end()
    assert code == 0
    layer = result["runs"][0]["layers"][0]
    stored = blob(repo, layer["digest"])
    assert members(gzip.decompress(stored))["noise"][2] == noise
    assert sha256_digest(gzip.decompress(stored)) == layer["diffID"]


class Growing:
    """A layer of which the stage program has written a half: large enough to be pushed before it is complete."""

    def __init__(self, delivery: Any, registry: Any, repo: ImageRef) -> None:
        delivery.start(task_for(repo))
        delivery.live()
        self.delivery = delivery
        self.described = delivery.layer("whole", {"noise": os.urandom(19_000_000), "a": b"b"})
        self.data = (delivery.out / "whole").read_bytes()
        self.half = len(self.data) // 2
        self.part = delivery.out / "layer.part"
        self.part.write_bytes(self.data[: self.half])
        _await_upload(registry, repo)

    def complete(self) -> dict[str, object]:
        """Write the rest; returns what the stage program says of the layer."""
        with self.part.open("ab") as file:
            file.write(self.data[self.half :])
        self.part.rename(self.delivery.out / "0-0.tar")
        return {**self.described, "file": "0-0.tar"}

    def end(self, *layers: dict[str, object]) -> tuple[int, Any]:
        self.delivery.run(0, *layers)
        self.delivery.done()
        code, result = self.delivery.end()
        return code, result


def _await_upload(registry: Any, repo: ImageRef) -> None:
    for _ in range(3000):
        if registry.uploads(repo.repository):
            return
        time.sleep(0.01)
    raise AssertionError("nobody began to send a blob")


def test_a_large_layer_is_pushed_while_it_is_written(
    delivery: Any, registry: Any, repo: ImageRef
) -> None:
    growing = Growing(delivery, registry, repo)
    code, result = growing.end(growing.complete())
    assert code == 0
    layer = result["runs"][0]["layers"][0]
    assert gzip.decompress(blob(repo, layer["digest"])) == growing.data
    assert sha256_digest(growing.data) == layer["diffID"]
    assert registry.uploads(repo.repository) == 1
    # The same bytes as of one that was complete before.
    shutil.rmtree(delivery.io)
    delivery.start(task_for(repo))
    delivery.live()
    delivery.out.mkdir(exist_ok=True, parents=True)
    (delivery.out / "0-0.tar").write_bytes(growing.data)
    _, again = growing.end({**growing.described, "file": "0-0.tar"})
    assert again["runs"][0]["layers"] == [layer]


def test_a_layer_that_is_another_one_when_it_is_complete(
    delivery: Any, registry: Any, repo: ImageRef
) -> None:
    growing = Growing(delivery, registry, repo)
    growing.part.unlink()
    code, result = growing.end(delivery.layer("0-0.tar", {"c": b"d"}))
    assert code == 0
    stored = gzip.decompress(blob(repo, result["runs"][0]["layers"][0]["digest"]))
    assert members(stored)["c"][2] == b"d"


def test_a_layer_that_was_written_is_not_what_is_said(
    delivery: Any, registry: Any, repo: ImageRef
) -> None:
    growing = Growing(delivery, registry, repo)
    code, result = growing.end({**growing.complete(), "entries": 3})
    assert (code, result["failure"]["reason"]) == (1, "LayerInvalid")
    assert "2 entries, 3 were announced" in result["failure"]["message"]


def test_the_stage_dies_while_it_writes_a_layer(
    delivery: Any, registry: Any, repo: ImageRef
) -> None:
    Growing(delivery, registry, repo)
    delivery.die()
    code, result = delivery.end()
    assert (code, result["failure"]["reason"]) == (0, "StageDied")
    assert result["runs"] == []
    assert not registry.has_blobs(repo.repository)


def test_the_stage_fails_while_it_writes_a_layer(
    delivery: Any, registry: Any, repo: ImageRef
) -> None:
    Growing(delivery, registry, repo)
    delivery.done(run=0, reason="LayerInvalid", message="no image can hold this file")
    code, result = delivery.end()
    assert code == 0
    assert result["failure"]["message"] == "no image can hold this file"
    assert result["runs"] == []


def test_a_known_layer_is_not_sent_again(delivery: Any, registry: Any, repo: ImageRef) -> None:
    for _ in range(2):
        delivery.start(task_for(repo))
        delivery.live()
        delivery.run(0, delivery.layer("0-0.tar", {"a": b"same"}))
        delivery.done()
        assert delivery.end()[0] == 0
        shutil.rmtree(delivery.io)
    assert registry.uploads(repo.repository) == 1


def test_failure_of_the_user_is_reported_with_what_was_built(delivery: Any, repo: ImageRef) -> None:
    delivery.start(task_for(repo, runs=2))
    delivery.live()
    delivery.run(0, delivery.layer("0-0.tar", {"a": b"b"}))
    failure = {
        "run": 1,
        "layer": 0,
        "step": 2,
        "reason": "CommandFailed",
        "exitCode": 3,
        "signal": None,
        "command": "make",
        "logTail": "x" * 9000 + "the last line",
        "message": "make: exit code 3",
    }
    delivery.done(**failure)
    code, result = delivery.end()
    assert code == 0, "everything was reported"
    assert len(result["runs"]) == 1
    shown = result["failure"]
    assert (shown["reason"], shown["exitCode"], shown["run"], shown["step"]) == (
        "CommandFailed",
        3,
        1,
        2,
    )
    assert shown["logTail"].endswith("the last line")


def test_death_of_the_stage_is_noticed(delivery: Any, repo: ImageRef) -> None:
    delivery.start(task_for(repo))
    delivery.live()
    delivery.await_ready()
    delivery.die()
    code, result = delivery.end()
    assert (code, result["failure"]["reason"]) == (0, "StageDied")


def test_a_stage_that_never_starts_is_noticed(delivery: Any, repo: ImageRef) -> None:
    delivery.start(task_for(repo, limits={"startSeconds": 0}))
    code, result = delivery.end()
    assert (code, result["failure"]["reason"]) == (0, "StageNeverStarted")


def test_termination_is_quick_and_told(delivery: Any, repo: ImageRef) -> None:
    delivery.start(task_for(repo))
    delivery.live()
    delivery.await_ready()
    delivery.process.send_signal(signal.SIGTERM)
    code, result = delivery.end()
    assert (code, result["failure"]["reason"]) == (1, "Terminated")


def test_a_result_too_long_for_the_message_goes_into_a_blob(delivery: Any, repo: ImageRef) -> None:
    delivery.start(task_for(repo))
    delivery.live()
    layers = [delivery.layer(f"0-{n}.tar", {f"file{n}": b"x"}) for n in range(25)]
    delivery.run(0, *layers)
    delivery.done()
    code, message = delivery.end()
    assert code == 0
    assert set(message) == {"version", "resultDigest"}
    result = json.loads(blob(repo, message["resultDigest"]))
    assert len(result["runs"][0]["layers"]) == 25


def test_what_the_stage_program_exports_with_rules_is_accepted(
    delivery: Any, repo: ImageRef, tmp_path: Path
) -> None:
    (tmp_path / "p/a/b").mkdir(parents=True)
    (tmp_path / "p/a/b/one").write_text("1")
    (tmp_path / "p/two").write_text("2")
    delivery.start(task_for(repo, exports=["e0"]))
    delivery.live()
    delivery.run(0)
    kept = {"base": "/", "include": [[False, "p/a/b"]], "required": "p/a/b"}
    out = os.open(delivery.out / "export-e0.tar", os.O_WRONLY | os.O_CREAT)
    rules = {"parents": [kept], "exclude": [[False, "p/two"]]}
    report = export_copy(Rootfs(os.fsencode(tmp_path)), [b"p/a/b"], out, rules)
    os.close(out)
    delivery.write("export-e0.json", report)
    delivery.done()
    code, result = delivery.end()
    assert code == 0
    stored = gzip.decompress(blob(repo, result["exports"]["e0"]["digest"]))
    with tarfile.open(fileobj=io.BytesIO(stored)) as tar:
        assert tar.getnames() == ["0", "0/p", "0/p/a", "0/p/a/b", "0/p/a/b/one"]


def test_exports_are_pushed(delivery: Any, repo: ImageRef) -> None:
    delivery.start(task_for(repo, exports=["e0"]))
    delivery.live()
    delivery.run(0)
    described = delivery.layer("export-e0.tar", {"bin/.wh.odd-but-a-name": b"1", "bin/tool": b"2"})
    tar = (delivery.out / "export-e0.tar").read_bytes()
    delivery.write("export-e0.json", {"checksum": "d41d8cd9", "entries": described["entries"]})
    delivery.done()
    code, result = delivery.end()
    assert code == 0
    export = result["exports"]["e0"]
    assert (export["checksum"], export["diffID"]) == ("d41d8cd9", sha256_digest(tar))
    assert gzip.decompress(blob(repo, export["digest"])) == tar


def test_the_layers_of_another_block_are_pushed(delivery: Any, repo: ImageRef) -> None:
    delivery.start(task_for(repo, exports=["e0", "a0"]))
    delivery.live()
    outline = [["", "d", 493, 0, 0, 0, 1], ["bin", "l", "usr/bin"]]
    layer = delivery.layer("0-0.tar", {"a": b"1"})
    delivery.write("0.json", {"run": 0, "layers": [layer], "outline": outline})
    made = delivery.layer("export-a0-0-0.tar", {"bin/tool": b"2"})
    tar = (delivery.out / "export-a0-0-0.tar").read_bytes()
    nothing = {"file": None, "size": 0, "entries": 0, "whiteouts": 0}
    delivery.write("export-e0.json", {"leftOut": True})
    delivery.write("export-a0.json", {"runs": [{"layers": [made, nothing]}, {"layers": []}]})
    delivery.done()
    code, result = delivery.end()
    assert (code, result["failure"], result["exports"]["e0"]) == (0, None, None)
    first, second = result["exports"]["a0"]["runs"]
    assert (first["layers"][1], second) == (None, {"layers": []})
    assert gzip.decompress(blob(repo, first["layers"][0]["digest"])) == tar
    assert result["outline"] == outline


@pytest.mark.parametrize("runs", [7, [7], [{"layers": 7}], [{"layers": [7]}], [{}] * 1001])
def test_another_block_that_is_not_well_told(delivery: Any, repo: ImageRef, runs: object) -> None:
    delivery.start(task_for(repo, exports=["a0"]))
    delivery.live()
    delivery.run(0, delivery.layer("0-0.tar", {"a": b"1"}))
    delivery.write("export-a0.json", {"runs": runs})
    delivery.done()
    code, result = delivery.end()
    assert (code, result["failure"]["reason"]) == (1, "LayerInvalid")


def test_an_outline_that_does_not_fit_is_left_out_of_the_message(
    delivery: Any, repo: ImageRef
) -> None:
    delivery.start(task_for(repo))
    delivery.live()
    outline = [["", "d", 493, 0, 0, 0, 1], *([f"file{n}", "f"] for n in range(500))]
    layer = delivery.layer("0-0.tar", {"a": b"1"})
    delivery.write("0.json", {"run": 0, "layers": [layer], "outline": outline})
    delivery.done()
    code, result = delivery.end()
    assert (code, result["failure"], "outline" in result) == (0, None, False)
    assert len(result["runs"]) == 1


def test_an_export_that_was_left_out_is_told(delivery: Any, repo: ImageRef) -> None:
    delivery.start(task_for(repo, exports=["e0", "e1"]))
    delivery.live()
    delivery.run(0)
    described = delivery.layer("export-e1.tar", {"bin/tool": b"2"})
    delivery.write("export-e0.json", {"leftOut": True})
    delivery.write("export-e1.json", {"entries": described["entries"]})
    delivery.done()
    code, result = delivery.end()
    assert (code, result["failure"], result["exports"]["e0"]) == (0, None, None)
    assert result["exports"]["e1"]["digest"].startswith("sha256:")


@contextmanager
def listening(*answers: int) -> Iterator[tuple[str, list[tuple[str | None, Any]]]]:
    """An address, and what was posted to it: login and body. It answers so, then 204."""
    heard: list[tuple[str | None, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append((self.headers.get("Authorization"), json.loads(body)))
            self.send_response([*answers, *[204] * len(heard)][len(heard) - 1])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/x", heard
    finally:
        server.shutdown()
        server.server_close()


def test_the_callback_hears_of_each_run(delivery: Any, repo: ImageRef) -> None:
    with listening(503) as (url, heard):
        delivery.start(task_for(repo, callback={"url": url, "token": "t0k"}))
        delivery.live()
        delivery.run(0, delivery.layer("0-0.tar", {"a": b"b"}))
        delivery.done()
        code, result = delivery.end()
    assert code == 0
    assert [who for who, _ in heard] == ["Bearer t0k"] * 2, "tried again after 503"
    assert heard[-1][1] == result, "everything so far, as the termination message says it"
    job, woken = ("default", "stage-0"), []
    reports = Reports(woken.append)
    assert reports.accept(job, reports.open(job), json.dumps(heard[-1][1]))
    known = reports.get(job)
    assert known is not None
    assert [layer.digest for layer in known.runs[0].changed] == [
        layer["digest"] for layer in result["runs"][0]["layers"]
    ]


def test_runs_that_are_done_together_are_told_together(delivery: Any, repo: ImageRef) -> None:
    with listening() as (url, heard):
        delivery.live()
        delivery.run(0, delivery.layer("0-0.tar", {"a": b"b"}))
        delivery.run(1)
        delivery.run(2, delivery.layer("2-0.tar", {"c": b"d"}))
        delivery.done()
        delivery.start(task_for(repo, runs=3, callback={"url": url, "token": "t"}))
        code, result = delivery.end()
    assert code == 0
    assert [body for _, body in heard] == [result]
    assert len(result["runs"]) == 3


def test_an_unreachable_callback_changes_nothing(delivery: Any, repo: ImageRef) -> None:
    delivery.start(task_for(repo, callback={"url": "http://127.0.0.1:1/x", "token": "t"}))
    delivery.live()
    delivery.run(0)
    delivery.done()
    assert delivery.end()[0] == 0


def _hostile(delivery: Any, kind: str) -> dict[str, object]:
    layer: dict[str, object] = delivery.layer("0-0.tar", {"a": b"b"})
    path = delivery.out / "0-0.tar"
    match kind:
        case "symlink":
            secret = delivery.base / "secret"
            path.rename(secret)
            path.symlink_to(secret)
        case "fifo":
            path.unlink()
            os.mkfifo(path)
        case "missing":
            path.unlink()
        case "outside":
            layer["file"] = "../../secret"
        case "grown":
            path.write_bytes(path.read_bytes() + bytes(512))
        case "dotdot":
            layer = delivery.layer("0-0.tar", {"../escape": b"x"})
    return layer


@pytest.mark.parametrize("kind", ["symlink", "fifo", "missing", "outside", "grown", "dotdot"])
def test_a_hostile_stage_is_refused(delivery: Any, repo: ImageRef, kind: str) -> None:
    delivery.start(task_for(repo))
    delivery.live()
    delivery.run(0, _hostile(delivery, kind))
    delivery.done()
    code, result = delivery.end()
    assert (code, result["failure"]["reason"]) == (1, "LayerInvalid")
    assert result["runs"] == []
    assert (delivery.io / "in/failed").exists()


def test_a_large_hostile_layer_is_not_stored(delivery: Any, registry: Any, repo: ImageRef) -> None:
    delivery.start(task_for(repo))
    delivery.live()
    files = {"noise": os.urandom(9_000_000), "/etc/shadow": b"x"}
    delivery.run(0, delivery.layer("0-0.tar", files))
    delivery.done()
    code, result = delivery.end()
    assert (code, result["failure"]["reason"]) == (1, "LayerInvalid")
    assert not registry.has_blobs(repo.repository)


def test_registry_credentials_come_from_mounted_secrets(
    delivery: Any, basic_registry: Any, docker_config: Callable[[str], str]
) -> None:
    repo = ImageRef(registry=basic_registry.host, repository=f"proj/{uuid.uuid4().hex}")
    (delivery.base / "none").mkdir()
    (delivery.base / "none/.dockerconfigjson").write_text('{"auths": {}}')
    (delivery.base / "secret").mkdir()
    (delivery.base / "secret/.dockerconfigjson").write_text(docker_config(repo.registry))
    secrets = [str(delivery.base / name) for name in ("none", "secret")]
    delivery.start(task_for(repo, dockerConfig=secrets))
    delivery.live()
    delivery.run(0, delivery.layer("0-0.tar", {"a": b"b"}))
    delivery.done()
    code, result = delivery.end()
    assert code == 0, result


def test_a_registry_that_refuses(delivery: Any, basic_registry: Any) -> None:
    repo = ImageRef(registry=basic_registry.host, repository="proj/app")
    delivery.start(task_for(repo))
    delivery.live()
    delivery.run(0, delivery.layer("0-0.tar", {"a": b"b"}))
    delivery.done()
    code, result = delivery.end()
    assert (code, result["failure"]["reason"]) == (1, "RegistryDenied")
    assert basic_registry.host in result["failure"]["message"]


def test_a_registry_that_is_not_there(delivery: Any) -> None:
    repo = ImageRef(registry="127.0.0.1:1", repository="proj/app")
    delivery.start(task_for(repo))
    delivery.live()
    delivery.run(0, delivery.layer("0-0.tar", {"a": b"b"}))
    delivery.done()
    code, result = delivery.end()
    assert (code, result["failure"]["reason"]) == (1, "RegistryUnreachable")


# --- inputs ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(git_server: Any) -> Any:
    """A repository with every kind of file."""
    work = git_server.work
    (work / "src/deep").mkdir(parents=True)
    (work / "src/main.py").write_text("print(1)\n")
    (work / "src/run.sh").write_text("#!/bin/sh\n")
    (work / "src/run.sh").chmod(0o755)
    (work / "src/link").symlink_to("../README")
    (work / "src/deep/old.txt").write_text("old")
    (work / "src/deep/data.bin").write_bytes(bytes(range(256)))
    (work / "README").write_text("read me")
    (work / ".gitattributes").write_text("README export-ignore\n*.py export-subst\n")
    return git_server


def _inputs(
    delivery: Any, repo: ImageRef, server: Any, *inputs: dict[str, object], **more: object
) -> None:
    git = [{"url": server.url, "credentials": None}]
    numbered = [{"run": 0, "file": f"in/{n}.tar", **item} for n, item in enumerate(inputs)]
    delivery.start(task_for(repo, inputs=numbered, git=git) | more)
    delivery.live()


def _finish(delivery: Any) -> None:
    delivery.run(0)
    delivery.done()
    assert delivery.end()[0] == 0


def _failure(delivery: Any) -> tuple[str, str]:
    code, result = delivery.end()
    assert code == 1
    assert (
        json.loads((delivery.io / "in/failed").read_text())["reason"] == result["failure"]["reason"]
    )
    return result["failure"]["reason"], result["failure"]["message"]


def test_archive_of_a_directory(delivery: Any, repo: ImageRef, project: Any) -> None:
    commit = project.commit("2024-05-06T07:08:09Z")
    _inputs(
        delivery,
        repo,
        project,
        {"kind": "gitArchive", "commit": commit, "add": "/src", "excludePaths": ["deep/*.bin"]},
        {"kind": "gitArchive", "commit": commit, "add": "README", "toName": "readme.txt"},
        {
            "kind": "gitArchive",
            "commit": commit,
            "add": "/",
            "includePaths": ["src/main.py", "README"],
        },
    )
    delivery.await_ready()
    assert members(delivery.io / "in/0.tar") == {
        "deep": ("5", 0o775, b""),
        "deep/old.txt": ("0", 0o644, b"old"),
        "link": ("2", 0o777, b"../README"),
        "main.py": ("0", 0o644, b"print(1)\n"),
        "run.sh": ("0", 0o755, b"#!/bin/sh\n"),
    }
    assert members(delivery.io / "in/1.tar") == {"readme.txt": ("0", 0o644, b"read me")}
    assert sorted(members(delivery.io / "in/2.tar")) == ["README", "src", "src/main.py"]
    with tarfile.open(delivery.io / "in/0.tar") as tar:
        assert {(m.mtime, m.uid, m.gid) for m in tar} == {(1714979289, 0, 0)}
    _finish(delivery)


def test_patch_between_commits(delivery: Any, repo: ImageRef, project: Any) -> None:
    before = project.commit()
    work = project.work
    (work / "src/deep/old.txt").unlink()
    (work / "src/main.py").chmod(0o755)
    (work / "src/deep/data.bin").write_bytes(bytes(range(255, -1, -1)))
    (work / "src/link").unlink()
    (work / "src/link").symlink_to("main.py")
    (work / "src/run.sh").unlink()
    (work / "src/run.sh").mkdir()
    (work / "src/run.sh/now a dir").write_text("x")
    (work / "src/ignored.log").write_text("x")
    (work / "README").write_text("changed")
    after = project.commit()
    patch = {"kind": "gitPatch", "from": before, "commit": after}
    _inputs(
        delivery,
        repo,
        project,
        {**patch, "add": "src", "excludePaths": ["**/*.log"]},
        {**patch, "add": "README", "toName": "readme.txt"},
        {"kind": "gitPatch", "from": after, "commit": before, "add": "src/run.sh", "toName": "x"},
    )
    delivery.await_ready()
    assert members(delivery.io / "in/0.tar") == {
        "deep/data.bin": ("0", 0o644, bytes(range(255, -1, -1))),
        "link": ("2", 0o777, b"main.py"),
        "main.py": ("0", 0o755, b"print(1)\n"),
        "run.sh/now a dir": ("0", 0o644, b"x"),
    }
    deleted = json.loads((delivery.io / "in/0.tar.deletes").read_text())
    assert sorted(deleted) == ["deep/old.txt", "run.sh"]
    assert members(delivery.io / "in/1.tar") == {"readme.txt": ("0", 0o644, b"changed")}
    assert members(delivery.io / "in/2.tar") == {"x": ("0", 0o755, b"#!/bin/sh\n")}
    _finish(delivery)


def test_context_sources(delivery: Any, repo: ImageRef, project: Any) -> None:
    work = project.work
    (work / "app/web").mkdir(parents=True)
    for name in ("a.txt", "b.txt", "c.md", ".hidden.txt", "web/index.html", "web/secret.key"):
        (work / "app" / name).write_text(name)
    (work / "app/current").symlink_to("web")
    (work / "app/outside").symlink_to("../src/main.py")
    commit = project.commit()
    base = {"kind": "context", "commit": commit, "context": "app", "dockerfile": "Dockerfile"}
    _inputs(
        delivery,
        repo,
        project,
        {**base, "sources": ["*.txt", "web", "./c.md"], "dockerignore": "**/*.key\nb.txt\n"},
        {**base, "sources": ["."], "dockerignore": "*\n!web/index.html\n"},
        {**base, "sources": ["current", "/../c.md", "we?"], "dockerignore": None},
    )
    delivery.await_ready()
    assert members(delivery.io / "in/0.tar") == {
        "0/.hidden.txt": ("0", 0o644, b".hidden.txt"),
        "0/a.txt": ("0", 0o644, b"a.txt"),
        "1": ("5", 0o775, b""),
        "1/index.html": ("0", 0o644, b"web/index.html"),
        "2/c.md": ("0", 0o644, b"c.md"),
    }
    assert json.loads((delivery.io / "in/0.tar.json").read_text()) == {
        "sources": [
            {
                "pattern": "*.txt",
                "matches": [{"name": ".hidden.txt", "dir": False}, {"name": "a.txt", "dir": False}],
            },
            {"pattern": "web", "matches": [{"name": "web", "dir": True}]},
            {"pattern": "./c.md", "matches": [{"name": "c.md", "dir": False}]},
        ]
    }
    assert sorted(members(delivery.io / "in/1.tar")) == ["0", "0/web", "0/web/index.html"]
    followed = members(delivery.io / "in/2.tar")
    assert sorted(followed) == [
        "0",
        "0/index.html",
        "0/secret.key",
        "1/c.md",
        "2",
        "2/index.html",
        "2/secret.key",
    ]
    _finish(delivery)


@pytest.mark.parametrize("source", ["nowhere", "out*", "outside", "hidden.txt/x", "loop"])
def test_a_source_that_is_not_in_the_context(
    delivery: Any, repo: ImageRef, project: Any, source: str
) -> None:
    (project.work / "app").mkdir()
    (project.work / "app/hidden.txt").write_text("x")
    (project.work / "app/outside").symlink_to("../src/main.py")
    (project.work / "app/loop").symlink_to("loop")
    commit = project.commit()
    _inputs(
        delivery,
        repo,
        project,
        {"kind": "context", "commit": commit, "context": "app", "sources": [source]},
    )
    reason, message = _failure(delivery)
    assert reason == "InputMissing"
    assert source.rstrip("*") in message
    assert commit in message


def test_context_sources_with_rules_and_archives(
    delivery: Any, repo: ImageRef, project: Any
) -> None:
    work = project.work
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as tar:
        info = tarfile.TarInfo("inner/file")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"abc"))
    (work / "packed.bin").write_bytes(packed.getvalue())
    base = {"kind": "context", "commit": project.commit(), "context": ""}
    kept = {"base": "/src", "include": [[False, "deep/.*"]], "required": None}
    _inputs(
        delivery,
        repo,
        project,
        {**base, "sources": ["src"], "exclude": [[False, "deep"], [True, "deep/old\\.txt"]]},
        {**base, "sources": ["src/./deep/**"], "parents": [kept]},
        {**base, "sources": ["packed.bin", "README", "*.nope"], "unpack": True},
    )
    delivery.await_ready()
    excluded = members(delivery.io / "in/0.tar")
    assert sorted(excluded) == ["0", "0/deep", "0/deep/old.txt", "0/link", "0/main.py", "0/run.sh"]
    assert sorted(members(delivery.io / "in/1.tar")) == [
        "0",
        "0/deep",
        "0/deep/data.bin",
        "0/deep/old.txt",
    ]
    assert sorted(members(delivery.io / "in/2.tar")) == ["0/packed.bin", "1/README"]
    assert members(delivery.io / "in/2.tar.0") == {"inner/file": ("0", 0o644, b"abc")}
    with tarfile.open(delivery.io / "in/0.tar") as tar:
        notes = {info.name: info.pax_headers.get("CONVEYOR.note") for info in tar}
    assert notes["0/deep"] == "implied"
    assert notes["0/deep/old.txt"] is None
    _finish(delivery)


def test_a_hostile_archive_is_refused(delivery: Any, repo: ImageRef, project: Any) -> None:
    with tarfile.open(project.work / "bad.tar", mode="w") as tar:
        tar.addfile(tarfile.TarInfo("../../etc/shadow"))
    commit = project.commit()
    _inputs(
        delivery,
        repo,
        project,
        {"kind": "context", "commit": commit, "sources": ["bad.tar"], "unpack": True},
    )
    reason, message = _failure(delivery)
    assert reason == "StepInvalid"
    assert "bad.tar" in message
    assert "leaves the directory" in message


def test_commits_below_the_branch_and_a_server_of_old(
    delivery: Any, repo: ImageRef, project: Any
) -> None:
    old = project.commit()
    (project.work / "README").write_text("newer")
    project.commit()
    project.old = True  # refuses to send what is not the tip of a branch: everything is fetched
    _inputs(delivery, repo, project, {"kind": "gitArchive", "commit": old, "add": "README"})
    delivery.await_ready()
    assert members(delivery.io / "in/0.tar") == {"README": ("0", 0o644, b"read me")}
    _finish(delivery)


@pytest.mark.parametrize("old", [False, True])
def test_an_unknown_commit(delivery: Any, repo: ImageRef, project: Any, old: bool) -> None:  # noqa: FBT001
    project.commit()
    project.old = old
    _inputs(delivery, repo, project, {"kind": "gitArchive", "commit": "12" * 20, "add": ""})
    reason, message = _failure(delivery)
    assert reason == "CommitNotFound"
    assert "12" * 20 in message


def _git_secret(delivery: Any, password: str) -> str:
    secret = delivery.base / "git-secret"
    secret.mkdir()
    (secret / "username").write_text("builder")
    (secret / "password").write_text(password)
    return str(secret)


def test_git_credentials_come_from_a_mounted_secret(
    delivery: Any, repo: ImageRef, project: Any
) -> None:
    commit = project.commit()
    project.private = True
    git = [{"url": project.url, "credentials": _git_secret(delivery, "s3cret:with#signs")}]
    _inputs(
        delivery, repo, project, {"kind": "gitArchive", "commit": commit, "add": "README"}, git=git
    )
    delivery.await_ready()
    _finish(delivery)


@pytest.mark.parametrize("password", [None, "wrong-one"])
def test_git_without_the_right_password(
    delivery: Any, repo: ImageRef, project: Any, password: str | None
) -> None:
    commit = project.commit()
    project.private = True
    secret = _git_secret(delivery, password) if password else None
    git = [{"url": project.url, "credentials": secret}]
    _inputs(delivery, repo, project, {"kind": "gitArchive", "commit": commit, "add": ""}, git=git)
    reason, message = _failure(delivery)
    assert reason == "GitAuthFailed"
    assert "wrong-one" not in message


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/x.git", "file:///tmp/x", "ext::sh -c true", "--upload-pack=x"]
)
def test_git_that_cannot_be_reached(delivery: Any, repo: ImageRef, project: Any, url: str) -> None:
    git = [{"url": url, "credentials": None}]
    _inputs(
        delivery, repo, project, {"kind": "gitArchive", "commit": "12" * 20, "add": ""}, git=git
    )
    assert _failure(delivery)[0] == "GitUnreachable"


def test_what_is_not_in_the_commit(delivery: Any, repo: ImageRef, project: Any) -> None:
    commit = project.commit()
    _inputs(delivery, repo, project, {"kind": "gitArchive", "commit": commit, "add": "nowhere"})
    reason, message = _failure(delivery)
    assert (reason, "'nowhere' is not in commit" in message) == ("InputMissing", True)


def test_submodules_are_refused_by_name(delivery: Any, repo: ImageRef, project: Any) -> None:
    commit = project.commit()
    project.git("update-index", "--add", "--cacheinfo", f"160000,{commit},src/module")
    project.git("commit", "-qm", "module")
    project.git("push", "-q", str(project.repo), "HEAD:refs/heads/main")
    with_module = project.git("rev-parse", "HEAD")
    _inputs(delivery, repo, project, {"kind": "gitArchive", "commit": with_module, "add": "src"})
    reason, message = _failure(delivery)
    assert reason == "InputMissing"
    assert "src/module is a git submodule" in message


def test_limits_of_inputs(delivery: Any, repo: ImageRef, project: Any) -> None:
    (project.work / "big").write_bytes(bytes(2_000_000))
    commit = project.commit()
    item = {"kind": "gitArchive", "commit": commit, "add": ""}
    _inputs(delivery, repo, project, item, limits={"inputBytes": 1_000_000})
    assert _failure(delivery)[0] == "InputTooLarge"


def test_bundle_from_the_registry(delivery: Any, repo: ImageRef, project: Any) -> None:
    tar = os.urandom(3_000_000) + bytes(4_000_000)
    packed = gzip.compress(tar)
    item = {"kind": "blob", "digest": push(repo, packed), "size": len(packed), "gzip": True}
    plain = {"kind": "blob", "digest": push(repo, b"as it is"), "size": 8, "gzip": False}
    _inputs(delivery, repo, project, item, plain)
    delivery.await_ready()
    content = (delivery.io / "in/0.tar").read_bytes()
    assert hashlib.sha256(content).digest() == hashlib.sha256(tar).digest()
    assert (delivery.io / "in/1.tar").read_bytes() == b"as it is"
    _finish(delivery)


@pytest.mark.parametrize(
    ("data", "size", "reason"),
    [
        (gzip.compress(bytes(50_000_000)), None, "InputTooLarge"),
        (b"not gzip at all", None, "InputMissing"),
        (gzip.compress(b"cut short")[:-4], None, "InputMissing"),
        (None, 10, "InputMissing"),
    ],
)
def test_bundles_that_cannot_be_used(
    delivery: Any, repo: ImageRef, project: Any, data: bytes | None, size: int | None, reason: str
) -> None:
    digest = push(repo, data) if data is not None else sha256_digest(b"never pushed")
    item = {"kind": "blob", "digest": digest, "size": size or len(data or b""), "gzip": True}
    _inputs(delivery, repo, project, item, limits={"inputBytes": 10_000_000})
    assert _failure(delivery)[0] == reason


def test_a_link_planted_in_the_input_folder_is_not_followed(
    delivery: Any, repo: ImageRef, project: Any
) -> None:
    commit = project.commit()
    target = delivery.base / "precious"
    target.write_text("keep me")
    (delivery.io / "in").mkdir(parents=True)
    (delivery.io / "in/0.tar").symlink_to(target)
    _inputs(delivery, repo, project, {"kind": "gitArchive", "commit": commit, "add": ""})
    assert _failure(delivery)[0] == "Internal"
    assert target.read_text() == "keep me"


def test_inputs_of_later_runs_follow(delivery: Any, repo: ImageRef, project: Any) -> None:
    commit = project.commit()
    item = {"run": 1, "kind": "gitArchive", "commit": commit, "add": "README"}
    _inputs(delivery, repo, project, item, runs=2)
    delivery.await_ready(0)
    delivery.run(0, delivery.layer("0-0.tar", {"a": b"b"}))
    delivery.await_ready(1)
    delivery.run(1, delivery.layer("1-0.tar", {"c": b"d"}))
    delivery.done()
    code, result = delivery.end()
    assert (code, len(result["runs"])) == (0, 2)


# --- several repositories, hostile ones -------------------------------------------------------------------------------


def test_inputs_of_several_repositories(
    delivery: Any, repo: ImageRef, project: Any, second_git_server: Any
) -> None:
    """Each is fetched once, with its own login; the commits of one are not asked of the other."""
    first = project.commit()
    (second_git_server.work / "lib").write_text("lib")
    lib = second_git_server.commit()
    second_git_server.private = True
    git = [
        {"url": project.url, "credentials": None},
        {"url": second_git_server.url, "credentials": _git_secret(delivery, "s3cret:with#signs")},
    ]
    kind = {"kind": "gitArchive", "add": ""}
    _inputs(
        delivery,
        repo,
        project,
        {**kind, "commit": lib, "repository": 1},
        {**kind, "commit": first, "repository": 0, "includePaths": ["README"]},
        {**kind, "commit": lib, "repository": 1, "add": "lib", "toName": "x"},
        git=git,
    )
    delivery.await_ready()
    assert [sorted(members(delivery.io / f"in/{n}.tar")) for n in range(3)] == [
        ["lib"],
        ["README"],
        ["x"],
    ]
    _finish(delivery)


def _tree(server: Any, *rows: str) -> str:
    """Push a commit with a tree that git itself would never make."""
    oid = server.git("hash-object", "-w", str(server.work / "README"))
    lines = b"".join(row.encode() + b"\0" + bytes.fromhex(oid) for row in rows)
    (server.work / "raw").write_bytes(lines)
    tree = server.git("hash-object", "-t", "tree", "-w", "--literally", str(server.work / "raw"))
    (server.work / "raw").unlink()
    commit: str = server.git("commit-tree", tree, "-m", "x")
    server.git("push", "-q", str(server.repo), f"{commit}:refs/heads/odd")
    return commit


@pytest.mark.parametrize("name", ["..", ".", "../../etc/passwd", "a/../../b"])
def test_impossible_paths_of_a_tree_are_refused(
    delivery: Any, repo: ImageRef, project: Any, name: str
) -> None:
    project.commit()
    commit = _tree(project, f"100644 {name}")
    _inputs(delivery, repo, project, {"kind": "gitArchive", "commit": commit, "add": ""})
    reason, message = _failure(delivery)
    assert reason == "InputMissing"
    assert f"impossible path {name!r}" in message


ODD = ("new\nline", "tab\tname", 'quo"te', " blank ", "-rf", "é", "*", "$(id)", "back\\slash")


def test_odd_names_are_names(delivery: Any, repo: ImageRef, project: Any) -> None:
    (project.work / "odd").mkdir()
    for name in ODD:
        (project.work / "odd" / name).write_text(name)
    before = project.commit()
    for name in ODD[1:]:
        (project.work / "odd" / name).unlink()
    (project.work / "odd" / ODD[0]).write_text("changed")
    after = project.commit()
    patch = {"kind": "gitPatch", "from": before, "commit": after, "add": "odd"}
    context = {"kind": "context", "commit": before, "context": "odd", "sources": ["."]}
    archive = {"kind": "gitArchive", "commit": before, "add": "odd"}
    _inputs(delivery, repo, project, archive, patch, context)
    delivery.await_ready()
    found = members(delivery.io / "in/0.tar")
    assert {name: content.decode() for name, (_, _, content) in found.items()} == {
        name: name for name in ODD
    }
    assert members(delivery.io / "in/1.tar") == {"new\nline": ("0", 0o644, b"changed")}
    deleted = json.loads((delivery.io / "in/1.tar.deletes").read_text())
    assert sorted(deleted) == sorted(ODD[1:])
    assert sorted(members(delivery.io / "in/2.tar")) == sorted(["0", *(f"0/{it}" for it in ODD)])
    _finish(delivery)


def test_links_that_lead_out_are_links(delivery: Any, repo: ImageRef, project: Any) -> None:
    """Nothing is read through them: neither by a mapping nor by what a COPY takes along."""
    (project.work / "out").mkdir()
    targets = {"etc": "/etc/passwd", "up": "../../../../etc/passwd", "loop": "loop", "gone": "x/y"}
    for name, target in targets.items():
        (project.work / "out" / name).symlink_to(target)
    commit = project.commit()
    archive = {"kind": "gitArchive", "commit": commit, "add": "out"}
    context = {"kind": "context", "commit": commit, "context": "", "sources": ["out"]}
    _inputs(delivery, repo, project, archive, context)
    delivery.await_ready()
    links = {name: ("2", 0o777, target.encode()) for name, target in targets.items()}
    assert members(delivery.io / "in/0.tar") == links
    found = members(delivery.io / "in/1.tar")
    assert {name: it for name, it in found.items() if name != "0"} == {
        f"0/{name}": it for name, it in links.items()
    }
    _finish(delivery)


def test_submodules_that_are_excluded_do_no_harm(
    delivery: Any, repo: ImageRef, project: Any
) -> None:
    def module(oid: str) -> str:
        project.git("update-index", "--add", "--cacheinfo", f"160000,{oid},src/module")
        project.git("commit", "-qm", "module")
        project.git("push", "-q", str(project.repo), "HEAD:refs/heads/main")
        found: str = project.git("rev-parse", "HEAD")
        return found

    project.commit()
    before, after = module("1" * 40), module("2" * 40)
    mapping = {"commit": after, "add": "src", "excludePaths": ["module"]}
    archive = {"kind": "gitArchive", **mapping}
    patch = {"kind": "gitPatch", "from": before, **mapping}
    context = {"kind": "context", "commit": after, "context": "src", "sources": ["main.py"]}
    _inputs(delivery, repo, project, archive, patch, context)
    delivery.await_ready()
    assert "module" not in members(delivery.io / "in/0.tar")
    assert members(delivery.io / "in/1.tar") == {}
    _finish(delivery)


def test_a_hundred_thousand_files(delivery: Any, repo: ImageRef, project: Any) -> None:
    files = b"".join(
        b"M 100644 inline many/%d/%d\ndata 3\n%03d\n" % (n % 100, n, n % 1000)
        for n in range(100_000)
    )
    stream = b"commit refs/heads/many\ncommitter x <x@x> 1 +0000\ndata 0\n" + files
    command = ["git", "--git-dir", str(project.repo), "fast-import", "--quiet"]
    subprocess.run(command, input=stream, check=True, capture_output=True)  # noqa: S603 - our own
    project.git("fetch", "-q", str(project.repo), "many")
    commit = project.git("rev-parse", "FETCH_HEAD")
    item = {"kind": "gitArchive", "commit": commit, "add": "many", "excludePaths": ["7"]}
    _inputs(delivery, repo, project, item)
    delivery.await_file("in/ready-0", 60)
    with tarfile.open(delivery.io / "in/0.tar") as tar:
        files_and_folders = (
            sum(member.isfile() for member in tar),
            sum(member.isdir() for member in tar),
        )
    assert files_and_folders == (99_000, 99)
    _finish(delivery)


def test_more_files_than_allowed(delivery: Any, repo: ImageRef, project: Any) -> None:
    commit = project.commit()
    item = {"kind": "gitArchive", "commit": commit, "add": ""}
    _inputs(delivery, repo, project, item, limits={"entries": 3})
    reason, message = _failure(delivery)
    assert (reason, "more than 3 files" in message) == ("InputTooLarge", True)
