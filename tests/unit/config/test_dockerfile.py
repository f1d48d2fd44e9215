"""Parsing of right Dockerfiles: instructions, blocks, references between blocks, values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.api.errors import UserError
from conveyor.config.dockerfile import Heredoc, Instruction, parse_dockerfile
from conveyor.config.dockerfile_blocks import (
    base_block,
    block_image_name,
    source_block,
    target_block,
)
from conveyor.config.dockerfile_values import parse_duration, parse_health, parse_port


def _instructions(*lines: str) -> tuple[Instruction, ...]:
    return parse_dockerfile("\n".join(["FROM a", *lines]), file="D").blocks[0].instructions


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("RUN echo  'a   b'", Instruction(keyword="RUN", args=("echo  'a   b'",))),
        ('run ["a", "b c"]', Instruction(keyword="RUN", args=("a", "b c"), json=True)),
        ("RUN [a, b]", Instruction(keyword="RUN", args=("[a, b]",))),
        ("RUN --network=default x", Instruction(keyword="RUN", args=("x",), flags=("--network=default",))),
        ("ENV A=b C='d e'", Instruction(keyword="ENV", args=("A", "b", "C", "'d e'"))),
        ("ENV A b  c", Instruction(keyword="ENV", args=("A", "b  c"))),
        ("COPY --link --from=b x y z/", Instruction(keyword="COPY", args=("x", "y", "z/"), flags=("--link", "--from=b"))),
        ('COPY ["a b", "c"]', Instruction(keyword="COPY", args=("a b", "c"), json=True)),
        ("CMD []", Instruction(keyword="CMD", json=True)),
        ("ENTRYPOINT []", Instruction(keyword="ENTRYPOINT", json=True)),
        ("WORKDIR /a b", Instruction(keyword="WORKDIR", args=("/a b",))),
        ("USER $U:$G", Instruction(keyword="USER", args=("$U:$G",))),
        ("HEALTHCHECK NONE", Instruction(keyword="HEALTHCHECK", args=("NONE",))),
        ("ONBUILD  RUN a  b", Instruction(keyword="ONBUILD", args=("RUN a  b",))),
        ("ONBUILD ADD https://x/y /z", Instruction(keyword="ONBUILD", args=("ADD https://x/y /z",))),
        ("EXPOSE 80 $P", Instruction(keyword="EXPOSE", args=("80", "$P"))),
        ("STOPSIGNAL SIGRTMIN+3", Instruction(keyword="STOPSIGNAL", args=("SIGRTMIN+3",))),
        ("ARG A=1 B", Instruction(keyword="ARG", args=("A=1", "B"))),
    ],
)  # fmt: skip
def test_instruction(line: str, expected: Instruction) -> None:
    (found,) = _instructions(line)
    assert found.line == 2
    assert found.original == line
    fields = (found.keyword, found.args, found.flags, found.json)
    assert fields == (expected.keyword, expected.args, expected.flags, expected.json)


def test_here_documents_are_kept_apart_from_the_text() -> None:
    (found,) = _instructions("RUN cat <<A >x && cat <<-B", "1", "A", "\t2", "\tB")
    assert found.original == "RUN cat <<A >x && cat <<-B"
    assert found.heredocs == (Heredoc(name="A", content="1\n"), Heredoc(name="B", content="\t2\n"))


def test_flags_and_pairs() -> None:
    copy, env = _instructions("COPY --link --chown=a=b x y", "ENV A=1 B=2")
    assert (copy.flag("chown"), copy.flag("link"), copy.flag("from")) == ("a=b", "true", "")
    assert env.pairs == (("A", "1"), ("B", "2"))


def test_lines_are_those_of_the_file() -> None:
    text = "\n# c\nARG A\n\nFROM a AS X\nRUN a \\\n\n # c\n b\nUSER 1\n"
    parsed = parse_dockerfile(text, file="D")
    assert [one.line for one in parsed.args] == [3]
    (block,) = parsed.blocks
    assert (block.line, block.name, block.base) == (5, "x", "a")
    assert [one.line for one in block.instructions] == [6, 10]


@pytest.mark.parametrize(
    ("text", "escape"),
    [
        ("FROM a", "\\"),
        ("# escape=`\nFROM a", "`"),
        ("# syntax=x\n# Escape = `\nFROM a", "`"),
        ("# just a comment\n# escape=`\nFROM a", "\\"),
    ],
)
def test_escape_character(text: str, escape: str) -> None:
    assert parse_dockerfile(text, file="D").escape == escape


def test_carriage_returns_are_line_ends() -> None:
    parsed = parse_dockerfile("FROM a\r\nRUN x \\\r\n  y\r\nUSER u\r\n", file="D")
    assert [one.args for one in parsed.blocks[0].instructions] == [("x   y",), ("u",)]


STAGES = """FROM a AS x
FROM x AS x
FROM y AS y
FROM x
FROM X AS last
COPY --from=x /1 /1
COPY --from=Y /2 /2
COPY --from=0 /3 /3
COPY --from=z /4 /4
FROM q AS x
"""


def test_references_between_blocks() -> None:
    parsed = parse_dockerfile(STAGES, file="D")
    bases = [base_block(parsed, block, block.base) for block in parsed.blocks]
    assert [found.index if found else None for found in bases] == [None, 0, None, 1, None, None]
    block = parsed.blocks[4]
    copied = [source_block(parsed, block, one.flag("from")) for one in block.instructions]
    assert [found.index if found else None for found in copied] == [1, 2, 0, None]


def test_targets_and_names() -> None:
    parsed = parse_dockerfile(STAGES, file="D")
    assert [target_block(parsed, name).index for name in ("", "x", "LAST", "y")] == [5, 5, 4, 2]
    target = parsed.blocks[4]
    names = [block_image_name(parsed, block, "app", target) for block in parsed.blocks]
    assert names == ["app/stage0", "app/stage1", "app/stage/y", "app/stage3", "app", "app/stage/x"]


@pytest.mark.parametrize(
    ("word", "ports"),
    [
        ("80", ("80/tcp",)),
        ("80/UDP", ("80/udp",)),
        ("80/", ("80/tcp",)),
        ("80-82/sctp", ("80/sctp", "81/sctp", "82/sctp")),
        ("8080:80", ("80/tcp",)),
    ],
)
def test_ports(word: str, ports: tuple[str, ...]) -> None:
    assert parse_port(word) == ports


@pytest.mark.parametrize("word", ["", "a", "65536", "99999999999", "1-", "-1", "80/x", "1-2-3"])
def test_not_ports(word: str) -> None:
    with pytest.raises(ValueError, match=r"port|protocol"):
        parse_port(word)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("0", 0), ("1s", 10**9), ("1m30s", 90 * 10**9), ("1.5h", 5400 * 10**9), ("-2ms", -2 * 10**6)],
)
def test_durations(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "5", "s", "1s2", "9999999h", "1" * 100 + "s", "1d"])
def test_not_durations(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def test_health_checks() -> None:
    health = parse_health(("CMD", "a", "b"), {"interval": "5s", "retries": "3"}, json=True)
    assert (health.test, health.interval, health.retries) == (("CMD", "a", "b"), 5 * 10**9, 3)
    assert parse_health(("cmd", "a b"), {}, json=False).test == ("CMD-SHELL", "a b")
    assert parse_health(("none",), {}, json=False).test == ("NONE",)
    with pytest.raises(ValueError, match="takes no arguments"):
        parse_health(("NONE", "x"), {}, json=False)
    assert parse_health(("NONE",), {"retries": "1"}, json=False).test == ("NONE",)
    with pytest.raises(ValueError, match="shorter than 1ms"):
        parse_health(("CMD", "x"), {"timeout": "1us"}, json=False)


@given(st.lists(st.text(max_size=20), max_size=6))
def test_any_text_is_parsed_or_refused_with_a_place(lines: list[str]) -> None:
    try:
        parsed = parse_dockerfile("\n".join(["FROM a", *lines]), file="D")
    except UserError as problem:
        place = problem.message.split(": ", 1)[0]
        assert place.startswith("D:")
    else:
        assert parsed.blocks


def test_directives_without_effect_are_noted_and_change_nothing_else() -> None:
    text = "# check=skip=all\n# Syntax = docker/dockerfile:1\n# escape=`\nFROM a\nRUN b `\n  c\n"
    parsed = parse_dockerfile(text, file="D")
    assert parsed.escape == "`"
    assert [(one.line, one.args) for one in parsed.blocks[0].instructions] == [(5, ("b   c",))]
    assert [line for line, _ in parsed.notes] == [1, 2]
    assert parsed.notes[0][1] == "`# check=skip=all` has no effect: nothing is linted"


@pytest.mark.parametrize("text", ["# other=1\n# escape=`\n", "\n# escape=`\n", "#!x\n# syntax=1\n"])
def test_directives_end_at_the_first_line_that_is_none(text: str) -> None:
    parsed = parse_dockerfile(f"{text}FROM a\n", file="D")
    assert (parsed.escape, parsed.notes) == ("\\", ())


@pytest.mark.parametrize("name", ["check", "syntax", "escape"])
def test_a_directive_is_given_once(name: str) -> None:
    with pytest.raises(UserError, match=rf"^D:\d: only one {name} parser directive can be used"):
        parse_dockerfile(f"# {name}=`\n# {name}=`\nFROM a\n", file="D")
