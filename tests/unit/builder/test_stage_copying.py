"""COPY's destination rules, users and groups, and what an export gives for them."""

import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from conveyor.builder import users
from conveyor.builder.copying import copy
from conveyor.builder.exports import CoveredError, export_copy, export_import
from conveyor.builder.failure import StageFailure
from conveyor.builder.processes import Output
from conveyor.builder.rootfs import Rootfs
from conveyor.builder.run_mounts import RunMounts
from conveyor.builder.snapshot import Snapshot

ME, MY_GROUP = os.getuid(), os.getgid()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    top = tmp_path / "root"
    (top / "etc").mkdir(parents=True)
    (top / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\n# note\nbroken:x:y\napp:x:1000:1001::/home/app:/bin/sh\n"
    )
    (top / "etc/group").write_text("root:x:0:\napp:x:1001:\nextra:x:2002:other,app\nmore:x:7:app\n")
    (top / "there").mkdir()
    return top


@pytest.fixture
def source(tmp_path: Path) -> Path:
    top = tmp_path / "source"
    (top / "src/deep").mkdir(parents=True)
    (top / "src/a.txt").write_text("a")
    (top / "src/deep/b.txt").write_text("b")
    (top / "src/[odd]").write_text("odd")
    (top / "one.conf").write_text("1")
    (top / "two.conf").write_text("2")
    (top / "link").symlink_to("src")
    return top


def run(
    tmp_path: Path, root: Path, source: Path, patterns: list[str], dest: str, **step: object
) -> list[str]:
    """Export from one root, copy into the other; the files that are then there."""
    path = tmp_path / "bundle.tar"
    out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    export_copy(Rootfs(os.fsencode(source)), [p.encode() for p in patterns], out)
    os.close(out)
    sources = [{"pattern": p, "entries": f"{i}/"} for i, p in enumerate(patterns)]
    before = {p for p in root.rglob("*") if not p.is_dir()}
    own = {"keepOwner": True} if ME else {}
    copy(Rootfs(os.fsencode(root)), str(path), {"sources": sources, "dest": dest, **own, **step})
    return sorted(
        str(p.relative_to(root)) for p in root.rglob("*") if not p.is_dir() and p not in before
    )


@pytest.mark.parametrize(
    ("patterns", "dest", "expected"),
    [
        (["/one.conf"], "/new", ["new"]),
        (["/one.conf"], "/new/", ["new/one.conf"]),
        (["/one.conf"], "/there", ["there/one.conf"]),
        (["/one.conf"], "/a/b/c", ["a/b/c"]),
        (["/one.conf"], "rel", ["work/rel"]),
        (["/one.conf"], ".", ["work/one.conf"]),
        (["/src"], "/x", ["x/[odd]", "x/a.txt", "x/deep/b.txt"]),
        (["/src/"], "/there/", ["there/[odd]", "there/a.txt", "there/deep/b.txt"]),
        (["/link"], "/x", ["x/[odd]", "x/a.txt", "x/deep/b.txt"]),
        (["/*.conf"], "/c/", ["c/one.conf", "c/two.conf"]),
        (["/one.conf", "/src/deep"], "/c/", ["c/b.txt", "c/one.conf"]),
        (["/src/[[]odd]"], "/o", ["o"]),
        (["/s?c/[^x]*.txt"], "/o/", ["o/a.txt"]),
        (["/s?c/[!x]*.txt"], "/o/", []),
        (["/one.conf", "/two.conf"], "/x", ["x"]),
        (["/src", "/one.conf"], "/x", ["x/[odd]", "x/a.txt", "x/deep/b.txt", "x/one.conf"]),
        (["/none*"], "/o/", []),
    ],
)
def test_destination(
    tmp_path: Path, root: Path, source: Path, patterns: list[str], dest: str, expected: list[str]
) -> None:
    assert run(tmp_path, root, source, patterns, dest, workdir="/work") == expected


def test_into_the_root_directory(tmp_path: Path, root: Path, source: Path) -> None:
    """A file at the top follows a directory with files: the parent is the root again."""
    (source / "src/zz.txt").write_text("last")
    run(tmp_path, root, source, ["/src"], "/")
    assert (root / "zz.txt").read_text() == "last"
    assert (root / "deep/b.txt").exists()


def test_existing_directory_keeps_its_own_mode(tmp_path: Path, root: Path, source: Path) -> None:
    (root / "there").chmod(0o711)
    (root / "there/deep").mkdir(mode=0o711)
    (source / "src").chmod(0o700)
    (source / "src/deep").chmod(0o750)
    run(tmp_path, root, source, ["/src"], "/there")
    assert (root / "there").stat().st_mode & 0o777 == 0o711
    assert (root / "there/deep").stat().st_mode & 0o777 == 0o750, "inner ones get the source's"
    run(tmp_path, root, source, ["/src"], "/made")
    assert (root / "made").stat().st_mode & 0o777 == 0o755, "as BuildKit makes it"


def test_chmod(tmp_path: Path, root: Path, source: Path) -> None:
    run(tmp_path, root, source, ["/one.conf"], "/x", chmod="4755")
    assert (root / "x").stat().st_mode & 0o7777 == 0o4755


@pytest.mark.skipif(ME != 0, reason="only root can give files away")
def test_chown(tmp_path: Path, root: Path, source: Path) -> None:
    os.chown(source / "one.conf", 5, 6)
    owners = []
    for step in (
        {},
        {"keepOwner": True},
        {"chown": "app"},
        {"chown": "42"},
        {"chown": "app:extra"},
    ):
        run(tmp_path, root, source, ["/one.conf"], "/dir/x", **step)
        status = (root / "dir/x").stat()
        owners.append((status.st_uid, status.st_gid))
    assert owners == [(0, 0), (5, 6), (1000, 1001), (42, 42), (1000, 2002)]


@pytest.mark.parametrize(
    ("patterns", "dest", "step", "reason", "said"),
    [
        (["/one.conf", "/src"], "/x", {}, "StepInvalid", "cannot copy to non-directory: /x"),
        (["/nope"], "/x", {}, "InputMissing", "nope: no such file"),
        (["/src"], "/etc/passwd", {}, "StepInvalid", "cannot copy to non-directory"),
        (["/one.conf"], "/x", {"chown": "nobody"}, "NoSuchUser", "no user 'nobody' in /etc/passwd"),
        (["/one.conf"], "/x", {"chmod": "u+x"}, "StepInvalid", "octal"),
        (["/[a"], "/x", {}, "StepInvalid", "malformed"),
    ],
)
def test_refused(  # noqa: PLR0913, PLR0917 - a table
    tmp_path: Path,
    root: Path,
    source: Path,
    patterns: list[str],
    dest: str,
    step: dict[str, Any],
    reason: str,
    said: str,
) -> None:
    with pytest.raises(StageFailure, match=said) as caught:
        run(tmp_path, root, source, patterns, dest, **step)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("", (0, 0, (0,), "/root")),
        ("app", (1000, 1001, (1001, 2002, 7), "/home/app")),
        ("1000", (1000, 1001, (1001, 2002, 7), "/home/app")),
        ("app:extra", (1000, 2002, (2002,), "/home/app")),
        ("app:55", (1000, 55, (55,), "/home/app")),
        ("4321", (4321, 0, (0,), "/")),
        ("4321:8765", (4321, 8765, (8765,), "/")),
    ],
)
def test_identity(root: Path, spec: str, expected: tuple[object, ...]) -> None:
    found = users.identity(Rootfs(os.fsencode(root)), spec)
    assert (found.uid, found.gid, found.groups, found.home) == expected


@pytest.mark.parametrize("spec", ["nobody", "app:nogroup", "broken", "99999999999"])
def test_unknown_identity(root: Path, spec: str) -> None:
    with pytest.raises(StageFailure) as caught:
        users.identity(Rootfs(os.fsencode(root)), spec)
    assert caught.value.reason == "NoSuchUser"


def test_identity_without_any_passwd(tmp_path: Path) -> None:
    found = users.identity(Rootfs(os.fsencode(tmp_path)), "0:0")
    assert (found.uid, found.gid, found.home) == (0, 0, "/")


def test_unknown_owner_names_what_is_missing(root: Path) -> None:
    with pytest.raises(StageFailure, match="no group 'web' in /etc/group"):
        users.owner_ids(Rootfs(os.fsencode(root)), "app", "web")


def exported(tmp_path: Path, source: Path, add: str, **filters: list[str]) -> dict[str, object]:
    out = os.open(tmp_path / "import.tar", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    lists = tuple([p.encode() for p in filters.get(k, [])] for k in ("includes", "excludes"))
    report = export_import(Rootfs(os.fsencode(source)), add.encode(), (lists[0], lists[1]), out)
    os.close(out)
    return report


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["a.txt", "deep/b.txt", "[odd]"]),
        ({"excludes": ["deep"]}, ["a.txt", "[odd]"]),
        ({"excludes": ["*.txt"]}, ["deep/b.txt", "[odd]"]),
        ({"excludes": ["**.txt"]}, ["[odd]"]),
        ({"includes": ["deep"]}, ["deep/b.txt"]),
        ({"includes": ["deep/b.txt", "a.*"]}, ["a.txt", "deep/b.txt"]),
        ({"includes": ["*/b.txt"]}, ["deep/b.txt"]),
        ({"includes": ["**/*.txt"]}, ["a.txt", "deep/b.txt"]),
        ({"includes": ["deep/**"]}, ["deep/b.txt"]),
        ({"includes": [""]}, ["a.txt", "deep/b.txt", "[odd]"]),
        ({"includes": ["deep", "a.txt"], "excludes": ["**/*.txt"]}, []),
        ({"excludes": ["deep/**"]}, ["a.txt", "[odd]"]),
        ({"excludes": ["**/b.txt"]}, ["a.txt", "[odd]"]),
        ({"includes": ["deep"], "excludes": ["deep/b.txt"]}, []),
        ({"includes": ["nothing"]}, []),
    ],
)
def test_import_filters(
    tmp_path: Path, source: Path, filters: dict[str, list[str]], expected: list[str]
) -> None:
    import hashlib  # noqa: PLC0415 - the expected value is built the long way here

    (tmp_path / "alone").mkdir()
    report = exported(tmp_path, source, "/src", **filters)
    content = {"a.txt": b"a", "deep/b.txt": b"b", "[odd]": b"odd"}
    lines = sorted(
        f"{hashlib.md5(content[p], usedforsecurity=False).hexdigest()}  /src/{p}\n".encode()
        for p in expected
    )
    lines.sort(key=lambda line: line.split(b"  ", 1)[1])
    assert report["checksum"] == hashlib.md5(b"".join(lines), usedforsecurity=False).hexdigest()


def test_import_of_nothing_has_the_empty_checksum(tmp_path: Path, source: Path) -> None:
    report = exported(tmp_path, source, "/src", includes=["nothing"])
    assert report["checksum"] == "d41d8cd98f00b204e9800998ecf8427e"


def test_import_checksum_of_links_is_over_their_target(tmp_path: Path, source: Path) -> None:
    (source / "links").mkdir()
    (source / "links/l").symlink_to("one")
    first = exported(tmp_path, source, "/links")["checksum"]
    (source / "links/l").unlink()
    (source / "links/l").symlink_to("two")
    assert exported(tmp_path, source, "/links")["checksum"] != first


def test_import_of_one_file(tmp_path: Path, source: Path) -> None:
    report = exported(tmp_path, source, "/one.conf")
    assert (report["single"], report["entries"]) == (True, 1)


def test_import_of_what_is_not_there(tmp_path: Path, source: Path) -> None:
    with pytest.raises(StageFailure, match="import: add /gone: no such file") as caught:
        exported(tmp_path, source, "/gone")
    assert caught.value.reason == "InputMissing"


# --- what a RUN has mounted -------------------------------------------------------------------------------------------


@pytest.fixture
def mounted(tmp_path: Path) -> Rootfs:
    """`/work/cache` and `/usr/lib/secret` are mounted by a RUN, `/etc/hosts` and `/proc` are in every container."""
    root = tmp_path / "root"
    for folder in ("out", "work/cache/deep", "work/made", "usr/lib", "etc", "proc"):
        (root / folder).mkdir(parents=True)
    for file in ("out/tool", "work/made/file", "work/cache/deep/file", "usr/lib/secret"):
        (root / file).write_text(file)
    for file in ("etc/hosts", "etc/issue", "workers"):
        (root / file).touch()
    (root / "lib").symlink_to("usr/lib")
    (root / "links").mkdir()
    (root / "links/into").symlink_to("/work/cache/deep")
    points = ("work/cache", "usr/lib/secret", "etc/hosts", "proc")
    rootfs = Rootfs(os.fsencode(root), mounts=[os.fsencode(root / point) for point in points])
    RunMounts(rootfs, {"caches": []}, Output(1))
    return rootfs


def taken(tmp_path: Path, rootfs: Rootfs, source: str) -> list[str]:
    out = os.open(tmp_path / "copy.tar", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        export_copy(rootfs, [source.encode()], out)
    finally:
        os.close(out)
    with tarfile.open(tmp_path / "copy.tar") as tar:
        return sorted(tar.getnames())


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("/out", ["0", "0/tool"]),
        ("out/tool", ["0/tool"]),
        ("/out/*", ["0/tool"]),
        ("/work/made", ["0", "0/file"]),
        ("/workers", ["0/workers"]),
        ("/etc", ["0", "0/issue"]),
        ("/links", ["0", "0/into"]),
    ],
)
def test_files_beside_mounts_are_exported(
    mounted: Rootfs, tmp_path: Path, source: str, names: list[str]
) -> None:
    assert taken(tmp_path, mounted, source) == names


@pytest.mark.parametrize(
    "source",
    [
        "/",
        "/*",
        "/work",
        "/work/cache",
        "/work/cache/",
        "/work/cache/deep/file",
        "/work/cache/absent",
        "/work/c*",
        "/usr",
        "/lib",
        "/lib/secret",
        "/links/into",
        "/links/*",
        "/work/made/../cache",
    ],
)
def test_files_that_a_mount_hides_are_not_exported(
    mounted: Rootfs, tmp_path: Path, source: str
) -> None:
    with pytest.raises(CoveredError):
        taken(tmp_path, mounted, source)


def test_imports_are_covered_too(mounted: Rootfs, tmp_path: Path) -> None:
    out = os.open(tmp_path / "import.tar", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    assert export_import(mounted, b"/out", ([], []), out)["entries"] == 2
    with pytest.raises(CoveredError):
        export_import(mounted, b"/work", ([], []), out)
    os.close(out)


@pytest.mark.parametrize("patterns", [["/empty"], ["/with"], ["/src"], ["/one.conf", "/with"]])
@pytest.mark.parametrize("dest", ["/there", "/there/inner", "/new/", "/", "/etc/link/"])
def test_it_tells_where_it_placed_something(
    tmp_path: Path, root: Path, source: Path, patterns: list[str], dest: str
) -> None:
    """A walk of those directories sees what a walk of everything sees, of directories that were there and new ones."""
    (source / "empty").mkdir()
    (source / "with/inner/empty").mkdir(parents=True)
    (root / "there/inner/empty").mkdir(parents=True)
    (root / "etc/link").symlink_to("/there")
    place, snapshots = (
        Rootfs(os.fsencode(root)),
        [Snapshot(os.fsencode(root)), Snapshot(os.fsencode(root))],
    )
    for snapshot in snapshots:
        snapshot.take()
        snapshot.settle()
    path = tmp_path / "bundle.tar"
    out = os.open(path, os.O_WRONLY | os.O_CREAT)
    export_copy(Rootfs(os.fsencode(source)), [os.fsencode(p) for p in patterns], out)
    os.close(out)
    sources = [{"pattern": p, "entries": f"{i}/"} for i, p in enumerate(patterns)]
    own = {"keepOwner": True} if ME else {}
    copy(
        place, str(path), {"sources": sources, "dest": dest if len(sources) == 1 else "/d/", **own}
    )
    touched = place.take_touched()
    assert touched is not None
    expected = [name for name, _ in snapshots[0].changes()]
    assert expected or dest == "/"  # an empty directory into the root: nothing
    assert [name for name, _ in snapshots[1].changes(touched)] == expected
