"""Jobs in a Docker Engine: the requests that the operator makes of an API server for Jobs and pods, answered by an Engine.

In: Jobs as dicts. Out: containers and volumes, and Jobs and pods as dicts made of them. Nothing is kept here but what this
process is just starting: names are taken by making the courier's container, everything else is in labels, so that a later
process, or another one beside it, finds the same Jobs.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from conveyor.adapters.cluster import ApiError
from conveyor.adapters.engine_api import EngineApi, EngineError
from conveyor.adapters.engine_containers import (
    LABEL_CONTAINER,
    LABEL_JOB,
    LABEL_NAMESPACE,
    NO_CLAIMS,
    EngineOrder,
    order_of,
)
from conveyor.adapters.engine_look import MINE, EngineLook, filters_of
from conveyor.adapters.engine_starting import Contents, bring_up, ensure_image
from conveyor.adapters.engine_view import Seen, Trouble, job_of, pod_of
from conveyor.api import names
from conveyor.api.errors import NotYet
from conveyor.api.names import Reason

Json = dict[str, Any]
Found = list[dict[str, Any]]

_START_SECONDS: Final = 900.0
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 60.0

log = logging.getLogger(__name__)


class EngineJobs:
    """`JobsApi` of one Engine.

    Args:
        contents: What Secrets and ConfigMaps hold that Jobs name.
        network: The Engine's network for containers, "" for its default one.
        claims: The Engine's volume by name of a claim, for what outlives a build.
        alone: No other process makes Jobs here: one that nobody starts is lost at once.
        started: Is told when the containers of a Job have been started.
    """

    def __init__(
        self,
        api: EngineApi,
        contents: Contents,
        *,
        network: str = "",
        claims: Mapping[str, str] = NO_CLAIMS,
        alone: bool,
        started: Callable[[EngineOrder], None] = lambda _: None,
    ) -> None:
        self.api = api
        self.claims = claims
        self._contents = contents
        self._network = network
        self._alone = alone
        self._started = started
        self._claimed: set[str] = set()
        self._starting: dict[str, asyncio.Task[None]] = {}
        self._expiring: set[asyncio.Task[None]] = set()
        self._trouble: dict[str, Trouble] = {}
        self._lost: dict[str, str] = {}
        self._look = EngineLook(api)
        self._version: Json = {}

    async def list(
        self, prefix: str, plural: str, namespace: str = "", *, selector: str = "", field: str = ""
    ) -> tuple[Found, str]:
        """Return Jobs or pods; there are no other objects."""
        if plural not in ("jobs", "pods"):
            return [], field
        found = [seen for seen in await self._seen(namespace, selector) if seen is not None]
        if plural == "pods":
            return [pod_of(seen) for seen in found], ""
        await asyncio.gather(*(self._enforce(seen) for seen in found))
        return [job_of(seen, _now()) for seen in found], ""

    async def create(self, prefix: str, plural: str, namespace: str, body: Json) -> Json:
        """Make a Job: its name at once, its containers as soon as their images are there.

        Raises:
            ApiError: 409, the name is taken.
            UserError: NotSupported.
        """
        architecture = await self._architecture()
        order = order_of(body, network=self._network, architecture=architecture, claims=self.claims)
        await self._ensure_courier(order, body)
        name = order.courier.name
        self._claimed.add(name)
        try:
            made = await self.api.post("/containers/create", order.courier.body, name=name)
            found = made["Id"]
            self._starting[found] = asyncio.create_task(self._start(found, order, body))
        except EngineError as error:
            if error.status == 409:
                raise ApiError(409, "AlreadyExists", error.message) from None
            raise
        finally:
            self._claimed.discard(name)
        return body

    async def merge(self, prefix: str, plural: str, namespace: str, name: str, body: Json) -> None:
        """Let a Job go when it has ended: the only thing that is ever changed of one."""
        if "ttlSecondsAfterFinished" not in (body.get("spec") or {}):
            raise ApiError(400, "BadRequest", "only the time after which a Job goes can be set")
        task = asyncio.create_task(self._remove_ended(namespace, name))
        self._expiring.add(task)
        task.add_done_callback(self._expiring.discard)

    async def delete(
        self, prefix: str, plural: str, namespace: str, name: str, **preconditions: str
    ) -> bool:
        """Remove a Job with its containers and volumes, whether they run or not."""
        found = await self._look.containers(f"{LABEL_NAMESPACE}={namespace}", f"{LABEL_JOB}={name}")
        ids = {it["Labels"][LABEL_CONTAINER]: str(it["Id"]) for it in found}
        courier = ids.get(names.CONTAINER_COURIER, "")
        if not found or preconditions.get("uid", courier) != courier:
            return False
        starting = self._starting.pop(courier, None)
        if starting is not None:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
        found = await self._look.containers(f"{LABEL_NAMESPACE}={namespace}", f"{LABEL_JOB}={name}")
        await asyncio.gather(*(self._remove(str(it["Id"])) for it in found))
        for memory in (self._trouble, self._lost):
            memory.pop(courier, None)
        self._look.forget(it["Id"] for it in found)
        await self.remove_volumes(f"{LABEL_NAMESPACE}={namespace}", f"{LABEL_JOB}={name}")
        return True

    async def remove_volumes(self, *labels: str) -> None:
        """Remove volumes that no container uses."""
        filters = filters_of(MINE, *labels)
        found = await self.api.get("/volumes", filters=filters)
        for volume in (found or {}).get("Volumes") or []:
            await self.api.delete(f"/volumes/{volume['Name']}", force="true")

    async def is_stale(self, job: Json, grace: int) -> bool:
        """Whether a Job is over its deadline by `grace` seconds: whoever made it does not look after it."""
        meta = job["metadata"]
        seen = await self._inspect({names.CONTAINER_COURIER: meta["uid"]})
        return seen is not None and _now() > seen.due + timedelta(seconds=grace)

    async def watch(self, wake: Callable[[str, Mapping[str, str]], None]) -> None:
        """Call `wake(namespace, labels)` whenever a container starts or ends, until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._stream(wake)
                pause = _FIRST_PAUSE
            except (NotYet, EngineError) as error:
                log.warning("events of the Docker Engine broke off: %s", error)
                pause = min(2 * pause, _LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def close(self) -> None:
        """Give up what is being started, and close the connections."""
        tasks = (*self._starting.values(), *self._expiring)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.api.close()

    # --- looking ---------------------------------------------------------------------------------------------------------

    async def _seen(self, namespace: str, selector: str) -> Sequence[Seen | None]:
        labels = [label for label in selector.split(",") if label]
        labels += [f"{LABEL_NAMESPACE}={namespace}"] if namespace else []
        by_job: dict[tuple[str, str], dict[str, str]] = {}
        for it in await self._look.containers(*labels):
            job = (it["Labels"][LABEL_NAMESPACE], it["Labels"][LABEL_JOB])
            by_job.setdefault(job, {})[it["Labels"][LABEL_CONTAINER]] = it["Id"]
        return await asyncio.gather(*(self._inspect(by_job[job]) for job in sorted(by_job)))

    async def _inspect(self, ids: Mapping[str, str]) -> Seen | None:
        busy = {*self._claimed, *self._starting}  # before looking: what ends meanwhile has started
        seen = await self._look.seen(ids)
        if seen is None:
            return None
        found = seen.courier["Id"]
        lost = self._lost.get(found) or self._abandoned(seen, busy)
        return replace(seen, trouble=self._trouble.get(found), lost=lost)

    def _abandoned(self, seen: Seen, busy: Set[str]) -> str:
        """Why nobody will start it any more."""
        found = {seen.courier["Id"], seen.courier["Name"].removeprefix("/")}
        if seen.courier["State"]["Status"] != "created" or found & busy or seen.last:
            return ""
        if self._alone or (
            not seen.running and (_now() - seen.created).total_seconds() > _START_SECONDS
        ):
            return "the process that was starting it has ended"
        return ""

    async def _enforce(self, seen: Seen) -> None:
        """End a Job that is over its deadline."""
        if seen.running and _now() >= seen.due:
            for container in seen.containers:
                if container["State"]["Running"]:
                    await self._kill(container["Id"])

    async def _stream(self, wake: Callable[[str, Mapping[str, str]], None]) -> None:
        filters = {"type": ["container"], "label": [MINE], "event": ["start", "die", "destroy"]}
        async for event in self.api.events(filters):
            labels = event["Actor"]["Attributes"]
            wake(labels.get(LABEL_NAMESPACE, ""), labels)

    async def _ensure_courier(self, order: EngineOrder, body: Json) -> None:
        try:
            await ensure_image(self.api, order, order.courier, body, self._contents)
        except EngineError as error:
            text = f"the Docker Engine cannot pull Conveyor's image {order.courier.image}: {error}"
            raise NotYet(Reason.STAGE_PULL_FAILED, text, after=10.0) from None

    # --- starting and ending ------------------------------------------------------------------------------------------

    async def _start(self, courier: str, order: EngineOrder, body: Json) -> None:
        def tell(trouble: Trouble) -> None:
            self._trouble[courier] = trouble

        try:
            await bring_up(self.api, order, body, self._contents, tell)
        except (EngineError, NotYet) as error:
            self._lost[courier] = str(error)
        except (
            Exception
        ) as error:  # a defect: nobody would start it, and it must not look as if somebody did
            log.exception("a Job cannot be started")
            self._lost[courier] = f"internal error: {type(error).__name__}: {error}"
        else:
            self._trouble.pop(courier, None)
            self._started(order)
        self._starting.pop(courier, None)

    async def _remove_ended(self, namespace: str, name: str) -> None:
        """Nothing reads a Job of a build that is over; it goes as soon as it has ended."""
        while True:
            labels = (f"{LABEL_NAMESPACE}={namespace}", f"{LABEL_JOB}={name}")
            states = [it["State"] for it in await self._look.containers(*labels)]
            if "running" not in states:
                break
            await asyncio.sleep(0.2)
        await self.delete("", "jobs", namespace, name)

    async def machine(self) -> str:
        """Return the Engine's machine, `os/architecture`."""
        return f"linux/{await self._architecture()}"

    async def _architecture(self) -> str:
        self._version = self._version or await self.api.get("/version")
        return str(self._version["Arch"])

    async def _kill(self, container: str) -> None:
        try:
            await self.api.post(f"/containers/{container}/kill")
        except EngineError as error:
            if error.status not in (404, 409):  # gone, or over by now
                raise

    async def _remove(self, container: str) -> None:
        for _ in range(50):
            if await self.api.delete(f"/containers/{container}", force="true", v="true"):
                return
            if await self._look.container(container) is None:
                return
            await asyncio.sleep(0.1)  # the Engine is just about it

    async def settled(self) -> None:
        """Wait until Jobs that may go are gone."""
        while self._expiring:
            await asyncio.wait(self._expiring)


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - compared with times that the Engine writes
