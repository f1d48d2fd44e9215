"""Secondary repositories and exports of images, in a real registry (werf-semantics §6 case 5, §5 case 4)."""

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
    OTHER,
    SECOND,
    client,
    publish,
    push_layer,
    registry,
    repo,
    sha,
    tools,
    tools_layer,
)

from conveyor.adapters.image_indexes import Member  # noqa: E402
from conveyor.adapters.oci_ref import ImageRef  # noqa: E402
from conveyor.adapters.registry_errors import DeniedError, NotFoundError  # noqa: E402
from conveyor.adapters.repository_images import ImageCache  # noqa: E402
from conveyor.adapters.stages_storage import StagesStorage  # noqa: E402
from conveyor.jobs.image_exports import exported_config  # noqa: E402
from conveyor.jobs.model import ExportResult  # noqa: E402
from conveyor.plan.answers import StageID  # noqa: E402

__all__ = ["client", "registry", "repo", "tools", "tools_layer"]  # fixtures


@pytest.fixture
def secondary(client, repo, tools):
    """The storage of a secondary repository, as whoever fills it sees it."""
    return StagesStorage(client, f"{repo.name}/other", tools, ImageCache())


@pytest.fixture
def storage(client, repo, tools):
    others = (f"{repo.name}/none", f"{repo.name}/other")
    return StagesStorage(client, repo.name, tools, ImageCache(), secondary_repos=others)


async def test_case_5_a_stage_of_a_secondary_repository_keeps_its_tag(
    storage,
    secondary,
    client,
    repo,
):
    there = ImageRef.parse(f"{repo.name}/other")
    made = await publish(secondary, client, there)
    assert await storage.stages() == {DIGEST: (FIRST,)}
    found = await storage.stage(ID)
    assert found == made
    assert await storage.bring([ID]) == {str(ID): there.name}
    assert await storage.bring([ID]) == {}
    here, origin = [await client.get_manifest(r.with_tag(str(ID))) for r in (repo, there)]
    assert here.raw == origin.raw
    assert (await storage.parent(found.manifest_digest, str(ID))).stage_id == str(ID)


async def test_own_stages_come_first_though_others_are_older(storage, secondary, client, repo):
    there = ImageRef.parse(f"{repo.name}/other")
    later = StageID(digest=DIGEST, timestamp=SECOND)
    await publish(storage, client, repo, stage_id=later)
    await publish(secondary, client, there, stage_id=ID)
    await publish(secondary, client, there, stage_id=later)
    await publish(secondary, client, there, stage_id=StageID(digest=OTHER, timestamp=SECOND))
    assert await storage.stages() == {DIGEST: (SECOND, FIRST), OTHER: (SECOND,)}
    assert await storage.bring([later]) == {}


async def test_what_is_not_used_stays_where_it_is(storage, secondary, client, repo):
    await publish(secondary, client, ImageRef.parse(f"{repo.name}/other"))
    await storage.stages()
    await storage.stage(ID)
    with pytest.raises(NotFoundError):
        await client.get_manifest(repo.with_tag(str(ID)))


async def test_a_record_of_an_import_comes_with_its_files(storage, secondary, client, repo):
    layer = await push_layer(client, ImageRef.parse(f"{repo.name}/other"), b"files")
    result = ExportResult(layer=layer, checksum="c" * 32)
    labels = {"checksum": result.checksum, "source-stage-id": "s"}
    await secondary.records.write("import-metadata-x", result, labels, "2026-01-01T00:00:00Z")
    assert (await storage.records.import_record("x")).checksum == "c" * 32
    bundle = await storage.records.bundle("import-metadata-x")
    assert bundle.layer == layer
    assert await client.head_blob(repo, layer.digest) == layer.size
    assert await storage.records.bundle("import-metadata-y") is None


async def test_an_image_under_a_reference_of_the_users_own(storage, client, repo):
    made = await publish(storage, client, repo)
    config = (await storage.parent(made.manifest_digest)).config
    to = f"{repo.name}/released:v1"
    members = (Member(manifest_digest=made.manifest_digest, platform="linux/amd64"),)
    written = await storage.image_exports.write(members, exported_config, to)
    again = await storage.image_exports.write(members, exported_config, to)
    assert written == again
    found = await client.get_manifest(ImageRef.parse(to))
    assert written.endswith(f"@{found.digest}")
    exported = await client.get_blob_json(ImageRef.parse(to), found.config)
    assert "Labels" not in exported["config"]
    assert exported["rootfs"] == config["rootfs"]
    data = [part async for part in client.read_blob(ImageRef.parse(to), found.layers[-1].digest)]
    assert sha(b"".join(data)) == found.layers[-1].digest


async def test_a_secondary_repository_that_refuses_is_told(client, repo, tools, monkeypatch):
    async def list_tags(ref):
        if ref != repo:
            raise DeniedError("no")
        return ()

    monkeypatch.setattr(client, "list_tags", list_tags)
    others = (f"{repo.name}/other",)
    storage = StagesStorage(client, repo.name, tools, ImageCache(), secondary_repos=others)
    with pytest.raises(DeniedError):
        await storage.stages()
