import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.api.errors import UserError
from conveyor.config.globs import matches


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("a", "a"),
        ("*.txt", "x.txt"),
        ("conf/**/*.ini", "conf/x.ini"),
        ("conf/**/*.ini", "conf/a/b/x.ini"),
        ("**", "a/b/c"),
        ("**/c", "c"),
        ("**/c", "a/b/c"),
        ("a/**", "a/b"),
        ("a/**/**/b", "a/b"),
        ("?.x", "a.x"),
        ("[a-c]x", "bx"),
        ("[!a-c]x", "dx"),
        ("[^a]", "b"),
        (r"[\]]", "]"),
        (r"a\{b", "a{b"),
        ("{a,b/c}.x", "b/c.x"),
        ("{a,{b,c}}", "c"),
        (r"\*", "*"),
        ("*a*b*", "xxaxxbxx"),
        (".*", ".hidden"),
        ("*", ".hidden"),
    ],
)
def test_matching(pattern: str, path: str) -> None:
    assert matches(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("a", "b"),
        ("*", "a/b"),
        ("*.txt", "a/x.txt"),
        ("a/**/b", "a/c"),
        ("?", "ab"),
        ("[a-c]", "d"),
        ("[!a-c]", "b"),
        (r"\*", "x"),
        ("a/*", "a"),
        ("{a,b}", "c"),
        ("", "a"),
    ],
)
def test_not_matching(pattern: str, path: str) -> None:
    assert not matches(pattern, path)


@pytest.mark.parametrize("pattern", ["{a", "[a", "a\\", "x" * 5000, "{a,b}" * 11])
def test_refused(pattern: str) -> None:
    with pytest.raises(UserError):
        matches(pattern, "a")


def test_hostile_patterns_finish() -> None:
    assert not matches("*a" * 300 + "b", "a" * 5000)
    assert not matches("**/" * 200 + "x", "a/" * 500 + "b")


@given(st.text("ab*?", max_size=8), st.text("ab", min_size=1, max_size=8))
def test_one_segment_as_a_regular_expression(pattern: str, part: str) -> None:
    expression = re.escape(pattern).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
    if pattern == "**":
        expression = ".*"
    assert matches(pattern, part) == (re.fullmatch(expression, part) is not None)
