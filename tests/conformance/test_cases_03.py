"""Conformance cases 3.1 to 3.6: which stages a stapel image has, commit after commit."""

import pytest
from werf_replay import Replay, history

from conveyor.api.errors import UserError
from conveyor.config.parse import parse

META = "configVersion: 1\nproject: shop\n---\n"
GIT = "git:\n- {add: /src, to: /app}\n"
PLAIN = f"{META}image: app\nfrom: alpine:3.18\n{GIT}"
LINE = "a line of eighty characters or so, again and again, until it is enough: %d\n"


async def planned(directory, *changes):
    """The stages of `app` as (name, state) for each commit, and the plans."""
    replay = await Replay.start(history(directory, *changes), directory)
    plans = [plan async for plan in replay.commits()]
    return [stages(plan) for plan in plans], plans


def stages(plan, image="app"):
    return [(stage.name, stage.state.value) for stage in plan.image(image).stages]


def component(plan, stage, label, image="app"):
    found = next(one for one in plan.image(image).stages if one.name == stage)
    parts = [*found.components, *(part for one in found.components for part in one.parts)]
    return next(part.value for part in parts if part.label == label)


async def test_case_3_1_sources_without_commands_are_one_stage_after_from(tmp_path):
    (first,), _ = await planned(tmp_path, {"werf.yaml": PLAIN, "src/a": "a\n"})
    assert first == [("from", "ToBuild"), ("gitArchive", "ToBuild")]


async def test_case_3_2_the_next_commit_is_a_patch_upon_them(tmp_path):
    (_, second), _ = await planned(tmp_path, {"werf.yaml": PLAIN, "src/a": "a\n"}, {"src/a": "b\n"})
    assert second == [("from", "Cached"), ("gitArchive", "Cached"), ("gitLatestPatch", "ToBuild")]


async def test_case_3_3_two_mib_of_changes_are_a_git_cache_and_nothing_is_left_to_patch(tmp_path):
    changed = {"src/big": {"lines": LINE, "count": 28_000}}
    (_, second), (_, plan) = await planned(tmp_path, {"werf.yaml": PLAIN, "src/a": "a\n"}, changed)
    assert second == [("from", "Cached"), ("gitArchive", "Cached"), ("gitCache", "ToBuild")]
    assert component(plan, "gitCache", "PatchSizeMiB") == "2"


async def test_case_3_4_commits_do_not_reach_an_artifact_without_stage_dependencies(tmp_path):
    werf = f"{META}artifact: app\nfrom: alpine:3.18\n{GIT}shell:\n  install: make\n"
    (first, second), plans = await planned(
        tmp_path, {"werf.yaml": werf, "src/a": "a\n"}, {"src/a": "b\n"}
    )
    assert first == [("from", "ToBuild"), ("gitArchive", "ToBuild"), ("install", "ToBuild")]
    assert second == [("from", "Cached"), ("gitArchive", "Cached"), ("install", "Cached")]
    before, after = ([stage.digest for stage in plan.image("app").stages] for plan in plans)
    assert before == after
    assert not plans[0].image("app").final


def test_case_3_5_an_artifact_has_no_docker_instructions():
    with pytest.raises(UserError, match=r"werf.yaml:6: .*`docker` is not for artifacts"):
        parse(f"{META}artifact: a\nfrom: x\ndocker: {{CMD: x}}\n")


@pytest.mark.parametrize(
    ("when", "name", "legacy"),
    [
        ("before: install", "dependenciesBeforeInstall", "importsBeforeInstall"),
        ("after: install", "dependenciesAfterInstall", "importsAfterInstall"),
        ("before: setup", "dependenciesBeforeSetup", "importsBeforeSetup"),
        ("after: setup", "dependenciesAfterSetup", "importsAfterSetup"),
    ],
)
async def test_case_3_5_imports_keep_their_old_name_in_digests(tmp_path, when, name, legacy):
    werf = (
        f"{META}image: app\nfrom: alpine:3.18\nimport:\n- {{image: lib, {when}, add: /lib}}\n"
        "---\nimage: lib\nfrom: alpine:3.18\n"
    )
    vector = history(tmp_path, {"werf.yaml": werf})
    replay = await Replay.start(vector, tmp_path)
    unknown = await replay.plan(vector["runs"][0])
    assert stages(unknown) == [("from", "ToBuild"), (name, "Unknown")]
    (stage,) = unknown.image("app").stages[1:]
    told = {f"werf-import-checksum-{stage.work.imports[0].import_id}": "0" * 32}
    known = await replay.plan({"commit": 0, "args": {}, "images": {"app": {"labels": told}}})
    assert component(known, name, "StageName") == legacy


async def test_case_3_6_without_git_after_patch_there_are_no_docker_instructions(tmp_path):
    werf = f"{PLAIN}disableGitAfterPatch: true\ndocker: {{CMD: x}}\n"
    (first, second), _ = await planned(
        tmp_path, {"werf.yaml": werf, "src/a": "a\n"}, {"src/a": "b\n"}
    )
    assert first == [("from", "ToBuild"), ("gitArchive", "ToBuild")]
    assert second == [("from", "Cached"), ("gitArchive", "Cached")]
