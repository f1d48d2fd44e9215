"""Tree checksums: what is hashed, what is not."""

import hashlib

import pytest

from conveyor.adapters.git_tree import GitTree
from conveyor.api.errors import UserError
from conveyor.plan.paths import PathMatcher

ROOT = "0" * 40
LISTING = [
    ("100644", "blob", "1" * 40, "a.txt"),
    ("040000", "tree", "2" * 40, "deep"),
    ("040000", "tree", "3" * 40, "deep/one"),
    ("100644", "blob", "4" * 40, "deep/one/x.csv"),
    ("100755", "blob", "5" * 40, "deep/z"),
    ("160000", "commit", "6" * 40, "lib"),
    ("120000", "blob", "7" * 40, "link"),
]


def tree(rows=LISTING):
    return GitTree(ROOT, b"".join(f"{m} {t} {o}\t{p}\0".encode() for m, t, o, p in rows))


def sha(*digits):
    return hashlib.sha256("".join(d * 40 for d in digits).encode()).hexdigest()


@pytest.mark.parametrize(
    ("base", "include", "exclude", "expected"),
    [
        ("", [], [], "0"),
        ("deep", [], [], "2"),
        ("a.txt", [], [], "1"),
        ("missing", [], [], ""),
        ("", ["deep"], [], "2"),
        ("", ["*.txt", "deep/z"], [], "15"),
        ("", ["none"], [], ""),
        ("deep", [], ["z"], "3"),
        ("deep", [], ["one/*.txt"], "45"),
        ("", ["link", "lib"], [], "67"),
    ],
)
def test_a_directory_that_is_matched_as_a_whole_counts_by_its_id(base, include, exclude, expected):
    found = tree().checksum(PathMatcher(base, include, exclude), base)
    assert found == (sha(*expected) if expected else "")


def test_names_and_modes_of_single_files_are_not_hashed():
    renamed = [("100755", "blob", "1" * 40, "b.txt"), *LISTING[1:]]
    matcher = PathMatcher("", ["*.txt"])
    assert tree(renamed).checksum(matcher) == tree().checksum(matcher)


def test_entries_are_ordered_by_bytes():
    names = ["\U00010000", "\udc80", "a"]
    rows = b"".join(
        f"100644 blob {str(n) * 40}\t".encode() + name.encode("utf-8", "surrogateescape") + b"\0"
        for n, name in enumerate(names, 1)
    )
    found = GitTree(ROOT, rows).checksum(PathMatcher("", ["?"]))
    # By bytes: a (61), the lone byte 80, U+10000 (f0…); by code points the last two would change places.
    assert found == sha("3", "2", "1")


def test_a_submodule_needed_file_by_file_is_refused():
    with pytest.raises(UserError, match="submodules are not supported: lib"):
        tree().checksum(PathMatcher("", exclude=["lib/x"]))


def test_kinds_and_files():
    made = tree()
    assert [made.kind(p) for p in ("", "deep", "deep/z", "link", "x")] == [
        "directory",
        "directory",
        "file",
        "file",
        "",
    ]
    assert list(made.files("deep")) == ["deep/one/x.csv", "deep/z"]
    assert list(made.files("a.txt")) == ["a.txt"]
    assert list(made.files("missing")) == []
