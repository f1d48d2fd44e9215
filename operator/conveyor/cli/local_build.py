"""What a build on this machine is made of: the ImageBuild, its Secrets, the settings.

In: options, an Engine. Out: `Material`. The ImageBuild is an ordinary one with `backend: docker`; the project's repository has an
address that only this process understands, and where a cluster would have a login for it, a pack of the commits is handed to
the courier.
"""

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import click

from conveyor.adapters.engine_api import EngineApi
from conveyor.adapters.engine_containers import LOCAL_NAMESPACE
from conveyor.adapters.engine_files import Content
from conveyor.adapters.git_clones import open_local
from conveyor.adapters.oci_ref import ImageRef, OciFormatError
from conveyor.adapters.registry_auth import Credentials, DockerConfigError
from conveyor.api import names
from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.api.v1alpha1 import EnvVar, ImageBuild
from conveyor.builder.courier_agent import AGENT
from conveyor.builder.courier_inputs import GitInput, GitPatch
from conveyor.builder.courier_task import parse_task
from conveyor.builder.inputs_git import PACK
from conveyor.cli.build_inputs import key_of
from conveyor.cli.local_login import docker_config
from conveyor.cli.local_packs import Packs
from conveyor.cli.local_tools import tools_of
from conveyor.shell.settings import Settings

if TYPE_CHECKING:
    from conveyor.cli.building import BuildOptions

Json = dict[str, Any]
Contents = Callable[[Json, str, str], Awaitable[Content]]

_LOGINS: Final = "registry"
_REPOSITORY: Final = "repository-"
_SSH: Final = "ssh-"
SSH_AGENT: Final = f"{_SSH}agent"
"""Secret that stands for an agent of this machine."""
_SECRET: Final = "secret-"  # noqa: S105 - the beginning of a name
_VALUE: Final = "value"
CLAIM: Final = "kept"
"""Claim that stands for the Engine's volume of what outlives a build."""
_KEPT: Final = {"persistentVolumeClaim": {"claimName": CLAIM}}
_MAX_VARIABLES: Final = 256
_LOOPBACK: Final = ("localhost", "127.", "[::1]")
_ANY_LOOPBACK: Final = ("localhost:*", "127.0.0.1:*", "[::1]:*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """All of it.

    Attributes:
        local: Directory by URL of repositories on disk; the Secret `repository-N` stands for the N-th.
    """

    build: Json
    secrets: Mapping[str, Mapping[str, bytes]]
    settings: Settings
    local: Mapping[str, Path]
    packs: Packs

    def contents(self, config_map: Callable[[str], Mapping[str, str]]) -> Contents:
        """Return what Jobs are given by the names of Secrets and ConfigMaps."""

        async def contents(job: Json, kind: str, name: str) -> Content:
            if name.startswith(_REPOSITORY):
                return {PACK: await self._pack(job, int(name.removeprefix(_REPOSITORY)))}
            if kind == "configMap":
                return {key: text.encode() for key, text in config_map(name).items()}
            return self.secrets[name]

        return contents

    async def _pack(self, job: Json, number: int) -> Path:
        """The commits of a repository that this Job wants."""
        url, directory = list(self.local.items())[number]
        wanted: dict[str, None] = {}
        for task in map(parse_task, _fetching_tasks(job)):
            for item in task.inputs:
                if isinstance(item, GitInput) and task.git[item.repository].url == url:
                    wanted |= {item.start: None} if isinstance(item, GitPatch) else {}
                    wanted[item.commit] = None
        return await self.packs.of(directory, tuple(wanted))


def _fetching_tasks(job: Json) -> list[str]:
    """The tasks of the containers that fetch."""
    spec = job["spec"]["template"]["spec"]
    containers = [*(spec.get("initContainers") or []), *spec["containers"]]
    env = [it for container in containers for it in container.get("env") or []]
    return [str(it["value"]) for it in env if it["name"] == "CONVEYOR_COURIER"]


async def material_of(
    options: "BuildOptions", api: EngineApi, home: Path, scratch: Path, uid: str
) -> Material:
    """Gather everything.

    Raises:
        UserError: Something of the options is wrong.
    """
    project = options.project
    registry = _registry(project.repo)
    commit = await (await open_local(project.git)).revision(project.commit)
    logins = docker_config(os.environ, (registry,))
    machine, tools = await tools_of(api, options.conveyor_image, _credentials(logins), home)
    own = f"ssh://localhost{quote(str(project.git.resolve()))}"
    local = {own: project.git.resolve()}
    local |= {url: path.resolve() for url, path in project.remotes.items()}
    insecure = (registry,) if registry.startswith(_LOOPBACK) else ()
    spec = _spec(options, commit, local)
    body = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": "build", "namespace": LOCAL_NAMESPACE, "uid": uid, "generation": 1},
        "spec": spec,
    }
    ImageBuild.from_object(body)  # an option that the spec refuses is told before anything starts
    return Material(
        build=body,
        secrets={_LOGINS: {names.DOCKER_CONFIG_SECRET_KEY: logins.encode()}, **_given(options)},
        settings=Settings(
            image=options.conveyor_image,
            insecure_registries=(*insecure, *options.insecure, *_ANY_LOOPBACK),
            ca_file=str(options.ca_file or ""),
            cache_dir=str(scratch),
            tools_dir="",  # this program's machine need not be the Engine's
            tools_platforms={machine: str(tools)},
            registry_mirrors=options.mirrors,
            add_remote=options.add_remote,
        ),
        local=local,
        packs=Packs(scratch),
    )


def _spec(options: "BuildOptions", commit: str, local: Mapping[str, Path]) -> Json:
    project = options.project
    own, *remotes = local
    source: Json = {
        "url": own,
        "commit": commit,
        "secretRef": {"name": f"{_REPOSITORY}0"},
        "virtualMerge": project.virtual_merge,
    }
    directory = os.path.normpath(project.directory or ".").strip("/")
    optional = {
        "configPath": project.config,
        "environment": project.environment,
        "gitCredentials": [
            {"url": url, "secretRef": {"name": f"{_REPOSITORY}{number}"}}
            for number, url in enumerate(remotes, 1)
        ],
        "sshKeySecretRefs": [{"name": name} for name in _given(options) if name.startswith(_SSH)],
        "secrets": [
            {"id": found, "secretRef": {"name": f"{_SECRET}{i}", "key": _VALUE}}
            for i, found in enumerate(options.secrets)
        ],
        "mounts": {"buildDir": _KEPT, "cache": _KEPT} if options.cache_volume else {},
    }
    return {
        "backend": "docker",
        "repo": project.repo,
        "source": {"git": source | ({} if directory == "." else {"path": directory})},
        "images": list(options.images),
        "parallelTasksLimit": options.parallel,
        "dockerfileMode": options.project.dockerfile_mode.value,
        "stageTimeout": options.stage_timeout,
        "pushSecretRef": {"name": _LOGINS},
        "env": _variables(project.env),
        **{key: value for key, value in optional.items() if value},
    }


def _variables(env: Mapping[str, str]) -> list[Json]:
    """Variables of this process: giterminism decides which of them templates may read."""
    found = []
    for name, value in sorted(env.items()):
        try:
            found.append(EnvVar(name=name, value=value).model_dump(mode="json", by_alias=True))
        except ValueError:
            continue  # no template can name it, or it is no text for one
    if len(found) > _MAX_VARIABLES:
        click.echo(
            f"Warning: templates know the first {_MAX_VARIABLES} of {len(found)} variables of the environment",
            err=True,
        )
    return found[:_MAX_VARIABLES]


def _registry(repo: str) -> str:
    try:
        return ImageRef.parse(repo).registry
    except OciFormatError as error:
        raise UserError(Reason.INVALID_SPEC, f"--repo: {error}") from None


def _credentials(text: str) -> Credentials:
    try:
        return Credentials.parse([text])
    except DockerConfigError as error:
        raise UserError(Reason.INVALID_SPEC, str(error)) from None


def _given(options: "BuildOptions") -> Mapping[str, Mapping[str, bytes]]:
    """Secrets with what the options give to commands."""
    keys = {
        f"{_SSH}{i}": {names.SSH_SECRET_KEY: key_of(path)}
        for i, path in enumerate(options.ssh_keys)
    }
    agent = {SSH_AGENT: {names.SSH_SECRET_KEY: b"", AGENT: b""}} if options.ssh_agent else {}
    secrets = {f"{_SECRET}{i}": {_VALUE: value} for i, value in enumerate(options.secrets.values())}
    return {**keys, **agent, **secrets}
