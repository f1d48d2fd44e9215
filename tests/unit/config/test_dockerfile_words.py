"""Expansion of words: BuildKit's own answers, limits, and properties."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.config.dockerfile_globs import Glob
from conveyor.config.dockerfile_words import (
    MAX_WORD,
    ExpansionError,
    expand_word,
    expand_word_seen,
    expand_words,
)

FOLDER = Path(__file__).parents[2] / "data" / "dockerfile"
DATA = json.loads((FOLDER / "words.json").read_text())
ENV = DATA["env"]
OWN = json.loads((FOLDER / "words-buildkit.json").read_text())


@pytest.mark.parametrize("case", DATA["cases"], ids=lambda case: case["word"])
def test_expands_as_buildkit(case: dict[str, str]) -> None:
    if case["result"] is None:
        with pytest.raises(ExpansionError):
            expand_word(case["word"], ENV, escape=case["escape"])
    else:
        assert expand_word(case["word"], ENV, escape=case["escape"]) == case["result"]


@pytest.mark.parametrize("case", OWN["cases"], ids=lambda case: case["word"] + case["escape"])
def test_expands_what_buildkit_tests_itself(case: dict[str, str]) -> None:
    """The words of its own tests (envVarTest, wordsTest, lex_test.go), expanded by it with both escape characters."""
    if case["result"] is None:
        with pytest.raises(ExpansionError):
            expand_word(case["word"], OWN["env"], escape=case["escape"])
    else:
        assert expand_word(case["word"], OWN["env"], escape=case["escape"]) == case["result"]


@pytest.mark.parametrize(
    ("word", "text"),
    [
        (r"${V//./\$X}", "1\\2\\3"),
        (r"${V//./\$0x}", "1\\2\\3"),
        (r"${V//./'$0'}", "1.2.3"),
        (r"${V//./'${0}x$$'}", "1.x$2.x$3"),
        (r"${V//./\$-}", r"1\$-2\$-3"),
        (r"${V/./\$X}", r"1\$X2.3"),
    ],
)
def test_dollars_that_are_left_in_a_replacement(word: str, text: str) -> None:
    assert expand_word(word, {"V": "1.2.3", "X": "x"}) == text


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("a b", ("a", "b")),
        ("$Z", ("a", "b", "c")),
        ('"$Z"', ("a b  c",)),
        ("x$Z y", ("xa", "b", "c", "y")),
        (r"a\ b c", ("a b", "c")),
        ("'a b' c", ("a b", "c")),
        ("$Y", ()),
        ("$N 80 $N", ("80",)),
        ("", ()),
    ],
)
def test_splits_at_unquoted_blanks(word: str, words: tuple[str, ...]) -> None:
    assert expand_words(word, ENV) == words


@pytest.mark.parametrize(
    ("word", "text"),
    [("${V//*/_}", "_"), ("${V//?/_}", "_____"), ("${V//./}", "123"), ("${Y//*/_}", "_")],
)
def test_replacing_every_match(word: str, text: str) -> None:
    assert expand_word(word, ENV) == text


def test_names_that_are_missing_are_reported() -> None:
    assert expand_word_seen("$A ${B:-x} ${X} '$C' \\$D", ENV) == (
        " x abc.tar.gz $C $D",
        frozenset({"A", "B"}),
    )


def test_question_mark_says_what_is_missing() -> None:
    with pytest.raises(ExpansionError, match="VERSION: give a version"):
        expand_word("${VERSION:?give a version}", {})


@pytest.mark.parametrize(
    ("word", "env"),
    [
        ("x" * (MAX_WORD + 1), {}),
        ("$A" * 9, {"A": "y" * (MAX_WORD // 8)}),
        ("${N:-" * 200 + "}" * 200, {}),
        ("${A//?/" + "z" * 300 + "}", {"A": "y" * 1000}),
        ("${A#b}", {"A": "a" * 5000}),
        ("${A#" + "*a" * 300 + "}", {"A": "a" * 100}),
    ],
    ids=["long word", "doubling", "nesting", "replacement", "value", "pattern"],
)
def test_hostile_words_are_refused(word: str, env: dict[str, str]) -> None:
    with pytest.raises(ExpansionError):
        expand_word(word, env)


def test_many_stars_do_not_explode() -> None:
    value = "a" * 4096
    assert expand_word("${A#" + "*a" * 40 + "*b}", {"A": value}) == value


@given(st.text(), st.dictionaries(st.sampled_from("AXY"), st.text(max_size=5)))
def test_any_text_expands_or_is_refused(word: str, env: dict[str, str]) -> None:
    try:
        text = expand_word(word, env)
    except ExpansionError:
        return
    assert len(text) <= MAX_WORD
    assert "$" in word or set(text) <= set(word)


@given(st.text(alphabet="ab.", max_size=12), st.text(alphabet="ab.*?", max_size=6))
def test_globs_agree_with_trying_every_cut(value: str, pattern: str) -> None:
    glob = Glob.parse(pattern)
    ends = [end for end in range(len(value) + 1) if _matches(pattern, value[:end])]
    assert glob.cut_prefix(value, longest=True) == (value[ends[-1] :] if ends else value)
    assert glob.cut_prefix(value, longest=False) == (value[ends[0] :] if ends else value)
    starts = [at for at in range(len(value) + 1) if _matches(pattern, value[at:])]
    assert glob.cut_suffix(value, longest=True) == (value[: starts[0]] if starts else value)
    assert glob.cut_suffix(value, longest=False) == (value[: starts[-1]] if starts else value)


@given(st.text(alphabet="ab.", max_size=10), st.text(alphabet="ab.*?", min_size=1, max_size=5))
def test_replacing_agrees_with_trying_every_start(value: str, pattern: str) -> None:
    glob = Glob.parse(pattern)
    for start in range(len(value) + 1):
        ends = [end for end in range(start, len(value) + 1) if _matches(pattern, value[start:end])]
        if ends:
            expected = value[:start] + "_" + value[ends[-1] :]
            break
    else:
        expected = value
    assert glob.replace(value, "_", every=False) == expected


def _matches(pattern: str, text: str) -> bool:
    """The definition, by recursion."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(_matches(pattern[1:], text[at:]) for at in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and _matches(pattern[1:], text[1:])


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("$A $ZZ ${ZZ}", "a $ZZ ${ZZ}"),
        ("${ZZ:-$A} ${A:-x}", "${ZZ:-a} a"),
        ("${ZZ:+'x y'}${ZZ-}", "${ZZ:+x y}${ZZ-}"),
        ("${ZZ#x*}${ZZ/a/b}", "${ZZ#x*}${ZZ/a/b}"),
        ("\"$ZZ\" \\$A", "$ZZ $A"),
    ],
)  # fmt: skip
def test_unknown_variables_can_be_left_for_later(word, expected):
    assert expand_word(word, {"A": "a"}, keep_unset=True) == expected
