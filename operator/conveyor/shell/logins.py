"""Logins out of Secrets.

In: what Secrets hold. Out: logins for registries and git servers, or the UserError that says what a Secret lacks.
"""

from collections.abc import Mapping

from conveyor.adapters.git_credentials import GitCredentials
from conveyor.adapters.registry_auth import Credentials, DockerConfigError
from conveyor.api.errors import UserError
from conveyor.api.names import Reason


def registry_credentials(texts: list[str]) -> Credentials:
    """Return the logins of docker configs."""
    try:
        return Credentials.parse(texts)
    except DockerConfigError as error:
        raise UserError(
            Reason.SECRET_NOT_FOUND, f"a registry Secret is malformed: {error}"
        ) from None


def git_credentials(data: Mapping[str, str], secret: str) -> GitCredentials:
    """Read a Secret of type kubernetes.io/basic-auth or kubernetes.io/ssh-auth with known_hosts."""
    if not ("password" in data or "ssh-privatekey" in data):
        raise UserError(
            Reason.SECRET_NOT_FOUND,
            f"Secret {secret} has neither username and password nor ssh-privatekey and known_hosts",
        )
    if "password" in data and "username" not in data:
        raise UserError(
            Reason.SECRET_NOT_FOUND,
            f"Secret {secret} has password but no username; servers that take a token want some name, often any",
        )
    return GitCredentials(
        username=data.get("username", ""),
        password=data.get("password", ""),
        ssh_private_key=data.get("ssh-privatekey", ""),
        ssh_known_hosts=data.get("known_hosts", ""),
    )
