"""What `conveyor build` is given from this machine: secrets, SSH keys, mirrors, hosts for ADD.

In: the texts of options, the process's environment. Out: values, or a UserError that names the option. The spelling is that of
`docker build` where it has the option.
"""

import csv
import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.config.remote_policy import RemotePolicy, policy_of

_SECRET_BYTES: Final = 1 << 20
_KEY_BYTES: Final = 1 << 16
_SECRET_KEYS: Final = frozenset({"id", "src", "source", "env", "type"})
_ID: Final = re.compile(r"[A-Za-z0-9_][-A-Za-z0-9._/]*\Z")
_REGISTRY: Final = "docker.io"


def secrets_of(given: Sequence[str], env: Mapping[str, str]) -> dict[str, bytes]:
    """Return the value by id of every `--secret`: `id=ID[,src=FILE|,env=VARIABLE]`.

    Without either it is the variable ID, or if there is none the file ID, as with `docker build`.

    Raises:
        UserError: InvalidSpec; no message has a value.
    """
    found: dict[str, bytes] = {}
    for text in given:
        fields = _fields(text)
        name = fields.get("id", "")
        if not _ID.match(name):
            raise _wrong("--secret", text, "wants id=ID, of letters, digits, '_', '-', '.' and '/'")
        if name in found:
            raise _wrong("--secret", text, f"the id {name} is given twice")
        found[name] = _secret(text, name, fields, env)
    return found


def ssh_of(given: Sequence[str], env: Mapping[str, str]) -> tuple[tuple[Path, ...], Path | None]:
    """Return (key files, socket of an agent) of every `--ssh`: `default`, or `ID=PATH[,PATH]` with sockets or keys.

    Raises:
        UserError: InvalidSpec.
    """
    keys: list[Path] = []
    socket: Path | None = None
    for text in given:
        for path in _ssh_paths(text, env):
            if not _is_socket(path):
                keys.append(path)
            elif socket in (None, path):
                socket = path
            else:
                raise _wrong("--ssh", text, "one agent can be handed on, and there is one already")
    if keys and socket:
        raise _wrong(
            "--ssh", given[-1], "keys, or an agent: give the key to the agent with ssh-add"
        )
    return tuple(keys), socket


def key_of(path: Path) -> bytes:
    """Return a private key. Raises UserError: InvalidSpec."""
    value = _read("--ssh", str(path), path, _KEY_BYTES)
    if b"PRIVATE KEY" not in value:
        raise _wrong("--ssh", str(path), "this is no private key (a public one ends in .pub)")
    return value


def mirrors_of(given: Sequence[str]) -> dict[str, str]:
    """Return the mirror by registry of every `[REGISTRY=]URL`; without REGISTRY it is docker.io's, as in werf.

    Raises:
        UserError: InvalidSpec.
    """
    option, found = "--container-registry-mirror", dict[str, str]()
    for text in given:
        registry, equals, url = text.rpartition("=")
        registry = registry if equals else _REGISTRY
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc or "/" in registry:
            raise _wrong(option, text, "wants [REGISTRY=]https://HOST[:PORT]")
        if parts.username:
            raise _wrong(option, text, "has a login; logins are those of docker login")
        if found.setdefault(registry, url) != url:
            raise _wrong(option, text, f"{registry} has a mirror already")
    return found


def add_policy(
    *, enabled: bool, allowed: Sequence[str], private: Sequence[str], blocked: Sequence[str]
) -> RemotePolicy:
    """Return where ADD may fetch from. Raises UserError: InvalidSpec."""
    try:
        return policy_of(
            {
                "enabled": enabled,
                "allowedHosts": list(allowed),
                "privateHosts": list(private),
                "blockedNetworks": list(blocked),
            }
        )
    except ValueError as error:
        raise UserError(Reason.INVALID_SPEC, f"--add-remote-…: {error}") from None


def _fields(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for field in next(csv.reader([text]), []):
        key, equals, value = field.partition("=")
        if not equals or key not in _SECRET_KEYS:  # what it is may be a value: it is not repeated
            raise _wrong("--secret", "…", "wants id=ID[,src=FILE] or id=ID,env=VARIABLE")
        found["src" if key == "source" else key] = value
    if found.get("type", "file") not in ("file", "env"):
        raise _wrong("--secret", text, "type is file or env")
    return found


def _secret(text: str, name: str, fields: Mapping[str, str], env: Mapping[str, str]) -> bytes:
    source, variable = fields.get("src", ""), fields.get("env", "")
    if fields.get("type") == "env":
        variable, source = variable or source or name, ""
    if source and variable:
        raise _wrong("--secret", text, "src or env, not both")
    if not source and not variable:
        variable, source = (name, "") if name in env else ("", name)
    if not variable:
        return _read("--secret", text, Path(source).expanduser(), _SECRET_BYTES)
    if variable not in env:
        raise _wrong("--secret", text, f"there is no variable {variable} in the environment")
    return os.fsencode(env[variable])


def _ssh_paths(text: str, env: Mapping[str, str]) -> list[Path]:
    name, equals, paths = text.partition("=")
    if not equals and not name.startswith((".", "/", "~")):
        paths = env.get("SSH_AUTH_SOCK", "")
        if not paths:
            raise _wrong("--ssh", text, "no agent runs here (SSH_AUTH_SOCK): name keys, ID=FILE")
    found = [Path(path).expanduser() for path in paths.split(",") if path]
    if not found:
        raise _wrong("--ssh", text, "wants default, or ID=FILE[,FILE] with keys or a socket")
    return found


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False


def _read(option: str, text: str, path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            value = file.read(most + 1)
    except OSError as error:
        raise _wrong(option, text, f"{path} cannot be read: {error.strerror}") from None
    if len(value) > most:
        raise _wrong(option, text, f"{path} has more than {most} bytes")
    return value


def _wrong(option: str, text: str, why: str) -> UserError:
    return UserError(Reason.INVALID_SPEC, f"{option} {text}: {why}")
