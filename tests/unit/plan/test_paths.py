"""Path filters, with the cases that werf's documentation of globs and its vectors depend on."""

import pytest

from conveyor.api.errors import UserError
from conveyor.config.globs import compile_glob
from conveyor.plan.paths import AllOf, Below, Include, PathMatcher, relative_to


def glob_matches(glob: str, path: str) -> bool:
    parts = tuple(path.split("/")) if path else ()
    return any(one.matches(parts) for one in compile_glob(glob))


@pytest.mark.parametrize(
    ("glob", "path", "expected"),
    [
        ("a", "a", True),
        ("a", "b", False),
        ("*", "a", True),
        ("*", "a/b", False),
        ("*.txt", "x.txt", True),
        ("*.txt", ".txt", True),
        ("*.txt", "x.txt.bak", False),
        ("a*c*e", "abcde", True),
        ("a*c*e", "abdce", True),
        ("a*c*e", "abde", False),
        ("ab*ba", "aba", False),
        ("?", "ü", True),
        ("?", "", False),
        ("?.md", "xx.md", False),
        ("**", "", True),
        ("**", "a/b/c", True),
        ("**/x", "x", True),
        ("**/x", "a/b/x", True),
        ("**/x", "a/x/b", False),
        ("a/**", "a", True),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**/b/**/c", "a/b/b/x/c", True),
        ("a**b", "axxb", True),
        ("a**b", "a/b", False),
        ("[abc]", "b", True),
        ("[a-c]x", "bx", True),
        ("[^a-c]", "b", False),
        ("[!a-c]", "d", True),
        ("[\\]]", "]", True),
        ("[c-a]", "b", False),
        ("{a,b}", "b", True),
        ("{a,b}/c", "a/c", True),
        ("{a/x,b}/c", "a/x/c", True),
        ("*.{csv,md}", "t.md", True),
        ("{a,{b,c}d}", "cd", True),
        ("{,x}y", "y", True),
        ("\\*", "*", True),
        ("\\*", "x", False),
        ("\\{a\\}", "{a}", True),
        ("[{]", "{", True),
        ("a.c", "abc", False),
    ],
)
def test_globs_match_as_doublestar_does(glob, path, expected):
    assert glob_matches(glob, path) is expected


@pytest.mark.parametrize("glob", ["[a", "{a", "a\\", "[a-", "[-a]", "x" * 5000, "{a,b}" * 12])
def test_malformed_or_huge_globs_are_a_users_mistake(glob):
    with pytest.raises(UserError, match="glob"):
        compile_glob(glob)


@pytest.mark.timeout(20)
def test_hostile_globs_come_to_an_end():
    assert not glob_matches("*a" * 200 + "b", "a" * 250)
    assert not glob_matches("/".join(["**", "a"] * 50) + "/b", "/".join("a" * 100))


@pytest.mark.parametrize("glob", ["dir", "dir/", "dir/*", "dir/**", "dir/**/*", "./dir"])
def test_all_spellings_of_a_directory_mean_everything_below_it(glob):
    matcher = PathMatcher("", include=[glob])
    assert matcher.matches("dir/a/b")
    assert matcher.matches("dir")
    assert not matcher.matches("dirx/a")


def test_base_include_and_exclude():
    matcher = PathMatcher("data", include=["src"], exclude=["**/*.tmp"])
    assert matcher.matches("data/src/a/b.txt")
    assert not matcher.matches("data/srcx/c")
    assert not matcher.matches("data/src/a/b.tmp")
    assert not matcher.matches("src/a")
    assert not matcher.matches("database/src/a")


def test_a_file_as_base_matches_itself():
    matcher = PathMatcher("etc/site.ini")
    assert matcher.matches("etc/site.ini")
    assert not matcher.matches("etc/site.ini.bak")


def test_no_globs_or_a_universal_one_cover_everything():
    for globs in ([], [""], ["."], ["*"], ["**/*"]):
        assert PathMatcher("", include=globs).matches("a/b")
        assert not PathMatcher("", include=globs).may_match_below("a")
    assert not PathMatcher("", exclude=["**"]).matches("a/b")


def test_excludes_force_looking_only_where_a_segment_fits():
    matcher = PathMatcher("", exclude=["*.txt", "deep/two", "sub/?.md"])
    assert not matcher.may_match_below("deep/one")
    assert matcher.matches("deep/one")
    assert matcher.may_match_below("deep")
    assert matcher.may_match_below("sub")
    assert not matcher.may_match_below("deep/two")
    assert PathMatcher("", exclude=["**/x"]).may_match_below("any/where")


def test_only_what_leads_to_includes_is_looked_into():
    matcher = PathMatcher("app", include=["a/b/*.c"])
    assert matcher.may_match_below("")
    assert matcher.may_match_below("app")
    assert matcher.may_match_below("app/a")
    assert matcher.may_match_below("app/a/b")
    assert not matcher.may_match_below("app/x")
    assert not matcher.may_match_below("app/a/x")
    assert not matcher.may_match_below("lib")


def test_an_excluded_directory_is_not_looked_into():
    matcher = PathMatcher("", exclude=["node_modules"])
    assert not matcher.matches("node_modules")
    assert not matcher.may_match_below("node_modules")
    assert matcher.matches("src")


def test_all_of_looks_below_when_one_asks_and_none_rejects():
    both = AllOf((PathMatcher("", include=["a/b"]), PathMatcher("", exclude=["a/b/c"])))
    assert both.may_match_below("a")
    assert both.matches("a/b/d")
    assert not both.matches("a/b/c")
    rejecting = AllOf((PathMatcher("", include=["x"]), PathMatcher("", exclude=["a/b"])))
    assert not rejecting.may_match_below("a")


def test_below_leads_to_its_base():
    below = Below("ctx/app", Include(("x",)))
    assert below.may_match_below("ctx")
    assert not below.may_match_below("other")
    assert below.matches("ctx/app/x/y")
    assert not below.matches("ctx/x")


def test_relative_to():
    assert relative_to("", "a/b") == "a/b"
    assert relative_to("a", "a") == ""
    assert relative_to("a", "a/b") == "b"
    assert relative_to("a", "ab") is None


def test_names_that_are_no_utf8_match_like_any_other():
    name = b"caf\xe9.txt".decode("utf-8", "surrogateescape")
    assert PathMatcher("", include=["*.txt"]).matches(name)
