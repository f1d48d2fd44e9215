"""Conformance cases 9.1 to 9.8: imports and dependencies."""

import json
from pathlib import Path

import pytest
from werf_replay import Replay, history

from conveyor.api.errors import UserError
from conveyor.builder.exports import export_import
from conveyor.builder.rootfs import Rootfs
from conveyor.config.model import Import, StapelImage
from conveyor.config.parse import parse
from conveyor.plan.digest import import_id, import_source_id, sha256_args

VECTORS = Path(__file__).parent.parent / "data" / "werf-digests"
META = "configVersion: 1\nproject: shop\n---\n"
BUILDER = "image: builder\nfrom: alpine:3.18\nshell:\n  install: {commands}\n---\n"
CONSUMER = "image: app\nfrom: alpine:3.18\nimport:\n- {image: builder, add: /out, to: /out, after: install}\n"


def test_case_9_1_import_id():
    of = Import(image="builder", after="install", add="/out", to="/out")
    assert import_id(of) == "f3bee65dcc89b9ebef7c8487afeee5ad8aaf729c41713cf23199a22671723f26"


def test_case_9_2_import_source_id():
    of = Import(image="x", add="/out", to="/x", include_paths=("a", "b"))
    wanted = "a0e6cc1e6009ff93919921daa18d71dc3aac921b018246906beb5406559c2157"
    assert import_source_id(of, "d1") == wanted


async def test_case_9_3_a_rebuilt_source_with_the_same_files_changes_no_consumer(tmp_path):
    werf = [META + BUILDER.format(commands=commands) + CONSUMER for commands in ("make", "all")]
    replay = await Replay.start(
        history(tmp_path, *({"werf.yaml": text} for text in werf)), tmp_path
    )
    wanted = Import(image="builder", after="install", add="/out", to="/out")
    labels = {f"werf-import-checksum-{import_id(wanted)}": "0" * 32}
    for run in replay.vector["runs"]:
        run["images"] = {"app": {"labels": labels}}
    first, second = [plan async for plan in replay.commits()]
    assert [stage.state for stage in second.image("builder").stages] == ["Cached", "ToBuild"]
    assert [stage.state for stage in second.image("app").stages] == ["Cached", "Cached"]
    digests = [[stage.digest for stage in one.image("app").stages] for one in (first, second)]
    assert digests[0] == digests[1]


def imports(*entries):
    lines = "".join(f"- {{image: builder, after: install, {entry}}}\n" for entry in entries)
    text = f"{META}image: builder\nfrom: x\n---\nimage: app\nfrom: x\nimport:\n{lines}"
    image = parse(text).image("app")
    assert isinstance(image, StapelImage)
    return [item.exclude_paths for item in image.imports]


def test_case_9_4_two_imports_into_one_place_are_a_mistake():
    with pytest.raises(UserError, match=r"werf.yaml:11: .*writes \"/app\" and so does .* line 10"):
        imports("add: /a, to: /app", "add: /b, to: /app")


def test_case_9_4_an_import_into_the_others_directory_is_left_out_of_that():
    assert imports("add: /a, to: /app", "add: /b, to: /app/lib") == [("lib",), ()]


def test_case_9_5_a_symlink_that_leads_elsewhere_changes_the_checksum(tmp_path):
    (tmp_path / "root/out").mkdir(parents=True)
    link = tmp_path / "root/out/current"
    found = set()
    for target in ("v1", "v2", "v1"):
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        with (tmp_path / "bundle.tar").open("wb") as out:
            root = Rootfs(bytes(tmp_path / "root"))
            found.add(export_import(root, b"/out", ((), ()), out.fileno())["checksum"])
    assert len(found) == 2


async def test_case_9_6_an_import_with_a_tag_is_an_external_image(tmp_path):
    reference = "registry.example.com/x:1.2"
    entry = f"{{image: '{reference}', after: install, add: /out}}"
    werf = f"{META}image: app\nfrom: alpine:3.18\nimport:\n- {entry}\n"
    vector = history(tmp_path, {"werf.yaml": werf})
    replay = await Replay.start(vector, tmp_path)
    plan = await replay.plan(vector["runs"][0])
    assert plan.sets == (("app",),)
    (planned,) = plan.image("app").stages[1].work.imports
    assert planned.source_id == import_source_id(planned.import_, f"external-image:{reference}")
    assert plan.image("app").depends_on == ()


def test_case_9_7_dependency_import_id():
    parts = ("Type", "ImageName", "TargetEnv", "BACKEND_IMAGE")
    wanted = "63852d90acb39e728ab7141bbe9cfa52249f9457ad0716c9ae2bc546036e9ada"
    assert sha256_args(*parts) == wanted


async def test_case_9_7_is_what_a_stage_depends_on(tmp_path):
    vector = json.loads((VECTORS / "dependencies-env.json").read_text())
    replay = await Replay.start(vector, tmp_path)
    plan = await replay.plan(vector["runs"][0])
    stage = next(one for one in plan.image("app").stages if one.name == "dependenciesBeforeSetup")
    ids = [part for part in stage.components[2].parts if part.label == "DependencyImportID"]
    told = vector["trace"][str(stage.digest)]["nested"]
    assert {one.value: [part.value for part in one.parts] for one in ids} == told
    assert len(ids) == 3


async def test_case_9_8_an_undeclared_build_arg_is_invisible_to_the_digest(tmp_path):
    vector = json.loads((VECTORS / "dependencies-buildargs.json").read_text())
    replay = await Replay.start(vector, tmp_path)
    plan = await replay.plan(vector["runs"][0] | {"refs": {}, "images": {}})
    expected = vector["runs"][0]["images"]
    (undeclared,) = plan.image("undeclared").stages
    assert undeclared.digest == expected["undeclared"]["stages"][0]["digest"]
    assert not undeclared.work.dependencies[0].known
