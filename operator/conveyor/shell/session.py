"""What one look at a build works with: its credentials turned into connections.

In: an ImageBuild. Out: `Session`: stages storage, git repository, and what Jobs have to be told about them. Registry clients
(with their tokens and connections) are kept between looks for as long as their credentials are the same.
"""

import asyncio
import hashlib
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from conveyor.adapters.cache import LruCache
from conveyor.adapters.cluster import CORE, ApiError
from conveyor.adapters.execution_images import Tools
from conveyor.adapters.git_clones import GitClones, open_local
from conveyor.adapters.git_repo import GitRepo
from conveyor.adapters.machine import own_platform
from conveyor.adapters.objects import ca_config_map, read_config_map, read_secret
from conveyor.adapters.objects_api import ObjectsApi
from conveyor.adapters.oci_ref import ImageRef
from conveyor.adapters.registry import RegistryClient
from conveyor.adapters.registry_endpoints import RegistryOptions
from conveyor.adapters.repository_images import ImageCache
from conveyor.adapters.stages_storage import StagesStorage
from conveyor.api import names
from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.api.v1alpha1 import Backend, ImageBuild, LocalRef
from conveyor.config.platforms import machine_of
from conveyor.jobs import ssh
from conveyor.jobs.manifest import PodSettings, registry_mounts
from conveyor.jobs.mounts import VolumeSources
from conveyor.jobs.task import Surroundings
from conveyor.shell.logins import git_credentials, registry_credentials
from conveyor.shell.remotes import Remotes
from conveyor.shell.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Connections of one ImageBuild, the stage tools by machine (`os/architecture`), `platforms` of its `Sessions`.

    `engine` is the machine of the Docker Engine that runs its Jobs, "" where nodes do.
    """

    build: ImageBuild
    storage: StagesStorage
    git: GitRepo | None
    remotes: Remotes
    pods: PodSettings
    around: Surroundings
    tools: Mapping[str, Tools] = field(default_factory=dict)
    platforms: tuple[str, ...] = ()
    engine: str = ""


class Sessions:
    """Opens sessions; owns the registry clients.

    Args:
        local: Directory by URL of repositories that are read where they are, without any server.
        platforms: In place of those of every image; () leaves them.
    """

    def __init__(
        self,
        cluster: ObjectsApi,
        settings: Settings,
        local: Mapping[str, Path] | None = None,
        platforms: tuple[str, ...] = (),
    ) -> None:
        self._local = local or {}
        self._platforms = platforms
        self._cluster = cluster
        self._settings = settings
        self._clones: dict[str | None, GitClones] = {}
        self._tools = _tools(settings)
        self._images = ImageCache()
        self._clients: LruCache[str, RegistryClient] = LruCache(256)

    async def close(self) -> None:
        """Close the connections to registries."""
        for client in self._clients.values():
            await client.__aexit__(None, None, None)

    async def open(self, build: ImageBuild) -> Session:
        """Read the Secrets that the build names and connect.

        Raises:
            UserError: A Secret is missing, unreadable or malformed.
        """
        spec = build.spec
        pem = await self._ca_pem(build)
        ca_file = await asyncio.to_thread(self._ca_path, pem)
        registry = await self._registry(build, ca_file)
        await self._check_ssh_keys(build)
        await self._check_secrets(build)

        async def open_git(url: str, secret: LocalRef | None) -> GitRepo:
            return await self._open_git(build, ca_file, url, secret)

        source = spec.source.git if spec.source else None
        return Session(
            build=build,
            storage=StagesStorage(
                registry,
                spec.repo,
                self._tools,
                self._images,
                secondary_repos=spec.secondary_repos,
            ),
            git=await open_git(source.url, source.secret_ref) if source else None,
            remotes=Remotes(build, open_git),
            pods=PodSettings(
                courier_image=self._settings.image,
                pull_policy=self._settings.image_pull_policy,
                ca_config_map=names.ca_config_map_name(build.metadata.name) if pem else "",
                from_paths=_from_paths(build, self._settings),
                cpu_request=self._settings.stage_cpu_request,
            ),
            around=_surroundings(build, self._settings, ca=bool(pem)),
            tools=self._tools,
            platforms=self._platforms,
        )

    async def _secret(self, build: ImageBuild, name: str) -> Mapping[str, str]:
        return await read_secret(self._cluster, build.metadata.namespace, name)

    async def _registry(self, build: ImageBuild, ca_file: str | None) -> RegistryClient:
        spec = build.spec
        refs = (spec.push_secret_ref, *spec.pull_secret_refs)
        texts = [await self._docker_config(build, ref.name) for ref in refs if ref is not None]
        key = hashlib.sha256(json.dumps([texts, ca_file]).encode()).hexdigest()
        client = self._clients.get(key)
        if client is None:
            options = RegistryOptions(
                insecure=frozenset(self._settings.insecure_registries),
                mirrors=self._settings.registry_mirrors,
                ca_file=ca_file,
            )
            client = RegistryClient(registry_credentials(texts), options)
            await client.__aenter__()
            self._clients[key] = client
        return client

    async def _docker_config(self, build: ImageBuild, name: str) -> str:
        data = await self._secret(build, name)
        if names.DOCKER_CONFIG_SECRET_KEY not in data:
            raise UserError(
                Reason.SECRET_NOT_FOUND,
                f"Secret {name} has no key {names.DOCKER_CONFIG_SECRET_KEY}; make it with: "
                f"kubectl create secret docker-registry {name} --docker-server=… "
                "--docker-username=… --docker-password=…",
            )
        return data[names.DOCKER_CONFIG_SECRET_KEY]

    async def _check_ssh_keys(self, build: ImageBuild) -> None:
        """A pod that names a Secret without the key would only wait: say it before."""
        for ref in build.spec.ssh_key_secret_refs:
            data = await self._secret(build, ref.name)
            if names.SSH_SECRET_KEY not in data:
                raise UserError(
                    Reason.SECRET_NOT_FOUND,
                    f"Secret {ref.name} has no key {names.SSH_SECRET_KEY}; make it with: "
                    f"kubectl create secret generic {ref.name} --type=kubernetes.io/ssh-auth "
                    f"--from-file={names.SSH_SECRET_KEY}=FILE --from-file=known_hosts=FILE",
                )

    async def _check_secrets(self, build: ImageBuild) -> None:
        """The same for what a RUN may mount; values are not looked at."""
        for secret in build.spec.secrets:
            ref = secret.secret_ref
            if ref.key not in await self._secret(build, ref.name):
                raise UserError(
                    Reason.SECRET_NOT_FOUND,
                    f"Secret {ref.name} has no key {ref.key}, which spec.secrets names for {secret.id}",
                )

    def _ca_path(self, pem: str) -> str | None:
        if not pem:
            return None
        key = hashlib.sha256(pem.encode()).hexdigest()
        path = Path(self._settings.cache_dir) / "ca" / f"{key}.pem"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pem)
        return str(path)

    async def _open_git(
        self, build: ImageBuild, ca_file: str | None, url: str, secret: LocalRef | None
    ) -> GitRepo:
        if url in self._local:
            return await open_local(self._local[url])
        credentials = None
        if secret is not None:
            credentials = git_credentials(await self._secret(build, secret.name), secret.name)
        if ca_file not in self._clones:
            # Clones are kept apart by what is trusted, as they are by credentials.
            folder = Path(ca_file).stem if ca_file else "system"
            directory = Path(self._settings.cache_dir) / "git" / folder
            self._clones[ca_file] = GitClones(directory, ca_file=ca_file)
        return await self._clones[ca_file].open(url, credentials)

    async def _ca_pem(self, build: ImageBuild) -> str:
        """The operator's and the build's certificate authorities, put into a ConfigMap for the pods."""
        parts = []
        if self._settings.ca_file:
            parts.append(await asyncio.to_thread(Path(self._settings.ca_file).read_text))
        if build.spec.ca_bundle is not None:
            ref = build.spec.ca_bundle.config_map_ref
            namespace = build.metadata.namespace
            parts.append(await read_config_map(self._cluster, namespace, ref.name, ref.key))
        if not parts:
            return ""
        pem = "\n".join([await asyncio.to_thread(_system_authorities), *parts])
        await self._share_ca(build, pem)
        return pem

    async def _share_ca(self, build: ImageBuild, pem: str) -> None:
        meta = build.metadata
        name = names.ca_config_map_name(meta.name)
        found = await self._cluster.get(CORE, "configmaps", meta.namespace, name)
        if found is not None and (found.get("data") or {}).get("ca.crt") == pem:
            return
        labels = {
            names.LABEL_MANAGED_BY: names.MANAGED_BY,
            names.LABEL_COMPONENT: names.COMPONENT_CA,
        }
        body = ca_config_map(name, meta.namespace, build.owner_reference(), labels, pem)
        try:
            if found is None:
                await self._cluster.create(CORE, "configmaps", meta.namespace, body)
            else:
                await self._cluster.replace(CORE, "configmaps", meta.namespace, name, body)
        except ApiError as error:
            if error.status == 403:
                raise UserError(
                    Reason.SECRET_NOT_READABLE,
                    f"the CA bundle cannot be shared with pods in namespace {meta.namespace}: "
                    f"bind ClusterRole conveyor-credentials there ({error.message})",
                ) from None
            if error.status != 409:
                raise


def _tools(settings: Settings) -> dict[str, Tools]:
    """The tools of the operator's own machine, which are in its image, and those that the settings name."""
    own = machine_of(own_platform())
    folders = {own: settings.tools_dir} if settings.tools_dir else {}
    folders |= settings.tools_platforms
    return {machine: Tools.load(Path(folder)) for machine, folder in folders.items()}


def _system_authorities() -> str:
    """What programs trust by default: a bundle given to them by SSL_CERT_FILE replaces it, so it goes along."""
    cafile = ssl.get_default_verify_paths().cafile
    return Path(cafile).read_text(encoding="utf-8") if cafile else ""


def _from_paths(build: ImageBuild, settings: Settings) -> VolumeSources:
    """Volumes of the cluster are none of an Engine."""
    return settings.mount_from_paths if build.spec.backend is Backend.KUBERNETES else {}


def _surroundings(build: ImageBuild, settings: Settings, *, ca: bool) -> Surroundings:
    host = ImageRef.parse(build.spec.repo).registry
    insecure = tuple(name for name in settings.insecure_registries if name == host)
    return Surroundings(
        repo=build.spec.repo,
        insecure=insecure,
        registry_configs=tuple(path for _, path, _ in registry_mounts(build)),
        ca=ca,
        callback_url=settings.callback_url if build.spec.backend is Backend.KUBERNETES else "",
        ssh_keys=ssh.key_paths(build),
        secrets=frozenset(secret.id for secret in build.spec.secrets),
        keeps_caches=build.spec.mounts.cache is not None,
        remote=settings.add_remote,
    )
