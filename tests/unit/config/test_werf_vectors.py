"""The configs for which werf's own answers are known: what it accepts, and what its git mappings are called."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from conveyor.api.errors import UserError
from conveyor.config.commit import CommitInfo
from conveyor.config.files import MemoryFiles
from conveyor.config.giterminism import FILE, check_policy, parse_policy
from conveyor.config.model import StapelImage
from conveyor.config.parse import parse
from conveyor.config.render import render

CASES = sorted((Path(__file__).parents[2] / "data" / "werf-digests").glob("*.json"))
# Mistakes that only building shows, and a dirty work tree, which a commit cannot have.
NOT_OF_THE_CONFIG = {
    "error-git-matches-nothing",
    "error-missing-dockerfile",
    "error-uncommitted-config",
}


def _trees(case: Any) -> Any:
    trees: list[dict[str, Any]] = []
    for commit in case["commits"]:
        tree = dict(trees[commit["parents"][0]]) if commit.get("parents") else {}
        for path in commit.get("delete", ()):
            tree = {
                name: text
                for name, text in tree.items()
                if name != path and not name.startswith(f"{path}/")
            }
        tree.update(commit.get("files", {}))
        trees.append(tree)
    return trees


def _config(case: Any, run: Any) -> Any:
    prefix = f"{case['dir']}/" if case.get("dir") else ""
    texts = {
        path.removeprefix(prefix): text
        for path, text in _trees(case)[run["commit"]].items()
        if path.startswith(prefix) and isinstance(text, str)
    }
    files = MemoryFiles(texts)
    arguments = run.get("args", {})
    flags = arguments.get("flags", [])
    text = render(
        files,
        env=arguments.get("env", {}),
        environment=flags[flags.index("--env") + 1] if "--env" in flags else "",
        commit=CommitInfo(hash=case["commits"][run["commit"]]["sha"], date=1_600_000_000),
    )
    config = parse(text, project_dir=case.get("dir") or "")
    check_policy(config, parse_policy(files.get(FILE)))
    return config


def _paramshash(mapping: Any) -> Any:
    """SHA-256 over the fields as werf concatenates them; list items have no separator."""
    remote = mapping.remote
    refs = (remote.branch, remote.tag, remote.commit) if remote else ("", "", "")
    fields = (f"{mapping.name}_{mapping.name}", mapping.to, mapping.add)
    lists = ("".join(mapping.include_paths), "".join(mapping.exclude_paths))
    return hashlib.sha256(
        ":::".join((*fields, *lists, mapping.owner, mapping.group, *refs)).encode()
    ).hexdigest()


def _check_run(case: Any, run: Any) -> Any:
    """Return how many git mappings were compared."""
    if run.get("uncommitted"):
        return 0
    try:
        config = _config(case, run)
    except UserError as raised:
        error = raised
        config = None
    if config is None:
        # What is not supported yet cannot be compared; any other refusal has to be werf's too.
        assert run["error"] or error.reason == "NotSupported", error.message
        return 0
    if run["error"]:
        assert case["name"] in NOT_OF_THE_CONFIG
        return 0
    assert set(run["images"]) >= {image.name for image in config.images}
    return sum(_check_image(image, run["images"][image.name]) for image in config.images)


def _check_image(image: Any, answer: Any) -> Any:
    known = {key.split("-")[2] for key in answer.get("labels", {}) if key.startswith("werf-git-")}
    if not known or not isinstance(image, StapelImage):
        return 0
    found = {_paramshash(mapping) for mapping in image.git}
    assert found <= known, image
    return len(found)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    case = json.loads(path.read_text(encoding="utf-8"))
    for run in case["runs"]:
        _check_run(case, run)


def test_mappings_were_compared() -> None:
    cases = [json.loads(path.read_text(encoding="utf-8")) for path in CASES]
    assert sum(_check_run(case, run) for case in cases for run in case["runs"]) > 150
