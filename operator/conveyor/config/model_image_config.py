"""What a werf.yaml says about image configs: `docker:` and `imageSpec:`, checked and with every default filled in.

In: nothing; these are values made by `conveyor.config.docker_instructions` and `conveyor.config.image_spec`. Out: parts of
`conveyor.config.model`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from conveyor.config.source_line import SourceLine


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerInstructions:
    """`docker:` of a stapel image, in werf's stored form (werf-semantics 11.1).

    Attributes:
        cmd, entrypoint: "" when unset; a list is stored as the text `["a", "b"]`, without escaping: the form that is
            hashed.
        cmd_words, entrypoint_words: The list as it was written, None for a text: the form that the image gets.
    """

    volumes: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    cmd: str = ""
    cmd_words: tuple[str, ...] | None = None
    entrypoint: str = ""
    entrypoint_words: tuple[str, ...] | None = None
    workdir: str = ""
    user: str = ""
    healthcheck: str = ""
    exact_values: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSpec:
    """`imageSpec.config.healthcheck`; times in seconds, 0 when unset."""

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSpec:
    """`imageSpec:` of an image, with `build.imageSpec` merged into it (werf-semantics 4.8, 11.3).

    Attributes:
        labels: `%image%` and `%project%` in names and values are not replaced here: so they are hashed.
        remove_labels, remove_env: Exact names, or `/EXPRESSION/`.
        clear: Which of `cmd`, `entrypoint`, `user` and `workingDir` of the parent are taken away.
    """

    author: str = ""
    clear_history: bool = False
    cmd: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    expose: tuple[str, ...] = ()
    healthcheck: HealthSpec | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    user: str = ""
    volumes: tuple[str, ...] = ()
    working_dir: str = ""
    remove_labels: tuple[str, ...] = ()
    remove_volumes: tuple[str, ...] = ()
    remove_env: tuple[str, ...] = ()
    keep_essential_labels: bool = False
    clear: frozenset[Literal["cmd", "entrypoint", "user", "workingDir"]] = frozenset()
    at: SourceLine = field(default_factory=SourceLine, compare=False)
