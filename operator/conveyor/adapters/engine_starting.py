"""Bringing a Job's containers up in a Docker Engine.

In: an `EngineOrder` whose courier container is made, and what Secrets and ConfigMaps hold. Out: courier and stage run. An image
that cannot be pulled and a Secret that is not there are asked for again, as a kubelet does, and told of.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from conveyor.adapters.engine_api import EngineApi, EngineError
from conveyor.adapters.engine_containers import EngineContainer, EngineOrder
from conveyor.adapters.engine_files import Content, files_tar, open_directory_tar
from conveyor.adapters.engine_parts import mounts_of_parts
from conveyor.adapters.engine_view import Trouble, over
from conveyor.adapters.oci_ref import ImageRef, OciFormatError
from conveyor.adapters.registry_auth import Credential, Credentials, DockerConfigError
from conveyor.api import names
from conveyor.api.errors import UserError

Json = dict[str, Any]
Contents = Callable[[Json, str, str], Awaitable[Content]]
"""(Job, "secret" or "configMap", name) to bytes or a file by key; raises UserError when there is none."""

_AGAIN: Final = 10.0
_LOOK: Final = 0.1


async def bring_up(
    api: EngineApi,
    order: EngineOrder,
    job: Json,
    contents: Contents,
    tell: Callable[[Trouble], None],
) -> None:
    """Pull, make, fill, start; what is to be laid out before is laid out by the container `mounts`.

    Raises:
        EngineError: A container cannot be made or started.
        NotYet: The Engine does not answer.
    """

    async def pull() -> None:
        await ensure_image(api, order, order.stage, job, contents)

    await _patiently(pull, "ErrImagePull", (EngineError, UserError), tell)
    roles = [names.CONTAINER_COURIER]
    if order.mounts is not None:
        await api.post("/containers/create", order.mounts.body, name=order.mounts.name)
        await _fill(api, order, job, contents, tell, (names.CONTAINER_MOUNTS, *roles))
        if order.lays_out and not await _laid_out(api, order.mounts.name):
            return
        roles = []
    await api.post("/containers/create", await _stage_body(api, order), name=order.stage.name)
    await _fill(api, order, job, contents, tell, (*roles, names.CONTAINER_STAGE))
    for container in (order.courier, order.stage):
        await api.post(f"/containers/{container.name}/start")


async def _stage_body(api: EngineApi, order: EngineOrder) -> Json:
    body = order.stage.body
    host = body["HostConfig"]
    mounts = [*host["Mounts"], *await mounts_of_parts(api, order)]
    return body | {"HostConfig": host | {"Mounts": mounts}}


async def _fill(
    api: EngineApi,
    order: EngineOrder,
    job: Json,
    contents: Contents,
    tell: Callable[[Trouble], None],
    roles: Sequence[str],
) -> None:
    """Put into volumes what goes through the containers of these roles."""
    for role, path in order.directories:
        if role in roles:
            with open_directory_tar() as tar:
                await api.put_archive(order.of(role).name, path, tar)

    async def fill() -> None:
        for filling in order.fillings:
            if filling.container in roles:
                found = await contents(job, filling.kind, filling.name)
                with files_tar(found, filling.keys) as tar:
                    await api.put_archive(order.of(filling.container).name, filling.path, tar)

    await _patiently(fill, "CreateContainerConfigError", (UserError,), tell)


async def _laid_out(api: EngineApi, container: str) -> bool:
    """Run `mounts` to its end; False when it failed, which its container tells."""
    await api.post(f"/containers/{container}/start")
    while True:
        found = await api.get(f"/containers/{container}/json")
        if found is None or over(found):
            return found is not None and not found["State"]["ExitCode"]
        await asyncio.sleep(_LOOK)


async def ensure_image(
    api: EngineApi, order: EngineOrder, container: EngineContainer, job: Json, contents: Contents
) -> None:
    """Pull the image of a container unless it is there.

    Raises:
        EngineError: It cannot be had.
        UserError: A Secret for pulling cannot be had.
    """
    if await api.get(f"/images/{container.image}/json") is None:
        await api.pull(container.image, await _login(container.image, order, job, contents))


async def _patiently(
    work: Callable[[], Awaitable[None]],
    reason: str,
    errors: tuple[type[EngineError] | type[UserError], ...],
    tell: Callable[[Trouble], None],
) -> None:
    """Try again and again, telling why: how long is for the decision to say, which deletes the Job."""
    while True:
        try:
            await work()
        except errors as error:
            tell(Trouble(reason=reason, message=error.message))
            await asyncio.sleep(_AGAIN)
        else:
            return


async def _login(
    image: str, order: EngineOrder, job: Json, contents: Contents
) -> Credential | None:
    """The login for the registry of an image, of the Secrets that the Job names."""
    texts = []
    for name in order.pull_secrets:
        found = await contents(job, "secret", name)
        value = found.get(names.DOCKER_CONFIG_SECRET_KEY, b"{}")
        texts.append(value.decode("utf-8", "replace") if isinstance(value, bytes) else "{}")
    try:
        ref = ImageRef.parse(image)
        return Credentials.parse(texts).find(ref.registry, ref.repository)
    except (DockerConfigError, OciFormatError):
        return None
