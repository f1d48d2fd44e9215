"""Expressions of users: the same answers as Python's matcher, in bounded time."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.config.expressions import MAX_EFFORT, Effort, Expression, ExpressionError

EXPRESSIONS = [
    "^werf-.*$",
    "^(a+)+$",
    "^a|b$",
    "^a{2,3}b?$",
    r"^\d+\w*\b.*$",
    r"\Ba\s",
    r"\Aa\D\W\S\Z",
    "^[^a-c]+x$",
    "(ab|a)(c|bcd)(d*)$",
    "^(a|aa){3}$",
    "^(|a)*$",
    "(?:a*?b){1,2}$",
    "^.{2,}$",
    "[^a]",
    "",
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
@given(text=st.text(alphabet="abcdx1_- ", max_size=8))
def test_answers_are_those_of_python(expression: str, text: str) -> None:
    assert Expression(expression).found_in(text) == bool(re.search(expression, text, re.ASCII))


@pytest.mark.parametrize(
    "expression", ["^(a+)+$", "^((a|aa){10}){10}$", ".*.*.*.*.*.*.*.*x$", "^(a|a|a)*$"]
)
def test_expressions_made_to_last_for_ever_do_not(expression: str) -> None:
    assert not Expression(expression).found_in("a" * 511 + "b")


@pytest.mark.parametrize("expression", ["^" + ".*" * 126 + "x$", "(.*.*.*.*.*.*.*.*)*" * 13 + "x"])
def test_many_repetitions_are_within_the_effort(expression: str) -> None:
    effort = Effort()
    assert not Expression(expression).found_in("a" * 512, effort)
    assert effort.left > MAX_EFFORT // 2


def test_what_takes_too_long_is_told_and_the_effort_is_that_of_all_together() -> None:
    with pytest.raises(ExpressionError, match="takes too long"):
        Expression("^((a*b|a)*b|a)*x$").found_in("a" * 512)
    effort = Effort(left=500)
    assert Expression("^a*$").found_in("a" * 100, effort)
    with pytest.raises(ExpressionError, match="takes too long"):
        Expression("^a*$").found_in("a" * 100, effort)


def test_a_text_that_is_too_long_is_not_found() -> None:
    assert Expression("a").found_in("a" * 512)
    assert not Expression("a").found_in("a" * 513)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("[", "unterminated"),
        ("(?=a)", "look-around"),
        (r"(a)\1", "references"),
        ("(?i)a", "flags"),
        ("^(?i)a", "flags"),
        ("(?i-s:a)", "flags"),
        ("(?-s:a)", "flags"),
        ("a{101}", "more than 100 times"),
        ("(a{11}){11}", "more than 100 times"),
        ("(x|(a{11}){11})", "more than 100 times"),
        ("[[:alpha:]]", "[a-zA-Z]"),
        ("a" * 257, "longer than 256"),
    ],
)
def test_refused(expression: str, said: str) -> None:
    with pytest.raises(ExpressionError, match=re.escape(said)):
        Expression(expression)
