"""Ignore files against moby's own answers, werf's variant, directories, cleaned COPY sources."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.api.errors import UserError
from conveyor.config.dockerignore import (
    Dockerignore,
    context_source,
    effective_dockerignore,
)

DATA = json.loads((Path(__file__).parents[2] / "data" / "dockerfile" / "ignore.json").read_text())
# moby notices a malformed pattern only when it is needed to decide; we always do.
IDS = [f"{case['text']!r}-{case['path']}" for case in DATA["cases"]]


@pytest.mark.parametrize("case", DATA["cases"], ids=IDS)
def test_ignores_as_moby(case: dict[str, Any]) -> None:
    if case["ignored"] is None:
        with pytest.raises(UserError, match=r"^\.dockerignore:1: "):
            Dockerignore.parse(case["text"])
    else:
        assert Dockerignore.parse(case["text"]).ignores(case["path"]) is case["ignored"]


@pytest.mark.parametrize(
    ("text", "path", "moby", "werf"),
    [
        ("**/tmp", "tmp/f", True, False),
        ("**/tmp", "a/tmp/f", True, True),
        ("**/tmp", "a/b/tmp/f", True, False),
        ("**/tmp", "a/tmp", True, True),
        ("a", "a/b/c", True, True),
        ("a/*", "a/b/c/d", True, True),
        ("*\n!src", "src/a", False, False),
    ],
)
def test_werf_compares_one_parent_only(text: str, path: str, moby: bool, werf: bool) -> None:  # noqa: FBT001
    ignore = Dockerignore.parse(text)
    assert (ignore.ignores(path), ignore.ignores_as_werf(path)) == (moby, werf)


@pytest.mark.parametrize(
    ("text", "directory", "skipped"),
    [
        ("a", "a", True),
        ("a", "b", False),
        ("a", "a/b", True),
        ("a\n!a/b/c", "a", False),
        ("a\n!a/b/c", "a/b", False),
        ("a\n!a/b/c", "a/x", True),
        ("*\n!**/keep", "a", False),
        ("*\n!a?/keep", "ab", False),
        ("*\n!a?/keep", "b", True),
    ],
)
def test_a_directory_is_ignored_when_nothing_below_can_be_kept(
    text: str,
    directory: str,
    skipped: bool,  # noqa: FBT001
) -> None:
    assert Dockerignore.parse(text).ignores(directory, is_dir=True) is skipped


@pytest.mark.parametrize(
    ("text", "directory", "could"),
    [
        ("", "a", False),
        ("a", "", True),
        ("*.txt\ndeep/two\nsub/?.md", "deep", True),
        ("*.txt\ndeep/two\nsub/?.md", "deep/one", False),
        ("*.txt\ndeep/two\nsub/?.md", "sub", True),
        ("*.txt\ndeep/two\nsub/?.md", "other", False),
        ("**/x", "any/where", True),
        ("data/*\n!data/a.txt", "data", True),
        ("data", "data", False),
        ("data\n!data/a", "data", True),
        ("data/a\ndata", "data", False),
    ],
)
def test_whether_a_pattern_could_match_below(text: str, directory: str, could: bool) -> None:  # noqa: FBT001
    assert Dockerignore.parse(text).could_match_below(directory) is could


@pytest.mark.parametrize(
    ("source", "clean"),
    [("", "."), ("/", "."), ("./", "."), ("a//b/", "a/b"), ("/a", "a"), ("../a", "../a")],
)
def test_sources_are_cleaned(source: str, clean: str) -> None:
    assert context_source(source) == clean


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("*.md\n", "*.md\n"),
        ("*\n!src\n", "*\n!src\n!build/Dockerfile\n"),
        ("build", "build\n!build/Dockerfile\n"),
        ("build\n!build/Dockerfile", "build\n!build/Dockerfile"),
    ],
)
def test_the_dockerfile_is_never_ignored(text: str, result: str) -> None:
    assert effective_dockerignore(text, "build/Dockerfile") == result
    assert not Dockerignore.parse(result).ignores_as_werf("build/Dockerfile")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n\n!\n", "sub/.dockerignore:3: '!' must be followed by a pattern"),
        ("# c\na[b\n", "sub/.dockerignore:2: a[b: syntax error in pattern"),
        ("x" * 5000, "sub/.dockerignore:1: "),
        ("**a**b**c**d**e**f", "sub/.dockerignore:1: "),
        ("a\n" * 6000, "sub/.dockerignore: more than 5000 patterns"),
        ("#" * 2**21, "sub/.dockerignore: larger than"),
    ],
    ids=["bang", "bracket", "long", "stars", "many", "large"],
)
def test_errors_name_the_line(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        Dockerignore.parse(text, file="sub/.dockerignore")
    assert caught.value.reason == "InvalidDockerfile"
    assert caught.value.message.startswith(message)


def test_hostile_patterns_end_soon() -> None:
    text = "\n".join(["*a" * 60 + "b", "**/a/" * 60 + "b", "*/" * 60 + "*a*a*a*a*a*ab"])
    ignore = Dockerignore.parse(text)
    assert not ignore.ignores("/".join(["a" * 60] * 60))


@given(st.lists(st.text(alphabet="ab/*?!.", max_size=8), max_size=4), st.text("ab/", min_size=1))
def test_adding_an_exception_for_a_path_keeps_it(lines: list[str], path: str) -> None:
    clean = "/".join(part for part in path.split("/") if part) or "a"
    try:
        ignore = Dockerignore.parse("\n".join([*lines, f"!{clean}"]))
    except UserError:
        return
    assert not ignore.ignores(clean)
