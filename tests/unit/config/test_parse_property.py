"""Whatever the text, `parse` and `render` answer with a value or with a UserError."""

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conveyor.api.errors import UserError
from conveyor.config.model import WerfConfig
from conveyor.config.parse import parse
from conveyor.config.report import MAX_SHOWN

META = "configVersion: 1\nproject: p\n---\n"
WORDS = """
image artifact from fromImage git shell docker import mount dependencies args dockerfile context platform final add to
includePaths stageDependencies install setup before after imports type targetEnv CMD ENV build project <<
"""
KEYS = st.sampled_from(WORDS.split())
SCALARS = st.sampled_from(
    [
        "a",
        "b",
        "~",
        "1",
        "1.20",
        "yes",
        "''",
        "'x y'",
        "/app",
        "../x",
        "*x",
        "&x y",
        "!t z",
        "|",
        "{",
        "[",
        "- -",
        "{{",
        "%",
        "linux/amd64",
    ]
)


@st.composite
def _yaml(draw: Any, depth: Any = 0) -> Any:
    lines = []
    for _ in range(draw(st.integers(0, 4))):
        indent = "  " * depth
        kind = draw(st.integers(0, 5 if depth < 4 else 2))
        if kind == 0:
            lines.append(f"{indent}- {draw(SCALARS)}")
        elif kind <= 2:
            lines.append(f"{indent}{draw(KEYS)}: {draw(SCALARS)}")
        elif kind == 3:
            lines.append(f"{indent}{draw(KEYS)}:\n{draw(_yaml(depth + 1))}")
        elif kind == 4:
            lines.append(f"{indent}- {draw(KEYS)}: {draw(SCALARS)}\n{draw(_yaml(depth + 1))}")
        else:
            lines.append(draw(st.sampled_from(["---", "--- # c", "# c", ""])))
    return "\n".join(lines)


def _parsed(text: str) -> Any:
    try:
        return parse(text)
    except UserError as raised:
        error = raised
    assert error.reason in ("InvalidWerfConfig", "NotSupported")
    lines = error.message.splitlines()
    assert 1 <= len(lines) <= MAX_SHOWN + 1
    assert lines[0].startswith("werf.yaml:")
    return None


@settings(max_examples=300, deadline=None)
@given(_yaml())
def test_yaml_like_text(text: str) -> None:
    assert isinstance(_parsed(META + text), WerfConfig | None)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    _parsed(text)
    _parsed(META + "image: a\nfrom: x\n" + text)


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        SCALARS,
        lambda inner: (
            st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
            | st.dictionaries(KEYS, inner, max_size=3).map(
                lambda items: "{" + ", ".join(f"{k}: {v}" for k, v in items.items()) + "}"
            )
        ),
        max_leaves=8,
    ),
    KEYS,
)
def test_any_value_for_a_key(value: Any, key: str) -> None:
    _parsed(META + f"image: a\nfrom: x\n{key}: {value}\n")
    _parsed(META + f"image: a\nfrom: x\nimport:\n- {key}: {value}\n")
    _parsed(META + f"image: a\ndockerfile: D\n{key}: {value}\n")


@pytest.mark.parametrize(
    "text",
    [
        "\x00",
        "\ud800",
        "\u2028",
        "\r\r",
        "\ufeff---",
        "---\r\nimage: a\r\n",
        "? - a",
        "%YAML 3.0\n---\na: b",
    ],
)
def test_odd_texts(text: str) -> None:
    with contextlib.suppress(UserError):
        parse(META + text)
    with pytest.raises(UserError):
        parse(text)
