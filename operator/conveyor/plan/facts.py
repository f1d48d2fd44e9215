"""Everything that the planner knows of the outside world.

In: answers gathered by the shell. Out: `Facts`, the planner's second input: a plain mapping, so a user's bug report is a
file of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from conveyor.api.dockerfile_mode import DockerfileMode
from conveyor.plan.answers import Answer, StageDigest
from conveyor.plan.questions import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known.

    Attributes:
        commit: The project's commit that is being built, "" for an inline config without git.
        repo: Name of the stages repository, HOST[:PORT]/PATH; "" when there is none, and then nobody
            knows the reference of an image.
        stages: Every stage tag of the repository by digest, timestamps ascending, rejected ones left out.
        answers: Answers so far. A missing key is an open question, a None value is an answer.
        staged_version: "v1" or "v2" of staged Dockerfiles (werf: WERF_STAGED_DOCKERFILE_VERSION).
        build_platform: BUILDPLATFORM of Dockerfiles; "" for the platform of the image itself.
        dockerfile_mode: Which FROM blocks are built, and whether one after the other.
        heredocs_differ: A stored stage serves only if the text of its here-documents was the same, which werf does not look at.
        virtual_merge: The commit stands for a merge that is only proposed (werf: --virtual-merge).
    """

    commit: str = ""
    repo: str = ""
    staged_version: str = "v1"
    build_platform: str = ""
    dockerfile_mode: DockerfileMode = DockerfileMode.BUILDKIT
    heredocs_differ: bool = False
    virtual_merge: bool = False
    stages: Mapping[StageDigest, tuple[int, ...]] = field(default_factory=dict)
    answers: Mapping[Question, Answer] = field(default_factory=dict)
