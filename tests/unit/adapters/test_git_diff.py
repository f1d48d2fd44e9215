"""The patch text: pieces of output, quirks of names, limits."""

import pytest

from conveyor.adapters.git_diff import DiffFilter
from conveyor.api.errors import UserError
from conveyor.plan.paths import PathMatcher

CHANGE = (
    b"diff --git a/src/x.md b/src/x.md\n"
    b"index 587be6b4aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa..ccc9bd67bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb 100644\n"
    b"--- a/src/x.md\n+++ b/src/x.md\n@@ -1 +1 @@\n-x\n+xx\n"
)
BINARY = (
    b"diff --git a/src/l.bin b/src/l.bin\nnew file mode 100644\n"
    b"index 0000000000000000000000000000000000000000..ccc9bd67bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n"
    b"Binary files /dev/null and b/src/l.bin differ\n"
)


def filtered(data, *, scope="", exclude=(), renamed="", limit=1_000_000, step=7):
    matcher = PathMatcher(scope, exclude=exclude)
    diff = DiffFilter(matcher=matcher, scope=scope, renamed=renamed, limit=limit)
    for start in range(0, len(data), step):
        diff.feed(data[start : start + step])
    return diff


def test_paths_become_relative_and_ids_short_whatever_the_pieces():
    for step in (1, 7, 10_000):
        diff = filtered(CHANGE, scope="src", step=step)
        assert diff.text == (
            "diff --git a/x.md b/x.md\nindex 587be6b4..ccc9bd67 100644\n"
            "--- a/x.md\n+++ b/x.md\n@@ -1 +1 @@\n-x\n+xx\n"
        )
        assert diff.size == len(diff.text)
        assert diff.paths


def test_a_binary_files_line_keeps_its_full_path():
    assert filtered(BINARY, scope="src").text == (
        "diff --git a/l.bin b/l.bin\nnew file mode 100644\nindex 00000000..ccc9bd67\n"
        "Binary files /dev/null and b/src/l.bin differ\n"
    )


def test_what_is_filtered_out_leaves_nothing():
    diff = filtered(CHANGE + BINARY + CHANGE.replace(b"x.md", b"y.md"), exclude=["src"])
    assert (diff.text, diff.size, diff.paths) == ("", 0, False)
    diff = filtered(CHANGE + BINARY, exclude=["**/*.md"])
    assert "x.md" not in diff.text
    assert "l.bin" in diff.text


def test_a_single_file_gets_the_name_of_its_target():
    text = filtered(CHANGE, scope="src/x.md", renamed="main.md").text
    assert text.splitlines()[0] == "diff --git a/main.md b/main.md"
    assert "--- a/main.md\n+++ b/main.md\n" in text


def test_quoted_names_are_mangled_as_werf_does():
    data = CHANGE.replace(b"a/src/x.md", b'"a/src/q\\"\\001.md"').replace(
        b"b/src/x.md", b'"b/src/q\\"\\001.md"'
    )
    lines = filtered(data, scope="src").text.splitlines()
    assert lines[0] == 'diff --git "a/q\\"\\x01.md" "b/q\\"\\x01.md"'
    assert lines[2] == '--- a/../--- "a/src/q\\"\\001.md"'
    assert lines[3] == '+++ b/../+++ "b/src/q\\"\\001.md"'


def test_the_tab_after_names_with_blanks_goes():
    data = CHANGE.replace(b"src/x.md\n", b"src/x y.md\t\n").replace(
        b" b/src/x y.md\t\n", b" b/src/x y.md\n", 1
    )
    assert "--- a/x y.md\n+++ b/x y.md\n" in filtered(data, scope="src").text


def test_lines_of_a_file_that_look_like_headers_are_left_alone():
    data = CHANGE + b"--- a/src/other\n+++ b/src/other\nindex 0..1\n"
    assert filtered(data, scope="src").text.endswith(
        "--- a/src/other\n+++ b/src/other\nindex 0..1\n"
    )


def test_deleted_and_new_files_keep_dev_null():
    data = CHANGE.replace(b"+++ b/src/x.md", b"+++ /dev/null")
    assert "--- a/x.md\n+++ /dev/null\n" in filtered(data, scope="src").text


def test_bytes_that_are_no_utf8_survive():
    diff = filtered(CHANGE.replace(b"+xx", b"+\xff"))
    assert "+\udcff\n" in diff.text


def test_beyond_the_limit_only_the_size_counts():
    diff = filtered(CHANGE * 50, limit=500)
    assert diff.truncated
    assert diff.text == ""
    assert diff.size > 500


def test_a_changed_submodule_is_not_supported():
    with pytest.raises(UserError, match="submodules"):
        filtered(b"Submodule lib 1111111..2222222 (commits not present)\n")
