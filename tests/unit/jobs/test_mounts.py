"""Mounts of werf.yaml to volumes of a pod."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, union-attr, arg-type, var-annotated"

from dataclasses import replace

from tests.unit.jobs.test_manifest import MINIMAL, PARENT, build, container, order, pod
from tests.unit.jobs.test_task import only_step, written
from tests.unit.jobs.values import EXTERNAL, image, importing, plan, situation, to_build, unknown

from conveyor.config.model import Mount
from conveyor.jobs.decide import decide
from conveyor.jobs.manifest import PodSettings, job
from conveyor.jobs.model import Export, ParentImage, Tasks
from conveyor.jobs.mounts import volumes_of, without_hidden_exports
from conveyor.jobs.work import needs_pod
from conveyor.plan.model import StageWork

TMP = Mount(type="tmp_dir", to="/var/cache")
BUILD = Mount(type="build_dir", to="/cache")
OTHER_BUILD = Mount(type="build_dir", to="/cache2")
YARN = Mount(type="custom_dir", to="/yarn", from_path="/srv/yarn")
OFFERED = {"/srv/yarn": {"persistentVolumeClaim": {"claimName": "yarn"}}}
CLAIM = build(mounts={"buildDir": {"persistentVolumeClaim": {"claimName": "cache"}}})
FROM = StageWork(mounts=(TMP,), emptied=("/var/cache",), labels={"werf": "shop"})


def stage(*mounts, name="app/install", **work):
    return to_build(
        name,
        work=StageWork(commands=("make",), mounts=mounts, labels={"werf": "shop"}, **work),
        base=EXTERNAL,
    )


def volumes(*mounts, owner=MINIMAL, labels=None, **work):
    parent = ParentImage(manifest_digest="m", config={"config": {"Labels": labels}}, layers=())
    wanted = replace(order(stage(*mounts, **work)), parent=parent)
    found = volumes_of(wanted, owner, OFFERED)
    sources = {volume["name"]: volume for volume in found.volumes}
    return {
        mount["mountPath"]: (
            {k: v for k, v in sources[mount["name"]].items() if k != "name"},
            mount.get("subPath"),
        )
        for mount in found.mounts
    }


def test_each_kind_has_its_volume():
    assert volumes(TMP, BUILD, YARN, owner=CLAIM) == {
        "/var/cache": ({"emptyDir": {}}, None),
        "/cache": (
            {"persistentVolumeClaim": {"claimName": "cache"}},
            "projects/shop/cache-4f7cfe6f",
        ),
        "/yarn": ({"persistentVolumeClaim": {"claimName": "yarn"}}, None),
    }


def test_build_dir_without_a_claim_is_empty():
    assert volumes(BUILD) == {"/cache": ({"emptyDir": {}}, None)}


def test_directories_of_build_dir_share_its_volume_and_not_their_content():
    found = volumes_of(order(stage(BUILD, OTHER_BUILD)), CLAIM, OFFERED)
    assert [volume["name"] for volume in found.volumes] == ["build-dir"]
    first, second = found.mounts
    assert first["subPath"] != second["subPath"]


def test_nothing_is_mounted_where_mount_points_are_emptied():
    assert volumes(TMP, emptied=("/var/cache",), labels={"werf-mount-type-tmp-dir": "/a"}) == {}


def test_mount_points_of_a_foreign_base_are_empty_directories():
    labels = {
        "werf-mount-type-custom-dir---srv--yarn": "/foreign",
        "werf-mount-type-build-dir": "/var/cache;/built",
    }
    found = volumes(TMP, owner=CLAIM, labels=labels)
    assert found == {
        point: ({"emptyDir": {}}, None) for point in ("/var/cache", "/foreign", "/built")
    }


def test_labels_may_hold_anything():
    points = [
        "",
        "relative",
        "/",
        "/proc",
        "/dev/x",
        "/.conveyor-io",
        "/a/../b",
        "/x:ro",
        "/.werf/tmp",
    ]
    points += [f"/p{number}" for number in range(200)]
    found = volumes(labels={"werf-mount-type-tmp-dir": ";".join(points), "werf": 3})
    assert len(found) == 50
    assert all(point.startswith("/p") and point != "/proc" for point in found)


def test_a_dockerfile_and_an_export_have_no_mounts():
    labels = {"config": {"Labels": {"werf-mount-type-tmp-dir": "/a"}}}
    parent = replace(PARENT, config=labels)
    assert volumes_of(replace(order(), parent=parent), MINIMAL, OFFERED).mounts == []


def test_the_pod_has_them_and_the_courier_does_not():
    settings = PodSettings(courier_image="conveyor", from_paths=OFFERED)
    body = job(order(stage(TMP, YARN)), CLAIM, settings, Tasks(stage="{}", courier="{}"))
    there = {mount["mountPath"] for mount in container(body, "stage")["volumeMounts"]}
    assert {"/var/cache", "/yarn"} <= there
    names = [volume["name"] for volume in pod(body)["volumes"]]
    assert len(set(names)) == len(names)
    beside = {mount["name"] for mount in container(body, "courier")["volumeMounts"]}
    assert not any(name.startswith("mount-") for name in beside)


# --- the stage's task ---------------------------------------------------------------------------------------------------


def test_from_leaves_empty_directories():
    task, _ = written(FROM)
    assert only_step(task) == {"op": "clean", "paths": ["/var/cache"]}


# --- which Jobs ---------------------------------------------------------------------------------------------------------


def test_emptying_needs_a_pod():
    assert needs_pod(to_build("app/from", work=FROM))
    assert not needs_pod(to_build("app/from", work=StageWork(mounts=(TMP,))))


def test_from_has_a_job_of_its_own():
    first = to_build("app/from", work=FROM, base=EXTERNAL)
    (action,) = decide(situation(plan(image(first, stage(TMP))), fuse=True)).actions
    assert [one.name for one in action.stages] == ["from"]


def test_the_other_stages_share_one():
    stages = (stage(TMP), stage(TMP, name="app/setup"))
    (action,) = decide(situation(plan(image(*stages)), fuse=True)).actions
    assert [one.name for one in action.stages] == ["install", "setup"]


def test_files_for_others_are_not_taken_from_a_pod_with_mounts():
    def attached(*mounts):
        wants = StageWork(imports=(importing("app", source_id=""),))
        other = image(unknown("other/deps", work=wants), needs=["app"])
        planned = plan(image(stage(*mounts)), other)
        (action,) = decide(situation(planned)).actions
        return action.exports

    assert attached() != ()
    assert attached(TMP) == ()


def test_what_a_pod_does_not_see_is_not_exported_by_it():
    label = {"werf-mount-type-tmp-dir": "/data"}
    wanted = Export(key="k", source="app", checksum_id="1")
    for labels, mounts, left in (({}, (), (wanted,)), (label, (), ()), ({}, (TMP,), ())):
        parent = ParentImage(manifest_digest="m", config={"config": {"Labels": labels}}, layers=())
        asked = replace(order(stage(*mounts), exports=(wanted,)), parent=parent)
        assert without_hidden_exports(asked).exports == left
        alone = replace(asked, stages=())
        assert without_hidden_exports(alone).exports == (wanted,)
