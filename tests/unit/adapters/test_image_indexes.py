"""Images of several platforms in a real registry: base images, scratch, tools, indexes, exports."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, union-attr, arg-type"

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

from tests.unit.adapters.test_stages_storage import (  # noqa: E402
    DIGEST,
    FIRST,
    ID,
    client,
    push_image,
    push_layer,
    registry,
    repo,
    tools,
    tools_layer,
    write_layer,
)

from conveyor.adapters.execution_images import Tools  # noqa: E402
from conveyor.adapters.image_indexes import Member  # noqa: E402
from conveyor.adapters.oci import OCI_INDEX, ImageIndex, Platform, new_index  # noqa: E402
from conveyor.adapters.oci_ref import ImageRef  # noqa: E402
from conveyor.adapters.repository_images import ImageCache  # noqa: E402
from conveyor.adapters.stages_storage import StagesStorage  # noqa: E402
from conveyor.api.errors import UserError  # noqa: E402
from conveyor.jobs.image_exports import exported_config  # noqa: E402
from conveyor.plan.answers import StageDigest, StageID  # noqa: E402

__all__ = ["client", "registry", "repo", "tools", "tools_layer"]  # fixtures

TAG = "ab" * 28
PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7")


def config_of(platform):
    parts = Platform.parse(platform).to_json()
    return {
        **parts,
        "config": {"Labels": {"werf": "shop"}},
        "rootfs": {"type": "layers", "diff_ids": []},
    }


async def stage(storage, client, repo, platform, *, variant=True):
    """A stage of this platform."""
    config = config_of(platform)
    if not variant:
        del config["variant"]
    digest = StageDigest(f"{PLATFORMS.index(platform):056x}")
    layer = await push_layer(client, repo, platform.encode())
    stage_id = StageID(digest=digest, timestamp=FIRST)
    made = await storage.publish(
        stage_id, await storage.parent("", platform=platform), config, [layer]
    )
    return Member(manifest_digest=made.manifest_digest, platform=platform)


@pytest.fixture
def storage(client, repo, tools):
    return StagesStorage(client, repo.name, tools, ImageCache())


async def test_an_index_names_its_members_with_their_platforms(storage, client, repo):
    members = [await stage(storage, client, repo, platform) for platform in PLATFORMS]
    assert await storage.indexes.find(TAG, members) is None
    await storage.indexes.publish(TAG, members)
    found = await client.get_manifest(repo.with_tag(TAG))
    assert isinstance(found, ImageIndex)
    assert found.media_type == OCI_INDEX
    assert [(it.digest, str(it.platform)) for it in found.manifests] == [
        (member.manifest_digest, member.platform) for member in members
    ]
    reference = await storage.indexes.find(TAG, members)
    assert reference == f"{repo.name}@{found.digest}"
    await storage.indexes.publish(TAG, members)
    assert await storage.indexes.find(TAG, members) == reference
    for member in members:
        ref, _ = await client.resolve(repo.with_tag(TAG), Platform.parse(member.platform))
        assert ref.digest == member.manifest_digest


async def test_a_variant_that_the_config_leaves_out_is_that_of_the_build(storage, client, repo):
    member = await stage(storage, client, repo, "linux/arm/v7", variant=False)
    await storage.indexes.publish(TAG, [member])
    found = await client.get_manifest(repo.with_tag(TAG))
    assert [it.platform.variant for it in found.manifests] == ["v7"]


async def test_an_index_of_werf_is_used_and_one_of_other_images_is_not(storage, client, repo):
    amd, arm = [await stage(storage, client, repo, platform) for platform in PLATFORMS[:2]]
    await storage.indexes.publish(TAG, [arm, amd])  # other bytes, the same images
    assert await storage.indexes.find(TAG, [amd, arm]) is not None
    assert await storage.indexes.find(TAG, [amd]) is None
    await push_image(client, repo.with_tag(TAG))
    assert await storage.indexes.find(TAG, [amd, arm]) is None


async def test_an_index_is_no_stage(storage, client, repo):
    member = await stage(storage, client, repo, "linux/amd64")
    await storage.indexes.publish(str(DIGEST), [member])
    assert set(await storage.stages()) == {StageDigest("0" * 56)}
    assert await storage.stage(ID) is None


async def test_an_export_of_several_platforms_is_an_index(storage, client, repo):
    members = [await stage(storage, client, repo, platform) for platform in PLATFORMS]
    to = ImageRef.parse(f"{repo.name}/released:v1")
    written = await storage.image_exports.write(members, exported_config, str(to))
    assert await storage.image_exports.write(members, exported_config, str(to)) == written
    found = await client.get_manifest(to)
    assert written == f"{to.name}@{found.digest}"
    assert [str(it.platform) for it in found.manifests] == list(PLATFORMS)
    assert await client.list_tags(to) == ("v1",)
    for platform in PLATFORMS:
        _, manifest = await client.resolve(to, Platform.parse(platform))
        config = await client.get_blob_json(to, manifest.config)
        assert config["architecture"] == Platform.parse(platform).architecture
        assert "Labels" not in config["config"]


# --- what a stage starts from and runs in -----------------------------------------------------------------------------


async def test_scratch_is_of_the_platform(storage):
    assert (await storage.parent("")).config["architecture"] == "amd64"
    arm = await storage.parent("", platform="linux/arm/v7")
    assert (arm.config["os"], arm.config["architecture"], arm.config["variant"]) == (
        "linux",
        "arm",
        "v7",
    )
    assert (arm.manifest_digest, arm.layers) == ("", ())


async def test_tools_are_those_of_the_machine(client, repo, tools, tools_layer, tmp_path):
    folder = tmp_path / "arm"
    folder.mkdir()
    other = write_layer(folder, "tools")
    both = {**tools, "linux/arm": Tools.load(folder)}
    storage = StagesStorage(client, repo.name, both, ImageCache())
    for platform, layer in (("linux/amd64", tools_layer), ("linux/arm/v7", other)):
        parent = await storage.parent("", platform=platform)
        made = await storage.execution_images.publish(parent, platform=platform)
        manifest = await client.get_manifest(ImageRef.parse(made))
        assert [it.digest for it in manifest.layers] == [layer.digest]
        config = await client.get_blob_json(repo, manifest.config)
        assert config["architecture"] == Platform.parse(platform).architecture
    with pytest.raises(LookupError):
        await storage.execution_images.publish(parent, platform="linux/arm64")
    assert Tools.load(folder).ansible is None
    write_layer(folder, "ansible")
    assert Tools.load(folder).ansible is not None
    with pytest.raises(FileNotFoundError):
        Tools.load(folder / "none")


@pytest.mark.parametrize("as_index", [True, False])
async def test_a_base_of_other_platforms_is_refused_with_those_that_it_has(
    storage, client, registry, as_index
):
    base = ImageRef.parse(f"{registry.host}/library/{'several' if as_index else 'single'}:1")
    one = await push_image(client, base, config=config_of("linux/s390x"))
    if as_index:
        found = await client.head_manifest(base)
        platforms = ("linux/s390x", "linux/amd64")
        index = new_index([_placed(found, platform) for platform in platforms])
        await client.put_manifest(base, index)
    for call in (storage.base_images.look_up, storage.base_images.adopt):
        with pytest.raises(UserError) as caught:
            await call(str(base), "linux/arm64")
        assert caught.value.reason == "BaseImageNotFound"
        have = "linux/amd64, linux/s390x" if as_index else "linux/s390x"
        assert caught.value.message.endswith(f"has no image for linux/arm64; it has: {have}")
        assert str(base) in caught.value.message
    parent = await storage.base_images.adopt(str(base), "linux/s390x")
    assert parent.manifest_digest == one.digest


def _placed(descriptor, platform):
    return type(descriptor)(
        media_type=descriptor.media_type,
        digest=descriptor.digest,
        size=descriptor.size,
        platform=Platform.parse(platform),
    )


async def test_a_base_that_is_not_there_is_told(storage, registry):
    with pytest.raises(UserError, match="base image"):
        await storage.base_images.adopt(f"{registry.host}/library/none:1", "linux/arm64")
