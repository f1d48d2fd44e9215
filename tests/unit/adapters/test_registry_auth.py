"""Docker configs, challenges, token requests, endpoints, error texts: everything without IO."""

# ruff: noqa: S105, S106 - no secret of anybody

import base64
import json
from urllib.parse import parse_qs, urlsplit

import pytest

from conveyor.adapters.oci_ref import ImageRef
from conveyor.adapters.registry_auth import (
    Challenge,
    Credential,
    Credentials,
    DockerConfigError,
    choose,
    parse_challenges,
    parse_token,
    token_request,
)
from conveyor.adapters.registry_endpoints import (
    EndpointError,
    RegistryOptions,
    endpoint_of,
    pull_endpoints,
)
from conveyor.adapters.registry_errors import (
    DeniedError,
    NotFoundError,
    RateLimitedError,
    Reply,
    ServerError,
    TooLargeError,
    UnauthorizedError,
    UnexpectedReplyError,
    error_of,
    registry_message,
)


def config(**auths: object) -> str:
    return json.dumps({"auths": auths})


def login(name: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{name}:p:{name}".encode()).decode()}


KNOWN = Credentials.parse(
    [
        json.dumps(
            {
                "auths": {
                    "https://index.docker.io/v1/": login("hub"),
                    "ghcr.io": login("ghcr"),
                    "ghcr.io/team": login("team"),
                    "https://ghcr.io/team/app/": login("app"),
                    "host:5000": {"username": "plain", "password": "text"},
                    "*.dkr.example": login("glob"),
                    "http://Upper.example/v2/": login("upper"),
                    "nothing.example": {},
                    "token.example": {"identitytoken": "idt"},
                }
            }
        ),
        json.dumps({"auths": {"ghcr.io": login("second")}}),
    ]
)


@pytest.mark.parametrize(
    ("image", "user"),
    [
        ("ubuntu", "hub"),
        ("ghcr.io/other/app", "ghcr"),
        ("ghcr.io/team/x", "team"),
        ("ghcr.io/teammates/x", "ghcr"),
        ("ghcr.io/team/app", "app"),
        ("ghcr.io/team/app/sub", "app"),
        ("host:5000/x", "plain"),
        ("host:5001/x", None),
        ("a.dkr.example/x", "glob"),
        ("a.b.dkr.example/x", None),
        ("dkr.example/x", None),
        ("upper.example/x", "upper"),
        ("nothing.example/x", None),
        ("evil-ghcr.io/team/app", None),
    ],
)
def test_the_right_credential_and_no_other(image: str, user: str | None) -> None:
    ref = ImageRef.parse(image)
    found = KNOWN.find(ref.registry, ref.repository)
    assert (found.username if found else None) == user


def test_passwords_may_hold_colons_and_are_not_shown() -> None:
    found = KNOWN.find("ghcr.io", "x")
    assert found is not None
    assert found.password == "p:ghcr"
    assert "p:ghcr" not in repr(KNOWN)
    assert found.basic() == "Basic " + base64.b64encode(b"ghcr:p:ghcr").decode()


@pytest.mark.parametrize(
    "text",
    [
        "not json s3cret",
        "[]",
        '{"auths": ["s3cret"]}',
        '{"auths": {"h": "s3cret"}}',
        '{"auths": {"h": {"auth": "s3cret!"}}}',
        '{"auths": {"h": {"auth": "/w=="}}}',
    ],
)
def test_bad_docker_configs_are_refused_without_showing_them(text: str) -> None:
    with pytest.raises(DockerConfigError) as caught:
        Credentials.parse([text])
    assert "s3cret" not in str(caught.value)


def test_challenges() -> None:
    header = (
        'Bearer realm="https://auth.example/t?a=b,c",service="reg \\"x\\"",scope="a:b:pull,push"'
    )
    (bearer,) = parse_challenges([header])
    assert bearer == Challenge(
        scheme="bearer",
        parameters={
            "realm": "https://auth.example/t?a=b,c",
            "service": 'reg "x"',
            "scope": "a:b:pull,push",
        },
    )
    two = parse_challenges(['Basic realm="x", Bearer realm="https://y"'])
    assert [challenge.scheme for challenge in two] == ["basic", "bearer"]
    assert choose(two) == two[1]
    assert choose(parse_challenges(["Negotiate", "Basic"])) == Challenge(
        scheme="basic", parameters={}
    )
    assert choose(parse_challenges(["Negotiate"])) is None
    assert parse_challenges([""]) == ()


def bearer(realm: str) -> Challenge:
    return Challenge(scheme="bearer", parameters={"realm": realm, "service": "s v"})


USER = Credential(username="u", password="p")
SCOPES = ("repository:a/b:pull,push", "repository:c:pull")


def test_token_request_with_password() -> None:
    request = token_request(bearer("https://a.example/t?x=1"), SCOPES, USER, plain_http=False)
    assert request.form is None
    assert request.headers == {"Authorization": USER.basic()}
    assert parse_qs(urlsplit(request.url).query) == {
        "x": ["1"],
        "service": ["s v"],
        "scope": list(SCOPES),
    }


def test_token_request_with_identity_token_keeps_it_out_of_the_url() -> None:
    known = Credential(identity_token="idt")
    request = token_request(bearer("https://a.example/t"), SCOPES, known, plain_http=False)
    assert request.url == "https://a.example/t"
    assert request.form is not None
    fields = parse_qs(request.form)
    assert fields["grant_type"] == ["refresh_token"]
    assert fields["refresh_token"] == ["idt"]
    assert fields["scope"] == [" ".join(SCOPES)]
    assert "idt" not in repr(request)


def test_anonymous_token_request() -> None:
    request = token_request(bearer("https://a.example/t"), SCOPES, None, plain_http=False)
    assert request.headers == {}


@pytest.mark.parametrize(
    ("realm", "plain_http"),
    [
        ("http://a.example/t", False),
        ("", True),
        ("ftp://a.example", True),
        ("file:///etc/passwd", True),
        ("https://user@a.example/t", False),
        ("https:///t", False),
    ],
)
def test_realms_that_get_no_credential(realm: str, plain_http: bool) -> None:  # noqa: FBT001
    with pytest.raises(UnexpectedReplyError, match="realm"):
        token_request(bearer(realm), SCOPES, USER, plain_http=plain_http)


def test_plain_realm_for_a_plain_registry() -> None:
    request = token_request(bearer("http://a.example/t"), SCOPES, USER, plain_http=True)
    assert request.url.startswith("http://a.example/t?")


def test_tokens() -> None:
    assert parse_token(b'{"token": "abc", "expires_in": 300}').seconds == 300
    assert parse_token(b'{"access_token": "abc"}').value == "abc"
    for body in (b"", b"[]", b"{}", b'{"token": "a\\nb"}', b'{"token": 1}'):
        with pytest.raises(UnexpectedReplyError):
            parse_token(body)
    assert "abc" not in repr(parse_token(b'{"token": "abc"}'))


def test_endpoints() -> None:
    options = RegistryOptions(
        insecure=frozenset({"host:5000"}), mirrors={"docker.io": "http://10.0.0.1:5000/hub/"}
    )
    hub = ImageRef.parse("ubuntu")
    mirror, own = pull_endpoints(hub.registry, options)
    assert (mirror.scheme, mirror.host, mirror.repository(hub)) == (
        "http",
        "10.0.0.1:5000",
        "hub/library/ubuntu",
    )
    assert (own.scheme, own.host, own.registry) == ("https", "registry-1.docker.io", "docker.io")
    assert endpoint_of("host:5000", options).scheme is None
    assert endpoint_of("localhost:5000", options).scheme == "https"
    every_port = RegistryOptions(insecure=frozenset({"localhost:*"}))
    assert endpoint_of("localhost:5000", every_port).scheme is None
    assert endpoint_of("localhost", every_port).scheme == "https"
    assert pull_endpoints("ghcr.io", options) == (endpoint_of("ghcr.io", options),)
    for url in ("10.0.0.1:5000", "ftp://x", "http://user:pw@x", "http://"):
        with pytest.raises(EndpointError):
            pull_endpoints("a", RegistryOptions(mirrors={"a": url}))


def reply(status: int, body: bytes = b"", **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, headers=named, body=body)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, UnauthorizedError),
        (403, DeniedError),
        (404, NotFoundError),
        (413, TooLargeError),
        (429, RateLimitedError),
        (500, ServerError),
        (503, ServerError),
        (400, UnexpectedReplyError),
        (302, UnexpectedReplyError),
    ],
)
def test_errors_by_status(status: int, kind: type[Exception]) -> None:
    body = b'{"errors": [{"code": "DENIED", "message": "quota exceeded"}]}'
    error = error_of(reply(status, body), host="h:1", doing="push to a")
    assert type(error) is kind
    assert str(error) == "registry h:1: push to a: DENIED: quota exceeded"
    assert error.host == "h:1"


@pytest.mark.parametrize(
    ("value", "after"), [("7", 7.0), ("100000", 60.0), ("soon", None), ("-1", None), ("", None)]
)
def test_retry_after(value: str, after: float | None) -> None:
    error = error_of(reply(429, retry_after=value), host="h", doing="x")
    assert isinstance(error, RateLimitedError)
    assert error.after == after


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b'{"errors": 1}', b'{"errors": [1]}', b'{"errors": [{"code": 1}]}']
)
def test_error_bodies_of_any_kind(body: bytes) -> None:
    assert registry_message(body) == ""


def test_long_messages_are_cut() -> None:
    body = json.dumps({"errors": [{"message": "x" * 10_000}]}).encode()
    assert len(registry_message(body)) == 500
