"""Conformance cases of section 1: werf.yaml."""

from pathlib import Path
from typing import Any

import pytest
from werf_project import META, Project

from conveyor.api.errors import UserError
from conveyor.config.commit import CommitInfo
from conveyor.config.files import MemoryFiles
from conveyor.config.names import shown
from conveyor.config.parse import parse
from conveyor.config.render import render
from conveyor.plan.answers import BaseImage
from conveyor.plan.facts import Facts
from conveyor.plan.model import BuildPlan
from conveyor.plan.planner import plan

POLICY = "giterminismConfigVersion: 1\nconfig: {goTemplateRendering: {allowEnvVariables: [CI_X]}}\n"


def refused(text: str) -> str:
    with pytest.raises(UserError) as raised:
        parse(text)
    assert raised.value.reason == "InvalidWerfConfig"
    return raised.value.message


def planned(text: str) -> BuildPlan:
    """Plan with a base image of which nothing is known."""
    config = parse(text)
    answers: dict[Any, Any] = {}
    for _ in range(10):
        result = plan(config, Facts(commit="a" * 40, stages={}, answers=dict(answers)))
        if isinstance(result, BuildPlan):
            return result
        answers |= dict.fromkeys(result, BaseImage(digest="sha256:" + "0" * 64, config={}, id=""))
    raise AssertionError("no end of questions")


def test_case_1_1_an_empty_document_changes_nothing() -> None:
    text = "configVersion: 1\nproject: a\n---\nimage: x\nfrom: alpine\n"
    assert [image.name for image in parse(text).images] == ["x"]
    assert parse(text + "---\n# c\n---\n") == parse(text)


@pytest.mark.parametrize("project", ["My_App", "a" * 51])
def test_case_1_2_project_names_that_are_rejected(project: str) -> None:
    assert "`project` is" in refused(f"configVersion: 1\nproject: {project}\n")


@pytest.mark.parametrize("project", ["my-app", "a" * 50])
def test_case_1_2_project_names_that_are_fine(project: str) -> None:
    assert parse(f"configVersion: 1\nproject: {project}\n").meta.project == project


def test_case_1_3_one_body_for_two_images() -> None:
    result = planned(META + "image: [a, b]\nfrom: alpine\n")
    assert [image.name for image in result.images] == ["a", "b"]
    first, second = (image.stages for image in result.images)
    assert first[0].name == "from"
    assert first[0].digest == second[0].digest


def test_case_1_4_the_nameless_image_is_alone() -> None:
    text = META + "image: ~\nfrom: alpine\n"
    (image,) = parse(text).images
    assert shown(image.name) == "~"
    assert "image ~ has no name" in refused(text + "---\nimage: x\nfrom: alpine\n")


@pytest.mark.parametrize(
    "both",
    [
        "shell: {install: [a]}\nansible: {install: [{shell: a}]}\n",
        "docker: {USER: a}\nimageSpec: {author: a}\n",
    ],
)
def test_case_1_5_two_that_exclude_each_other(both: str) -> None:
    assert "are both set; keep one of them" in refused(META + "image: a\nfrom: alpine\n" + both)


@pytest.mark.parametrize(
    ("template", "env", "policy", "wanted"),
    [
        ('{{ env "CI_X" }}', {"CI_X": "v"}, "", 'variable "CI_X" is not allowed'),
        ('{{ env "CI_X" "d" }}', {"CI_X": "v"}, "", 'variable "CI_X" is not allowed'),
        ('{{ env "CI_X" }}', {}, POLICY, 'variable "CI_X" is not set and has no default'),
    ],
)
def test_case_1_6_env_is_refused(template: str, env: Any, policy: str, wanted: str) -> None:
    with pytest.raises(UserError) as raised:
        rendered(template, env, policy)
    assert wanted in raised.value.message


@pytest.mark.parametrize(
    ("template", "env", "wanted"),
    [
        ('{{ env "CI_X" "d" }}', {}, "d"),
        ('{{ env "CI_X" "d" }}', {"CI_X": ""}, "d"),
        ('{{ env "CI_X" "d" }}', {"CI_X": "v"}, "v"),
        ('{{ env "CI_X" }}', {"CI_X": "v"}, "v"),
    ],
)
def test_case_1_6_env_with_permission(template: str, env: Any, wanted: str) -> None:
    assert rendered(template, env, POLICY) == wanted


def rendered(template: str, env: Any, policy: str) -> str:
    files = {"werf.yaml": template, "werf-giterminism.yaml": policy}
    commit = CommitInfo(hash="a" * 40, date=0)
    return render(MemoryFiles(files), env=env, environment="", commit=commit)


async def test_case_1_6_env_of_the_machine_is_not_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI_X", "v")
    config = META + 'image: {{ env "CI_X" "d" }}\nfrom: alpine\n'
    files = {"werf.yaml": config, "werf-giterminism.yaml": POLICY}
    project = Project.make(tmp_path, files)
    assert [image.name for image in (await project.config()).images] == ["d"]
    assert [image.name for image in (await project.config({"CI_X": "e"})).images] == ["e"]


def test_case_1_7_a_cache_version_alone_makes_all_user_stages() -> None:
    result = planned(META + "image: a\nfrom: alpine\nshell: {cacheVersion: v1}\n")
    stages = result.image("a").stages
    assert [stage.name for stage in stages] == [
        "from",
        "beforeInstall",
        "install",
        "beforeSetup",
        "setup",
    ]
    checksum = "906541c9bb8054ec0d35b6c5e0593647b38ad93f784c8d0a4868a35f534a3cee"
    for stage in stages[1:]:
        assert checksum in values_of(stage.components)


def values_of(components: Any) -> set[str]:
    """Return the values of components and of what they are made of."""
    found = set()
    for component in components:
        found |= {component.value} | values_of(component.parts)
    return found


def test_case_1_8_an_unknown_key_is_not_ignored() -> None:
    message = refused(META + "image: a\nimagee: b\nfrom: alpine\n")
    assert message == 'werf.yaml:5: image "a": unknown field `imagee`; did you mean `image`?'
