"""Who we are to a registry: docker config files, challenges, token requests. No IO.

In: the text of `kubernetes.io/dockerconfigjson` secrets, `WWW-Authenticate` headers, token replies.
Out: the credential for a host and repository, the request that fetches a token, the token.
Sources: distribution/spec auth/token and auth/oauth; the matching of hosts follows the kubelet's
(kubernetes: pkg/credentialprovider/keyring.go): globs per host label, longest path first.
Secrets never appear in `repr` or messages.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final, Self
from urllib.parse import urlencode, urlsplit

from conveyor.adapters.oci_ref import DOCKER_HUB
from conveyor.adapters.registry_errors import UnexpectedReplyError

_HUB_HOSTS: Final = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_DEFAULT_TOKEN_SECONDS: Final = 60
_MAX_CONFIG: Final = 4 << 20
_PARAMETER: Final = re.compile(r'([a-zA-Z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*,?\s*')
_SCHEME: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9_-]*)(?:\s+|$)")


class DockerConfigError(ValueError):
    """A docker config file that cannot be read; the message holds no part of its content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """User and password, or an identity token for the OAuth2 flow."""

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    def basic(self) -> str:
        """The value of a Basic Authorization header."""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The credentials we have, by host and path prefix."""

    entries: tuple[tuple[str, Credential], ...] = ()

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Self:
        """Read docker config files; of two entries for one key the first wins.

        Raises:
            DockerConfigError: not a docker config.
        """
        found: dict[str, Credential] = {}
        for text in texts:
            for key, value in _auths(text).items():
                credential = _credential(key, value)
                if credential is not None:
                    found.setdefault(_normal_key(key), credential)
        return cls(entries=tuple(found.items()))

    def find(self, registry: str, repository: str) -> Credential | None:
        """The credential whose key fits `registry/repository` with the longest path."""
        fits = [entry for entry in self.entries if _fits(entry[0], registry, repository)]
        return max(fits, key=lambda entry: entry[0].count("/"))[1] if fits else None


def _auths(text: str) -> Mapping[str, object]:
    if len(text) > _MAX_CONFIG:
        raise DockerConfigError("docker config is larger than 4 MiB")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise DockerConfigError("docker config is not JSON") from None
    auths = value.get("auths", {}) if isinstance(value, dict) else None
    if not isinstance(auths, dict):
        raise DockerConfigError("docker config has no object `auths`")
    return auths


def _credential(key: str, value: object) -> Credential | None:
    if not isinstance(value, dict):
        raise DockerConfigError(f"docker config: auths[{key!r}] is not an object")
    text = {k: v for k, v in value.items() if isinstance(v, str)}
    username, password = text.get("username", ""), text.get("password", "")
    if text.get("auth"):
        username, password = _decode_auth(key, text["auth"])
    identity = text.get("identitytoken", "")
    if not (username or password or identity):
        return None
    return Credential(username=username, password=password, identity_token=identity)


def _decode_auth(key: str, auth: str) -> tuple[str, str]:
    try:
        username, _, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise DockerConfigError(f"docker config: auths[{key!r}].auth is not base64") from None
    return username, password.rstrip("\0")


def _normal_key(key: str) -> str:
    """`https://index.docker.io/v1/` → `docker.io`; `https://host:5000/v2/` → `host:5000`."""
    rest = re.sub(r"^https?://", "", key)
    host, _, path = rest.partition("/")
    path = re.sub(r"^v[12](/|$)", "", path).strip("/")
    host = DOCKER_HUB if host.lower() in _HUB_HOSTS else host.lower()
    return f"{host}/{path}" if path else host


def _fits(key: str, registry: str, repository: str) -> bool:
    host, _, path = key.partition("/")
    if path and not f"{repository}/".startswith(f"{path}/"):
        return False
    have, want = host.split("."), registry.lower().split(".")
    return len(have) == len(want) and all(map(fnmatchcase, want, have))


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """One challenge of `WWW-Authenticate`: scheme in lower case and its parameters."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(values: Iterable[str]) -> tuple[Challenge, ...]:
    """Read `WWW-Authenticate` headers; parts that are not understood are left out."""
    found: list[Challenge] = []
    for value in values:
        position = 0
        while scheme := _SCHEME.match(value, position):
            position = scheme.end()
            parameters: dict[str, str] = {}
            while pair := _PARAMETER.match(value, position):
                quoted = re.sub(r"\\(.)", r"\1", pair[2] or "")
                parameters[pair[1].lower()] = pair[3] or quoted
                position = pair.end()
            found.append(Challenge(scheme=scheme[1].lower(), parameters=parameters))
    return tuple(found)


def choose(challenges: Iterable[Challenge]) -> Challenge | None:
    """Bearer before Basic; None when the registry offers neither."""
    by_scheme = {challenge.scheme: challenge for challenge in challenges}
    return by_scheme.get("bearer") or by_scheme.get("basic")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """The request that fetches a token; `form` makes it a POST."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    form: str | None = field(default=None, repr=False)


def token_request(
    challenge: Challenge, scopes: Iterable[str], credential: Credential | None, *, plain_http: bool
) -> TokenRequest:
    """Build the token request of a Bearer challenge.

    Args:
        challenge: what the registry asked for.
        scopes: what we need, `repository:name:pull,push`.
        credential: ours for that registry, or None for an anonymous token.
        plain_http: whether the registry itself is spoken to over plain http; only then may the
            realm be http too, otherwise a registry could make us send a password in the clear.

    Raises:
        UnexpectedReplyError: the realm is missing or is no acceptable URL.
    """
    realm = challenge.parameters.get("realm", "")
    parts = urlsplit(realm)
    if parts.scheme != "https" and not (parts.scheme == "http" and plain_http):
        raise UnexpectedReplyError(
            f"the registry's token realm {realm[:200]!r} is not an https URL"
        )
    if not parts.hostname or parts.username is not None:
        raise UnexpectedReplyError(f"the registry's token realm {realm[:200]!r} is not usable")
    service = challenge.parameters.get("service", "")
    pairs = [("service", service)] if service else []
    if credential is not None and credential.identity_token:
        return _refresh(realm, [*pairs, ("scope", " ".join(scopes))], credential)
    query = urlencode([*pairs, *(("scope", scope) for scope in scopes)])
    headers = {"Authorization": credential.basic()} if credential is not None else {}
    return TokenRequest(url=f"{realm}{'&' if parts.query else '?'}{query}", headers=headers)


def _refresh(realm: str, pairs: list[tuple[str, str]], credential: Credential) -> TokenRequest:
    fields = [
        ("grant_type", "refresh_token"),
        ("client_id", "conveyor"),
        ("refresh_token", credential.identity_token),
        *pairs,
    ]
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return TokenRequest(url=realm, headers=headers, form=urlencode(fields))


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A bearer token and for how many seconds it is good."""

    value: str = field(repr=False)
    seconds: int = _DEFAULT_TOKEN_SECONDS


def parse_token(body: bytes) -> Token:
    """Read a token reply.

    Raises:
        UnexpectedReplyError: no token in it.
    """
    try:
        value = json.loads(body)
        token = value.get("token") or value.get("access_token")
        seconds = value.get("expires_in") or _DEFAULT_TOKEN_SECONDS
    except (ValueError, AttributeError, RecursionError):
        token, seconds = None, _DEFAULT_TOKEN_SECONDS
    if not isinstance(token, str) or not token.isprintable() or not token.isascii():
        raise UnexpectedReplyError("the token service's reply holds no token")
    return Token(
        value=token, seconds=seconds if isinstance(seconds, int) else _DEFAULT_TOKEN_SECONDS
    )
