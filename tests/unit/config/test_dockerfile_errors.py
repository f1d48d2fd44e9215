"""Every mistake in a Dockerfile gets the line and what would be right."""

import pytest

from conveyor.api.errors import UserError
from conveyor.config.dockerfile import parse_dockerfile
from conveyor.config.dockerfile_blocks import target_block

INVALID, NOT_SUPPORTED = "InvalidDockerfile", "NotSupported"

# (text, reason, line, message after "Dockerfile:LINE: ")
MISTAKES: dict[str, tuple[str, str, int, str]] = {
    "empty": ("", INVALID, 1, "file with no instructions; a Dockerfile begins with FROM"),
    "comments only": (
        "# a\n\n",
        INVALID,
        1,
        "file with no instructions; a Dockerfile begins with FROM",
    ),
    "no FROM": ("ARG A=1\n", INVALID, 1, "there is no FROM instruction"),
    "instruction before FROM": (
        "# c\nRUN true\nFROM a\n",
        INVALID,
        2,
        "RUN before FROM; only ARG may stand before the first FROM",
    ),
    "unknown instruction": (
        "FROM a\nRUN a \\\n  b\nCOPPY a b\n",
        INVALID,
        4,
        "unknown instruction COPPY; known are ADD, ARG, CMD, COPY, ENTRYPOINT, ENV, EXPOSE, FROM, "
        "HEALTHCHECK, LABEL, MAINTAINER, ONBUILD, RUN, SHELL, STOPSIGNAL, USER, VOLUME, WORKDIR",
    ),
    "FROM without image": ("FROM\n", INVALID, 1, "FROM takes an image, or IMAGE AS NAME"),
    "FROM with two words": ("FROM a b\n", INVALID, 1, "FROM takes an image, or IMAGE AS NAME"),
    "stage name with digit": (
        "FROM a AS 1x\n",
        INVALID,
        1,
        "'1x' cannot name a stage; a name starts with a letter, followed by letters, digits, "
        "'-', '_' and '.'",
    ),
    "FROM flag": (
        "FROM --plattform=x a\n",
        INVALID,
        1,
        "unknown flag --plattform=x of FROM; known are --platform",
    ),
    "continuation of nothing": (
        "FROM a\n\\\n",
        INVALID,
        2,
        "a line continues and nothing follows; remove its last character",
    ),
    "RUN without command": ("FROM a\n\nRUN\n", INVALID, 3, "RUN needs a command"),
    "RUN empty list": ("FROM a\nRUN []\n", INVALID, 2, "RUN needs a command"),
    "RUN mount of no type": (
        "FROM a\nRUN --mount=type=disk,target=/x true\n",
        INVALID,
        2,
        "--mount: type=disk is unknown; known are bind, cache, tmpfs, secret, ssh",
    ),
    "RUN mount of a later stage": (
        "FROM a\nRUN --mount=from=b,target=/x true\nFROM c AS b\n",
        INVALID,
        2,
        "--mount from=b: the stage begins only in line 3; put it before this one",
    ),
    "RUN network": (
        "FROM a\nRUN --network=fast true\n",
        INVALID,
        2,
        "--network=fast is unknown; known are default, none, host",
    ),
    "RUN device": (
        "FROM a\nRUN --device=gpu true\n",
        NOT_SUPPORTED,
        2,
        "RUN --device is not supported",
    ),
    "RUN unknown flag": (
        "FROM a\nRUN --fast true\n",
        INVALID,
        2,
        "unknown flag --fast of RUN; known are --mount --network --security",
    ),
    "RUN script with a path for a name": (
        "FROM a\nRUN <<a/b\n#!/usr/bin/env python\na/b\n",
        INVALID,
        2,
        "a here-document named 'a/b': the name becomes a file name; choose one without a slash",
    ),
    "COPY to a here-document": (
        "FROM a\nCOPY <<EOF <<E\n1\nEOF\n2\nE\n",
        INVALID,
        2,
        "a here-document cannot be the destination of COPY",
    ),
    "unclosed here-document": (
        "FROM a\nRUN <<A\nx\nA\nRUN <<B\nx\nA\n",
        INVALID,
        5,
        "unterminated heredoc; a line that is only its word ends it",
    ),
    "COPY here-document with a path for a name": (
        "FROM a\nCOPY <<x/EOF /x\ny\nx/EOF\n",
        INVALID,
        2,
        "a here-document named 'x/EOF': the name becomes a file name; choose one without a slash",
    ),
    "COPY large here-document": (
        "FROM a\nCOPY <<EOF /x\n" + "yyyyyyy\n" * 32768 + "y\nEOF\n",
        INVALID,
        2,
        "here-document EOF: 262146 bytes; 262144 are allowed: put the text into a file of the context",
    ),
    "COPY exclude": (
        "FROM a\nCOPY --exclude=[ a b\n",
        INVALID,
        2,
        "syntax error in pattern: a [ is not closed or empty",
    ),
    "COPY exclude nothing but !": (
        "FROM a\nCOPY --exclude=! a b\n",
        INVALID,
        2,
        "'!' must be followed by a pattern",
    ),
    "COPY many excludes": (
        f"FROM a\nCOPY {'--exclude=x ' * 101}a b\n",
        INVALID,
        2,
        "101 patterns; 100 are allowed",
    ),
    "COPY without destination": (
        "FROM a\nCOPY a\n",
        INVALID,
        2,
        "COPY needs a source and a destination",
    ),
    "COPY climbs out": (
        "FROM a\nCOPY a/../../b /b\n",
        INVALID,
        2,
        "COPY a/../../b leads out of the build context; paths start at the context",
    ),
    "COPY from itself": (
        "FROM a AS x\nCOPY --from=x a b\n",
        INVALID,
        2,
        "COPY --from=x: a stage cannot copy from itself (circular)",
    ),
    "COPY from itself by number": (
        "FROM a AS x\nCOPY --from=0 a b\n",
        INVALID,
        2,
        "COPY --from=0: a stage cannot copy from itself (circular)",
    ),
    "COPY from a later stage": (
        "FROM a AS x\nCOPY --from=y /a /b\nFROM b AS y\nCOPY --from=x /a /b\n",
        INVALID,
        2,
        "COPY --from=y: the stage begins only in line 3; put it before this one",
    ),
    "COPY from an unknown number": (
        "FROM a\nCOPY --from=7 a b\n",
        INVALID,
        2,
        "COPY --from=7: there is no stage 7; stages are numbered from 0",
    ),
    "COPY from a variable": (
        "ARG X=x\nFROM a\nCOPY --from=$X a b\n",
        INVALID,
        3,
        "--from takes no variables; define a stage FROM the variable and name it",
    ),
    "COPY twice the flag": (
        "FROM a\nCOPY --chown=1 --chown=2 a b\n",
        INVALID,
        2,
        "flag --chown is given twice",
    ),
    "COPY empty flag": (
        "FROM a\nCOPY --from= a b\n",
        INVALID,
        2,
        "flag --from= has no valid value",
    ),
    "COPY bad link": (
        "FROM a\nCOPY --link=maybe a b\n",
        INVALID,
        2,
        "flag --link=maybe has no valid value",
    ),
    "COPY parents": (
        "FROM a\nCOPY --parents a/./. b\n",
        INVALID,
        2,
        "COPY --parents a/./. names nothing below a; write a/./*",
    ),
    "COPY chmod": (
        "FROM a\nCOPY --chmod=rwx a b\n",
        INVALID,
        2,
        "--chmod=rwx: neither an octal mode (0644) nor a symbolic one (u=rwX,go=rX)",
    ),
    "ADD unpack": (
        "FROM a\nADD --unpack=yes a.tar /x\n",
        INVALID,
        2,
        "flag --unpack=yes has no valid value",
    ),
    "ENV without value": (
        "FROM a\nRUN x\nENV \\\n  A\nRUN y\n",
        INVALID,
        3,
        "ENV must have two arguments; write NAME=VALUE",
    ),
    "ENV without name": ("FROM a\nENV =x\n", INVALID, 2, "a name of ENV is empty"),
    "ENV without anything": ("FROM a\nENV\n", INVALID, 2, "ENV needs at least one NAME=VALUE"),
    "ENV half": (
        "FROM a\nENV A=b c\n",
        INVALID,
        2,
        'Syntax error - can\'t find = in "c". Must be of the form: name=value',
    ),
    "ARG without name": ("FROM a\nARG =x\n", INVALID, 2, "a name of ARG is empty"),
    "WORKDIR without path": ("FROM a\nWORKDIR\n", INVALID, 2, "WORKDIR takes exactly one argument"),
    "EXPOSE": (
        "FROM a\nEXPOSE 80 http\n",
        INVALID,
        2,
        "'http' is not a port; write PORT, PORT/udp or FIRST-LAST/tcp",
    ),
    "EXPOSE range": (
        "FROM a\nEXPOSE 90-80\n",
        INVALID,
        2,
        "'90-80' is not a port; ports are 0 to 65535, the smaller first",
    ),
    "EXPOSE protocol": (
        "FROM a\nEXPOSE 80/http\n",
        INVALID,
        2,
        "'80/http': the protocol must be tcp, udp or sctp",
    ),
    "VOLUME": (
        'FROM a\nVOLUME [""]\n',
        INVALID,
        2,
        "VOLUME needs at least one path, and no empty one",
    ),
    "SHELL": (
        "FROM a\nSHELL /bin/bash -c\n",
        INVALID,
        2,
        'SHELL takes the JSON form, for instance SHELL ["/bin/bash", "-c"]',
    ),
    "STOPSIGNAL": (
        "FROM a\nSTOPSIGNAL SIGSOON\n",
        INVALID,
        2,
        "'SIGSOON' is not a signal; write SIGTERM, TERM or 15",
    ),
    "HEALTHCHECK kind": (
        "FROM a\nHEALTHCHECK curl x\n",
        INVALID,
        2,
        "HEALTHCHECK curl: write HEALTHCHECK CMD … or HEALTHCHECK NONE",
    ),
    "HEALTHCHECK interval": (
        "FROM a\nHEALTHCHECK --interval=5 CMD true\n",
        INVALID,
        2,
        "'5' is not a duration; write 30s, 1m30s or 500ms",
    ),
    "HEALTHCHECK command": (
        "FROM a\nHEALTHCHECK CMD\n",
        INVALID,
        2,
        "there is no command after HEALTHCHECK CMD",
    ),
    "ONBUILD chained": (
        "FROM a\nONBUILD ONBUILD RUN x\n",
        INVALID,
        2,
        "ONBUILD takes one instruction other than ONBUILD, FROM and MAINTAINER",
    ),
    "ONBUILD unknown": ("FROM a\nONBUILD RUN\n", INVALID, 2, "in ONBUILD: RUN needs a command"),
    "escape directive": (
        "# escape=x\nFROM a\n",
        INVALID,
        1,
        "invalid escape token 'x' does not match ` or \\",
    ),
    "too many instructions": (
        "FROM a\n" + "RUN x\n" * 5000,
        INVALID,
        5001,
        "more than 5000 instructions",
    ),
    "too many stages": ("FROM a\n" * 501, INVALID, 501, "more than 500 FROM instructions"),
    "zero byte": ("FROM a\nRUN \0\n", INVALID, 2, "the file must be UTF-8 text"),
    "not UTF-8": (
        b"FROM a\n\nRUN \xff\n".decode("utf-8", "surrogateescape"),
        INVALID,
        3,
        "the file must be UTF-8 text",
    ),
    "long line": (
        "FROM a\nRUN " + "x" * 70_000,
        INVALID,
        2,
        "dockerfile line greater than max allowed size of 65535; continue it on a further line",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake(name: str) -> None:
    text, reason, line, message = MISTAKES[name]
    with pytest.raises(UserError) as caught:
        parse_dockerfile(text, file="docker/Dockerfile")
    assert caught.value.message == f"docker/Dockerfile:{line}: {message}"
    assert caught.value.reason == reason


def test_too_large_a_file() -> None:
    with pytest.raises(UserError, match=r"^D: 1048583 bytes; 1048576 are allowed$"):
        parse_dockerfile("FROM a\n" + "#" * 2**20, file="D")


def test_a_bad_target_names_the_good_ones() -> None:
    parsed = parse_dockerfile("FROM a AS one\nFROM b\nFROM c AS Two\n", file="D")
    with pytest.raises(UserError) as caught:
        target_block(parsed, "three")
    assert caught.value.message == (
        "D:3: 'three' is not a valid target build stage; stages with a name: one, two"
    )


@pytest.mark.parametrize("count", [1, 7, 100, 3000])
def test_the_line_of_a_syntax_error_is_found_anywhere(count: int) -> None:
    text = "FROM a\n" + "RUN x \\\n # c\n y\n" * count + "LABEL z\n" + "RUN <<E\nb\nE\n" * 5
    with pytest.raises(
        UserError, match=rf"^D:{3 * count + 2}: LABEL must have two arguments; write NAME=VALUE$"
    ):
        parse_dockerfile(text, file="D")
