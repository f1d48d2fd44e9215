"""All kopf handlers: events wake, the reconcile works.

In: kopf's registry and our queue. Out: registered handlers of one line each. No finalizer, no annotation, no handler result
is left on objects: Jobs belong to the ImageBuild by ownerReference and go with it.
"""

from collections.abc import Callable
from typing import Any

import kopf

from conveyor.api import names
from conveyor.shell.workqueue import Key


def register(
    registry: kopf.OperatorRegistry, add: Callable[[Key], None], wrote: Callable[[str, str], bool]
) -> None:
    """Have every event of an ImageBuild added to the queue, but for those that our own writes (uid, resourceVersion) make."""

    @kopf.on.login(id="login", registry=registry)
    async def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, id="wake", registry=registry)
    async def wake(
        namespace: str | None, name: str | None, uid: str | None, meta: kopf.Meta, **_: Any
    ) -> None:
        if not wrote(uid or "", str(meta.get("resourceVersion"))):
            add((namespace or "", name or ""))


def operator_settings() -> kopf.OperatorSettings:
    """kopf's settings: its own names on nothing, streams that are renewed, no Events of its own."""
    settings = kopf.OperatorSettings()
    settings.persistence.finalizer = f"{names.GROUP}/kopf"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=names.GROUP)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=names.GROUP)
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 10
    settings.networking.request_timeout = 30
    return settings
