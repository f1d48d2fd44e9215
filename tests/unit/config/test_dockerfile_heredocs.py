"""Here-documents: which words begin one, and what becomes of the bodies."""

import pytest

from conveyor.config.dockerfile import parse_dockerfile
from conveyor.config.dockerfile_heredocs import (
    HeredocWord,
    hashed_bodies,
    heredoc_word,
    script_body,
    source_bodies,
    source_words,
)
from conveyor.config.dockerfile_model import Instruction


def instruction(text: str) -> Instruction:
    return parse_dockerfile(f"FROM a\n{text}", file="Dockerfile").blocks[0].instructions[0]


@pytest.mark.parametrize(
    ("text", "name", "expand", "chomp"),
    [
        ("<<EOF", "EOF", True, False),
        ("<<-EOF", "EOF", True, True),
        ('<<"EOF"', "EOF", False, False),
        ("<<-'E'OF", "EOF", False, True),
        ("3<<EOF", "EOF", True, False),
        ("<<E\\'F", "E'F", True, False),
        ("<< EOF", "EOF", True, False),
        ('<<"a b"', "a b", False, False),
        ("<<a.conf", "a.conf", True, False),
        ("<<$X", "$X", True, False),
    ],
)
def test_word(text: str, name: str, expand: bool, chomp: bool) -> None:  # noqa: FBT001
    assert heredoc_word(text) == HeredocWord(name=name, expand=expand, chomp=chomp)


@pytest.mark.parametrize(
    "text", ["<<", "<<-", "<EOF", "<<a b", "<<<EOF", "a<<EOF", "<<a<b", "<<'a"]
)
def test_no_word(text: str) -> None:
    assert heredoc_word(text) is None


def test_sources_and_bodies() -> None:
    one = instruction("COPY <<A b <<-'C' d /x/\n1\nA\n\t2\nC\n")
    assert source_words(one) == ("b", "d")
    assert [(word.name, body) for word, body in source_bodies(one)] == [("A", "1\n"), ("C", "2\n")]


def test_json_form_has_empty_bodies() -> None:
    one = instruction('COPY ["<<A", "/x"]\n')
    assert [(word.name, body) for word, body in source_bodies(one)] == [("A", "")]


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("RUN <<A\n#!/x\nA\n", "#!/x\n"),
        ("RUN <<-A\n\t#!/x\n\ty\nA\n", "#!/x\ny\n"),
        ("RUN <<A cat\n1\nA\n", None),
        ("RUN cat <<A\n#!/x\nA\n", None),
        ("RUN <<A <<B\n1\nA\n2\nB\n", None),
        ("RUN true\n", None),
    ],
)
def test_script(text: str, body: str | None) -> None:
    assert script_body(instruction(text)) == body


@pytest.mark.parametrize(
    ("text", "hashed"),
    [
        ("RUN <<A\necho\nA\n", ()),
        ("RUN cat <<A\n#!/x\nA\n", ()),
        ("RUN <<A\n#!/x\nA\n", ("A", "#!/x\n")),
        ("COPY <<A /x\n$X\nA\n", ("A", "$X\n")),
        ("ADD <<A <<B /x\n1\nA\n2\nB\n", ("A", "1\n", "B", "2\n")),
        ("COPY a /x\n", ()),
    ],
)
def test_what_digests_tell_apart(text: str, hashed: tuple[str, ...]) -> None:
    assert hashed_bodies(instruction(text)) == hashed
