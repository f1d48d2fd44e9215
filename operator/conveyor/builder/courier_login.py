"""The courier's logins.

In: paths of mounted docker configs. Out: `Credentials`.
"""

from pathlib import Path
from typing import Final

from conveyor.adapters.registry_auth import Credentials, DockerConfigError
from conveyor.builder.courier_errors import CourierError

_CONFIG_FILES: Final = (".dockerconfigjson", "config.json")


def credentials_of(paths: tuple[str, ...]) -> Credentials:
    """Read docker config files, or the directories that secrets are mounted as.

    Raises:
        CourierError: RegistryDenied, one is missing or unreadable.
    """
    texts = []
    for text in paths:
        path = Path(text)
        files = [path] if path.is_file() else [path / name for name in _CONFIG_FILES]
        found = next((file for file in files if file.is_file()), None)
        if found is None:
            raise CourierError("RegistryDenied", f"{text}: the secret has no key .dockerconfigjson")
        texts.append(found.read_text())
    try:
        return Credentials.parse(texts)
    except DockerConfigError as error:
        raise CourierError("RegistryDenied", f"registry secret: {error}") from None
