"""How a Dockerfile's FROM blocks are gone through.

In: nothing. Out: the values of `spec.dockerfileMode` and of `conveyor plan --dockerfile-mode`.
"""

from enum import StrEnum


class DockerfileMode(StrEnum):
    """Which FROM blocks of a Dockerfile are built, and in which order."""

    BUILDKIT = "buildkit"
    LEGACY = "legacy"
