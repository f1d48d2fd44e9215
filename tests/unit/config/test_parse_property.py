"""Whatever the text, `parse` and `render` answer with a value or with a UserError."""

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conveyor.api.errors import UserError
from conveyor.config.commit import CommitInfo
from conveyor.config.dockerignore import Dockerignore
from conveyor.config.documents import split
from conveyor.config.files import MemoryFiles
from conveyor.config.giterminism import check_policy, parse_policy
from conveyor.config.globs import matches
from conveyor.config.model import WerfConfig
from conveyor.config.parse import parse
from conveyor.config.render import render
from conveyor.config.report import MAX_SHOWN
from conveyor.config.yaml_functions import from_yaml, to_yaml

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


COMMIT = CommitInfo(hash="ab" * 20, date=0)
PIECES = r"""
{{ }} {{- -}} | ( ) . .Env .Files .Commit.Date.Unix .nope .nope.more $ $x := = , " ` 'c' "text" "a.tmpl" 1 -7 0x1F 1.5e3
nil true if else end range with define block template break continue /* */ include tpl env required fail fromYaml
toYaml toJson printf "%d%s%v%*d" print len index slice eq and or not list dict first last upper trim quote indent 2
regexFindAll "[a-z" until 5 default ternary semver "1.2" now date "2006" .Files.Get .Files.Glob "**" .Files.Exists
configVersion: project: image: from: --- - : \n shell install
"""
TEMPLATES = st.lists(st.sampled_from(PIECES.split()), max_size=12).map(" ".join)
ACTIONS = TEMPLATES.map(lambda text: "{{ " + text + " }}")


def _load(texts: dict[str, str]) -> None:
    """Render and parse as a build does; a user's error is fine, any other exception is not."""
    files = MemoryFiles(texts)
    with contextlib.suppress(UserError):
        config = parse(render(files, env={"A": "b"}, environment="", commit=COMMIT))
        check_policy(config, parse_policy(files.get("werf-giterminism.yaml")))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes(content: bytes, after_meta: Any) -> None:
    text = content.decode("utf-8", "surrogateescape")
    _load({"werf.yaml": META + text if after_meta else text})
    _load({"werf.yaml": META + "{{ 1 }}: 2\n" + text})


@settings(max_examples=300, deadline=None)
@given(st.lists(TEMPLATES | ACTIONS, max_size=4).map("\n".join), ACTIONS)
def test_template_like_text(text: str, other: str) -> None:
    _load({"werf.yaml": META + "{{ 1 }}: 2\n" + text, ".werf/a.tmpl": other})


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=100) | TEMPLATES.map(str.encode))
def test_any_policy_and_dockerignore(content: bytes) -> None:
    text = content.decode("utf-8", "surrogateescape")
    for start in ("", "giterminismConfigVersion: 1\n", "giterminismConfigVersion: 1\nconfig:\n  "):
        with contextlib.suppress(UserError):
            parse_policy(start + text)
    with contextlib.suppress(UserError):
        Dockerignore.parse(text)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab: -#'\"\n\t[{é", max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc ", max_size=3), inner),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), VALUES, max_size=3))
def test_what_is_written_as_yaml_reads_back(value: Any) -> None:
    assert from_yaml(to_yaml(value) + "\n") == value


LINES = st.sampled_from(
    ["---", "--- ", "---\t# c", "--- x", "----", "--", " ---", "# c", "", "a: b", "---\r"]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(LINES, max_size=12))
def test_documents_keep_their_lines(lines: list[str]) -> None:
    for document in split("\n".join(lines)):
        own = document.text.split("\n")
        assert lines[document.line - 1 :][: len(own)] == own
        assert not {"---", "--- ", "---\t# c", "---\r"} & set(own)


@settings(max_examples=200, deadline=None)
@given(st.text("ab*?[]{},/\\-^!", max_size=12), st.text("ab/", min_size=1, max_size=8))
def test_any_glob(pattern: str, path: str) -> None:
    with contextlib.suppress(UserError):
        assert matches(pattern, path) in (True, False)
