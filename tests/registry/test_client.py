"""RegistryClient against a real docker-registry."""

import asyncio
import gzip
import http.server
import json
import os
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import stamina

from conveyor.adapters.oci import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    Descriptor,
    ImageIndex,
    Manifest,
    Platform,
    new_manifest,
    parse_manifest,
)
from conveyor.adapters.oci_ref import ImageRef, sha256_digest
from conveyor.adapters.registry import RegistryClient
from conveyor.adapters.registry_auth import Credentials
from conveyor.adapters.registry_endpoints import RegistryOptions
from conveyor.adapters.registry_errors import (
    DigestMismatchError,
    NotFoundError,
    RateLimitedError,
    RegistryError,
    ServerError,
    TooLargeError,
    UnauthorizedError,
    UnreachableError,
)

AMD64 = Platform.parse("linux/amd64")


@pytest.fixture(autouse=True)
def _fast_retries() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3, cap=True):  # no waiting between attempts
        yield


@pytest.fixture
def repo(registry: Any) -> ImageRef:
    return _repo(registry)


def _repo(registry: Any) -> ImageRef:
    return ImageRef(registry=registry.host, repository=f"proj/{uuid.uuid4().hex}")


def client(*registries: Any, credentials: str = "", **options: Any) -> RegistryClient:
    insecure = frozenset(registry.host for registry in registries)
    known = Credentials.parse([credentials] if credentials else [])
    return RegistryClient(known, RegistryOptions(insecure=insecure, **options))


async def push_image(client: RegistryClient, repo: ImageRef, *tags: str, **config: Any) -> Manifest:
    config = {"architecture": "amd64", "os": "linux", **config}
    layer = await client.upload_blob(repo, gzip.compress(os.urandom(100)), OCI_LAYER_GZIP)
    blob = await client.upload_blob(repo, json.dumps(config).encode(), OCI_CONFIG)
    manifest = new_manifest(blob, [layer])
    await client.put_manifest(repo, manifest)
    for tag in tags:
        await client.put_manifest(repo.with_tag(tag), manifest)
    return manifest


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_push_and_pull_an_image(registry: Any, repo: ImageRef) -> None:
    async with client(registry) as c:
        pushed = await push_image(c, repo, "v1", config={"Env": ["A=1"]})
        ref, manifest = await c.resolve(repo.with_tag("v1"), AMD64)
        assert manifest == pushed
        assert ref == repo.with_digest(pushed.digest)
        assert await c.get_blob_json(ref, manifest.config) == {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": ["A=1"]},
        }
        head = await c.head_manifest(repo.with_tag("v1"))
        assert head is not None
        assert (head.digest, head.size) == (pushed.digest, len(pushed.raw))


async def test_tags_of_all_pages_and_of_nothing(registry: Any, repo: ImageRef) -> None:
    async with client(registry) as c:
        assert await c.list_tags(repo) == ()
        manifest = await push_image(c, repo)
        assert await c.list_tags(repo) == (), (
            "a repository with untagged manifests only answers 404"
        )
        names = {f"t{n:04}" for n in range(25)}
        for name in names:
            await c.put_manifest(repo.with_tag(name), manifest)
        assert set(await c.list_tags(repo)) == names


async def test_tag_pages_are_followed() -> None:
    """Distribution 2.8 answers with everything at once; other registries give pages."""
    following = {"Link": '</v2/proj/app/tags/list?last=b&n=2>; rel="next"'}
    absolute = {"Link": '<http://hidden.example:1/v2/proj/app/tags/list?last=d>; rel="next"'}
    answers = [
        (200, following, b'{"tags": ["a", "b"]}'),
        (200, absolute, b'{"tags": ["c", "d"]}'),
        (200, {}, b'{"tags": null}'),
    ]
    with scripted_registry(*answers) as (registry, seen):
        async with client(registry) as c:
            app = ImageRef(registry=registry.host, repository="proj/app")
            assert await c.list_tags(app) == ("a", "b", "c", "d")
    paths = [path for _, path, _ in seen]
    assert paths[1:] == ["/v2/proj/app/tags/list?last=b&n=2", "/v2/proj/app/tags/list?last=d"]


async def test_what_is_missing_is_not_found(registry: Any, repo: ImageRef) -> None:
    async with client(registry) as c:
        with pytest.raises(NotFoundError, match=r"MANIFEST_UNKNOWN|NAME_UNKNOWN"):
            await c.get_manifest(repo.with_tag("none"))
        assert await c.head_manifest(repo.with_tag("none")) is None
        assert await c.head_blob(repo, sha256_digest(b"none")) is None
        with pytest.raises(NotFoundError):
            [part async for part in c.read_blob(repo, sha256_digest(b"none"))]


async def test_index_is_resolved_by_platform(registry: Any, repo: ImageRef) -> None:
    async with client(registry) as c:
        amd = await push_image(c, repo)
        arm = await push_image(c, repo, architecture="arm64")
        value = {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [
                {
                    "mediaType": m.media_type,
                    "digest": m.digest,
                    "size": len(m.raw),
                    "platform": {"os": "linux", "architecture": arch},
                }
                for m, arch in ((amd, "amd64"), (arm, "arm64"))
            ],
        }
        index = parse_manifest(json.dumps(value).encode())
        assert isinstance(index, ImageIndex)
        await c.put_manifest(repo.with_tag("multi"), index)
        ref, manifest = await c.resolve(repo.with_tag("multi"), Platform.parse("linux/arm64"))
        assert (ref.digest, manifest.digest) == (arm.digest, arm.digest)
        with pytest.raises(NotFoundError, match=r"linux/s390x; it has: linux/amd64, linux/arm64"):
            await c.resolve(repo.with_tag("multi"), Platform.parse("linux/s390x"))


async def test_streamed_upload_of_unknown_digest(registry: Any, repo: ImageRef) -> None:
    chunks = [os.urandom(300_000) for _ in range(20)]
    async with client(registry) as c:
        blob = await c.upload_stream(repo, stream(*chunks))
        assert blob.digest == sha256_digest(b"".join(chunks))
        assert await c.head_blob(repo, blob.digest) == blob.size == 6_000_000
        assert b"".join(
            [part async for part in c.read_blob(repo, blob.digest, blob.size)]
        ) == b"".join(chunks)


async def test_failure_of_the_producer_is_raised_and_no_blob_appears(
    registry: Any, repo: ImageRef
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield os.urandom(3_000_000)
        raise LookupError("the source is broken")

    async with client(registry) as c:
        with pytest.raises(LookupError, match="the source is broken"):
            await c.upload_stream(repo, broken())
    assert not registry.has_blobs(repo.repository)
    assert f'"DELETE /v2/{repo.repository}/blobs/uploads/' in registry.log.read_text()


async def test_upload_file_once(registry: Any, repo: ImageRef, tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(os.urandom(2_500_000))
    async with client(registry) as c:
        first = await c.upload_file(repo, path)
        assert first == await c.upload_file(repo, path)
    assert first.digest == sha256_digest(path.read_bytes())
    assert registry.uploads(repo.repository) == 1


async def test_copy_inside_a_registry_mounts(registry: Any, repo: ImageRef) -> None:
    target = ImageRef(registry=repo.registry, repository=f"{repo.repository}/copy")
    async with client(registry) as c:
        manifest = await push_image(c, repo)
        seen: list[int] = []
        await c.copy_blob(repo, manifest.layers[0], target, seen.append)
        assert await c.head_blob(target, manifest.layers[0].digest) == manifest.layers[0].size
        assert seen == [], "mounted, not streamed"
        assert not await c._blobs.mount(target, sha256_digest(b"no such blob"), repo)


async def test_what_a_mirror_in_the_same_registry_has_is_mounted(
    registry: Any, repo: ImageRef
) -> None:
    hub = ImageRef(registry="docker.io", repository=repo.repository)
    target = ImageRef(registry=repo.registry, repository=f"{repo.repository}/mirrored")
    async with client(registry, mirrors={"docker.io": f"http://{registry.host}"}) as c:
        manifest = await push_image(c, repo)
        seen: list[int] = []
        await c.copy_blob(hub, manifest.layers[0], target, seen.append)
        assert await c.head_blob(target, manifest.layers[0].digest) == manifest.layers[0].size
        assert seen == [], "mounted, not streamed"


async def test_copy_between_registries_streams(
    registry: Any, other_registry: Any, repo: ImageRef
) -> None:
    target = _repo(other_registry)
    data = os.urandom(5_000_000)
    async with client(registry, other_registry) as c:
        blob = await c.upload_blob(repo, data)
        seen: list[int] = []
        await c.copy_blob(repo, blob, target, seen.append)
        assert await c.head_blob(target, blob.digest) == len(data)
        assert seen[-1] == len(data)


async def test_altered_content_is_refused(
    registry: Any, other_registry: Any, repo: ImageRef
) -> None:
    async with client(registry, other_registry) as c:
        manifest = await push_image(c, repo)
        layer = manifest.layers[0]
        stored = (
            registry.root
            / "data/docker/registry/v2/blobs/sha256"
            / layer.digest[7:9]
            / layer.digest[7:]
        )
        (stored / "data").write_bytes(os.urandom(layer.size))
        with pytest.raises(DigestMismatchError):
            [part async for part in c.read_blob(repo, layer.digest, layer.size)]
        with pytest.raises(DigestMismatchError):
            await c.copy_blob(repo, layer, _repo(other_registry))


async def test_more_than_promised_is_refused(registry: Any, repo: ImageRef) -> None:
    async with client(registry) as c:
        blob = await c.upload_blob(repo, b'{"a": 1}')
        lying = Descriptor(media_type=OCI_CONFIG, digest=blob.digest, size=3)
        with pytest.raises(TooLargeError):
            await c.get_blob_json(repo, lying)
        huge = Descriptor(media_type=OCI_CONFIG, digest=blob.digest, size=9 << 20)
        with pytest.raises(TooLargeError, match="larger than 8388608"):
            await c.get_blob_json(repo, huge)


async def test_basic_auth(basic_registry: Any, docker_config: Callable[[str], str]) -> None:
    repo = _repo(basic_registry)
    async with client(basic_registry, credentials=docker_config(basic_registry.host)) as c:
        await push_image(c, repo, "v1")
        blob = await c.upload_stream(repo, stream(os.urandom(100_000)))
        assert await c.head_blob(repo, blob.digest) == 100_000
    async with client(basic_registry) as anonymous:
        with pytest.raises(UnauthorizedError, match=r"UNAUTHORIZED: authentication required"):
            await anonymous.get_manifest(repo.with_tag("v1"))
    wrong = json.dumps(
        {"auths": {basic_registry.host: {"username": "builder", "password": "wrong-one"}}}
    )
    async with client(basic_registry, credentials=wrong) as c:
        with pytest.raises(UnauthorizedError) as caught:
            await c.list_tags(repo)
    assert "wrong-one" not in str(caught.value)


async def test_token_auth(
    token_registry: Any, token_service: Any, docker_config: Callable[[str], str]
) -> None:
    repo = _repo(token_registry)
    async with client(token_registry, credentials=docker_config(token_registry.host)) as c:
        token_service.requests.clear()
        await push_image(c, repo, "v1")
        fetched = len(token_service.requests)
        await push_image(c, repo, "v2")
        assert len(token_service.requests) == fetched, "tokens are kept"
        assert token_service.requests[-1]["service"] == ["registry"]
        assert {q["scope"][0] for q in token_service.requests} == {
            f"repository:{repo.repository}:pull",
            f"repository:{repo.repository}:pull,push",
        }
        target = ImageRef(registry=repo.registry, repository=f"{repo.repository}/copy")
        manifest = await c.get_manifest(repo.with_tag("v1"))
        assert isinstance(manifest, Manifest)
        assert await c._blobs.mount(target, manifest.layers[0].digest, repo)
        assert len(token_service.requests[-1]["scope"]) == 2
    async with client(token_registry) as anonymous:
        assert await anonymous.list_tags(repo) == ("v1", "v2")
        assert token_service.authorized[-1] is False
        with pytest.raises((UnauthorizedError, RegistryError), match="push to"):
            await anonymous.upload_blob(repo, b"not allowed")


async def test_many_requests_fetch_one_token(
    token_registry: Any, token_service: Any, docker_config: Callable[[str], str]
) -> None:
    repo = _repo(token_registry)
    async with client(token_registry, credentials=docker_config(token_registry.host)) as c:
        token_service.requests.clear()
        missing = [c.head_blob(repo, sha256_digest(b"%d" % n)) for n in range(20)]
        assert await asyncio.gather(*missing) == [None] * 20
    assert len(token_service.requests) == 1


async def test_mirror_is_asked_first_and_the_registry_after_it(
    registry: Any, other_registry: Any
) -> None:
    repo = _repo(registry)
    mirrored = ImageRef(registry=other_registry.host, repository=repo.repository)
    mirrors = {registry.host: f"http://{other_registry.host}"}
    async with client(registry, other_registry) as c:
        only_here = await push_image(c, repo, "here")
        only_there = await push_image(c, mirrored, "there")
    async with client(registry, mirrors=mirrors) as c:
        assert await c.get_manifest(repo.with_tag("there")) == only_there
        assert await c.get_manifest(repo.with_tag("here")) == only_here
        assert (await c.get_blob_json(repo, only_here.config))["os"] == "linux"
        assert await c.list_tags(repo) == ("here",), "lists come from the registry itself"
    async with client(registry, mirrors={registry.host: "http://127.0.0.1:1"}) as c:
        assert await c.get_manifest(repo.with_tag("here")) == only_here


async def test_plain_http_only_for_listed_hosts(registry: Any, repo: ImageRef) -> None:
    async with client() as c:
        with pytest.raises(UnreachableError) as caught:
            await c.get_manifest(repo.with_tag("v1"))
    assert caught.value.host == registry.host


async def test_tls_with_a_private_authority(tls_registry: Any) -> None:
    repo = _repo(tls_registry)
    async with client(ca_file=str(tls_registry.root / "cert.pem")) as c:
        manifest = await push_image(c, repo, "v1")
    async with client() as stranger:
        with pytest.raises(UnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
            await stranger.get_manifest(repo.with_tag("v1"))
    async with client(tls_registry) as careless:
        assert await careless.get_manifest(repo.with_tag("v1")) == manifest


async def test_unreachable_names_the_host() -> None:
    async with client() as c:
        with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1"):
            await c.list_tags(ImageRef(registry="127.0.0.1:1", repository="app"))


class Script(http.server.BaseHTTPRequestHandler):
    """Answers from a list of (status, headers, body); remembers the requests."""

    answers: list[tuple[int, dict[str, str], bytes]]
    seen: list[tuple[str, str, str | None]]
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append((self.command, self.path, self.headers.get("Authorization")))
        status, headers, body = self.answers.pop(0)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def scripted(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[tuple[str, list[Any]]]:
    seen: list[Any] = []
    handler = type("Handler", (Script,), {"answers": list(answers), "seen": seen})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def error_body(code: str, message: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


class _Plain:
    def __init__(self, host: str) -> None:
        self.host = host


@contextmanager
def scripted_registry(
    *answers: tuple[int, dict[str, str], bytes],
) -> Iterator[tuple[Any, list[Any]]]:
    """A scripted host behind the `insecure` list: the probe for TLS fails by itself."""
    with scripted(*answers) as (host, seen):
        yield _Plain(host), seen


async def test_server_errors_and_rate_limits_are_retried() -> None:
    answers = [
        (503, {}, b""),
        (429, {"Retry-After": "0"}, error_body("TOOMANYREQUESTS", "slow down")),
        (200, {}, b'{"tags": ["v1"]}'),
    ]
    with scripted_registry(*answers) as (registry, seen):
        async with client(registry) as c:
            assert await c.list_tags(_repo(registry)) == ("v1",)
    assert len(seen) == 3


async def test_retries_are_bounded() -> None:
    with scripted_registry(*[(429, {}, error_body("TOOMANYREQUESTS", "slow down"))] * 3) as (
        registry,
        seen,
    ):
        async with client(registry) as c:
            with pytest.raises(RateLimitedError, match="TOOMANYREQUESTS: slow down"):
                await c.list_tags(_repo(registry))
    assert len(seen) == 3
    with scripted_registry(*[(500, {}, b"oops")] * 3) as (registry, _):
        async with client(registry) as c:
            with pytest.raises(ServerError, match="status 500"):
                await c.list_tags(_repo(registry))


async def test_credentials_do_not_follow_redirects(docker_config: Callable[[str], str]) -> None:
    data = b'{"a": 1}'
    with scripted((200, {}, data)) as (storage, stored):
        challenge = {"WWW-Authenticate": 'Basic realm="r"'}
        away = {"Location": f"http://{storage}/blob?signature=a%2Fb"}
        with scripted_registry((401, challenge, b""), (307, away, b"")) as (registry, seen):
            async with client(registry, credentials=docker_config(registry.host)) as c:
                blob = Descriptor(media_type="x", digest=sha256_digest(data), size=len(data))
                assert await c.get_blob_json(_repo(registry), blob) == {"a": 1}
    assert [request[2] is not None for request in seen] == [False, True]
    assert stored == [("GET", "/blob?signature=a%2Fb", None)]


async def test_credentials_do_not_follow_upload_locations(
    docker_config: Callable[[str], str],
) -> None:
    with scripted((201, {}, b"")) as (elsewhere, received):
        location = {"Location": f"http://{elsewhere}/upload/1?state=x"}
        challenge = {"WWW-Authenticate": 'Basic realm="r"'}
        answers = [(401, challenge, b""), (404, {}, b""), (202, location, b"")]
        with scripted_registry(*answers) as (registry, _):
            async with client(registry, credentials=docker_config(registry.host)) as c:
                blob = await c.upload_blob(_repo(registry), b"data")
    digest = blob.digest.replace(":", "%3A")
    assert received == [("PUT", f"/upload/1?state=x&digest={digest}", None)]


async def test_a_manifest_with_another_digest_is_refused() -> None:
    answer = (200, {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}, b"{}")
    with scripted_registry(answer) as (registry, _):
        async with client(registry) as c:
            with pytest.raises(DigestMismatchError):
                await c.get_manifest(_repo(registry).with_digest(sha256_digest(b"other")))


async def test_a_huge_manifest_is_refused() -> None:
    with scripted_registry((200, {}, b" " * (4 << 20) + b"{}")) as (registry, _):
        async with client(registry) as c:
            with pytest.raises(TooLargeError):
                await c.get_manifest(_repo(registry).with_tag("v1"))


async def test_docker_hub_goes_through_its_mirror() -> None:
    config = Descriptor(media_type=OCI_CONFIG, digest=sha256_digest(b"{}"), size=2)
    manifest = new_manifest(config, [])
    answer = (200, {"Content-Type": manifest.media_type}, manifest.raw)
    with scripted(answer) as (host, seen):
        options = RegistryOptions(mirrors={"docker.io": f"http://{host}/hub"})
        async with RegistryClient(None, options) as c:
            assert await c.get_manifest(ImageRef.parse("ubuntu:22.04")) == manifest
    assert seen == [("GET", "/v2/hub/library/ubuntu/manifests/22.04", None)]
