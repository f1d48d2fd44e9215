"""`docker:` of a stapel image → `DockerInstructions` in werf's stored form.

In: the section. Out: lists of CMD and ENTRYPOINT as the text `["a", "b"]`, without escaping, as werf stores and
hashes them (werf: pkg/config/raw_docker.go), and beside it as they were written: an item with a quote in it makes that text
something else, and the image is to get what the user wrote.
"""

from typing import Final

from conveyor.api.errors import UserError
from conveyor.config.dockerfile_syntax import parse_instructions
from conveyor.config.dockerfile_values import Health, parse_health, port_problems
from conveyor.config.model_image_config import DockerInstructions
from conveyor.config.raw import Section
from conveyor.config.yaml import Sequence

_KEYS: Final = (
    "VOLUME",
    "EXPOSE",
    "ENV",
    "LABEL",
    "CMD",
    "ENTRYPOINT",
    "WORKDIR",
    "USER",
    "HEALTHCHECK",
    "exactValues",
)


def docker_instructions(section: Section) -> DockerInstructions:
    """Read the section."""
    section.only(*_KEYS)
    entrypoint, entrypoint_words = _command(section, "ENTRYPOINT")
    command, command_words = _command(section, "CMD")
    if entrypoint and not command:
        # An entrypoint of its own clears the base image's command.
        command, command_words = "[]", ()
    return DockerInstructions(
        volumes=section.texts("VOLUME"),
        expose=_ports(section),
        env=section.table("ENV"),
        labels=section.table("LABEL"),
        cmd=command,
        cmd_words=command_words,
        entrypoint=entrypoint,
        entrypoint_words=entrypoint_words,
        workdir=section.text("WORKDIR"),
        user=section.text("USER"),
        healthcheck=section.checked_text("HEALTHCHECK", health_of),
        exact_values=section.flag("exactValues") or False,
    )


def health_of(written: str) -> Health:
    """Return the health check of Docker's syntax, such as `--interval=5s CMD true`; `CMD-SHELL x` is `CMD x`.

    Raises:
        ValueError: It is none.
    """
    line = written.strip().replace("CMD-SHELL ", "CMD ", 1)
    try:
        found = parse_instructions(f"HEALTHCHECK {line}", file="HEALTHCHECK")
    except UserError as error:
        raise ValueError(error.message) from None
    if len(found) != 1 or not found[0].args:
        raise ValueError("write one line: CMD … or NONE")
    pairs = (flag.removeprefix("--").partition("=")[::2] for flag in found[0].flags)
    return parse_health(found[0].args, dict(pairs), json=found[0].json)


def _command(section: Section, key: str) -> tuple[str, tuple[str, ...] | None]:
    """The stored form and, of a list, the words; ("", None) when nothing is set."""
    words = section.texts(key)
    entry = section.node.entries.get(key)
    if entry is None or not isinstance(entry.value, Sequence):
        return (words[0] if words else ""), None
    return ('["' + '", "'.join(words) + '"]' if words else "[]"), words


def _ports(section: Section) -> tuple[str, ...]:
    written = section.texts("EXPOSE")
    words = [word for one in written for word in one.split() if "$" not in word]
    for problem in port_problems(words):
        section.error(f"`EXPOSE`: {problem}", key="EXPOSE")
    return written
