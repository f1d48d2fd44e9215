"""Environment variables to settings."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, union-attr, arg-type, var-annotated"

import dataclasses

import pytest

from conveyor.config.remote_policy import RemotePolicy
from conveyor.shell.settings import _VARIABLES, Settings

GOOD = {
    "NAMESPACE": ("namespace", "builds", "builds"),
    "POD_NAME": ("identity", "conveyor-7d9-x", "conveyor-7d9-x"),
    "IMAGE": ("image", "registry.example/conveyor@sha256:1", "registry.example/conveyor@sha256:1"),
    "IMAGE_PULL_POLICY": ("image_pull_policy", "Always", "Always"),
    "WATCH_NAMESPACES": ("watch_namespaces", "a, b c,,d", ("a", "b", "c", "d")),
    "INSECURE_REGISTRIES": ("insecure_registries", "r:5000,s:80", ("r:5000", "s:80")),
    "REGISTRY_MIRRORS": (
        "registry_mirrors",
        '{"docker.io": "https://mirror.example"}',
        {"docker.io": "https://mirror.example"},
    ),
    "MOUNT_FROM_PATHS": (
        "mount_from_paths",
        '{"/srv/x/": {"hostPath": {"path": "/srv/x"}}}',
        {"/srv/x": {"hostPath": {"path": "/srv/x"}}},
    ),
    "ADD_REMOTE": (
        "add_remote",
        '{"allowedHosts": ["Example.org"], "blockedNetworks": ["10.0.0.0/8"]}',
        RemotePolicy(allowed_hosts=("example.org",), blocked_networks=("10.0.0.0/8",)),
    ),
    "CA_FILE": ("ca_file", "/etc/ca.pem", "/etc/ca.pem"),
    "CALLBACK_URL": ("callback_url", "http://10.0.0.1:8080", "http://10.0.0.1:8080"),
    "HTTP_PORT": ("http_port", "9090", 9090),
    "MAX_JOBS": ("max_jobs", "20", 20),
    "LOG_LEVEL": ("log_level", "DEBUG", "DEBUG"),
    "CACHE_DIR": ("cache_dir", "/cache", "/cache"),
    "TOOLS_DIR": ("tools_dir", "/tools", "/tools"),
    "TOOLS_PLATFORMS": ("tools_platforms", '{"linux/aarch64": "/arm"}', {"linux/arm64": "/arm"}),
    "BUILD_PLATFORM": ("build_platform", "linux/aarch64", "linux/arm64"),
    "STAGE_CPU_REQUEST": ("stage_cpu_request", "0", "0"),
    "DOCKER_ENDPOINT": ("docker_endpoint", "tcp://engine:2376", "tcp://engine:2376"),
    "DOCKER_TLS_DIR": ("docker_tls_dir", "/etc/tls", "/etc/tls"),
    "DOCKER_NETWORK": ("docker_network", "builds", "builds"),
    "OUTAGE_SECONDS": ("outage_seconds", "1.5", 1.5),
    "RESYNC_SECONDS": ("resync_seconds", "30", 30.0),
    "WORKERS": ("workers", "2", 2),
    "LEADER_ELECTION": ("leader_election", "False", False),
}


def test_without_variables_everything_has_its_default():
    assert Settings.from_env({}) == Settings()
    assert Settings.from_env({f"CONVEYOR_{name}": "" for name in GOOD}) == Settings()
    assert (
        Settings.from_env({"PATH": "/bin", "NAMESPACE": "x", "CONVEYOR_OTHER": "y"}) == Settings()
    )


def test_every_setting_has_a_variable_and_every_variable_is_tested():
    fields = {field.name for field in dataclasses.fields(Settings)}
    assert set(_VARIABLES) == fields
    assert {variable for variable, _ in _VARIABLES.values()} == set(GOOD)


@pytest.mark.parametrize("variable", GOOD)
def test_a_variable_sets_its_setting_only(variable):
    name, text, value = GOOD[variable]
    settings = Settings.from_env({f"CONVEYOR_{variable}": text})
    assert settings == dataclasses.replace(Settings(), **{name: value})
    assert settings != Settings()


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("HTTP_PORT", "http"),
        ("HTTP_PORT", "80.5"),
        ("MAX_JOBS", "many"),
        ("WORKERS", "1e3"),
        ("OUTAGE_SECONDS", "2m"),
        ("RESYNC_SECONDS", "soon"),
        ("LEADER_ELECTION", "yes"),
        ("LEADER_ELECTION", "1"),
        ("REGISTRY_MIRRORS", "docker.io=https://mirror.example"),
        ("REGISTRY_MIRRORS", '["https://mirror.example"]'),
        ("ADD_REMOTE", "true"),
        ("ADD_REMOTE", "[]"),
        ("ADD_REMOTE", '{"enabled": "no"}'),
        ("ADD_REMOTE", '{"blockedNetworks": ["10.0.0.1/8"]}'),
        ("TOOLS_PLATFORMS", "linux/arm64"),
        ("TOOLS_PLATFORMS", '["linux/arm64"]'),
        ("TOOLS_PLATFORMS", '{"arm64": "/arm"}'),
        ("STAGE_CPU_REQUEST", "some"),
        ("BUILD_PLATFORM", "arm64"),
        ("BUILD_PLATFORM", "linux/a/b/c"),
        ("MOUNT_FROM_PATHS", "/srv"),
        ("MOUNT_FROM_PATHS", '["/srv"]'),
        ("MOUNT_FROM_PATHS", '{"/srv": {}}'),
        ("MOUNT_FROM_PATHS", '{"/srv": {"hostPath": "/srv"}}'),
        ("MOUNT_FROM_PATHS", '{"/srv": {"emptyDir": {}, "hostPath": {"path": "/srv"}}}'),
    ],
)
def test_a_mistake_names_the_variable(variable, text):
    with pytest.raises(ValueError, match=f"CONVEYOR_{variable}="):
        Settings.from_env({f"CONVEYOR_{variable}": text})


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("HTTP_PORT", "-1"),
        ("HTTP_PORT", "70000"),
        ("MAX_JOBS", "-5"),
        ("WORKERS", "0"),
        ("OUTAGE_SECONDS", "nan"),
        ("RESYNC_SECONDS", "0"),
        ("LOG_LEVEL", "LOUD"),
        ("IMAGE_PULL_POLICY", "Sometimes"),
    ],
)
def test_a_value_that_cannot_work_is_refused_at_the_start(variable, text):
    with pytest.raises(ValueError, match=f"CONVEYOR_{variable}="):
        Settings.from_env({f"CONVEYOR_{variable}": text})


@pytest.mark.parametrize("text", ["always", "IFNOTPRESENT"])
def test_a_pull_policy_is_written_as_kubernetes_writes_it(text):
    try:
        settings = Settings.from_env({"CONVEYOR_IMAGE_PULL_POLICY": text})
    except ValueError:
        return
    assert settings.image_pull_policy in ("Always", "IfNotPresent")
