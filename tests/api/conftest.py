"""A real API server for tests: etcd and kube-apiserver of the development cluster's own program.

In: the program that `make cluster` built ($CONVEYOR_KUBERNETES, or the cache folder). Out: the fixture `api`, one
server for the whole session with ImageBuild installed. No kubelet, no controllers: what runs is admission, schema,
CEL, RBAC and storage.
"""

import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CRD = ROOT / "crds" / "conveyor.dev_imagebuilds.yaml"
TOKEN = "for-tests"  # noqa: S105 - of a server that lives for seconds on the loopback interface
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "conveyor" / "bin"
START_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """A running API server."""

    port: int
    kubeconfig: Path

    def request(
        self, method: str, path: str, body: object = None, *, kind: str = "application/json"
    ) -> tuple[int, Mapping[str, object]]:
        """One request as cluster-admin; answers status and JSON."""
        connection = HTTPSConnection("127.0.0.1", self.port, timeout=30, context=_trusting())
        data = None if body is None else json.dumps(body)
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind}
        try:
            connection.request(method, path, body=data, headers=headers)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if not text.startswith("{"):
            return response.status, {"message": text}
        return response.status, json.loads(text)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Output of kubectl; a failure shows what it said."""
        done = subprocess.run(  # noqa: S603 - our own arguments
            ["kubectl", "--kubeconfig", str(self.kubeconfig), *arguments],  # noqa: S607 - executable=
            executable=kubernetes(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def kubernetes() -> str:
    """Path of the program that is etcd, kube-apiserver, kubectl and kubeadm, as it is called."""
    given = os.environ.get("CONVEYOR_KUBERNETES")
    path = Path(given) if given else (CACHE / "kubectl").resolve()
    if not path.is_file():
        pytest.fail(f"no {path}: run `make cluster` once", pytrace=False)
    return str(path)


@pytest.fixture(scope="session")
def helm() -> str:
    """Path of helm."""
    found = CACHE / "helm"
    path = str(found) if found.exists() else shutil.which("helm")
    if path is None:
        pytest.fail("no helm: run `make cluster` once", pytrace=False)
    return path


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API server with the CRD installed and established."""
    folder = tmp_path_factory.mktemp("api")
    etcd, peer, secure = _free_ports(3)
    _run(folder, "kubeadm", "init", "phase", "certs", "sa", "--cert-dir", str(folder))
    (folder / "tokens.csv").write_text(f'{TOKEN},tester,1,"system:masters"\n')
    programs = [
        _start(folder, *_etcd(folder, etcd, peer)),
        _start(folder, *_apiserver(folder, etcd, secure)),
    ]
    server = Api(port=secure, kubeconfig=_kubeconfig(folder, secure))
    try:
        _wait_until_ready(server, folder)
        _install_crd(server)
        yield server
    finally:
        for program in reversed(programs):
            program.kill()
            program.wait(timeout=30)


def _etcd(folder: Path, port: int, peer: int) -> list[str]:
    client, peers = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer}"
    return [
        "etcd",
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
        "--unsafe-no-fsync",
    ]


def _apiserver(folder: Path, etcd: int, port: int) -> list[str]:
    return [
        "kube-apiserver",
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        f"--cert-dir={folder / 'serving'}",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder / 'sa.pub'}",
        f"--service-account-signing-key-file={folder / 'sa.key'}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--disable-admission-plugins=ServiceAccount",
    ]


def _start(folder: Path, *command: str) -> subprocess.Popen[bytes]:
    with (folder / f"{command[0]}.log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - our own arguments
            command, executable=kubernetes(), stdout=log, stderr=log
        )


def _run(folder: Path, *command: str) -> None:
    subprocess.run(  # noqa: S603 - our own arguments
        command, executable=kubernetes(), cwd=folder, timeout=60, check=True, capture_output=True
    )


def _wait_until_ready(server: Api, folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if server.request("GET", "/readyz")[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    log = (folder / "kube-apiserver.log").read_text(errors="replace")
    pytest.fail(f"the API server does not get ready:\n{log[-3000:]}", pytrace=False)


def _install_crd(server: Api) -> None:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    status, answer = server.request("POST", path, yaml.safe_load(CRD.read_text()))
    assert status == 201, answer["message"]
    server.kubectl("wait", "--for=condition=Established", "--timeout=30s", f"-f={CRD}")


def _kubeconfig(folder: Path, port: int) -> Path:
    cluster = {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": {"token": TOKEN}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [it.getsockname()[1] for it in sockets]
    for it in sockets:
        it.close()
    return ports
