"""Where the Jobs of a build run: pods of the cluster, or containers of the Docker Engine that the operator was given.

In: `spec.backend`, the operator's settings. Out: the `JobsApi` of a build, or a UserError that says what is missing, before
anything starts.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from conveyor.adapters.cluster import JOBS
from conveyor.adapters.engine_api import Endpoint, EngineApi, EngineError
from conveyor.adapters.engine_containers import LOCAL_NAMESPACE
from conveyor.adapters.engine_files import Content
from conveyor.adapters.engine_jobs import EngineJobs
from conveyor.adapters.objects import read_config_map, read_secret_bytes
from conveyor.adapters.objects_api import JobsApi, ObjectsApi
from conveyor.api import names
from conveyor.api.errors import NotYet, UserError
from conveyor.api.names import Reason
from conveyor.api.v1alpha1 import Backend, ImageBuild
from conveyor.jobs.run import finished
from conveyor.shell.settings import Settings

Json = dict[str, Any]
ListBuilds = Callable[[], Awaitable[list[Json]]]

log = logging.getLogger(__name__)


class Backends:
    """Chooses by `spec.backend`."""

    def __init__(self, cluster: JobsApi, engine: EngineJobs | None) -> None:
        self._cluster = cluster
        self._engine = engine

    def of(self, build: ImageBuild) -> JobsApi:
        """Return where Jobs of a build run.

        Raises:
            UserError: NotSupported.
        """
        if build.spec.backend is Backend.KUBERNETES:
            return self._cluster
        if self._engine is None:
            raise UserError(
                Reason.NOT_SUPPORTED,
                "spec.backend: docker: this Conveyor has no Docker Engine; its administrator gives it one with "
                "builds.docker.endpoint of the chart",
            )
        _check(build, keeps=bool(self._engine.claims))
        return self._engine

    async def engine(self, build: ImageBuild) -> str:
        """Return the machine (`os/architecture`) of the Docker Engine that runs the build's Jobs, "" where nodes do.

        Raises:
            UserError: NotSupported.
            NotYet: The Engine does not answer.
        """
        runs = self.of(build)
        return await self._engine.machine() if self._engine and runs is self._engine else ""


def _check(build: ImageBuild, *, keeps: bool) -> None:
    """Refuse what only pods have; an Engine that `keeps` has volumes for what outlives a build."""
    spec, template = build.spec, build.spec.pod_template
    given = {
        "podTemplate.nodeSelector": template.node_selector,
        "podTemplate.tolerations": template.tolerations,
        "podTemplate.priorityClassName": template.priority_class_name,
        "podTemplate.runtimeClassName": template.runtime_class_name,
        "podTemplate.serviceAccountName": template.service_account_name,
        "mounts.buildDir": spec.mounts.build_dir and not keeps,
        "mounts.cache": spec.mounts.cache and not keeps,
    }
    found = [f"spec.{name}" for name, value in given.items() if value]
    if found:
        text = f"{', '.join(found)}: only pods have that, not containers of backend docker"
        raise UserError(Reason.NOT_SUPPORTED, text)


def engine_of(cluster: ObjectsApi, settings: Settings) -> EngineJobs | None:
    """Return the operator's Engine, None when it has none.

    Raises:
        UserError: InvalidSpec, the endpoint is not an address.
    """
    if not settings.docker_endpoint:
        return None

    async def contents(job: Json, kind: str, name: str) -> Content:
        namespace = job["metadata"]["namespace"]
        if kind == "secret":
            return await read_secret_bytes(cluster, namespace, name)
        return {"ca.crt": (await read_config_map(cluster, namespace, name, "ca.crt")).encode()}

    api = EngineApi(Endpoint.parse(settings.docker_endpoint, settings.docker_tls_dir))
    return EngineJobs(api, contents, network=settings.docker_network, alone=True)


async def sweep_engine(engine: EngineJobs, list_builds: ListBuilds) -> None:
    """Remove what is left of builds that are gone or over: an Engine knows neither owner references nor a time to live."""
    try:
        jobs, _ = await engine.list(JOBS, "jobs")
        builds = await list_builds()  # after the Jobs
        uids = {item["metadata"]["uid"] for item in builds if not _finished(item)}
        for job in jobs:
            meta = job["metadata"]
            if meta["namespace"] != LOCAL_NAMESPACE and not _owners(job) & uids:
                await engine.delete(JOBS, "jobs", meta["namespace"], meta["name"], uid=meta["uid"])
        await engine.remove_volumes()
    except (NotYet, EngineError) as error:
        log.warning("left containers of the Docker Engine were not removed: %s", error)


def _finished(item: Json) -> bool:
    try:
        return finished(ImageBuild.from_object(item))
    except UserError:
        return False


def _owners(job: Json) -> set[str]:
    owners = job["metadata"].get("ownerReferences") or []
    return {str(owner["uid"]) for owner in owners if owner.get("kind") == names.KIND}
