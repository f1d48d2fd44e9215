"""Digests of Dockerfile images against what the real werf hashed (tests/data/werf-digests)."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark.structures import ParameterSet

from conveyor.config.model import DockerfileImage
from conveyor.plan.answers import Answer, BaseImage
from conveyor.plan.digest import sha256_args
from conveyor.plan.dockerfile import BlockPlan, plan_dockerfile
from conveyor.plan.facts import Facts
from conveyor.plan.questions import (
    BaseImageInfo,
    ContextChecksum,
    FileText,
    Question,
)

VECTORS = Path(__file__).parents[2] / "data" / "werf-digests"
Vector = dict[str, Any]
COMMIT = "1" * 40
GIVEN = {"VERSION": "1.2", "COUNT": "3", "FLAG": "true", "DIR": "sub", "UNUSED": "u"}
OTHER_BASE = {"BASE": "127.0.0.1:5055/base/tool:1.4"}
HOSTS = ("db:10.0.0.1", "cache:10.0.0.2")

# (vector, image) -> how its werf.yaml describes it
IMAGES: dict[tuple[str, str], DockerfileImage] = {
    ("dockerfile-plain", "gate"): DockerfileImage(name="gate", dockerfile="Dockerfile"),
    ("dockerfile-args", "defaults"): DockerfileImage(name="defaults", dockerfile="Dockerfile"),
    ("dockerfile-args", "given"): DockerfileImage(
        name="given", dockerfile="Dockerfile", args=GIVEN
    ),
    ("dockerfile-args", "empty"): DockerfileImage(
        name="empty", dockerfile="Dockerfile", args={"VERSION": ""}
    ),
    ("dockerfile-multistage", "whole"): DockerfileImage(name="whole", dockerfile="Dockerfile"),
    ("dockerfile-multistage", "tools"): DockerfileImage(
        name="tools", dockerfile="Dockerfile", target="tools"
    ),
    ("dockerfile-multistage", "build"): DockerfileImage(
        name="build", dockerfile="Dockerfile", target="build"
    ),
    ("dockerfile-multistage", "rebased"): DockerfileImage(
        name="rebased", dockerfile="Dockerfile", args=OTHER_BASE
    ),
    ("dockerfile-options", "plain"): DockerfileImage(name="plain", dockerfile="Dockerfile"),
    ("dockerfile-options", "hosts"): DockerfileImage(
        name="hosts", dockerfile="Dockerfile", add_host=HOSTS
    ),
    ("dockerfile-options", "net"): DockerfileImage(
        name="net", dockerfile="Dockerfile", network="host"
    ),
    ("dockerfile-options", "versioned"): DockerfileImage(
        name="versioned", dockerfile="Dockerfile", cache_version="v9"
    ),
    ("dockerfile-context", "all"): DockerfileImage(
        name="all", dockerfile="Dockerfile", context="ctx"
    ),
    ("dockerfile-context", "deep"): DockerfileImage(
        name="deep", dockerfile="docker/Deep.Dockerfile", context="ctx"
    ),
    ("dockerfile-context", "root"): DockerfileImage(name="root", dockerfile="ctx/Root.Dockerfile"),
    ("dockerfile-context-add-files", "without"): DockerfileImage(
        name="without", dockerfile="Dockerfile"
    ),
    ("five-documents", "runtime"): DockerfileImage(name="runtime", dockerfile="rt.Dockerfile"),
    ("imagespec-global", "df"): DockerfileImage(name="df", dockerfile="Dockerfile"),
    ("dependencies-buildargs", "declared"): DockerfileImage(
        name="declared", dockerfile="Dockerfile"
    ),
    ("dependencies-buildargs", "undeclared"): DockerfileImage(
        name="undeclared", dockerfile="Dockerfile.plain"
    ),
}
_TAG = "237e36084ab74c4dd7178103ec5d1a036d3ef0521fc4ab94afd850b8-1795312174350"
_REPO = "127.0.0.1:5055/cases/dependencies-buildargs"
DEPENDENCY_ARGS = {
    "declared": {"BASE": f"{_REPO}:{_TAG}", "BASE_TAG": _TAG},
    "undeclared": {"NOWHERE": _REPO},
}


def _load(name: str) -> Vector:
    vector: Vector = json.loads((VECTORS / f"{name}.json").read_text())
    return vector


def _tree(vector: Vector, commit: int) -> dict[str, str]:
    """Text files of a commit, by path (first parents only, as these cases are)."""
    entry = vector["commits"][commit]
    tree = _tree(vector, entry["parents"][0]) if entry["parents"] else {}
    for gone in entry.get("delete", ()):
        tree = {path: text for path, text in tree.items() if path != gone}
    files = entry.get("files", {})
    return tree | {path: text for path, text in files.items() if isinstance(text, str)}


def _cases() -> list[ParameterSet]:
    cases = []
    for name in sorted({vector for vector, _ in IMAGES}):
        vector = _load(name)
        for run in vector["runs"]:
            for image, result in run["images"].items():
                stage = result["stages"][0]
                if (name, image) in IMAGES and stage["name"] == "dockerfile":
                    args = (name, run["commit"], image, stage["digest"])
                    cases.append(pytest.param(*args, id=f"{name}-{run['commit']}-{image}"))
    return cases


def _plan(
    image: DockerfileImage, tree: dict[str, str], checksums: dict[Question, Answer]
) -> tuple[tuple[BlockPlan, ...], dict[Question, str]]:
    """Plan with files from the tree; unknown checksums get a placeholder, returned by question."""
    answers: dict[Question, Answer] = dict(checksums)
    placeholders: dict[Question, str] = {}
    for _ in range(5):
        facts = Facts(commit=COMMIT, answers=answers)
        args = DEPENDENCY_ARGS.get(image.name)
        plan = plan_dockerfile(image, facts, project_dir="", dependency_args=args)
        if isinstance(plan, tuple):
            return plan, placeholders
        for question in plan:
            if isinstance(question, FileText):
                answers[question] = tree.get(question.path)
            elif isinstance(question, ContextChecksum):
                placeholders[question] = hashlib.sha256(repr(question).encode()).hexdigest()
                answers[question] = placeholders[question]
            elif isinstance(question, BaseImageInfo):
                answers[question] = BaseImage(digest="sha256:0", config={})
    raise AssertionError("questions without end")


@pytest.mark.parametrize(("name", "commit", "image", "digest"), _cases())
def test_components_are_those_of_werf(name: str, commit: int, image: str, digest: str) -> None:
    vector = _load(name)
    trace = vector["trace"][digest]
    expected, nested = trace["dependencies_preimage"], trace.get("nested", {})
    tree = _tree(vector, commit)
    config = IMAGES[name, image]
    if name == "dockerfile-options" and commit == 1 and image == "plain":
        config = DockerfileImage(name="plain", dockerfile="Dockerfile", cache_version="g1")

    plan, placeholders = _plan(config, tree, {})
    first = [component.value for component in plan[-1].digest_components]
    assert len(first) == len(expected)
    by_hash = {sha256_args(text): question for question, text in placeholders.items()}
    checksums = {
        by_hash[ours]: nested[theirs][0]
        for ours, theirs in zip(first, expected, strict=True)
        if ours in by_hash
    }
    assert set(checksums) >= {q for q in placeholders if sha256_args(placeholders[q]) in first}

    plan, _ = _plan(config, tree, checksums)
    values = [component.value for component in plan[-1].digest_components]
    assert values == expected
    assert sha256_args(*values) == trace["named"]["StageDependencies"]


def test_every_vector_case_is_used() -> None:
    assert len(_cases()) >= 40
