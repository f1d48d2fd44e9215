"""Bringing a Job's containers up in a Docker Engine.

In: an `EngineOrder` whose courier container is made, and what Secrets and ConfigMaps hold. Out: both containers run. An image
that cannot be pulled and a Secret that is not there are asked for again, as a kubelet does, and told of.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from conveyor.adapters.engine_api import EngineApi, EngineError
from conveyor.adapters.engine_containers import EngineContainer, EngineOrder
from conveyor.adapters.engine_files import Content, files_tar, open_directory_tar
from conveyor.adapters.engine_view import Trouble
from conveyor.adapters.oci_ref import ImageRef, OciFormatError
from conveyor.adapters.registry_auth import Credential, Credentials, DockerConfigError
from conveyor.api import names
from conveyor.api.errors import UserError

Json = dict[str, Any]
Contents = Callable[[Json, str, str], Awaitable[Content]]
"""(Job, "secret" or "configMap", name) to bytes or a file by key; raises UserError when there is none."""

_AGAIN: Final = 10.0


async def bring_up(
    api: EngineApi,
    order: EngineOrder,
    job: Json,
    contents: Contents,
    tell: Callable[[Trouble], None],
) -> None:
    """Pull, make, fill, start.

    Raises:
        EngineError: A container cannot be made or started.
        NotYet: The Engine does not answer.
    """

    async def pull() -> None:
        await ensure_image(api, order, order.stage, job, contents)

    async def fill() -> None:
        for filling in order.fillings:
            found = await contents(job, filling.kind, filling.name)
            with files_tar(found, filling.keys) as tar:
                await api.put_archive(order.of(filling.container).name, filling.path, tar)

    await _patiently(pull, "ErrImagePull", (EngineError, UserError), tell)
    await api.post("/containers/create", order.stage.body, name=order.stage.name)
    for role, path in order.directories:
        with open_directory_tar() as tar:
            await api.put_archive(order.of(role).name, path, tar)
    await _patiently(fill, "CreateContainerConfigError", (UserError,), tell)
    for container in (order.courier, order.stage):
        await api.post(f"/containers/{container.name}/start")


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
