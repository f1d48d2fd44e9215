"""Looking at a Docker Engine's containers.

In: labels, ids. Out: `Seen`: what the Engine says of the containers of a Job, with the message that it ended with.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from conveyor.adapters.engine_api import EngineApi, EngineError
from conveyor.adapters.engine_containers import LABEL_BODY, TERMINATION_LOG
from conveyor.adapters.engine_files import first_file
from conveyor.adapters.engine_view import Seen
from conveyor.api import names

Json = dict[str, Any]

MINE: Final = f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}"


class EngineLook:
    """What there is; messages are kept, for they do not change any more."""

    def __init__(self, api: EngineApi) -> None:
        self._api = api
        self._messages: dict[str, str] = {}

    async def containers(self, *labels: str) -> list[Json]:
        """Return our containers with these labels, running or not."""
        found: list[Json] | None = await self._api.get(
            "/containers/json", all="true", filters=filters_of(MINE, *labels)
        )
        return found or []

    async def container(self, found: str) -> Json | None:
        """Return an inspected container, None when there is none."""
        inspected: Json | None = await self._api.get(f"/containers/{found}/json") if found else None
        return inspected

    async def seen(self, ids: Mapping[str, str]) -> Seen | None:
        """Return a Job by the ids of its containers; None when it is just being removed."""
        courier = await self.container(ids.get(names.CONTAINER_COURIER, ""))
        if courier is None or LABEL_BODY not in courier["Config"]["Labels"]:
            return None
        mounts = await self.container(ids.get(names.CONTAINER_MOUNTS, ""))
        stage = await self.container(ids.get(names.CONTAINER_STAGE, ""))
        last = Seen(courier=courier, stage=stage, mounts=mounts).last
        message = await self._message(last["Id"]) if last else ""
        return Seen(courier=courier, stage=stage, mounts=mounts, message=message)

    def forget(self, ids: Iterable[str]) -> None:
        """Forget the messages of containers that are gone."""
        for found in ids:
            self._messages.pop(found, None)

    async def _message(self, found: str) -> str:
        """The termination message."""
        if found not in self._messages:
            try:
                tar = await self._api.get_archive(found, TERMINATION_LOG)
            except EngineError as error:
                if error.status != 404:
                    raise
                tar = b""
            self._messages[found] = first_file(tar).decode("utf-8", "replace")
        return self._messages[found]


def filters_of(*labels: str) -> str:
    """Return the Engine's filter for labels."""
    return json.dumps({"label": list(labels)})
