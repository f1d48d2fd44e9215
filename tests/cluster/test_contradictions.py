"""Specs that contradict themselves: the API server refuses them at apply and says what would be right."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from tests.cluster.harness import Harness
from tests.cluster.kube import KubeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """A spec that the API server refuses."""

    name: str
    spec: Mapping[str, object]
    says: str


_GIT = {"url": "https://example.com/x.git"}
CONTRADICTIONS = (
    Contradiction(name="nothing to build", spec={}, says="give source"),
    Contradiction(
        name="commit and branch",
        spec={"source": {"git": {**_GIT, "branch": "main", "commit": "0" * 40}}},
        says="exactly one of commit, branch and tag",
    ),
    Contradiction(
        name="short commit", spec={"source": {"git": {**_GIT, "commit": "abc"}}}, says="whole id"
    ),
    Contradiction(
        name="password in the URL",
        spec={"source": {"git": {"url": "https://me:secret@example.com/x.git", "branch": "main"}}},
        says="must not contain a password",
    ),
    Contradiction(
        name="config and configPath",
        spec={"config": "x", "configPath": "werf.yaml"},
        says="exclude each other",
    ),
    Contradiction(
        name="path out of the repository",
        spec={"source": {"git": {**_GIT, "branch": "main", "path": "../x"}}},
        says="must not contain '..'",
    ),
    Contradiction(
        name="no time at all",
        spec={"config": "x", "stageTimeout": "0s"},
        says="between 1s and 168h",
    ),
    Contradiction(
        name="request above limit",
        spec={
            "config": "x",
            "podTemplate": {
                "resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}
            },
        },
        says="must not be larger than its limit",
    ),
    Contradiction(name="unknown field", spec={"config": "x", "imges": ["a"]}, says="imges"),
    Contradiction(
        name="tag in repo", spec={"config": "x", "repo": "registry.example/x:1"}, says="repo"
    ),
    Contradiction(
        name="an image twice", spec={"config": "x", "images": ["a", "a"]}, says="Duplicate value"
    ),
)


@pytest.mark.parametrize("wrong", CONTRADICTIONS, ids=lambda wrong: wrong.name)
def test_contradiction_is_refused_at_apply(lab: Harness, wrong: Contradiction) -> None:
    with pytest.raises(KubeError, match=re.escape(wrong.says)):
        lab.apply({"repo": lab.new_repo(), **wrong.spec})
