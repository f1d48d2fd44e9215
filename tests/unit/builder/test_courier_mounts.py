"""The init container `mounts`: bundles and secrets laid out with their owners."""

import io
import json
import os
import signal
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from conveyor.builder.courier_errors import CourierError
from conveyor.builder.courier_mounts import Place, lay_out, main, missing, parse_places
from conveyor.builder.tarformat import TarError

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="owners are set")


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def bundle(folder: Path, *entries: tuple[str, bytes | None]) -> Place:
    """A bundle with these members, None for a directory, all of 1000:1001."""
    (folder / "in").mkdir()
    (folder / "out").mkdir()
    with tarfile.open(folder / "in/0.tar", "w") as tar:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.uid, info.gid, info.mode, info.mtime = 1000, 1001, 0o640, 5
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o750
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return Place(kind="bundle", file="in/0.tar", to=f"{folder}/out/run-0")


def figures(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_mode & 0o7777, status.st_uid, status.st_gid


@needs_root
def test_a_directory_becomes_one(tmp_path: Path) -> None:
    lay_out(bundle(tmp_path, ("0/", None), ("0/d/", None), ("0/d/f", b"x")), tmp_path)
    place = tmp_path / "out/run-0"
    assert (place / "d/f").read_bytes() == b"x"
    assert figures(place) == figures(place / "d") == (0o750, 1000, 1001)
    assert figures(place / "d/f") == (0o640, 1000, 1001)
    assert list((tmp_path / "in").iterdir()) == []


@needs_root
def test_a_file_becomes_one(tmp_path: Path) -> None:
    lay_out(bundle(tmp_path, ("0/name", b"x")), tmp_path)
    assert (tmp_path / "out/run-0").read_bytes() == b"x"
    assert figures(tmp_path / "out/run-0") == (0o640, 1000, 1001)


def test_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CourierError, match="not in its bundle"):
        lay_out(bundle(tmp_path, ("1/name", b"x")), tmp_path)


@needs_root
def test_a_secret_is_copied_for_its_user(tmp_path: Path) -> None:
    (tmp_path / "value").write_bytes(b"s3cret")
    place = Place(
        kind="secret",
        file=f"{tmp_path}/value",
        to=f"{tmp_path}/copy",
        mode=0o440,
        uid=5,
        gid=6,
    )
    lay_out(place, tmp_path)
    assert (tmp_path / "copy").read_bytes() == b"s3cret"
    assert figures(tmp_path / "copy") == (0o440, 5, 6)


# --- what caches begin with -------------------------------------------------------------------------------------------


@needs_root
@pytest.mark.parametrize(
    ("entries", "path"),
    [((("0/", None), ("0/f", b"x")), "f"), ((("0/name", b"x"),), "")],
    ids=["directory", "file"],
)
def test_a_new_cache_begins_with_files(
    tmp_path: Path, entries: tuple[tuple[str, bytes | None], ...], path: str
) -> None:
    place = replace(bundle(tmp_path, *entries), kind="seed")
    assert list(missing([place])) == [place]
    lay_out(place, tmp_path)
    assert [it.name for it in (tmp_path / "out").iterdir()] == ["run-0"]
    assert (tmp_path / "out/run-0" / path).read_bytes() == b"x"
    assert figures(tmp_path / "out/run-0" / path) == (0o640, 1000, 1001)


def test_a_cache_that_has_begun_stays_as_it_is(tmp_path: Path) -> None:
    place = replace(bundle(tmp_path, ("0/", None), ("0/f", b"x")), kind="seed")
    (tmp_path / "out/run-0").mkdir()
    assert list(missing([place])) == []
    again = replace(place, to=f"{tmp_path}/out/other")
    assert list(missing([again, replace(again, file="in/1.tar")])) == [again]


@needs_root
def test_of_two_builds_that_begin_a_cache_one_wins(tmp_path: Path) -> None:
    place = replace(bundle(tmp_path, ("0/", None), ("0/f", b"x")), kind="seed")
    (tmp_path / "out/run-0").mkdir()
    (tmp_path / "out/run-0/theirs").touch()
    lay_out(place, tmp_path)
    assert [it.name for it in (tmp_path / "out").iterdir()] == ["run-0"]
    assert [it.name for it in (tmp_path / "out/run-0").iterdir()] == ["theirs"]


@needs_root
def test_half_a_cache_is_none(tmp_path: Path) -> None:
    place = replace(bundle(tmp_path, ("0/", None), ("0/f", b"x" * 5000)), kind="seed")
    whole = (tmp_path / "in/0.tar").read_bytes()
    (tmp_path / "in/0.tar").write_bytes(whole[:2000])
    with pytest.raises(TarError):
        lay_out(place, tmp_path)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "there", "reason"),
    [
        ("seed", True, None),
        ("seed", False, "RegistryUnreachable"),
        ("bundle", True, "RegistryUnreachable"),
    ],
)
def test_what_has_begun_is_not_fetched(
    tmp_path: Path, kind: str, reason: str | None, *, there: bool
) -> None:
    """The registry of this task does not exist: asking it fails."""
    (tmp_path / "in").mkdir()
    if there:
        (tmp_path / "out").mkdir()
    blob = {"run": 0, "kind": "blob", "file": "in/0.tar", "digest": "sha256:" + "a" * 64}
    courier = {
        **json.loads(COURIER),
        "inputs": [{**blob, "size": 1, "gzip": True}],
        "repo": "127.0.0.1:1/x",
    }
    place = {"kind": kind, "file": "in/0.tar", "to": f"{tmp_path}/out"}
    code, failure = ran(tmp_path, {"places": [place]}, json.dumps(courier))
    assert (code, failure.get("reason")) == (1 if reason else 0, reason)


COURIER = json.dumps({"version": 2, "repo": "registry.example/x", "runs": 1})


def ran(folder: Path, mounts: object, courier: str = COURIER) -> tuple[int, dict[str, str]]:
    log = folder / "log"
    code = main(
        {
            "CONVEYOR_COURIER": courier,
            "CONVEYOR_MOUNTS": json.dumps(mounts),
            "CONVEYOR_IO": str(folder),
            "CONVEYOR_TERMINATION_LOG": str(log),
        }
    )
    return code, json.loads(log.read_text())["failure"] if log.exists() else {}


def test_the_program_lays_out_what_it_is_told(tmp_path: Path) -> None:
    place = bundle(tmp_path, ("0/name", b"x"))
    mounts = {"places": [{"kind": "bundle", "file": place.file, "to": place.to}]}
    assert ran(tmp_path, mounts) == (0, {})
    assert (tmp_path / "out/run-0").read_bytes() == b"x"


def test_a_secret_that_has_gone_is_told(tmp_path: Path) -> None:
    gone = {"kind": "secret", "file": f"{tmp_path}/gone", "to": f"{tmp_path}/x"}
    code, failure = ran(tmp_path, {"places": [gone]})
    assert (code, failure["reason"]) == (1, "SecretInvalid")
    assert "spec.secrets cannot be read: No such file" in failure["message"]


@pytest.mark.parametrize(
    ("mounts", "said"),
    [
        ([], "mounts must be an object"),
        ({"places": [{"kind": "x"}]}, "mounts.places[0].kind must be bundle, seed or secret"),
        ({"places": [{"kind": "bundle", "file": "a"}]}, "mounts.places[0].to must be"),
    ],
)
def test_a_wrong_task_is_a_defect(tmp_path: Path, mounts: object, said: str) -> None:
    code, failure = ran(tmp_path, mounts)
    assert (code, failure["reason"]) == (1, "TaskInvalid")
    assert said in failure["message"]


def test_a_broken_bundle_is_told(tmp_path: Path) -> None:
    place = bundle(tmp_path, ("0/name", b"x" * 2000))
    tar = tmp_path / place.file
    tar.write_bytes(tar.read_bytes()[:900])
    code, failure = ran(
        tmp_path, {"places": [{"kind": "bundle", "file": place.file, "to": place.to}]}
    )
    assert (code, failure["reason"]) == (1, "InputMissing")


def test_places_are_read() -> None:
    place = {"kind": "secret", "file": "/a", "to": "/b", "mode": 256, "uid": 1, "gid": 2}
    assert parse_places(json.dumps({"places": [place]})) == (
        Place(kind="secret", file="/a", to="/b", mode=0o400, uid=1, gid=2),
    )
