"""Logins of this machine for registries.

In: the docker config of the user ($DOCKER_CONFIG or ~/.docker). Out: the text of a docker config that holds the logins
themselves: those that credential helpers keep are asked for, by name of the registry, of the registries that the file names.
"""

import base64
import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from conveyor.api.errors import UserError
from conveyor.api.names import Reason

_SECONDS: Final = 60
_TOKEN: Final = "<token>"  # noqa: S105 - what helpers call an identity token
_SAFE: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def docker_config(env: Mapping[str, str], hosts: Iterable[str]) -> str:
    """Return a docker config with all logins.

    Args:
        env: Environment of the process.
        hosts: Registries that are asked for even if the file does not name them.

    Raises:
        UserError: InvalidSpec, the file is no docker config.
    """
    folder = Path(env.get("DOCKER_CONFIG") or Path.home() / ".docker")
    data = _read(folder / "config.json")
    helpers, store = data.get("credHelpers") or {}, data.get("credsStore") or ""
    auths = {str(key): value for key, value in (data.get("auths") or {}).items()}
    for host in {*auths, *helpers, *hosts}:
        helper = helpers.get(host) or store
        if helper and not (auths.get(host) or {}).get("auth"):
            found = _ask(str(helper), host)
            auths.pop(host, None)
            if found:
                auths[host] = found
    return json.dumps({"auths": auths})


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(Reason.INVALID_SPEC, f"{path} is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise UserError(Reason.INVALID_SPEC, f"{path} is not a JSON object")
    return data


def _ask(helper: str, host: str) -> dict[str, str] | None:
    """Ask `docker-credential-HELPER get`; no login is no error."""
    if not set(helper) <= _SAFE:
        raise UserError(Reason.INVALID_SPEC, f"docker config: {helper!r} is no credential helper")
    try:
        done = subprocess.run(  # noqa: S603 - named by the user's own config, checked above
            [f"docker-credential-{helper}", "get"],
            input=host.encode(),
            capture_output=True,
            timeout=_SECONDS,
            check=True,
        )
        found = json.loads(done.stdout)
        user, secret = str(found["Username"]), str(found["Secret"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        return None
    if user == _TOKEN:
        return {"identitytoken": secret}
    return {"auth": base64.b64encode(f"{user}:{secret}".encode()).decode()}


def home_of(env: Mapping[str, str]) -> Path:
    """Return the directory for what outlives a command: tools, and who of the builds is alive."""
    return Path(env.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "conveyor"  # noqa: PTH111
