"""Mounts in a plan: what is emptied, what is inherited, and labels that join the parent's."""

from conveyor.config.model import (
    Import,
    Meta,
    Mount,
    Shell,
    StapelImage,
    WerfConfig,
)
from conveyor.config.model_image_config import ImageSpec
from conveyor.plan import labels
from conveyor.plan.facts import Facts
from conveyor.plan.model import BuildPlan
from conveyor.plan.planner import plan

TMP = Mount(type="tmp_dir", to="/var/cache")
BUILD = Mount(type="build_dir", to="/cache")
COMMANDS = Shell(commands={"install": ("make",)})


def planned(*images: StapelImage) -> BuildPlan:
    result = plan(WerfConfig(meta=Meta(project="shop"), images=images), Facts())
    assert isinstance(result, BuildPlan)
    return result


def test_from_empties_its_own_mount_points_and_later_stages_mount_them() -> None:
    stages = planned(StapelImage(name="app", base="debian:12", mounts=(TMP, BUILD), shell=COMMANDS))
    first, install = stages.image("app").stages
    assert first.work.emptied == ("/var/cache", "/cache")
    assert (install.work.emptied, install.work.mounts) == ((), (TMP, BUILD))


def test_mounts_are_inherited_from_bases_of_bases() -> None:
    result = planned(
        StapelImage(name="one", base="debian:12", mounts=(TMP,)),
        StapelImage(name="two", base="one", base_internal=True),
        StapelImage(name="three", base="two", base_internal=True, mounts=(BUILD,), shell=COMMANDS),
    )
    first, install = result.image("three").stages
    assert first.work.emptied == ("/cache",)
    assert install.work.mounts == (TMP, BUILD)
    assert result.image("two").stages[0].work.emptied == ()


def test_an_own_mount_replaces_an_inherited_one_at_the_same_point() -> None:
    own = Mount(type="custom_dir", to="/var/cache", from_path="/srv")
    result = planned(
        StapelImage(name="one", base="debian:12", mounts=(TMP, BUILD)),
        StapelImage(name="two", base="one", base_internal=True, mounts=(own,), shell=COMMANDS),
    )
    assert result.image("two").stages[-1].work.mounts == (own, BUILD)


def test_mount_labels_join_and_others_replace() -> None:
    inherited = {"werf-mount-type-tmp-dir": "/a;/b", "werf": "old", "kept": "1"}
    added = {"werf-mount-type-tmp-dir": "/c;/b", "werf-mount-type-build-dir": "/d", "werf": "new"}
    assert labels.merged(inherited, added) == {
        "werf-mount-type-tmp-dir": "/a;/b;/c",
        "werf-mount-type-build-dir": "/d",
        "werf": "new",
        "kept": "1",
    }
    assert inherited["werf-mount-type-tmp-dir"] == "/a;/b"


def test_mount_points_of_labels() -> None:
    told = {
        "werf-mount-type-tmp-dir": "/a;;/b",
        "werf-mount-type-custom-dir---srv": "/b;/c",
        "other": "/d",
    }
    assert labels.mount_points(told) == ("/a", "/b", "/c")


def test_imports_are_put_below_mounts_like_everything_else() -> None:
    """Werf forgets the mounts of `dependencies*` stages (semantics 16.26); the digest is the same either way."""
    import_ = Import(image="one", before="install", add="/a", to="/var/cache/a")
    one = StapelImage(name="one", base="debian:12")
    app = StapelImage(name="app", base="debian:12", mounts=(TMP,), imports=(import_,))
    _, imports = planned(one, app).image("app").stages
    assert imports.name == "dependenciesBeforeInstall"
    assert imports.work.mounts == (TMP,)


def test_a_base_whose_last_stage_is_no_stage_of_commands_hands_them_on() -> None:
    spec = ImageSpec(remove_labels=("/werf-.*/",))
    result = planned(
        StapelImage(name="one", base="debian:12", mounts=(TMP,), image_spec=spec),
        StapelImage(name="two", base="one", base_internal=True, shell=COMMANDS),
    )
    assert result.image("two").stages[-1].work.mounts == (TMP,)
