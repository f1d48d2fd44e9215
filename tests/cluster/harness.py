"""What a test works with: a namespace, projects, ImageBuilds, built images.

In: the addresses of the development cluster. Out: `Harness`; everything it makes has a name of its own, so tests run in any
order, again and again, and beside each other.
"""

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.builds import Build
from tests.cluster.kube import CONVEYOR, CORE, RBAC, Kube
from tests.cluster.operator_pod import NAMESPACE, SERVICE_ACCOUNT, OperatorPod
from tests.cluster.pods import Runner
from tests.cluster.projects import Content, Project, new_project
from tests.cluster.registry import Registry

_PREFIX = "CONVEYOR_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """The development cluster's services, as `hack/cluster.py env` tells them."""

    registry: str
    registry_auth: str
    registry_readonly: str
    git_url: str
    git_auth_url: str
    user: str
    password: str

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Addresses":
        """Read the exported variables."""
        return cls(
            registry=env[f"{_PREFIX}REGISTRY"],
            registry_auth=env[f"{_PREFIX}REGISTRY_AUTH"],
            registry_readonly=env[f"{_PREFIX}REGISTRY_READONLY"],
            git_url=env[f"{_PREFIX}GIT_URL"],
            git_auth_url=env[f"{_PREFIX}GIT_AUTH_URL"],
            user=env[f"{_PREFIX}GIT_USER"],
            password=env[f"{_PREFIX}GIT_PASSWORD"],
        )


@dataclass(slots=True, kw_only=True)
class Harness:
    """One test's view of the cluster."""

    kube: Kube
    at: Addresses
    namespace: str
    folder: Path
    operator: OperatorPod
    registry: Registry
    builds: list[Build] = field(default_factory=list)

    def git_project(self, files: Mapping[str, Content]) -> Project:
        """A repository with these files."""
        return new_project(self.folder, files)

    def new_repo(self, host: str = "") -> str:
        """A repository path in the registry that nobody has used."""
        return f"{host or self.at.registry}/e2e/{secrets.token_hex(6)}"

    def build(
        self,
        project: Project | None = None,
        *,
        repo: str = "",
        namespace: str = "",
        source: Mapping[str, object] | None = None,
        **spec: object,
    ) -> Build:
        """Create an ImageBuild: of the project's present commit, or of `source`, or of an inline config.

        Args:
            source: Fields of `spec.source.git` that replace url and commit.
            spec: Further fields of the spec.
        """
        git = dict(source or ({"url": project.url, "commit": project.commit} if project else {}))
        whole = {"repo": repo or self.new_repo(), **spec} | (
            {"source": {"git": git}} if git else {}
        )
        return self.apply(whole, namespace)

    def apply(self, spec: Mapping[str, object], namespace: str = "") -> Build:
        """Create an ImageBuild with exactly this spec.

        Raises:
            KubeError: The API server refuses it.
        """
        build = Build(
            kube=self.kube,
            operator=self.operator,
            namespace=namespace or self.namespace,
            name=f"ib-{secrets.token_hex(5)}",
            repo=str(spec["repo"]),
        )
        self.kube.create(
            f"{CONVEYOR}/namespaces/{build.namespace}/imagebuilds",
            {
                "apiVersion": "conveyor.dev/v1alpha1",
                "kind": "ImageBuild",
                "metadata": {"name": build.name},
                "spec": dict(spec),
            },
        )
        self.builds.append(build)
        return build

    @property
    def pods(self) -> Runner:
        """Runs built images."""
        return Runner(kube=self.kube, namespace=self.namespace)

    def config(self, ref: str) -> dict[str, object]:
        """The part `config` of an image config."""
        inner: dict[str, object] = self.registry.config(ref)["config"]
        return inner

    # --- Secrets ------------------------------------------------------------------------------------------------------

    def git_secret(self, password: str = "") -> str:
        """Name of a Secret with the git server's login."""
        data = {"username": self.at.user, "password": password or self.at.password}
        return self.secret("kubernetes.io/basic-auth", data)

    def registry_secret(self, password: str = "") -> str:
        """Name of a Secret with the login of the registry's private port."""
        login = f"{self.at.user}:{password or self.at.password}"
        auth = {"auth": base64.b64encode(login.encode()).decode()}
        config = json.dumps({"auths": {self.at.registry_auth: auth}})
        return self.secret("kubernetes.io/dockerconfigjson", {".dockerconfigjson": config})

    def ssh_secret(self, data: Mapping[str, str]) -> str:
        """Name of a Secret with an SSH key."""
        return self.secret("kubernetes.io/ssh-auth", data)

    def secret(self, kind: str, data: Mapping[str, str]) -> str:
        name = f"login-{secrets.token_hex(5)}"
        body = {"metadata": {"name": name}, "type": kind, "stringData": dict(data)}
        self.kube.create(
            f"{CORE}/namespaces/{self.namespace}/secrets",
            {"apiVersion": "v1", "kind": "Secret", **body},
        )
        return name


def make_namespace(kube: Kube, *, credentials: bool = True) -> str:
    """A namespace with Pod Security `baseline`; with `credentials` the operator may read its Secrets."""
    name = f"e2e-{secrets.token_hex(4)}"
    labels = {"pod-security.kubernetes.io/enforce": "baseline", "conveyor.dev/test": "e2e"}
    metadata = {"name": name, "labels": labels}
    kube.create(
        f"{CORE}/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    )
    if credentials:
        _bind_credentials(kube, name)
    return name


def _bind_credentials(kube: Kube, namespace: str) -> None:
    role = {"apiGroup": RBAC.split("/")[2], "kind": "ClusterRole", "name": "conveyor-credentials"}
    subject = {"kind": "ServiceAccount", "name": SERVICE_ACCOUNT, "namespace": NAMESPACE}
    kube.create(
        f"{RBAC}/namespaces/{namespace}/rolebindings",
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "conveyor-credentials"},
            "roleRef": role,
            "subjects": [subject],
        },
    )
