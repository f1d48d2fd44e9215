from typing import Any

import pytest

from conveyor.config.yaml import MAX_DEPTH, Mapping, Scalar, Sequence, YamlError, load


def _plain(node: Any) -> Any:
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [_plain(item) for item in node.items]
    return {key: _plain(entry.value) for key, entry in node.entries.items()}


def test_lines_and_texts() -> None:
    node = load("a: 1.20\nb:\n- x\n- 'y'\n", first_line=10)
    assert isinstance(node, Mapping)
    assert node.entries["a"].line == 10
    value: Any = node.entries["a"].value
    assert (value.text, value.value, value.plain) == ("1.20", 1.2, True)
    listed: Any = node.entries["b"].value
    assert [(item.line, item.plain) for item in listed.items] == [(12, True), (13, False)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"1"', "1"),
        ("!!str 1", "1"),
        ("! yes", "yes"),
        ("!!int '7'", 7),
        ("|\n  a\n  b\n", "a\nb\n"),
        (">\n  1\n", "1\n"),
        ("2020-01-01", "2020-01-01"),
    ],
)
def test_scalars(text: str, value: object) -> None:
    assert _plain(load(f"a: {text}")) == {"a": value}


def test_nothing_is_none() -> None:
    assert load("# nothing\n") is None


def test_aliases_and_merges() -> None:
    text = "d: &d {a: 1, b: 2}\ne: &e {c: 3}\nx:\n  b: 9\n  <<: [*d, *e]\ny: *d\n"
    found = _plain(load(text))
    assert found["x"] == {"b": 9, "a": 1, "c": 3}
    assert found["y"] == {"a": 1, "b": 2}


def test_a_quoted_merge_key_is_a_key() -> None:
    assert _plain(load('"<<": 1')) == {"<<": 1}


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nb: 2\na: 3", 3, "the key 'a' is given twice; it is already in line 1"),
        ("a: 1\n<<: 3", 2, "`<<` merges a mapping"),
        ("? [a]\n: 1", 1, "a key has to be a text"),
        ("a: *x", 1, "alias *x"),
        ("a: &x [*x]", 1, "alias *x"),
        ("a: !foo 1", 1, "tag '!foo'"),
        ("a: !!timestamp 2020-01-01", 1, "is not known"),
        ("a: 1\n--- b\n", 2, "second YAML document"),
        ("a: [1\n", 2, "not valid YAML"),
        ("a: '", 1, "not valid YAML"),
        ("a: \x01", 1, "the character U+0001 is not allowed in YAML"),
        ("a: \ud800", 1, "not valid Unicode"),
        ("a: " + "[" * (MAX_DEPTH + 1), 1, "nested deeper"),
        ("[" * 100_000, 1, "nested deeper"),
        ("a:\n" + "".join(" " * depth + "- \n" for depth in range(200)), 65, "nested deeper"),
    ],
)
def test_refused(text: str, line: int, said: str) -> None:
    with pytest.raises(YamlError) as raised:
        load(text)
    assert said in raised.value.message
    assert raised.value.line == line


def test_expansion_is_limited() -> None:
    laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
    )
    with pytest.raises(YamlError, match="counting what aliases repeat"):
        load(laughs)
