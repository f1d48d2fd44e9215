"""Every single instruction, checked: number of words, flags, values, and what is not supported.

In: an `Instruction` as the parser gave it. Out: nothing, or a UserError that names the line. What
relates one instruction to others (block names, order) is checked in `dockerfile_blocks`.
"""

import re
from collections.abc import Callable, Mapping

from conveyor.api.errors import UserError
from conveyor.config import dockerfile_selection as selection
from conveyor.config.dockerfile_heredocs import (
    heredoc_word,
    problem_of,
    script_body,
    source_bodies,
    source_words,
)
from conveyor.config.dockerfile_model import INVALID, NOT_SUPPORTED, Heredoc, Instruction
from conveyor.config.dockerfile_modes import octal_mode
from conveyor.config.dockerfile_mounts import check_mount, mount_flags
from conveyor.config.dockerfile_syntax import parse_instructions
from conveyor.config.dockerfile_values import (
    check_signal,
    parse_health,
    port_range,
)
from conveyor.config.remote_source import UnsupportedSourceError, is_remote, remote_sources

BLOCK_NAME = re.compile(r"^[a-z][a-z0-9\-_.]*$")
_HEALTH_FLAGS = ("interval", "timeout", "start-period", "start-interval", "retries")
_FLAGS: Mapping[str, tuple[str, ...]] = {
    "FROM": ("platform",),
    "COPY": ("from", "chown", "chmod", "link", "parents", "exclude"),
    "ADD": ("chown", "chmod", "link", "exclude", "unpack", "keep-git-dir", "checksum"),
    "HEALTHCHECK": _HEALTH_FLAGS,
    "RUN": ("mount", "network", "security"),
}
_UNSUPPORTED_FLAGS: Mapping[str, tuple[str, ...]] = {
    "RUN": ("device",),
}
_BOOLEAN = frozenset({"link", "parents", "unpack", "keep-git-dir"})
_REPEATED = frozenset({"mount", "exclude"})
TRIGGERS_REFUSED = frozenset({"ONBUILD", "FROM", "MAINTAINER"})
_RUN_VALUES = {"network": ("default", "none", "host"), "security": ("sandbox", "insecure")}
_UNBUILDABLE_FLAGS: Mapping[str, str] = {
    "--network=host": "commands use the network of their pod, never the node's; leave it out",
    "--security=insecure": "build pods have no privileges; leave it out",
}


def check_instruction(instruction: Instruction, *, file: str) -> None:
    """Check one instruction by itself.

    Raises:
        UserError: InvalidDockerfile or NotSupported with `file:line`.
    """
    check = _CHECKS.get(instruction.keyword)
    place = f"{file}:{instruction.line}"
    if check is None:
        known = ", ".join(sorted(_CHECKS))
        text = f"unknown instruction {instruction.keyword}; known are {known}"
        raise UserError(INVALID, f"{place}: {text}")
    _check_flags(instruction, place)
    try:
        check(instruction)
    except _UnsupportedError as problem:
        raise UserError(NOT_SUPPORTED, f"{place}: {problem}") from None
    except ValueError as problem:
        raise UserError(INVALID, f"{place}: {problem}") from None


def check_context_source(keyword: str, source: str) -> str:
    """Return why a COPY/ADD source from the context is wrong, "" when it is right."""
    depth = 0
    for part in source.split("/"):
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        if depth < 0:
            return f"{keyword} {source} leads out of the build context; paths start at the context"
    return ""


def unbuildable_flag(instruction: Instruction) -> str:
    """Return why a flag of a RUN can be hashed but not carried out by this version, "" when all can."""
    for flag in instruction.flags if instruction.keyword == "RUN" else ():
        if why := _UNBUILDABLE_FLAGS.get(flag):
            return f"RUN {flag} is not supported: {why}"
    return ""


class _UnsupportedError(ValueError):
    """Legal in a Dockerfile, but not built by this version."""


def _check_flags(instruction: Instruction, place: str) -> None:
    allowed = _FLAGS.get(instruction.keyword, ())
    unsupported = _UNSUPPORTED_FLAGS.get(instruction.keyword, ())
    seen: set[str] = set()
    for flag in instruction.flags:
        name, equals, value = flag.removeprefix("--").partition("=")
        if name in unsupported:
            text = f"{instruction.keyword} --{name} is not supported"
            raise UserError(NOT_SUPPORTED, f"{place}: {text}")
        if name not in allowed:
            raise UserError(INVALID, f"{place}: {_unknown_flag(instruction.keyword, flag)}")
        if name in seen and name not in _REPEATED:
            raise UserError(INVALID, f"{place}: flag --{name} is given twice")
        if not _has_valid_value(name, value, equals):
            raise UserError(INVALID, f"{place}: flag {flag} has no valid value")
        seen.add(name)


def _has_valid_value(name: str, value: str, equals: str) -> bool:
    if name in _BOOLEAN:
        return value.lower() in ("true", "false") if equals else True
    return bool(value) or (name == "exclude" and bool(equals))


def _unknown_flag(keyword: str, flag: str) -> str:
    allowed = " ".join(f"--{name}" for name in _FLAGS.get(keyword, ()))
    known = f"known are {allowed}" if allowed else "it takes none"
    return f"unknown flag {flag} of {keyword}; {known}"


def _check_from(instruction: Instruction) -> None:
    args = instruction.args
    if len(args) == 3 and args[1].lower() == "as":
        if not BLOCK_NAME.match(args[2].lower()):
            raise ValueError(
                f"{args[2]!r} cannot name a stage; a name starts with a letter, followed by letters, "
                "digits, '-', '_' and '.'"
            )
    elif len(args) != 1:
        raise ValueError("FROM takes an image, or IMAGE AS NAME")


def _check_pairs(instruction: Instruction) -> None:
    if not instruction.args:
        raise ValueError(f"{instruction.keyword} needs at least one NAME=VALUE")
    if not all(instruction.args[::2]):
        raise ValueError(f"a name of {instruction.keyword} is empty")


def _check_arg(instruction: Instruction) -> None:
    if not instruction.args:
        raise ValueError("ARG needs a NAME or NAME=DEFAULT")
    if any(not word or word.startswith("=") for word in instruction.args):
        raise ValueError("a name of ARG is empty")


def _check_command(instruction: Instruction) -> None:
    if not any(instruction.args) and not (instruction.json and instruction.keyword != "RUN"):
        raise ValueError(f"{instruction.keyword} needs a command")
    if instruction.heredocs and (instruction.keyword != "RUN" or instruction.json):
        raise _UnsupportedError(f"a here-document in {instruction.keyword} is not supported")
    body = script_body(instruction)
    if body is not None and body.startswith("#!"):
        _check_heredoc(Heredoc(name=instruction.heredocs[0].name, content=body))


def _check_run(instruction: Instruction) -> None:
    _check_command(instruction)
    for name, allowed in _RUN_VALUES.items():
        value = instruction.flag(name) or allowed[0]
        if value not in allowed:
            raise ValueError(f"--{name}={value} is unknown; known are {', '.join(allowed)}")
    for flag in mount_flags(instruction):
        check_mount(flag)


def _check_copy(instruction: Instruction) -> None:
    keyword, args = instruction.keyword, instruction.args
    if len(args) < 2:
        raise ValueError(f"{keyword} needs a source and a destination")
    if not all(args):
        raise ValueError(f"{keyword} has an empty source or destination")
    if "$" in instruction.flag("from"):
        raise ValueError("--from takes no variables; define a stage FROM the variable and name it")
    if instruction.flag("chmod") and "$" not in instruction.flag("chmod"):
        octal_mode(instruction.flag("chmod"))
    selection.rules(instruction.flag_values("exclude"))
    _check_remote(instruction)
    _check_sources(instruction)


def _check_sources(instruction: Instruction) -> None:
    keyword = instruction.keyword
    if heredoc_word(instruction.args[-1]) is not None:
        raise ValueError(f"a here-document cannot be the destination of {keyword}")
    for word, body in source_bodies(instruction):
        _check_heredoc(Heredoc(name=word.name, content=body))
    for source in source_words(instruction):
        if instruction.is_set("parents") and "$" not in source:
            selection.parents_source(source)
        if not instruction.flag("from"):
            _check_source(keyword, source)


def _check_heredoc(heredoc: Heredoc) -> None:
    if problem := problem_of(heredoc):
        raise ValueError(problem)


def _check_remote(instruction: Instruction) -> None:
    try:
        remote_sources(instruction, expanded=False)
    except UnsupportedSourceError as problem:
        raise _UnsupportedError(str(problem)) from None


def _check_source(keyword: str, source: str) -> None:
    if "$" in source or is_remote(source):
        return  # looked at again when it is expanded, or as a whole
    if why := check_context_source(keyword, source):
        raise ValueError(why)


def _check_one(instruction: Instruction) -> None:
    if len(instruction.args) != 1 or not instruction.args[0]:
        raise ValueError(f"{instruction.keyword} takes exactly one argument")
    if instruction.keyword == "STOPSIGNAL" and "$" not in instruction.args[0]:
        check_signal(instruction.args[0])


def _check_expose(instruction: Instruction) -> None:
    if not any(instruction.args):
        raise ValueError("EXPOSE needs at least one port")
    for word in instruction.args:
        if not re.search(r"[$\"'\\]", word):
            port_range(word)


def _check_volume(instruction: Instruction) -> None:
    if not instruction.args or not all(word.strip() for word in instruction.args):
        raise ValueError("VOLUME needs at least one path, and no empty one")


def _check_shell(instruction: Instruction) -> None:
    if not instruction.json or not instruction.args:
        raise ValueError('SHELL takes the JSON form, for instance SHELL ["/bin/bash", "-c"]')


def _check_health(instruction: Instruction) -> None:
    if not instruction.args:
        raise ValueError("write HEALTHCHECK CMD … or HEALTHCHECK NONE")
    flags = {name: instruction.flag(name) for name in _HEALTH_FLAGS if instruction.flag(name)}
    parse_health(instruction.args, flags, json=instruction.json)


def _check_onbuild(instruction: Instruction) -> None:
    if not instruction.args:
        raise ValueError("ONBUILD needs an instruction")
    triggered = parse_instructions(instruction.args[0], file="ONBUILD")
    if len(triggered) != 1 or triggered[0].keyword in TRIGGERS_REFUSED:
        raise ValueError("ONBUILD takes one instruction other than ONBUILD, FROM and MAINTAINER")
    try:
        check_instruction(triggered[0], file="ONBUILD")
    except UserError as problem:
        text = problem.message.split(": ", 1)[1]
        if problem.reason == NOT_SUPPORTED:
            return  # it is only stored; whoever triggers it is told
        raise ValueError(f"in ONBUILD: {text}") from None


_CHECKS: Mapping[str, Callable[[Instruction], None]] = {
    "FROM": _check_from,
    "ARG": _check_arg,
    "ENV": _check_pairs,
    "LABEL": _check_pairs,
    "RUN": _check_run,
    "CMD": _check_command,
    "ENTRYPOINT": _check_command,
    "COPY": _check_copy,
    "ADD": _check_copy,
    "WORKDIR": _check_one,
    "USER": _check_one,
    "STOPSIGNAL": _check_one,
    "MAINTAINER": _check_one,
    "EXPOSE": _check_expose,
    "VOLUME": _check_volume,
    "SHELL": _check_shell,
    "HEALTHCHECK": _check_health,
    "ONBUILD": _check_onbuild,
}
