"""Steps for mount points: emptied in `from`."""

import os
from pathlib import Path

import pytest

from conveyor.builder.failure import StageFailure
from conveyor.builder.processes import Output, Runner
from conveyor.builder.rootfs import Rootfs
from conveyor.builder.steps import Workplace


def do(root: Path, step: dict[str, object]) -> None:
    work = Workplace(Rootfs(os.fsencode(root)), Runner(Output(1)), str(root), {})
    work.run(step, "0-0-0")


def clean(root: Path, *paths: str) -> None:
    do(root, {"op": "clean", "paths": list(paths)})


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="owners are set")


@needs_root
def test_what_is_there_is_emptied_and_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "tmp/deep").mkdir(parents=True)
    (tmp_path / "tmp/deep/file").touch()
    (tmp_path / "tmp").chmod(0o1777)
    clean(tmp_path, "/tmp")  # noqa: S108
    assert list((tmp_path / "tmp").iterdir()) == []
    assert (tmp_path / "tmp").stat().st_mode & 0o7777 == 0o1777


@needs_root
def test_what_is_missing_is_made(tmp_path: Path) -> None:
    clean(tmp_path, "/var/cache/x")
    assert (tmp_path / "var/cache/x").is_dir()


@needs_root
def test_links_and_files_become_directories(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/kept").touch()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("/no/such")
    (tmp_path / "file").touch()
    clean(tmp_path, "/link", "/dangling", "/file")
    for name in ("link", "dangling", "file"):
        assert (tmp_path / name).is_dir()
        assert not (tmp_path / name).is_symlink()
    assert (tmp_path / "real/kept").exists()


@needs_root
def test_links_on_the_way_are_followed_inside(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "var").mkdir()
    (tmp_path / "var/run").symlink_to("/run")
    clean(tmp_path, "/var/run/cache")
    assert (tmp_path / "run/cache").is_dir()


def test_the_root_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    with pytest.raises(StageFailure, match="root directory"):
        clean(tmp_path, "/")
    assert (tmp_path / "kept").exists()
