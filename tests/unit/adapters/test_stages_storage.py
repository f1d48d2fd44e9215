"""Stages in a real registry (Debian's docker-registry): what is found, written, adopted and remembered."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, union-attr, arg-type, var-annotated"

import asyncio
import hashlib
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

from tests.registry.conftest import registry  # noqa: E402, F401 - a fixture

from conveyor.adapters.execution_images import Tools, ToolsLayer  # noqa: E402
from conveyor.adapters.oci import (  # noqa: E402
    DOCKER_CONFIG,
    DOCKER_LAYER_GZIP,
    DOCKER_LIST,
    OCI_CONFIG,
    OCI_LAYER_GZIP,
    ImageIndex,
    Manifest,
    new_manifest,
)
from conveyor.adapters.oci_ref import ImageRef  # noqa: E402
from conveyor.adapters.registry import RegistryClient  # noqa: E402
from conveyor.adapters.registry_auth import Credentials  # noqa: E402
from conveyor.adapters.registry_endpoints import RegistryOptions  # noqa: E402
from conveyor.adapters.registry_errors import NotFoundError, RegistryError  # noqa: E402
from conveyor.adapters.repository_images import ImageCache, canonical, labels_of  # noqa: E402
from conveyor.adapters.stages_storage import StagesStorage  # noqa: E402
from conveyor.api.errors import UserError  # noqa: E402
from conveyor.api.names import Reason  # noqa: E402
from conveyor.jobs.model import ExportResult, LayerRef  # noqa: E402
from conveyor.plan.answers import StageDigest, StageID  # noqa: E402

DIGEST = StageDigest("ab" * 28)
OTHER = StageDigest("cd" * 28)
FIRST, SECOND = 1_700_000_000_000, 1_700_000_000_001
ID = StageID(digest=DIGEST, timestamp=FIRST)


def sha(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.fixture
def repo(registry, request):  # noqa: F811
    """A repository of this test's own."""
    name = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]
    return ImageRef.parse(f"{registry.host}/test/{name}/shop")


@pytest.fixture
async def client(registry):  # noqa: F811
    async with RegistryClient(
        Credentials(), RegistryOptions(insecure=frozenset({registry.host}))
    ) as connected:
        yield connected


@pytest.fixture
def tools_layer(tmp_path):
    return write_layer(tmp_path, "tools")


@pytest.fixture
def tools(tools_layer):
    return {"linux/amd64": Tools(stage=tools_layer)}


def write_layer(folder, name):
    data = f"{name} of {folder}".encode()
    (folder / f"{name}.tar.gz").write_bytes(data)
    meta = {"digest": sha(data), "diffID": sha(b"diff" + data), "size": len(data)}
    (folder / f"{name}.json").write_text(json.dumps(meta))
    return ToolsLayer.load(folder, name)


@pytest.fixture
def storage(client, repo, tools):
    return StagesStorage(client, repo.name, tools, ImageCache())


async def push_base(client, registry):  # noqa: F811
    """A base image in a repository of another name."""
    base = ImageRef.parse(f"{registry.host}/library/raced:12")
    await push_image(client, base, (b"one", b"two"))
    return base


class CountingClient(RegistryClient):
    """Counts manifests, and says of the first ones what a registry says that is being sent a blob by two at once."""

    def __init__(self, options, refusals=0):
        super().__init__(Credentials(), options)
        self.refusals, self.manifests, self.armed = refusals, 0, False

    async def put_manifest(self, ref, manifest):
        self.manifests += 1
        if self.armed and self.refusals:
            self.refusals -= 1
            raise RegistryError(
                "DIGEST_INVALID: …; MANIFEST_BLOB_UNKNOWN: blob unknown to registry"
            )
        return await super().put_manifest(ref, manifest)


async def push_layer(client, repo, content):
    """A layer that a courier pushed."""
    blob = await client.upload_blob(repo, content)
    return LayerRef(digest=blob.digest, diff_id=sha(b"diff" + content), size=blob.size)


async def push_image(client, ref, layers=(b"base",), config=None, *, docker=False):
    """An image that somebody else pushed."""
    config = config or {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Labels": {"maintainer": "me"}},
        "rootfs": {"type": "layers", "diff_ids": [sha(b"diff" + one) for one in layers]},
    }
    data = config if isinstance(config, bytes) else json.dumps(config).encode()
    kind, layer_kind = (
        (DOCKER_CONFIG, DOCKER_LAYER_GZIP) if docker else (OCI_CONFIG, OCI_LAYER_GZIP)
    )
    blob = await client.upload_blob(ref, data, kind)
    pushed = [await client.upload_blob(ref, one, layer_kind) for one in layers]
    manifest = new_manifest(blob, pushed)
    await client.put_manifest(ref, manifest)
    return manifest


async def publish(storage, client, repo, content=b"stage", stage_id=ID, parent=None):
    """A stage upon scratch, or upon a parent."""
    parent = parent or await storage.parent("")
    layer = await push_layer(client, repo, content)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": {"werf": "shop"}},
        "rootfs": {
            "type": "layers",
            "diff_ids": [*parent.config["rootfs"]["diff_ids"], layer.diff_id],
        },
    }
    return await storage.publish(stage_id, parent, config, [layer])


# --- which stages there are ---------------------------------------------------------------------------------------------


async def test_an_empty_repository_has_no_stages(storage):
    assert await storage.stages() == {}


async def test_only_stage_tags_are_stages_and_rejected_ones_are_not(storage, client, repo):
    for tag in (
        f"{DIGEST}-{SECOND}",
        f"{DIGEST}-{FIRST}",
        f"{OTHER}-{FIRST}",
        f"{OTHER}-{FIRST}-rejected",
        f"{OTHER}-{SECOND}-rejected",
        "latest",
        f"import-metadata-{'0' * 64}",
        f"copy-{'0' * 64}",
        str(DIGEST),
        f"{DIGEST}-170000000000",
        f"{DIGEST}-17000000000000",
        f"{DIGEST[:-1]}-{FIRST}",
        f"{DIGEST.upper()}-{FIRST}",
        f"{DIGEST}-{FIRST}-linux-amd64",
        f"x{DIGEST}-{FIRST}",
    ):
        await push_image(client, repo.with_tag(tag))
    assert await storage.stages() == {DIGEST: (FIRST, SECOND), OTHER: ()}


async def test_the_list_is_asked_for_each_time(storage, client, repo):
    assert await storage.stages() == {}
    await push_image(client, repo.with_tag(str(ID)))
    assert await storage.stages() == {DIGEST: (FIRST,)}


# --- publishing -------------------------------------------------------------------------------------------------------


async def test_a_published_stage_is_found_by_another_process(storage, client, repo, tools):
    made = await publish(storage, client, repo)
    assert made.id == ID
    assert made.labels == {"werf": "shop"}
    assert made.layers == (sha(b"stage"),)
    other = StagesStorage(client, repo.name, tools, ImageCache())
    assert await other.stages() == {DIGEST: (FIRST,)}
    assert await other.stage(ID) == made
    assert await storage.stage(ID) == made


async def test_a_stage_lies_on_its_parent(storage, client, repo):
    first = await publish(storage, client, repo, b"one")
    parent = await storage.parent(first.manifest_digest, str(first.id))
    assert parent.stage_id == str(ID)
    above = StageID(digest=OTHER, timestamp=SECOND)
    second = await publish(storage, client, repo, b"two", above, parent)
    assert second.layers == (sha(b"one"), sha(b"two"))
    manifest = await client.get_manifest(repo.with_tag(str(above)))
    assert isinstance(manifest, Manifest)
    assert manifest.digest == second.manifest_digest
    config = await client.get_blob_json(repo, manifest.config)
    assert len(config["rootfs"]["diff_ids"]) == len(manifest.layers) == 2


async def test_publishing_twice_is_publishing_once(storage, client, repo):
    assert await publish(storage, client, repo) == await publish(storage, client, repo)
    assert await storage.stages() == {DIGEST: (FIRST,)}


async def test_docker_layers_of_a_base_become_ocis(storage, client, repo):
    base = repo.with_tag("base")
    await push_image(client, base, docker=True)
    parent = await storage.base_images.adopt(str(base), "linux/amd64")
    made = await publish(storage, client, repo, parent=parent)
    manifest = await client.get_manifest(repo.with_digest(made.manifest_digest))
    assert {layer.media_type for layer in manifest.layers} == {OCI_LAYER_GZIP}
    assert made.layers == (sha(b"base"), sha(b"stage"))


# --- stages that cannot be used -----------------------------------------------------------------------------------------


async def test_a_stage_that_vanished_is_none(storage):
    assert await storage.stage(ID) is None


async def test_a_tag_that_is_an_index_is_none(storage, client, repo):
    manifest = await push_image(client, repo.with_tag("one"))
    index = {
        "schemaVersion": 2,
        "mediaType": DOCKER_LIST,
        "manifests": [
            {
                "mediaType": manifest.media_type,
                "digest": manifest.digest,
                "size": len(manifest.raw),
                "platform": {"os": "linux", "architecture": "amd64"},
            }
        ],
    }
    raw = json.dumps(index).encode()
    await client.put_manifest(
        repo.with_tag(str(ID)),
        ImageIndex(raw=raw, media_type=DOCKER_LIST, digest=sha(raw), manifests=()),
    )
    assert await storage.stage(ID) is None


@pytest.mark.parametrize("config", [b"no JSON", b"[]", b"1"])
async def test_a_stage_whose_config_is_no_config_is_none(storage, client, repo, config):
    await push_image(client, repo.with_tag(str(ID)), config=config)
    assert await storage.stage(ID) is None


@pytest.mark.parametrize("inner", [None, [], {"Labels": None}, {"Labels": ["a"]}, {}])
async def test_a_stage_without_labels_has_none(storage, client, repo, inner):
    await push_image(client, repo.with_tag(str(ID)), config={"config": inner})
    assert (await storage.stage(ID)).labels == {}


@pytest.mark.parametrize(
    ("inner", "found"),
    [({}, ()), ({"Entrypoint": [""]}, ()), ({"Entrypoint": ["a", "b"]}, ("a", "b"))],
)
async def test_a_stage_tells_its_entrypoint(storage, client, repo, inner, found):
    await push_image(client, repo.with_tag(str(ID)), config={"config": inner})
    assert (await storage.stage(ID)).entrypoint == found


def test_labels_are_texts():
    assert labels_of({"config": {"Labels": {"a": 1, "b": "x"}}}) == {"a": "1", "b": "x"}


# --- base images ------------------------------------------------------------------------------------------------------


async def test_adopting_brings_a_base_from_another_repository(storage, client, repo, registry):  # noqa: F811
    base = ImageRef.parse(f"{registry.host}/library/{repo.repository.split('/')[1]}:12")
    manifest = await push_image(client, base, (b"lower", b"upper"))
    assert await client.head_manifest(repo.with_digest(manifest.digest)) is None
    parent = await storage.base_images.adopt(str(base), "linux/amd64")
    assert parent.manifest_digest == manifest.digest
    assert parent.stage_id == ""
    assert [layer["digest"] for layer in parent.layers] == [sha(b"lower"), sha(b"upper")]
    assert await client.head_manifest(repo.with_digest(manifest.digest)) is not None
    for blob in (manifest.config, *manifest.layers):
        assert await client.head_blob(repo, blob.digest) == blob.size
    assert await client.list_tags(repo) == ()
    assert await storage.parent(parent.manifest_digest) == parent


async def test_adopting_again_copies_nothing(storage, client, repo, registry):  # noqa: F811
    base = ImageRef.parse(f"{registry.host}/library/{repo.repository.split('/')[1]}:12")
    await push_image(client, base)
    first = await storage.base_images.adopt(str(base), "linux/amd64")
    before = registry.log.read_text().count('"http.request.method":"P')
    assert before >= 3, "blobs and manifest were written"
    assert await storage.base_images.adopt(str(base), "linux/amd64") == first
    assert registry.log.read_text().count('"http.request.method":"P') == before


async def test_a_base_that_two_builds_want_at_once_is_brought_once(registry, repo, tools):  # noqa: F811
    cache, options = ImageCache(), RegistryOptions(insecure=frozenset({registry.host}))
    async with CountingClient(options) as one, CountingClient(options) as other:
        base = await push_base(one, registry)
        one.manifests = 0
        storages = [StagesStorage(client, repo.name, tools, cache) for client in (one, other)]
        first, *same = await asyncio.gather(
            *(storage.base_images.adopt(str(base), "linux/amd64") for storage in storages * 4)
        )
        executions = {await s.execution_images.publish(first) for s in storages}
    assert all(parent == first for parent in same)
    assert len(executions) == 1
    assert one.manifests + other.manifests == 2, "the base and its execution image"


async def test_a_blob_that_the_registry_knows_a_moment_later(registry, repo, tools, monkeypatch):  # noqa: F811
    monkeypatch.setattr("conveyor.adapters.repository_images._UNKNOWN_FOR_A_MOMENT", (0.0, 0.0))
    options = RegistryOptions(insecure=frozenset({registry.host}))
    async with CountingClient(options, refusals=2) as client:
        base = await push_base(client, registry)
        storage = StagesStorage(client, repo.name, tools, ImageCache())
        client.armed = True
        parent = await storage.base_images.adopt(str(base), "linux/amd64")
        assert await client.head_manifest(repo.with_digest(parent.manifest_digest))
        client.refusals = 3
        other = StagesStorage(client, f"{repo.name}/other", tools, ImageCache())
        with pytest.raises(RegistryError, match="BLOB_UNKNOWN"):
            await other.base_images.adopt(str(base), "linux/amd64")


async def test_a_base_that_moved_is_adopted_anew(storage, client, repo, registry):  # noqa: F811
    base = ImageRef.parse(f"{registry.host}/library/{repo.repository.split('/')[1]}:12")
    await push_image(client, base, (b"old",))
    old = await storage.base_images.adopt(str(base), "linux/amd64")
    await push_image(client, base, (b"new",))
    new = await storage.base_images.adopt(str(base), "linux/amd64")
    assert old.manifest_digest != new.manifest_digest
    assert await storage.parent(old.manifest_digest) == old


async def test_a_pinned_base_is_adopted_as_it_was(storage, client, repo, registry):  # noqa: F811
    base = ImageRef.parse(f"{registry.host}/test/pinned:1")
    before = await push_image(client, base, layers=(b"before",))
    await push_image(client, base, layers=(b"after",))
    parent = await storage.base_images.adopt(str(base), "linux/amd64", before.digest)
    assert parent.manifest_digest == before.digest
    assert (
        await storage.base_images.adopt(str(base), "linux/amd64")
    ).manifest_digest != before.digest


async def test_a_stages_image_id_is_that_of_its_config(storage, client, repo, tools):
    written = await publish(storage, client, repo)
    found = await StagesStorage(client, repo.name, tools, ImageCache()).stage(ID)
    assert found == written
    manifest = await client.get_manifest(repo.with_tag(str(ID)))
    assert written.image_id == manifest.config.digest


async def test_the_base_image_as_the_planner_wants_it(storage, client, repo):
    base = repo.with_tag("base")
    manifest = await push_image(client, base)
    found = await storage.base_images.look_up(str(base), "linux/amd64")
    assert found.digest == manifest.digest
    assert found.config["Env"] == ["PATH=/bin"]


@pytest.mark.parametrize("reference", ["{host}/no/such:1", "{host}/a b", "{host}/x@sha256:1"])
async def test_a_base_that_is_not_there_is_a_users_mistake(storage, registry, reference):  # noqa: F811
    name = reference.format(host=registry.host)
    for ask in (storage.base_images.look_up, storage.base_images.adopt):
        with pytest.raises(UserError) as caught:
            await ask(name, "linux/amd64")
        assert caught.value.reason == Reason.BASE_IMAGE_NOT_FOUND


async def test_scratch_is_a_parent_without_layers(storage):
    parent = await storage.parent("")
    assert (parent.manifest_digest, parent.layers) == ("", ())
    assert parent.config["rootfs"]["diff_ids"] == []


async def test_a_parent_that_is_not_there(storage):
    with pytest.raises(NotFoundError):
        await storage.parent(sha(b"nothing"))


# --- execution images ---------------------------------------------------------------------------------------------------


async def test_the_execution_image_has_the_tools_below_and_nothing_that_would_run(
    storage, client, repo, tools_layer
):
    base = repo.with_tag("base")
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Env": ["A=1"],
            "User": "app",
            "Volumes": {"/data": {}},
            "Entrypoint": ["/x"],
            "Cmd": ["y"],
        },
        "rootfs": {"type": "layers", "diff_ids": [sha(b"diffbase")]},
    }
    await push_image(client, base, config=config)
    parent = await storage.base_images.adopt(str(base), "linux/amd64")
    reference = await storage.execution_images.publish(parent)
    manifest = await client.get_manifest(ImageRef.parse(reference))
    assert [layer.digest for layer in manifest.layers] == [tools_layer.digest, sha(b"base")]
    made = await client.get_blob_json(repo, manifest.config)
    assert made["rootfs"]["diff_ids"] == [tools_layer.diff_id, sha(b"diffbase")]
    assert made["config"] == {"Env": ["A=1"], "WorkingDir": "/"}
    assert await client.list_tags(repo) == ("base",)


async def test_ansible_lies_on_the_tools_where_it_is_wanted(
    storage, client, repo, tools_layer, tmp_path
):
    other = tmp_path / "other"
    other.mkdir()
    ansible = write_layer(other, "ansible")
    with_ansible = {"linux/amd64": Tools(stage=tools_layer, ansible=ansible)}
    both = StagesStorage(client, repo.name, with_ansible, ImageCache())
    parent = await both.parent("")
    plain = await both.execution_images.publish(parent)
    assert await client.head_blob(repo, ansible.digest) is None
    reference = await both.execution_images.publish(parent, ansible=True)
    assert (
        plain
        == await both.execution_images.publish(parent)
        == await storage.execution_images.publish(parent)
    )
    manifest = await client.get_manifest(ImageRef.parse(reference))
    assert [layer.digest for layer in manifest.layers] == [tools_layer.digest, ansible.digest]
    config = await client.get_blob_json(repo, manifest.config)
    assert config["rootfs"]["diff_ids"] == [tools_layer.diff_id, ansible.diff_id]
    assert await client.head_blob(repo, ansible.digest) == ansible.size
    with pytest.raises(LookupError):
        await storage.execution_images.publish(parent, ansible=True)


async def test_equal_parents_have_one_execution_image(storage, client, repo, tools):
    made = await publish(storage, client, repo)
    parent = await storage.parent(made.manifest_digest, str(ID))
    reference = await storage.execution_images.publish(parent)
    assert "@sha256:" in reference
    other = StagesStorage(client, repo.name, tools, ImageCache())
    assert (
        await other.execution_images.publish(await other.parent(made.manifest_digest)) == reference
    )
    scratch = await storage.execution_images.publish(await storage.parent(""))
    assert scratch != reference


async def test_the_tools_layer_is_uploaded_once(storage, client, repo, tools_layer, registry):  # noqa: F811
    assert await client.head_blob(repo, tools_layer.digest) is None
    await storage.execution_images.publish(await storage.parent(""))
    assert await client.head_blob(repo, tools_layer.digest) == tools_layer.size
    tools_layer.path.unlink()
    made = await publish(storage, client, repo)
    await storage.execution_images.publish(await storage.parent(made.manifest_digest))


async def test_every_repository_gets_the_tools(client, repo, tools, tools_layer):
    cache = ImageCache()
    for name in ("a", "b"):
        one = ImageRef.parse(f"{repo.name}/{name}")
        store = StagesStorage(client, one.name, tools, cache)
        reference = await store.execution_images.publish(await store.parent(""))
        assert await client.head_blob(one, tools_layer.digest) == tools_layer.size
        assert await client.head_manifest(ImageRef.parse(reference)) is not None


# --- records ----------------------------------------------------------------------------------------------------------

KEY = f"import-metadata-{'1' * 64}"


async def exported(client, repo, content=b"files", checksum="f" * 32):
    return ExportResult(layer=await push_layer(client, repo, content), checksum=checksum)


async def test_a_record_is_found_as_bundle_and_as_import_metadata(storage, client, repo, tools):
    assert await storage.records.bundle(KEY) is None
    assert await storage.records.import_record("1" * 64) is None
    result = await exported(client, repo)
    labels = {"werf": "shop", "checksum": "f" * 32, "source-stage-id": str(ID)}
    await storage.records.write(KEY, result, labels, "2024-05-06T12:00:00Z")
    for one in (storage, StagesStorage(client, repo.name, tools, ImageCache())):
        found = await one.records.bundle(KEY)
        assert (found.layer, found.checksum, found.source_stage_id) == (
            result.layer,
            "f" * 32,
            str(ID),
        )
        record = await one.records.import_record("1" * 64)
        assert (record.checksum, record.source_stage_id) == ("f" * 32, str(ID))
    assert await storage.stages() == {}


async def test_a_record_may_be_replaced(storage, client, repo, tools):
    other = StagesStorage(client, repo.name, tools, ImageCache())
    await storage.records.write(KEY, await exported(client, repo), {"source-stage-id": "a"}, "t")
    assert (await storage.records.bundle(KEY)).source_stage_id == "a"
    await other.records.write(
        KEY, await exported(client, repo, b"new"), {"source-stage-id": "b"}, "t"
    )
    assert (await storage.records.bundle(KEY)).source_stage_id == "b"
    assert (await storage.records.bundle(KEY)).layer.digest == sha(b"new")


async def test_werfs_own_record_has_no_files(storage, client, repo):
    config = {"config": {"Labels": {"checksum": "f" * 32, "source-stage-id": "x"}}}
    await push_image(client, repo.with_tag(KEY), layers=(), config=config)
    assert await storage.records.bundle(KEY) is None
    assert (await storage.records.import_record("1" * 64)).checksum == "f" * 32


async def test_an_empty_checksum_is_no_answer(storage, client, repo):
    await push_image(client, repo.with_tag(KEY), config={"config": {"Labels": {"checksum": ""}}})
    assert await storage.records.import_record("1" * 64) is None


async def test_a_record_that_holds_no_image_is_no_bundle(storage, client, repo):
    """Somebody's image under the key, without rootfs."""
    await push_image(client, repo.with_tag(KEY), config={"config": {}})
    assert await storage.records.bundle(KEY) is None


# --- small things -----------------------------------------------------------------------------------------------------


async def test_a_result_in_a_blob(storage, client, repo):
    data = json.dumps({"version": 1, "runs": [{"layers": [None] * 500}]}).encode()
    blob = await client.upload_blob(repo, data)
    assert json.loads(await storage.blob_text(blob.digest))["runs"] == [{"layers": [None] * 500}]


async def test_references_are_by_digest(storage, repo):
    assert storage.reference(sha(b"x")) == f"{repo.name}@{sha(b'x')}"


def test_canonical_bytes_depend_on_values_alone():
    assert (
        canonical({"b": 1, "a": "ä"}) == canonical({"a": "ä", "b": 1}) == '{"a":"ä","b":1}'.encode()
    )
