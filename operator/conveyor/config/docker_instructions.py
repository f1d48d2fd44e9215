"""`docker:` of a stapel image → `DockerInstructions` in werf's stored form.

In: the section. Out: lists of CMD and ENTRYPOINT as the text `["a", "b"]`, without escaping, as werf stores and
hashes them (werf: pkg/config/raw_docker.go).
"""

from typing import Final

from conveyor.config.model import DockerInstructions
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
    entrypoint = _command(section, "ENTRYPOINT")
    command = _command(section, "CMD")
    return DockerInstructions(
        volumes=section.texts("VOLUME"),
        expose=section.texts("EXPOSE"),
        env=section.table("ENV"),
        labels=section.table("LABEL"),
        # An entrypoint of its own clears the base image's command.
        cmd=command or ("[]" if entrypoint else ""),
        entrypoint=entrypoint,
        workdir=section.text("WORKDIR"),
        user=section.text("USER"),
        healthcheck=section.text("HEALTHCHECK"),
        exact_values=section.flag("exactValues") or False,
    )


def _command(section: Section, key: str) -> str:
    words = section.texts(key)
    entry = section.node.entries.get(key)
    if entry is None or not isinstance(entry.value, Sequence):
        return words[0] if words else ""
    return '["' + '", "'.join(words) + '"]' if words else "[]"
