"""What a snapshot sees as changed, and what a layer makes of it."""

import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from conveyor.builder.failure import StageFailure
from conveyor.builder.layer import write_layer
from conveyor.builder.snapshot import Snapshot, mount_points

Changes = list[tuple[str, bool]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    top = tmp_path / "root"
    (top / "a/b").mkdir(parents=True)
    (top / "a/b/f").write_text("one")
    (top / "a/g").write_text("two")
    (top / "z").write_text("three")
    return top


@pytest.fixture
def taken(root: Path) -> Snapshot:
    snapshot = Snapshot(os.fsencode(root))
    snapshot.take()
    snapshot.settle()
    return snapshot


def changes(snapshot: Snapshot) -> Changes:
    """Names with whether they are still there."""
    found = [(os.fsdecode(path), status is not None) for path, status in snapshot.changes()]
    snapshot.settle()
    return found


def layer(snapshot: Snapshot, root: Path, tmp_path: Path) -> list[tarfile.TarInfo]:
    path = tmp_path / "layer.tar"
    out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    figures = write_layer(snapshot.changes(), os.fsencode(root), out)
    os.close(out)
    snapshot.settle()
    assert figures.size == path.stat().st_size
    with tarfile.open(path) as tar:
        members = tar.getmembers()
    assert figures.entries == len(members)
    return members


def rewrite_with_old_time(root: Path) -> None:
    before = (root / "a/g").stat()
    (root / "a/g").write_text("TWO")
    os.utime(root / "a/g", ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_by_other_file(root: Path) -> None:
    before = (root / "a/g").stat()
    (root / "a/new").write_text("TWO")
    os.utime(root / "a/new", ns=(before.st_atime_ns, before.st_mtime_ns))
    (root / "a/new").rename(root / "a/g")


def test_nothing_changed(taken: Snapshot) -> None:
    assert changes(taken) == []
    assert taken.entries == 5


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (rewrite_with_old_time, [("a/g", True)]),
        (replace_by_other_file, [("a", True), ("a/g", True)]),
        (lambda root: (root / "z").chmod(0o600), [("z", True)]),
        (lambda root: (root / "a/b").chmod(0o700), [("a/b", True)]),
        (lambda root: (root / "z").unlink(), [("z", False)]),
        (lambda root: (root / "a/b/new").touch(), [("a/b", True), ("a/b/new", True)]),
        (lambda root: os.link(root / "z", root / "a/l"), [("a", True), ("a/l", True), ("z", True)]),
    ],
    ids=["forged-mtime", "replaced", "chmod", "chmod-dir", "gone", "added", "linked"],
)
def test_change(
    taken: Snapshot, root: Path, act: Callable[[Path], object], expected: Changes
) -> None:
    act(root)
    assert changes(taken) == expected
    assert changes(taken) == [], "the state after is the state before the next layer"


def test_only_the_topmost_gone_path_is_named(taken: Snapshot, root: Path) -> None:
    (root / "a/b/f").unlink()
    (root / "a/b").rmdir()
    (root / "a/g").unlink()
    (root / "a").rmdir()
    assert changes(taken) == [("a", False)]


def test_a_replaced_directory_needs_no_whiteouts_below(taken: Snapshot, root: Path) -> None:
    (root / "a/b/f").unlink()
    (root / "a/b").rmdir()
    (root / "a/b").symlink_to("../z")
    assert changes(taken) == [("a", True), ("a/b", True)]


def test_whiteouts_come_before_additions_of_the_directory(taken: Snapshot, root: Path) -> None:
    (root / "z").unlink()
    (root / "0").touch()
    assert changes(taken) == [("z", False), ("0", True)]


def test_sockets_are_not_captured(taken: Snapshot, root: Path) -> None:
    os.mknod(root / "a/s", stat.S_IFSOCK | 0o600)
    (root / "z").unlink()
    os.mknod(root / "z", stat.S_IFSOCK | 0o600)
    assert changes(taken) == [("a", True)]


def test_mode_of_the_root_itself(taken: Snapshot, root: Path) -> None:
    (root / "new").touch()
    assert changes(taken) == [("new", True)], "times of the root are the runtime's"
    root.chmod(0o711)
    assert changes(taken) == [("", True)]


def test_mounts_and_our_own_folders_are_left_out(root: Path) -> None:
    for name in ("proc", "sys", "dev", ".conveyor", ".conveyor-io", "a/mounted"):
        (root / name).mkdir()
    snapshot = Snapshot(os.fsencode(root), mounts=[os.fsencode(root / "a/mounted")])
    snapshot.take()
    for name in ("proc", "sys", "dev", ".conveyor", ".conveyor-io", "a/mounted", "a/b"):
        (root / name / "seen").touch()
    assert changes(snapshot) == [("a/b", True), ("a/b/seen", True)]


def test_same_size_change_right_after_the_walk(root: Path) -> None:
    """The clock tick guard: without `settle` some of these would be missed."""
    path = root / "a/g"
    snapshot = Snapshot(os.fsencode(root))
    for number in range(40):
        path.write_text(f"{number:03}")
        snapshot.take()
        snapshot.settle()
        before = path.stat()
        with path.open("r+") as file:
            file.write(f"{number + 1:03}")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert ("a/g", True) in changes(snapshot)


def test_mount_points_are_unescaped() -> None:
    text = rb"""21 1 0:20 / / rw - overlay overlay rw
22 21 0:21 / /proc rw,nosuid - proc proc rw
23 21 8:1 /x /etc/hosts rw shared:1 - ext4 /dev/sda rw
24 21 8:1 /y /with\040blank\134and\011tab rw - ext4 /dev/sda rw
"""
    assert mount_points(text) == [b"/proc", b"/etc/hosts", b"/with blank\\and\ttab"]


def test_layer_names_the_directories_on_the_way(
    taken: Snapshot, root: Path, tmp_path: Path
) -> None:
    (root / "a").chmod(0o751)
    assert [m.name for m in layer(taken, root, tmp_path)] == ["a"]
    with (root / "a/b/f").open("a") as file:
        file.write("more")
    members = layer(taken, root, tmp_path)
    assert [(m.name, m.mode) for m in members[:2]] == [("a", 0o751), ("a/b", 0o755)]
    (root / "a/b/f").unlink()
    os.utime(root / "a/b", (1, 1))
    assert [m.name for m in layer(taken, root, tmp_path)] == ["a", "a/b", "a/b/.wh.f"]


def test_layer_holds_hard_links_once(taken: Snapshot, root: Path, tmp_path: Path) -> None:
    os.link(root / "z", root / "a/link")
    (root / "s1").symlink_to("t")
    os.link(root / "s1", root / "s2", follow_symlinks=False)
    members = {m.name: m for m in layer(taken, root, tmp_path)}
    assert members["a/link"].isreg()
    assert (members["z"].islnk(), members["z"].linkname) == (True, "a/link")
    assert (members["s2"].islnk(), members["s2"].linkname) == (True, "s1")


def test_layer_is_the_same_for_the_same_tree(taken: Snapshot, root: Path, tmp_path: Path) -> None:
    for name in ("q", "b", "a-", "a/x", "A"):
        (root / name).write_text(name)
        os.utime(root / name, (5, 5))
    os.utime(root / "a", (5, 5))
    assert [m.name for m in layer(taken, root, tmp_path)] == ["A", "a", "a/x", "a-", "b", "q"]


def test_sparse_content_reads_back(taken: Snapshot, root: Path, tmp_path: Path) -> None:
    with (root / "sparse").open("wb") as file:
        file.truncate(40 << 20)
        file.seek(9 << 20)
        file.write(b"island")
    layer(taken, root, tmp_path)
    with tarfile.open(tmp_path / "layer.tar") as tar:
        content = tar.extractfile("sparse")
        assert content is not None
        assert content.read() == (root / "sparse").read_bytes()
    assert (tmp_path / "layer.tar").stat().st_blocks * 512 < 1 << 20, "holes stay holes"


def test_reserved_names_are_refused(taken: Snapshot, root: Path, tmp_path: Path) -> None:
    (root / "a/.wh.x").touch()
    with pytest.raises(StageFailure, match=r"/a/\.wh\.x.*mark deleted files") as caught:
        layer(taken, root, tmp_path)
    assert caught.value.reason == "LayerInvalid"


def test_user_attributes_are_kept(taken: Snapshot, root: Path, tmp_path: Path) -> None:
    os.setxattr(root / "z", "user.note", b"\x00bin\xff=\n")
    (member,) = layer(taken, root, tmp_path)
    raw = member.pax_headers["SCHILY.xattr.user.note"].encode("utf-8", "surrogateescape")
    assert raw == b"\x00bin\xff=\n"


def test_only_where_changes_can_be(taken: Snapshot, root: Path) -> None:
    """A walk that is told where to look sees the way there and new directories whole; what is elsewhere comes later."""
    (root / "z").write_text("elsewhere, but on the way")
    (root / "a/g").write_text("on the way")
    (root / "a/b/new/deep").mkdir(parents=True)
    (root / "a/b/new/deep/f").write_text("new")
    (root / "other").mkdir()
    found = [os.fsdecode(path) for path, _ in taken.changes([os.fsencode(root / "a/b/new")])]
    assert found == ["a/b", "a/b/new", "a/b/new/deep", "a/b/new/deep/f", "a/g", "other", "z"]
    (root / "a/b/f").write_text("another")
    assert changes(taken) == [("a/b/f", True)]


def test_what_was_not_looked_into_is_seen_by_the_next_walk(taken: Snapshot, root: Path) -> None:
    (root / "a/b/f").write_text("another")
    (root / "z").write_text("more")
    assert [path for path, _ in taken.changes([])] == [b"z"]
    assert changes(taken) == [("a/b/f", True)]
