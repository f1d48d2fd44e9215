"""Archives put into a root filesystem: merging, replacing, and what is refused."""

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from conveyor.builder.failure import StageFailure
from conveyor.builder.processes import Runner
from conveyor.builder.rootfs import Rootfs
from conveyor.builder.steps import Workplace
from conveyor.builder.unpack import Placement, Unpacker

ME, MY_GROUP = os.getuid(), os.getgid()
Member = tuple[str, object]


def bundle(*members: Member) -> bytes:
    """A tar; a member's value is content, `None` a directory, `("sym"|"link", target)`, or an int mode."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, value in members:
            info = tarfile.TarInfo(name)
            info.uid, info.gid, info.mtime, info.mode = ME, MY_GROUP, 1_000_000, 0o640
            data = value if isinstance(value, bytes) else b""
            if value is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o750
            elif isinstance(value, tuple):
                info.type = tarfile.SYMTYPE if value[0] == "sym" else tarfile.LNKTYPE
                info.linkname = value[1]
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "abs").symlink_to("/usr")
    (tmp_path / "out").symlink_to("../../../../../../..")
    (tmp_path / "app").mkdir(mode=0o700)
    (tmp_path / "app/old").write_text("old")
    return tmp_path


def unpack(root: Path, data: bytes, to: str = "/app", **options: object) -> int:
    place = Placement(to.encode(), **options)  # type: ignore[arg-type]
    return Unpacker(Rootfs(os.fsencode(root)), place).run(io.BytesIO(data))


def test_merges_into_what_is_there(root: Path) -> None:
    assert unpack(root, bundle(("d", None), ("d/f", b"new"), ("old", b"OLD!"))) == 3
    assert (root / "app/d/f").read_text() == "new"
    assert (root / "app/old").read_text() == "OLD!"
    assert (root / "app").stat().st_mode & 0o777 == 0o700
    assert ((root / "app/d").stat().st_mode & 0o7777, int((root / "app/d").stat().st_mtime)) == (
        0o750,
        1_000_000,
    )
    assert (
        (root / "app/d/f").stat().st_mode & 0o7777,
        int((root / "app/d/f").stat().st_mtime),
    ) == (0o640, 1_000_000)


def test_missing_parents_are_made(root: Path) -> None:
    unpack(root, bundle(("x/y/z", b"1")), to="/deep/down")
    assert (root / "deep/down/x/y/z").read_text() == "1"
    assert (root / "deep").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize(
    ("to", "seen"),
    [("/lib", "usr/lib/f"), ("/abs/lib", "usr/lib/f"), ("/out", "f"), ("/../../x", "x/f")],
)
def test_links_are_followed_inside_the_root(root: Path, to: str, seen: str) -> None:
    unpack(root, bundle(("f", b"1")), to=to)
    assert (root / seen).read_text() == "1"


def test_directory_over_a_link_to_one_keeps_the_link(root: Path) -> None:
    unpack(root, bundle(("lib", None), ("lib/f", b"1")), to="/")
    assert (root / "lib").is_symlink()
    assert (root / "usr/lib/f").read_text() == "1"


def test_file_replaces_file_and_link_but_not_its_target(root: Path) -> None:
    (root / "app/l").symlink_to("old")
    unpack(root, bundle(("l", b"mine")))
    assert ((root / "app/l").read_text(), (root / "app/old").read_text()) == ("mine", "old")


def test_other_names_of_a_replaced_file_keep_their_content(root: Path) -> None:
    os.link(root / "app/old", root / "app/other")
    unpack(root, bundle(("old", b"mine")))
    assert (root / "app/other").read_text() == "old"


def test_hard_links_and_symlinks(root: Path) -> None:
    unpack(root, bundle(("a", b"1"), ("b", ("link", "a")), ("s", ("sym", "/no/where"))))
    assert (root / "app/a").stat().st_ino == (root / "app/b").stat().st_ino
    assert os.readlink(root / "app/s") == "/no/where"  # noqa: PTH115 - as text, not resolved


def test_single_file_takes_the_name_of_the_destination(root: Path) -> None:
    unpack(root, bundle(("whatever", b"1")), to="/etc/app/conf", single=True)
    assert (root / "etc/app/conf").read_text() == "1"


def test_folder_of_a_bundle(root: Path) -> None:
    count = unpack(root, bundle(("0", None), ("0/f", b"0"), ("1/f", b"1")), prefix=b"1")
    assert count == 1
    assert (root / "app/f").read_text() == "1"


def test_mode_override(root: Path) -> None:
    unpack(root, bundle(("d", None), ("d/f", b"1")), mode=0o711)
    assert {(root / p).stat().st_mode & 0o7777 for p in ("app/d", "app/d/f")} == {0o711}


@pytest.mark.skipif(ME != 0, reason="only root can give files away")
def test_owner_override(root: Path) -> None:
    unpack(root, bundle(("d", None), ("d/f", b"1")), to="/new", owner=(1234, None))
    assert {
        ((root / p).stat().st_uid, (root / p).stat().st_gid) for p in ("new", "new/d", "new/d/f")
    } == {(1234, 0)}


@pytest.mark.parametrize(
    ("data", "to", "said"),
    [
        (bundle(("../x", b"")), "/app", "leaves its directory"),
        (bundle(("a/../../x", b"")), "/app", "leaves its directory"),
        (bundle(("l", ("sym", "/usr")), ("l/x", b"")), "/app", "leads through symlink"),
        (bundle(("h", ("link", "old/none"))), "/app", "not a file of this archive"),
        (bundle(("h", ("link", "../../usr"))), "/app", "leaves its directory"),
        (bundle(("x", b"")), "/.conveyor/lib", "not part of an image"),
        (bundle(("x", b"")), "/proc/1", "not part of an image"),
        (bundle((".conveyor-io/out/done.json", b"")), "/", "not part of an image"),
        (bundle(("app", b"")), "/", "directory with files in it"),
        (bundle(("old/x", b"")), "/app", "not a directory"),
    ],
)
def test_refused(root: Path, data: bytes, to: str, said: str) -> None:
    with pytest.raises(StageFailure, match=said) as caught:
        unpack(root, data, to=to)
    assert caught.value.reason == "StepInvalid"


def test_link_loop(root: Path) -> None:
    (root / "l1").symlink_to("l2")
    (root / "l2").symlink_to("l1")
    with pytest.raises(StageFailure, match="leads through symlink"):
        unpack(root, bundle(("x", b"")), to="/l1")


@pytest.mark.parametrize(
    "act", [lambda r, p: r.remove(p), lambda r, p: r.empty(p)], ids=["remove", "empty"]
)
def test_removal_does_not_follow_links(root: Path, act: Callable[[Rootfs, bytes], None]) -> None:
    (root / "app/to-lib").symlink_to("../usr/lib")
    (root / "usr/lib/kept").touch()
    (root / "app/d/e").mkdir(parents=True)
    act(Rootfs(os.fsencode(root)), os.fsencode(root / "app"))
    assert (root / "usr/lib/kept").exists()
    assert not (root / "app/d").exists()


def test_emptying_spares_mounts(root: Path) -> None:
    (root / "app/d/mounted").mkdir(parents=True)
    (root / "app/d/mounted/f").touch()
    rootfs = Rootfs(os.fsencode(root), mounts=[os.fsencode(root / "app/d/mounted")])
    rootfs.empty(os.fsencode(root / "app"))
    assert (root / "app/d/mounted/f").exists()
    assert not (root / "app/old").exists()


# --- patches of git mappings ------------------------------------------------------------------------------------------


def patch(root: Path, data: bytes, *deletes: str) -> None:
    """Carry out the step that brings a mapping at /app from one commit to another."""
    (root / "io/in").mkdir(parents=True, exist_ok=True)
    (root / "io/in/p.tar").write_bytes(data)
    (root / "io/in/p.json").write_text(json.dumps(deletes))
    runner = Runner.__new__(Runner)  # a patch runs no command
    work = Workplace(Rootfs(os.fsencode(root)), runner, str(root / "io"), {})
    step = {"op": "patch", "file": "in/p.tar", "deletesFile": "in/p.json", "to": "/app"}
    work.run(step, "0")


def test_a_patch_leaves_what_it_does_not_name(root: Path) -> None:
    """Files of the commit become exactly its files, whatever a command made of them; all others stay."""
    (root / "app/old").write_text("edited by a command")
    (root / "app/d").mkdir()
    (root / "app/d/made").write_text("made by a command")
    (root / "app/d/gone").write_text("1")
    (root / "app/e/f").mkdir(parents=True)
    (root / "app/e/f/gone").write_text("1")
    patch(root, bundle(("old", b"new"), ("n/e/w", b"1")), "d/gone", "e/f/gone", "never/there")
    found = sorted(str(it.relative_to(root / "app")) for it in (root / "app").rglob("*"))
    assert found == ["d", "d/made", "n", "n/e", "n/e/w", "old"]
    assert (root / "app/old").read_text() == "new"


def test_a_patch_changes_kinds(root: Path) -> None:
    (root / "app/d").mkdir()
    (root / "app/d/f").write_text("1")
    (root / "app/l").symlink_to("d")
    patch(root, bundle(("old/now/a", b"dir"), ("d", b"file"), ("l/f", b"1")), "old", "d/f", "l")
    assert (root / "app/old/now/a").read_text() == "dir"
    assert (root / "app/d").read_text() == "file"
    assert not (root / "app/l").is_symlink()
    assert (root / "app/l/f").read_text() == "1"


def test_a_file_does_not_take_the_place_of_what_commands_made(root: Path) -> None:
    (root / "app/d").mkdir()
    (root / "app/d/f").write_text("1")
    (root / "app/d/made").write_text("made by a command")
    with pytest.raises(StageFailure, match="a directory with files in it"):
        patch(root, bundle(("d", b"file")), "d/f")
    assert (root / "app/d/made").exists()


@pytest.mark.parametrize("name", ["../x", "a/../../x", "a/.."])
def test_a_patch_deletes_nothing_elsewhere(root: Path, name: str) -> None:
    with pytest.raises(StageFailure, match="outside of its directory"):
        patch(root, bundle(), name)
