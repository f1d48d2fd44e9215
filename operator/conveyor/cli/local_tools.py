"""The tools layers on a machine without an operator: out of the operator's image, which couriers run anyway.

In: an Engine, the image. Out: a directory as `conveyor.adapters.execution_images.ToolsLayer` reads it, kept by image id.
"""

import io
import json
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Final

from conveyor.adapters.engine_api import EngineApi, EngineError
from conveyor.adapters.oci_ref import ImageRef, OciFormatError
from conveyor.adapters.registry_auth import Credentials
from conveyor.api import names
from conveyor.api.errors import UserError
from conveyor.api.names import Reason

_INSIDE: Final = "/usr/share/conveyor/tools"
_FILES: Final = ("tools.tar.gz", "tools.json", "ansible.tar.gz", "ansible.json")
_LIMIT: Final = 1 << 30
_LABEL: Final = f"{names.GROUP}/tools"
_LONG_AGO: Final = 600


async def tools_of(api: EngineApi, image: str, logins: Credentials, home: Path) -> tuple[str, Path]:
    """Return machine (`os/architecture`) and directory of the tools of an image; pulls it unless the Engine has it.

    Raises:
        UserError: InvalidSpec, there is no such image or it is not Conveyor's.
    """
    found = await api.get(f"/images/{image}/json")
    if found is None:
        found = await _pulled(api, image, logins)
    folder = home / "tools" / str(found["Id"]).removeprefix("sha256:")
    if not folder.is_dir():
        _unpack(await _archive(api, image), folder)
    return f"{found['Os']}/{found['Architecture']}", folder


async def sweep_tools(api: EngineApi, now: float) -> None:
    """Remove containers that tools were being taken out of when a build was killed."""
    filters = json.dumps({"label": [_LABEL]})
    for found in await api.get("/containers/json", all="true", filters=filters) or ():
        if now - float(found["Created"]) > _LONG_AGO:
            await api.delete(f"/containers/{found['Id']}", force="true", v="true")


async def _pulled(api: EngineApi, image: str, logins: Credentials) -> dict[str, object]:
    try:
        ref = ImageRef.parse(image)
        tagged = image if ref.tag or ref.digest else f"{image}:latest"
        await api.pull(tagged, logins.find(ref.registry, ref.repository))
        found: dict[str, object] | None = await api.get(f"/images/{image}/json")
    except (EngineError, OciFormatError) as error:
        raise UserError(
            Reason.INVALID_SPEC,
            f"--conveyor-image {image}: the Docker Engine has no such image and cannot pull it ({error}); "
            "name Conveyor's image, the one that the chart installs",
        ) from None
    return found or {}


async def _archive(api: EngineApi, image: str) -> bytes:
    """Of a container that is never started."""
    body = {"Image": image, "Cmd": ["tools"], "Labels": {_LABEL: "true"}}
    made = await api.post("/containers/create", body)
    try:
        return await api.get_archive(str(made["Id"]), _INSIDE, _LIMIT)
    except EngineError:
        raise UserError(
            Reason.INVALID_SPEC, f"--conveyor-image {image}: this is not Conveyor's image"
        ) from None
    finally:
        await api.delete(f"/containers/{made['Id']}", force="true", v="true")


def _unpack(archive: bytes, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for name in _FILES:
                file = tar.extractfile(f"tools/{name}")
                if file is not None:
                    (part / name).write_bytes(file.read())
        if not folder.is_dir():
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
