"""Parts of volumes, mounted into the stage container from where the Engine keeps the volumes.

In: the `Part`s of an order whose container `mounts` is over. Out: mounts for the body of the stage container. An Engine before
API 1.45 mounts volumes only whole, so the directory that it keeps one in is asked of it and a path below that is bound. The
Engine follows links of its own machine there, so every name on the way must be a directory and the last one a file or a
directory; nothing that runs code of a user has had the volume, or could change these names (ADR 29).
"""

from typing import Any, Final

from conveyor.adapters.engine_api import EngineApi, EngineError
from conveyor.adapters.engine_containers import EngineContainer, EngineOrder
from conveyor.adapters.engine_files import open_directory_tar
from conveyor.adapters.engine_volumes import Part

Json = dict[str, Any]

# Of a file's mode in Go's words.
_DIRECTORY: Final = 1 << 31
_TYPE: Final = _DIRECTORY | 1 << 27 | 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21 | 1 << 19


async def mounts_of_parts(api: EngineApi, order: EngineOrder) -> list[Json]:
    """Return the mounts of all parts.

    Raises:
        EngineError: A part is not there or is no file or directory, or the Engine does not tell where it keeps a volume.
    """
    if order.mounts is None:
        return []
    return [await _mount(api, order.mounts, part) for part in order.parts]


async def _mount(api: EngineApi, container: EngineContainer, part: Part) -> Json:
    if part.kept:
        await _make(api, container, part)
    await _check(api, container, part)
    volume = await api.get(f"/volumes/{part.volume}") or {}
    kept_in = str(volume.get("Mountpoint") or "")
    if not kept_in.startswith("/"):
        text = f"the Docker Engine does not say where it keeps the volume {part.volume}"
        raise EngineError(0, text)
    return {
        "Type": "bind",
        "Source": f"{kept_in}/{part.path}",
        "Target": part.target,
        "ReadOnly": part.read_only,
        "BindOptions": {
            "Propagation": "rslave"
        },  # the only one that an Engine takes below its own directory
    }


async def _make(api: EngineApi, container: EngineContainer, part: Part) -> None:
    """Make a directory that outlives the build, and those above it; what is there stays as it is."""
    for path, name in _steps(part):
        if await api.stat(container.name, f"{path}/{name}") is None:
            with open_directory_tar(name) as tar:
                await api.put_archive(container.name, path, tar)


async def _check(api: EngineApi, container: EngineContainer, part: Part) -> None:
    """Check that no link is on the way."""
    kind = _DIRECTORY
    for path, name in _steps(part):
        found = await api.stat(container.name, f"{path}/{name}") if kind == _DIRECTORY else None
        if found is None:
            raise EngineError(404, f"there is nothing to mount at {part.target}")
        kind = int(found["mode"]) & _TYPE
        if kind not in (0, _DIRECTORY):
            raise EngineError(0, f"what is to be mounted at {part.target} is no file or directory")


def _steps(part: Part) -> list[tuple[str, str]]:
    """(directory in the container `mounts`, name) of every name of a part's path."""
    words = part.path.split("/")
    return [("/".join([part.seen, *words[:index]]), word) for index, word in enumerate(words)]
