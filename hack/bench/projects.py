"""The projects that are built.

In: a word that makes commands unique, so that nothing is cached. Out: werf.yaml and files as text.
"""

from __future__ import annotations

STAGES = ("beforeInstall", "install", "beforeSetup", "setup")
HEAD = "project: bench\nconfigVersion: 1\n---\n"
SEED_BASE = "ubuntu"
SEED = """\
FROM {base} AS base
RUN echo "base"
FROM base AS stage1
RUN echo "stage1"
FROM base AS stage2
RUN echo "stage2"
"""


def chain(word: str, command: str, stages: tuple[str, ...] = STAGES) -> str:
    """An image with `from` and one command in each of the stages; it prints before and after."""
    lines = [f"  {stage}: ['echo {word}; {command}; echo end']" for stage in stages]
    return "\n".join([f"{HEAD}image: app\nfrom: debian:bookworm\nshell:", *lines, ""])


def six(word: str) -> dict[str, str]:
    """Six stages: from, beforeInstall, gitArchive, install, beforeSetup, setup; small commands."""
    lines = [f"  {stage}: ['echo {word} > /{stage}']" for stage in STAGES]
    git = "git:\n- add: /src\n  to: /src\nshell:"
    config = "\n".join([f"{HEAD}image: app\nfrom: debian:bookworm\n{git}", *lines, ""])
    return {"werf.yaml": config, "src/readme.txt": f"{word}\n"}


def two(word: str) -> dict[str, str]:
    """The first two stages of `six`."""
    config = (
        f"{HEAD}image: app\nfrom: debian:bookworm\nshell:\n"
        f"  beforeInstall: ['echo {word} > /beforeInstall']\n"
    )
    return {"werf.yaml": config, "src/readme.txt": f"{word}\n"}


def seed() -> dict[str, str]:
    """The Dockerfile of the multi-stage example, target stage2."""
    config = f"{HEAD}image: app\ndockerfile: Dockerfile\ntarget: stage2\n"
    return {"werf.yaml": config, "Dockerfile": SEED.format(base=SEED_BASE)}
