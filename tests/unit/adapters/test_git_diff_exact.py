"""Patch texts of generated repositories against what git itself prints, with werf's changes made in another way.

The reference takes `git diff` of a bare repository and changes what werf changes, without the filter under test:
paths relative to the mapping, ids of 8 digits, no tab after names with blanks.
"""

import re
import subprocess
from itertools import pairwise

import pytest

from conveyor.adapters.git_clones import open_local
from conveyor.api.errors import UserError
from conveyor.plan.questions import PathFilter

LINK, RUN, FILE, SUBMODULE = b"120000", b"100755", b"100644", b"160000"
LINES = b"".join(b"line %d\n" % number for number in range(60))
BLOB = bytes(range(256)) * 8

# What a commit has: path -> (mode, content)
BEFORE = {
    b"src/changed": (FILE, LINES),
    b"src/mode": (FILE, b"mode\n"),
    b"src/both": (FILE, b"both\n"),
    b"src/link": (LINK, b"changed"),
    b"src/to-link": (FILE, b"a file\n"),
    b"src/from-link": (LINK, b"mode"),
    b"src/deleted": (FILE, b"gone\n"),
    b"src/deleted-run": (RUN, b"gone\n"),
    b"src/empty": (FILE, b""),
    b"src/no-newline": (FILE, b"no newline"),
    b"src/gets-newline": (FILE, b"line"),
    b"src/blob": (FILE, BLOB),
    b"src/blob-gone": (FILE, BLOB),
    b"src/becomes-binary": (FILE, b"text\n"),
    b"src/becomes-dir": (FILE, b"a file\n"),
    b"src/was-dir/one": (FILE, b"1\n"),
    b"src/was-dir/two": (FILE, b"2\n"),
    b"src/crlf": (FILE, b"a\r\nb\r\n"),
    b"src/to-crlf": (FILE, b"a\nb\n"),
    b"src/latin1": (FILE, b"caf\xe9\n"),
    b"src/with blank": (FILE, b"blank\n"),
    b"src/n\xc3\xafve": (FILE, b"utf-8 name\n"),
    b"src/looks/like": (FILE, b"-- a/src/x\n++ b/src/x\n@@ -1 +1 @@\ndiff --git a/x b/x\nindex 1..2\n"),
    b"src/blank-lines": (FILE, b"a\n\n\nb\n \n\t\nc\n"),
    b"src/moved": (FILE, LINES[:200]),
    b"src/code.py": (FILE, b"def f():\n" + b"    x = 1\n" * 20 + b"    return 1\n"),
    b"other/file": (FILE, b"outside\n"),
}  # fmt: skip
AFTER = {
    b"src/changed": (FILE, LINES.replace(b"line 5\n", b"LINE 5\n").replace(b"line 50\n", b"")),
    b"src/mode": (RUN, b"mode\n"),
    b"src/both": (RUN, b"both changed\n"),
    b"src/link": (LINK, b"mode"),
    b"src/to-link": (LINK, b"mode"),
    b"src/from-link": (FILE, b"a file now\n"),
    b"src/empty": (FILE, b"no more\n"),
    b"src/new-empty": (FILE, b""),
    b"src/new-run": (RUN, b"#!/bin/sh\n"),
    b"src/new/deep/er": (FILE, b"new\n"),
    b"src/no-newline": (FILE, b"no newline still"),
    b"src/gets-newline": (FILE, b"line\n"),
    b"src/blob": (FILE, BLOB[::-1]),
    b"src/blob-new": (FILE, BLOB[:99]),
    b"src/becomes-binary": (FILE, b"te\0xt\n"),
    b"src/becomes-dir/file": (FILE, b"a file\n"),
    b"src/was-dir": (FILE, b"now a file\n"),
    b"src/crlf": (FILE, b"a\r\nB\r\n"),
    b"src/to-crlf": (FILE, b"a\r\nb\r\n"),
    b"src/latin1": (FILE, b"th\xe9\n"),
    b"src/with blank": (FILE, b"blank changed\n"),
    b"src/n\xc3\xafve": (FILE, b"changed\n"),
    b"src/looks/like": (FILE, b"-- a/src/y\n++ b/src/x\n@@ -1 +2 @@\ndiff --git a/y b/x\nindex 1..3\n"),
    b"src/blank-lines": (FILE, b"a\n\nb\n\n \nc\n\n"),
    b"src/renamed": (FILE, LINES[:200]),
    b"src/code.py": (FILE, b"def f():\n" + b"    x = 1\n" * 20 + b"    return 2\n"),
    b"other/file": (FILE, b"outside changed\n"),
}  # fmt: skip
QUOTED = {b'src/quo"te': (FILE, b"q\n"), b"src/t\tab": (FILE, b"t\n"), b"src/n\nl": (FILE, b"n\n")}
QUOTED_AFTER = {path: (mode, b"changed " + text) for path, (mode, text) in QUOTED.items()}
BYTES = {b"src/\xff\xfe": (FILE, b"bytes\n")}


class Bare:
    """A bare repository, made by fast-import."""

    def __init__(self, folder):
        self.folder = folder
        self.git("init", "--quiet", "--bare", str(folder))

    def git(self, *args, stdin=b""):
        done = subprocess.run(  # noqa: S603
            ["git", *args],  # noqa: S607
            input=stdin,
            cwd=self.folder if self.folder.exists() else None,
            env={"PATH": "/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent"},
            capture_output=True,
            timeout=60,
            check=True,
        )
        return done.stdout

    def commit(self, tree):
        """Add a commit with exactly these files."""
        rows = [b"commit refs/heads/main\ncommitter D <d@e> 1 +0000\ndata 0\n\ndeleteall\n"]
        for path, (mode, content) in sorted(tree.items()):
            name = b'"' + b"".join(_octal(byte) for byte in path) + b'"'
            if mode == SUBMODULE:
                rows.append(b"M 160000 " + content + b" " + name + b"\n")
            else:
                head = b"M " + mode + b" inline " + name + b"\n"
                rows.append(head + b"data %d\n" % len(content) + content + b"\n")
        parent = self.git("for-each-ref", "--format=%(objectname)", "refs/heads/main").strip()
        if parent:
            rows[0] = rows[0].replace(b"\n\ndeleteall", b"\nfrom " + parent + b"\ndeleteall")
        self.git("fast-import", "--quiet", "--force", stdin=b"".join(rows))
        return self.git("rev-parse", "main").decode().strip()

    def expected(self, first, second, scope, kept=lambda path: True):
        """The patch as werf hashes it, for names that git does not quote."""
        limit = ["--", f":(literal){scope}"] if scope else []
        settings = ["-c", "diff.renames=false", "-c", "core.quotePath=false"]
        options = ["--full-index", "--submodule=log"]
        text = self.git(*settings, "diff", *options, first, second, *limit)
        parts = re.split(rb"(?m)^(?=diff --git )", text)[1:]
        return b"".join(_relative(part, scope) for part in parts if kept(_path(part)))


def _octal(byte):
    return b"\\%03o" % byte if byte < 33 or byte > 126 or byte in b'"\\' else bytes([byte])


def _path(part):
    return re.match(rb"diff --git a/(.*) b/\1\n", part)[1]


def _relative(part, scope):
    head, mark, body = part.partition(b"\n@@ ")
    prefix = f"{scope}/".encode() if scope else b""
    lines = head.split(b"\n")
    for index, line in enumerate(lines):
        if line.startswith(b"index "):
            lines[index] = re.sub(rb"([0-9a-f]{8})[0-9a-f]{32}", rb"\1", line)
        elif line.startswith((b"diff --git ", b"--- a/", b"+++ b/")):
            cut = line.replace(b" a/" + prefix, b" a/").replace(b" b/" + prefix, b" b/")
            lines[index] = cut.rstrip(b"\t") if line.startswith((b"---", b"+++")) else cut
    return b"\n".join(lines) + mark + body


def text_of(patch):
    return patch.text.encode("utf-8", "surrogateescape")


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    return Bare(tmp_path_factory.mktemp("bare") / "repo.git")


@pytest.fixture(scope="module")
def commits(bare):
    return bare.commit(BEFORE), bare.commit(AFTER)


@pytest.mark.parametrize("scope", ["", "src", "src/new/deep", "src/absent"])
@pytest.mark.parametrize("back", [False, True], ids=["forth", "back"])
async def test_every_kind_of_change(bare, commits, scope, back):
    first, second = reversed(commits) if back else commits
    repo = await open_local(bare.folder)
    patch = await repo.patch(first, second, PathFilter(base=scope), "/app")
    assert text_of(patch) == bare.expected(first, second, scope)
    assert not patch.truncated
    assert patch.empty == (not patch.text)


async def test_filters_cut_whole_files_out(bare, commits):
    repo = await open_local(bare.folder)
    only = PathFilter(base="src", include=("*blob*", "new"), exclude=("blob-gone",))
    patch = await repo.patch(*commits, only, "/app")
    wanted = {b"src/blob", b"src/blob-new", b"src/new/deep/er"}
    assert text_of(patch) == bare.expected(*commits, "src", wanted.__contains__)


async def test_the_size_counts_binaries_and_all_context(bare, commits):
    repo = await open_local(bare.folder)
    patch = await repo.patch(*commits, PathFilter(base="src", include=("changed",)), "/app")
    assert patch.size > len(LINES)
    assert patch.size > len(patch.text)
    blob = await repo.patch(*commits, PathFilter(base="src", include=("blob",)), "/app")
    assert "Binary files a/src/blob and b/src/blob differ\n" in blob.text
    assert blob.size > len(blob.text)


async def test_a_single_file(bare, commits):
    repo = await open_local(bare.folder)
    patch = await repo.patch(*commits, PathFilter(base="src/changed"), "/etc/main.txt")
    expected = bare.expected(*commits, "src/changed")
    assert text_of(patch) == expected.replace(b"src/changed", b"main.txt")


async def test_names_that_git_quotes_are_mangled_as_in_werf(bare):
    first, second = bare.commit(QUOTED), bare.commit(QUOTED_AFTER)
    repo = await open_local(bare.folder)
    patch = await repo.patch(first, second, PathFilter(base="src"), "/app")
    heads = [line for line in patch.text.splitlines() if line.startswith(("diff", "---", "+++"))]
    assert heads == [
        'diff --git "a/n\\nl" "b/n\\nl"',
        '--- a/../--- "a/src/n\\nl"',
        '+++ b/../+++ "b/src/n\\nl"',
        'diff --git "a/quo\\"te" "b/quo\\"te"',
        '--- a/../--- "a/src/quo\\"te"',
        '+++ b/../+++ "b/src/quo\\"te"',
        'diff --git "a/t\\tab" "b/t\\tab"',
        '--- a/../--- "a/src/t\\tab"',
        '+++ b/../+++ "b/src/t\\tab"',
    ]


async def test_bytes_in_names_survive(bare):
    first = bare.commit(BYTES)
    second = bare.commit({path: (mode, b"changed\n") for path, (mode, _) in BYTES.items()})
    repo = await open_local(bare.folder)
    patch = await repo.patch(first, second, PathFilter(base="src"), "/app")
    assert text_of(patch) == bare.expected(first, second, "src")
    assert b"a/\xff\xfe" in text_of(patch)


@pytest.mark.parametrize(
    "attributes", [b"*.txt -diff\n", b"*.txt binary\n", b"*.txt text eol=crlf\n", b"*.txt diff=python\n"]
)  # fmt: skip
async def test_attributes_are_not_consulted(bare, attributes):
    """A clone of the operator is bare; so is the answer of git itself (ADR 5)."""
    file = {b".gitattributes": (FILE, attributes), b"a.txt": (FILE, LINES)}
    first = bare.commit(file)
    second = bare.commit(file | {b"a.txt": (FILE, LINES.replace(b"line 30", b"x"))})
    repo = await open_local(bare.folder)
    patch = await repo.patch(first, second, PathFilter(), "/app")
    assert text_of(patch) == bare.expected(first, second, "")
    assert "-line 30\n+x\n" in patch.text


@pytest.mark.parametrize("name", ["lib", "with blank"])
async def test_submodules(bare, name):
    """Refused where a mapping takes one, whether it is new, changed or gone; elsewhere nobody cares."""
    path = f"src/{name}".encode()
    trees = [
        {b"src/f": (FILE, b"1\n")},
        {b"src/f": (FILE, b"2\n"), path: (SUBMODULE, b"1" * 40)},
        {b"src/f": (FILE, b"3\n"), path: (SUBMODULE, b"2" * 40)},
        {b"src/f": (FILE, b"4\n")},
    ]
    repo, ids = await open_local(bare.folder), [bare.commit(tree) for tree in trees]
    for first, second in pairwise(ids):
        with pytest.raises(UserError, match=f"submodules are not supported, and src/{name}"):
            await repo.patch(first, second, PathFilter(base="src"), "/app")
        for elsewhere in (
            PathFilter(base="src", include=("f",)),
            PathFilter(base="src", exclude=(name,)),
            PathFilter(base="src/f"),
        ):
            patch = await repo.patch(first, second, elsewhere, "/app")
            assert patch.text.count("diff --git") == 1
            assert "ubmodule" not in patch.text
    with pytest.raises(UserError, match=f"and src/{name} is one; name it in excludePaths"):
        await repo.tree_checksum(ids[1], PathFilter(base="src"))
    assert await repo.tree_checksum(ids[1], PathFilter(base="src", exclude=(name,)))
    assert await repo.tree_checksum(ids[1], PathFilter(base="src"), ("f",))
    assert await repo.tree_checksum(ids[0], PathFilter(base="src"))


async def test_a_base_that_is_gone_has_no_patch(bare, commits):
    repo = await open_local(bare.folder)
    assert await repo.patch("9" * 40, commits[1], PathFilter(), "/app") is None
