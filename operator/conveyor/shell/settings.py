"""The operator's settings.

In: environment variables (the chart sets them; charts/conveyor/README.md lists them). Out: `Settings`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from conveyor.adapters.machine import own_platform
from conveyor.api.quantity import quantity
from conveyor.config.paths import clean
from conveyor.config.platforms import is_platform, machine_of, normal_platform
from conveyor.config.remote_policy import RemotePolicy, policy_of
from conveyor.jobs.resources import CPU_REQUEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every knob of the operator."""

    namespace: str = "conveyor-system"
    """Where the operator runs and keeps its Leases."""
    identity: str = "conveyor"
    """Name of this process in Leases: the pod's name."""
    image: str = "conveyor"
    """Image of the courier: the operator's own."""
    image_pull_policy: str = "IfNotPresent"
    watch_namespaces: tuple[str, ...] = ()
    """Namespaces to serve; empty for all."""
    insecure_registries: tuple[str, ...] = ()
    """Registries (HOST:PORT) that may be spoken to without TLS."""
    registry_mirrors: Mapping[str, str] = field(default_factory=dict)
    """Registry host to the URL of a mirror that is asked first."""
    mount_from_paths: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Values of `mount: {fromPath: …}` that stapel images may use, each with its Kubernetes volume source."""
    add_remote: RemotePolicy = field(default_factory=RemotePolicy)
    """Where ADD of a URL or repository may fetch from."""
    ca_file: str = ""
    """PEM file with additional certificate authorities; also given to build pods."""
    callback_url: str = ""
    """URL under which couriers reach this process; empty: termination messages only."""
    http_port: int = 8080
    max_jobs: int = 0
    """Live Jobs of all ImageBuilds together; 0 for no limit."""
    log_level: str = "INFO"
    cache_dir: str = "/var/cache/conveyor"
    """Folder of git clones; may be lost at any time."""
    tools_dir: str = "/usr/share/conveyor/tools"
    """Folder with tools.tar.gz and ansible.tar.gz, each with its JSON."""
    tools_platforms: Mapping[str, str] = field(default_factory=dict)
    """Folders like tools_dir by machine (os/architecture), beside that of the operator's own."""
    build_platform: str = field(default_factory=own_platform)
    """BUILDPLATFORM of Dockerfiles."""
    stage_cpu_request: str = CPU_REQUEST
    """Processor that the container of a stage asks for where its ImageBuild does not say; "0" for nothing."""
    docker_endpoint: str = ""
    """Docker Engine of `backend: docker`, as in DOCKER_HOST; empty: there is none."""
    docker_tls_dir: str = ""
    """Folder with ca.pem, cert.pem and key.pem for it; empty: no TLS."""
    docker_network: str = ""
    """The Engine's network for build containers; empty: its default one."""
    outage_seconds: float = 120.0
    """How long a git server or registry may be unreachable before the build counts as failed."""
    resync_seconds: float = 60.0
    """How often unfinished builds are looked at without any event."""
    workers: int = 8
    """Builds that are reconciled at the same time."""
    leader_election: bool = True

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Read the variables `CONVEYOR_…`.

        Raises:
            ValueError: A number or the mirrors' JSON does not parse; the variable is named.
        """
        values: dict[str, object] = {}
        for name, (variable, read) in _VARIABLES.items():
            text = env.get(f"CONVEYOR_{variable}", "")
            if not text:
                continue
            try:
                values[name] = read(text)
            except ValueError as error:
                raise ValueError(f"CONVEYOR_{variable}={text!r}: {error}") from None
        return cls(**values)  # type: ignore[arg-type]


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.replace(",", " ").split() if word)


def _mirrors(text: str) -> Mapping[str, str]:
    data = json.loads(text)
    if not isinstance(data, dict):  # ValueError like every other mistake in a variable
        raise ValueError(  # noqa: TRY004
            'must be a JSON object like {"docker.io": "https://mirror.example"}'
        )
    return {str(key): str(value) for key, value in data.items()}


def _folders(text: str) -> Mapping[str, str]:
    data = json.loads(text)
    names = data if isinstance(data, dict) else {"": ""}
    if not all(is_platform(str(name)) for name in names):
        raise ValueError('must be a JSON object like {"linux/arm64": "/usr/share/tools-arm64"}')
    return {machine_of(normal_platform(name)): str(folder) for name, folder in names.items()}


def _platform(text: str) -> str:
    if not is_platform(text.lower()):
        raise ValueError("must be OS/ARCH such as linux/arm64")
    return normal_platform(text)


def _quantity(text: str) -> str:
    quantity(text)
    return text


def _volumes(text: str) -> Mapping[str, Mapping[str, object]]:
    data = json.loads(text)
    if not isinstance(data, dict) or not all(_is_volume(value) for value in data.values()):
        raise ValueError(
            'must be a JSON object like {"/var/cache": {"persistentVolumeClaim": {"claimName": "cache"}}}'
        )
    return {clean(str(path)): volume for path, volume in data.items()}


def _policy(text: str) -> RemotePolicy:
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError('must be a JSON object like {"allowedHosts": ["example.com"]}')  # noqa: TRY004
    return policy_of(data)


def _is_volume(value: object) -> bool:
    """One kind of volume source with its fields, as in a pod."""
    fields = list(value.values()) if isinstance(value, dict) else []
    return len(fields) == 1 and isinstance(fields[0], dict)


def _number(
    least: float, most: float, kind: type[int] | type[float] = int
) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = kind(text)
        if not least <= value <= most:
            raise ValueError(f"must be between {least} and {most}")
        return value

    return read


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        for word in words:
            if text.lower() == word.lower():
                return word
        raise ValueError(f"must be one of {', '.join(words)}")

    return read


def _bool(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("must be true or false")
    return text.lower() == "true"


_VARIABLES: Mapping[str, tuple[str, Callable[[str], object]]] = {
    "namespace": ("NAMESPACE", str),
    "identity": ("POD_NAME", str),
    "image": ("IMAGE", str),
    "image_pull_policy": ("IMAGE_PULL_POLICY", _one_of("Always", "IfNotPresent", "Never")),
    "watch_namespaces": ("WATCH_NAMESPACES", _words),
    "insecure_registries": ("INSECURE_REGISTRIES", _words),
    "registry_mirrors": ("REGISTRY_MIRRORS", _mirrors),
    "mount_from_paths": ("MOUNT_FROM_PATHS", _volumes),
    "add_remote": ("ADD_REMOTE", _policy),
    "ca_file": ("CA_FILE", str),
    "callback_url": ("CALLBACK_URL", str),
    "http_port": ("HTTP_PORT", _number(1, 65535)),
    "max_jobs": ("MAX_JOBS", _number(0, 1_000_000)),
    "log_level": ("LOG_LEVEL", _one_of("DEBUG", "INFO", "WARNING", "ERROR")),
    "cache_dir": ("CACHE_DIR", str),
    "tools_dir": ("TOOLS_DIR", str),
    "tools_platforms": ("TOOLS_PLATFORMS", _folders),
    "build_platform": ("BUILD_PLATFORM", _platform),
    "stage_cpu_request": ("STAGE_CPU_REQUEST", _quantity),
    "docker_endpoint": ("DOCKER_ENDPOINT", str),
    "docker_tls_dir": ("DOCKER_TLS_DIR", str),
    "docker_network": ("DOCKER_NETWORK", str),
    "outage_seconds": ("OUTAGE_SECONDS", _number(0, 86_400, float)),
    "resync_seconds": ("RESYNC_SECONDS", _number(0.1, 86_400, float)),
    "workers": ("WORKERS", _number(1, 1000)),
    "leader_election": ("LEADER_ELECTION", _bool),
}
