"""The chart against a real API server: what it renders is valid, restricted and has just the rights it says."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol, cast

import pytest
import yaml

from conveyor.config.remote_policy import RemotePolicy, policy_json
from conveyor.jobs.resources import CPU_REQUEST
from conveyor.shell.settings import Settings

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "conveyor"
NAMESPACE = "conveyor-system"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:conveyor"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
EVERYTHING = {
    "image": {"repository": "registry.example.com/conveyor", "digest": f"sha256:{'0' * 64}"},
    "imagePullSecrets": [{"name": "pull"}],
    "replicas": 2,
    "watchNamespaces": ["team-a", "team-b"],
    "credentialNamespaces": ["team-a"],
    "registry": {
        "insecure": ["10.0.0.1:5000", "[fd00::1]:5000"],
        "mirrors": {"docker.io": "http://mirror:5000", "quay.io": "https://quay-mirror"},
    },
    "mounts": {
        "fromPaths": {
            "/srv/yarn": {"persistentVolumeClaim": {"claimName": "yarn"}},
            "~/.m2": {"hostPath": {"path": "/srv/m2", "type": "DirectoryOrCreate"}},
        }
    },
    "addRemote": {
        "enabled": True,
        "allowedHosts": ["example.org", "*.example.net", "files.example.com:8443"],
        "privateHosts": ["git.corp", "10.0.0.1:8080", "[fd00::1]:8080"],
        "blockedNetworks": ["34.118.224.0/20", "2001:db8::/32"],
    },
    "builds": {"cpuRequest": "0.25"},
    "buildPlatform": "linux/arm64",
    "tools": {
        "platforms": {
            "linux/arm64": {
                "volume": {"image": {"reference": "registry.example.com/conveyor:arm64"}},
                "path": "usr/share/conveyor/tools",
            },
            "linux/s390x": {"path": "/opt/tools"},
        }
    },
    "caBundle": {"pem": CERTIFICATE},
    "crds": {"keep": False},
    "metrics": {"serviceMonitor": {"enabled": False, "labels": {"release": "x"}}},
    "logLevel": "debug",
    "maxConcurrentJobs": 7,
    "http": {"port": 8443},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"operator": "Exists"}],
    "priorityClassName": "system-cluster-critical",
    "podLabels": {"team": "platform"},
    "podAnnotations": {"example.com/note": "x"},
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
}
WRONG = {
    "unknown value": {"imagee": {}},
    "unknown nested value": {"image": {"name": "x"}},
    "negative replicas": {"replicas": -1},
    "log level": {"logLevel": "loud"},
    "namespace": {"watchNamespaces": ["Team"]},
    "registry with a scheme": {"registry": {"insecure": ["http://registry"]}},
    "mirror without a scheme": {"registry": {"mirrors": {"docker.io": "mirror:5000"}}},
    "no Jobs": {"maxConcurrentJobs": 0},
    "variable of the chart": {"extraEnv": [{"name": "CONVEYOR_IMAGE", "value": "x"}]},
    "no certificate": {"caBundle": {"pem": "hello"}},
    "mount without a volume": {"mounts": {"fromPaths": {"/srv": {}}}},
    "mount of two volumes": {
        "mounts": {"fromPaths": {"/srv": {"emptyDir": {}, "hostPath": {"path": "/srv"}}}}
    },
    "mount of a Secret": {"mounts": {"fromPaths": {"/srv": {"secret": {"secretName": "x"}}}}},
    "tools of no platform": {"tools": {"platforms": {"arm64": {"path": "/opt"}}}},
    "tools without a folder": {"tools": {"platforms": {"linux/arm64": {}}}},
    "relative hostPath": {"mounts": {"fromPaths": {"/srv": {"hostPath": {"path": "srv"}}}}},
    "host with a scheme": {"addRemote": {"allowedHosts": ["https://example.org"]}},
    "build platform without architecture": {"buildPlatform": "linux"},
    "cpu in words": {"builds": {"cpuRequest": "two"}},
    "less than no cpu": {"builds": {"cpuRequest": -1}},
    "host with a path": {"addRemote": {"privateHosts": ["git.corp/team"]}},
    "pattern in the middle": {"addRemote": {"allowedHosts": ["git.*.corp"]}},
    "address for a network": {"addRemote": {"blockedNetworks": ["10.0.0.1"]}},
    "low port": {"http": {"port": 80}},
    "two bundles": {"caBundle": {"pem": CERTIFICATE, "configMap": {"name": "ca"}}},
    "account without a name": {"serviceAccount": {"create": False}},
}
Manifest = Mapping[str, object]


class Api(Protocol):
    """What the fixture offers."""

    request: Callable[..., tuple[int, Mapping[str, object]]]
    kubectl: Callable[..., str]


def template(helm: str, values: Mapping[str, object]) -> subprocess.CompletedProcess[str]:
    arguments = ["--namespace", NAMESPACE, "--kube-version", "1.34.0", "--values", "-"]
    return subprocess.run(  # noqa: S603 - our own arguments
        [helm, "template", "conveyor", str(CHART), *arguments],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def render(helm: str, values: Mapping[str, object]) -> list[Manifest]:
    done = template(helm, values)
    assert done.returncode == 0, done.stderr
    return [it for it in yaml.safe_load_all(done.stdout) if it]


def of_kind(manifests: list[Manifest], kind: str) -> list[dict[str, dict[str, object]]]:
    found = json.loads(json.dumps([it for it in manifests if it["kind"] == kind]))
    return cast("list[dict[str, dict[str, object]]]", found)


def rules(manifests: list[Manifest]) -> Iterator[tuple[str, dict[str, list[str]]]]:
    for manifest in of_kind(manifests, "ClusterRole") + of_kind(manifests, "Role"):
        for rule in json.loads(json.dumps(manifest["rules"])):
            yield str(manifest["metadata"]["name"]), rule


def ensure_namespaces(api: Api, *names: str) -> None:
    for name in names:
        labels = {"pod-security.kubernetes.io/enforce": "restricted"} if name == NAMESPACE else {}
        body = {"metadata": {"name": name, "labels": labels}}
        status, answer = api.request("POST", "/api/v1/namespaces", body)
        assert status in {201, 409}, answer


@pytest.fixture(scope="module")
def installed(api: Api, helm: str) -> Api:
    """The chart's objects of a default installation, but the CRD, which is there."""
    ensure_namespaces(api, "default", "other", NAMESPACE)
    manifests = render(helm, {"crds": {"enabled": False}})
    api.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))
    return api


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_a_server_accepts_all_of_it(api: Api, helm: str, values: Mapping[str, object]) -> None:
    ensure_namespaces(api, "default", "team-a", "team-b", NAMESPACE)
    text = yaml.safe_dump_all(render(helm, values))
    answer = api.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=text)
    assert "deployment.apps/conveyor" in answer
    assert "imagebuilds.conveyor.dev" in answer


def test_lint(helm: str) -> None:
    command = [helm, "lint", "--strict", str(CHART)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("values", list(WRONG.values()), ids=list(WRONG))
def test_wrong_values_are_refused(helm: str, values: Mapping[str, object]) -> None:
    assert template(helm, values).returncode != 0


def test_crd_is_the_generated_one_and_kept(helm: str) -> None:
    generated = yaml.safe_load((ROOT / "crds" / "conveyor.dev_imagebuilds.yaml").read_text())
    (kept,) = of_kind(render(helm, {}), "CustomResourceDefinition")
    assert kept["spec"] == generated["spec"]
    assert kept["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    (loose,) = of_kind(render(helm, {"crds": {"keep": False}}), "CustomResourceDefinition")
    assert "annotations" not in loose["metadata"]
    assert not of_kind(render(helm, {"crds": {"enabled": False}}), "CustomResourceDefinition")


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_rights_have_no_wildcard_and_secrets_are_in_one_role(
    helm: str, values: Mapping[str, object]
) -> None:
    manifests = render(helm, values)
    for name, rule in rules(manifests):
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]], name
        if "secrets" in rule["resources"]:
            assert (name, rule["verbs"]) == ("conveyor-credentials", ["get"])
    bound = {str(it["roleRef"]["name"]) for it in of_kind(manifests, "ClusterRoleBinding")}
    assert bound <= {"conveyor"}


def test_watching_some_namespaces_needs_no_cluster_wide_right(helm: str) -> None:
    manifests = render(helm, EVERYTHING)
    assert of_kind(manifests, "ClusterRoleBinding") == []
    namespaces = [
        (it["metadata"]["namespace"], it["roleRef"]["name"])
        for it in of_kind(manifests, "RoleBinding")
    ]
    assert sorted(map(str, namespaces)) == sorted(
        [
            "('team-a', 'conveyor')",
            "('team-b', 'conveyor')",
            "('conveyor-system', 'conveyor-leases')",
            "('team-a', 'conveyor-credentials')",
        ]
    )


ALLOWED = [
    ("list", "imagebuilds.conveyor.dev", "other"),
    ("patch", "imagebuilds.conveyor.dev/status", "other"),
    ("update", "imagebuilds.conveyor.dev/finalizers", "other"),
    ("create", "jobs.batch", "other"),
    ("delete", "jobs.batch", "other"),
    ("patch", "jobs.batch", "other"),
    ("watch", "pods", "other"),
    ("create", "events", "other"),
    ("list", "events", "other"),
    ("update", "configmaps", "default"),
    ("get", "secrets", "default"),
    ("create", "configmaps", "default"),
    ("update", "leases.coordination.k8s.io", NAMESPACE),
    ("list", "leases.coordination.k8s.io", NAMESPACE),
]
DENIED = [
    ("patch", "imagebuilds.conveyor.dev", "other"),
    ("create", "imagebuilds.conveyor.dev", "other"),
    ("get", "secrets", "other"),
    ("list", "secrets", "default"),
    ("get", "secrets", NAMESPACE),
    ("create", "pods", "other"),
    ("create", "pods/exec", "other"),
    ("update", "leases.coordination.k8s.io", "other"),
    ("get", "configmaps", "other"),
    ("create", "rolebindings.rbac.authorization.k8s.io", "other"),
    ("impersonate", "serviceaccounts", "other"),
    ("get", "nodes", "other"),
    ("delete", "secrets", "default"),
    ("list", "configmaps", "default"),
    ("list", "leases.coordination.k8s.io", "other"),
]


@pytest.mark.parametrize(
    ("verb", "resource", "namespace", "expected"),
    [(*it, True) for it in ALLOWED] + [(*it, False) for it in DENIED],
)
def test_rights_of_the_operator(
    installed: Api, verb: str, resource: str, namespace: str, *, expected: bool
) -> None:
    name, _, subresource = resource.partition("/")
    name, _, group = name.partition(".")
    attributes = {
        "verb": verb,
        "group": group,
        "resource": name,
        "subresource": subresource,
        "namespace": namespace,
    }
    body = {"spec": {"user": ACCOUNT, "resourceAttributes": attributes}}
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    status, answer = installed.request("POST", path, body)
    assert status == 201, answer
    verdict = answer["status"]
    assert isinstance(verdict, Mapping)
    assert verdict["allowed"] is expected


def test_operator_pod_is_admitted_where_restricted_is_enforced(installed: Api, helm: str) -> None:
    (deployment,) = of_kind(render(helm, EVERYTHING), "Deployment")
    pod = json.loads(json.dumps(deployment["spec"]["template"]))
    pod["metadata"]["name"] = "operator"
    path = f"/api/v1/namespaces/{NAMESPACE}/pods?dryRun=All"
    status, answer = installed.request("POST", path, pod)
    assert status == 201, answer["message"]


def environment(helm: str, values: Mapping[str, object]) -> dict[str, str]:
    (deployment,) = of_kind(render(helm, values), "Deployment")
    spec = json.loads(json.dumps(deployment["spec"]["template"]))["spec"]
    return {it["name"]: it.get("value", "") for it in spec["containers"][0]["env"]}


def test_operator_reads_what_the_chart_sets(helm: str) -> None:
    env = environment(helm, EVERYTHING)
    settings = Settings.from_env(env)
    assert settings.image == f"registry.example.com/conveyor@sha256:{'0' * 64}"
    assert settings.watch_namespaces == ("team-a", "team-b")
    assert settings.insecure_registries == ("10.0.0.1:5000", "[fd00::1]:5000")
    assert settings.registry_mirrors == {
        "docker.io": "http://mirror:5000",
        "quay.io": "https://quay-mirror",
    }
    assert settings.mount_from_paths == EVERYTHING["mounts"]["fromPaths"]  # type: ignore[index]
    assert policy_json(settings.add_remote) == EVERYTHING["addRemote"]
    assert Settings.from_env(environment(helm, {})).add_remote == RemotePolicy()
    assert settings.tools_platforms == {
        "linux/arm64": "/var/lib/conveyor/tools/linux-arm64/usr/share/conveyor/tools",
        "linux/s390x": "/opt/tools",
    }
    assert settings.stage_cpu_request == "0.25"
    assert (
        Settings.from_env(environment(helm, {"builds": {"cpuRequest": 0}})).stage_cpu_request == "0"
    )
    assert Settings.from_env(environment(helm, {})).stage_cpu_request == CPU_REQUEST
    assert settings.build_platform == "linux/arm64"
    assert Settings.from_env(environment(helm, {})).build_platform == Settings().build_platform
    assert settings.callback_url == "http://conveyor.conveyor-system.svc:8443"
    assert settings.ca_file == "/etc/conveyor/ca/ca.crt"
    assert (settings.http_port, settings.max_jobs, settings.log_level) == (8443, 7, "DEBUG")
    assert env["HTTPS_PROXY"] == "http://proxy:3128"
    assert Settings.from_env(environment(helm, {})).ca_file == ""


def test_every_variable_is_documented_and_read(helm: str) -> None:
    text = (CHART / "README.md").read_text()
    documented = set(re.findall(r"^\| `(CONVEYOR_[A-Z_]+)` ", text, re.MULTILINE))
    source = (ROOT / "operator" / "conveyor" / "shell" / "settings.py").read_text()
    read = {f"CONVEYOR_{it}" for it in re.findall(r'": \("([A-Z_]+)",', source)}
    assert documented == read
    ours = {name for name in environment(helm, {}) if name.startswith("CONVEYOR_")}
    assert ours <= read


def test_service_monitor_scrapes_the_http_port(helm: str) -> None:
    manifests = render(helm, {"metrics": {"serviceMonitor": {"enabled": True}}})
    (monitor,) = of_kind(manifests, "ServiceMonitor")
    (service,) = of_kind(manifests, "Service")
    spec = json.loads(json.dumps({"monitor": monitor["spec"], "service": service["spec"]}))
    assert spec["monitor"]["endpoints"][0]["port"] == spec["service"]["ports"][0]["name"]
    wanted = spec["monitor"]["selector"]["matchLabels"]
    labels = json.loads(json.dumps(service["metadata"]["labels"]))
    assert wanted.items() <= labels.items()
