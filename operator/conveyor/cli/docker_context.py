"""Which Docker Engine a laptop means.

In: a flag, the environment, what `docker context` has stored. Out: endpoint, and folder with certificates. In the order of the
docker command: flag, DOCKER_HOST, DOCKER_CONTEXT, the context in use, the usual socket.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from conveyor.api.errors import UserError
from conveyor.api.names import Reason

DEFAULT_ENDPOINT: Final = "unix:///var/run/docker.sock"
_DEFAULT_CONTEXT: Final = "default"
_MOST: Final = 1 << 20


def engine_of(given: str | None, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return endpoint, and the folder of ca.pem, cert.pem and key.pem ("" without TLS).

    Raises:
        UserError: InvalidSpec: there is no such context, or no such folder.
    """
    endpoint = given or environ.get("DOCKER_HOST")
    if endpoint:
        return endpoint, _certificates(environ)
    folder = _folder(environ)
    name = environ.get("DOCKER_CONTEXT") or _in_use(folder)
    if name == _DEFAULT_CONTEXT:
        return DEFAULT_ENDPOINT, _certificates(environ)
    return _stored(folder / "contexts", name)


def _certificates(environ: Mapping[str, str]) -> str:
    if not environ.get("DOCKER_TLS_VERIFY"):
        return ""
    folder = environ.get("DOCKER_CERT_PATH") or str(_folder(environ))
    if not Path(folder).is_dir():
        raise UserError(Reason.INVALID_SPEC, f"DOCKER_CERT_PATH: there is no directory {folder}")
    return folder


def _folder(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def _in_use(folder: Path) -> str:
    file = folder / "config.json"
    return (
        str(_read(file).get("currentContext") or _DEFAULT_CONTEXT)
        if file.is_file()
        else _DEFAULT_CONTEXT
    )


def _stored(contexts: Path, name: str) -> tuple[str, str]:
    """A context is kept under the SHA-256 of its name (docker CLI: context store)."""
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = contexts / "meta" / key / "meta.json"
    if not meta.is_file():
        text = (
            f"docker context {name!r}: there is none in {contexts}; `docker context ls` lists them"
        )
        raise UserError(Reason.INVALID_SPEC, text)
    endpoint = _endpoint(_read(meta))
    if endpoint is None:
        raise UserError(
            Reason.INVALID_SPEC, f"docker context {name!r}: {meta} names no Docker host"
        )
    certificates = contexts / "tls" / key / "docker"
    return endpoint, str(certificates) if certificates.is_dir() else ""


def _endpoint(meta: Mapping[str, Any]) -> str | None:
    endpoints = meta.get("Endpoints")
    docker = endpoints.get("docker") if isinstance(endpoints, dict) else None
    host = docker.get("Host") if isinstance(docker, dict) else None
    # Some programs that make contexts write `http+unix:`.
    return host.removeprefix("http+") if isinstance(host, str) and host else None


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            found = json.loads(stream.read(_MOST))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(Reason.INVALID_SPEC, f"{file}: {error}") from None
    return found if isinstance(found, dict) else {}
