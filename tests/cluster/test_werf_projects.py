"""Small werf projects, each in a file of `werf_projects/`: applied as ImageBuilds, their images run as pods.

In: a project file. Out: what its images print, what their configs say, which stages each commit builds. A file has
    about     what the project is there to show
    commits   one after another, into one repository of stages:
      files   path -> text | {executable: text} | {link: target} | {base64: bytes} | {lines: count} | null (removed):
              what changes in the commit before
      path    directory of the project
      spec    further fields of the ImageBuild's spec
      images  name -> run: shell script, without it the image's own program; prints: its output;
              config: fields of the image's config
      built   name -> stages that this commit builds; the others are found in the repository
"""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.builds import stages
from tests.cluster.harness import Harness
from tests.cluster.projects import Content, Executable, Link
from tests.cluster.registry import refs

FILES = sorted((Path(__file__).parent / "werf_projects").glob("*.yaml"))
Json = dict[str, Any]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_project(lab: Harness, path: Path) -> None:
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    project, repo = None, lab.new_repo()
    for commit in told["commits"]:
        files = {name: _content(value) for name, value in commit["files"].items()}
        if project is None:
            project = lab.git_project(files)
        else:
            project.change(files)
        source = {"url": project.url, "commit": project.commit}
        if "path" in commit:
            source["path"] = commit["path"]
        status = lab.build(source=source, repo=repo, **commit.get("spec", {})).wait_ready()
        _check(lab, commit, status)


def _content(value: Any) -> Content:
    match value:
        case {"executable": text}:
            return Executable(text)
        case {"link": target}:
            return Link(target)
        case {"lines": count}:
            return "".join(
                f"line {n} of a text that is long enough to count\n" for n in range(count)
            )
        case {"base64": text}:
            return base64.b64decode(text)
        case str() | None:
            return value
    raise TypeError(value)


def _check(lab: Harness, commit: Json, status: Json) -> None:
    ready = refs(status)
    for name, expected in commit["images"].items():
        _check_image(lab, ready[name], expected)
    for name, built in commit.get("built", {}).items():
        found = [stage for stage, state in stages(status, name).items() if state == "Built"]
        assert found == built, f"stages of {name} that were built"


def _check_image(lab: Harness, ref: str, expected: Mapping[str, Any]) -> None:
    if "prints" in expected:
        printed = lab.pods.shell(ref, expected["run"]) if "run" in expected else lab.pods.run(ref)
        assert printed == expected["prints"]
    config = lab.config(ref)
    wanted = expected.get("config", {})
    assert {key: config.get(key) for key in wanted} == wanted
