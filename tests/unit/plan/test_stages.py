"""Which stages an image has, and their order."""

from conveyor.config.model import (
    Dependency,
    GitMapping,
    Import,
    Shell,
    StapelImage,
)
from conveyor.config.model_image_config import DockerInstructions, ImageSpec
from conveyor.plan.stages import ALL_STAGES, imports_of, is_git_stage, stages_of


def full(**changes):
    buckets = [("install", ""), ("", "install"), ("setup", ""), ("", "setup")]
    fields = {
        "name": "a",
        "base": "debian",
        "git": (GitMapping(to="/app"),),
        "shell": Shell(
            commands=dict.fromkeys(("beforeInstall", "install", "beforeSetup", "setup"), ("true",))
        ),
        "docker": DockerInstructions(),
        "image_spec": ImageSpec(),
        "imports": tuple(
            Import(image="b", add="/x", to=f"/{i}", before=b, after=a)
            for i, (b, a) in enumerate(buckets)
        ),
    }
    return StapelImage(**{**fields, **changes})


def test_a_full_image_has_every_stage_in_werfs_order():
    assert stages_of(full()) == ALL_STAGES


def test_only_an_image_spec_changes_artifacts_and_frozen_images_at_the_end():
    assert stages_of(full(artifact=True))[-1] == "imageSpec"
    assert stages_of(full(disable_git_after_patch=True))[-1] == "imageSpec"
    assert stages_of(full(image_spec=None))[-1] == "dockerInstructions"


def test_an_image_of_nothing_has_from_only():
    assert stages_of(StapelImage(name="a", base="debian")) == ("from",)


def test_an_artifact_has_no_patches_and_no_instructions():
    assert not set(stages_of(full(artifact=True))) & {
        "gitCache",
        "gitLatestPatch",
        "dockerInstructions",
    }


def test_disabling_patches_takes_the_instructions_away_as_in_werf():
    names = stages_of(full(disable_git_after_patch=True))
    assert "gitArchive" in names
    assert not set(names) & {"gitCache", "gitLatestPatch", "dockerInstructions"}


def test_a_common_cache_version_alone_makes_all_user_stages():
    image = full(shell=Shell(cache_version="1"), git=(), imports=(), docker=None, image_spec=None)
    assert stages_of(image) == ("from", "beforeInstall", "install", "beforeSetup", "setup")


def test_a_stage_cache_version_makes_its_stage_only():
    shell = Shell(stage_cache_versions={"install": "1"})
    image = full(shell=shell, git=(), imports=(), docker=None, image_spec=None)
    assert stages_of(image) == ("from", "install")


def test_dependencies_make_their_bucket():
    image = full(
        imports=(),
        git=(),
        shell=None,
        docker=None,
        image_spec=None,
        dependencies=(Dependency(image="b", before="setup"),),
    )
    assert stages_of(image) == ("from", "dependenciesBeforeSetup")


def test_imports_belong_to_one_bucket_each():
    image = full()
    buckets = [name for name in ALL_STAGES if imports_of(image, name)]
    assert buckets == [
        "dependenciesBeforeInstall",
        "dependenciesAfterInstall",
        "dependenciesBeforeSetup",
        "dependenciesAfterSetup",
    ]
    assert all(len(imports_of(image, name)) == 1 for name in buckets)


def test_git_stages_are_those_that_carry_commits():
    image = full()
    assert is_git_stage(image, "install")
    assert is_git_stage(image, "gitArchive")
    assert not is_git_stage(image, "beforeInstall")
    assert not is_git_stage(image, "dependenciesAfterSetup")
    assert not is_git_stage(full(git=()), "install")
