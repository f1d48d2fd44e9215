"""An Engine over TCP and TLS: a proxy with a certificate of a CA of the test's own stands in front of the Engine's socket."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.api.conftest import Api, api  # noqa: F401 - a fixture
from tests.engine.conftest import Lab
from tests.engine.test_operator import ONE, Operator, operator  # noqa: F401 - a fixture

_SOCKET = (os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock").removeprefix("unix://")


class Proxy:
    """`tests.engine.proxy` in a process of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._log = folder / "proxy.log"
        command = [sys.executable, str(Path(__file__).with_name("proxy.py")), _SOCKET, *arguments]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log)  # noqa: S603 - our own program
        while not (told := self._log.read_text().splitlines()):
            assert self._process.poll() is None
            time.sleep(0.05)
        self.port = int(told[0])

    @property
    def connections(self) -> int:
        return len(self._log.read_text().splitlines()) - 1

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(30)


def _openssl(folder: Path, *arguments: str) -> None:
    command = ["openssl", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)  # noqa: S603


def _certificates(folder: Path) -> None:
    """ca.pem, cert.pem, key.pem of a client, as in DOCKER_CERT_PATH; server.pem, server-key.pem."""
    folder.mkdir()
    ec = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    ca = ("-keyout", "ca-key.pem", "-out", "ca.pem", "-subj", "/CN=test CA", "-days", "2")
    _openssl(folder, "req", "-x509", *ec, *ca)
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    for name, key in (("server", "server-key"), ("cert", "key")):
        asked = ("-keyout", f"{key}.pem", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        _openssl(folder, "req", *ec, *asked)
        signed = ("-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "2")
        made = ("-in", f"{name}.csr", "-out", f"{name}.pem", "-extfile", "names")
        _openssl(folder, "x509", "-req", *made, *signed)


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    folder = tmp_path / "certificates"
    _certificates(folder)
    return folder


@pytest.fixture
def tls(certificates: Path, tmp_path: Path) -> Iterator[Proxy]:
    """An Engine that wants a client's certificate."""
    proxy = Proxy(tmp_path, str(certificates))
    yield proxy
    proxy.stop()


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Proxy]:
    proxy = Proxy(tmp_path)
    yield proxy
    proxy.stop()


def test_a_build_over_tcp(lab: Lab, plain: Proxy) -> None:
    lab.commit({"werf.yaml": ONE.format('"echo over tcp"')})
    built = lab.build("--docker-host", f"tcp://127.0.0.1:{plain.port}")
    assert built.code == 0, built.err
    assert "[2/2] app/install | over tcp" in built.err
    assert plain.connections
    assert lab.left() == []


def test_a_build_over_tls(lab: Lab, tls: Proxy, certificates: Path) -> None:
    lab.commit({"werf.yaml": ONE.format('"echo over tls"')})
    host = f"tcp://127.0.0.1:{tls.port}"
    built = lab.build(DOCKER_HOST=host, DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH=str(certificates))
    assert built.code == 0, built.err
    assert "[2/2] app/install | over tls" in built.err
    assert tls.connections
    assert lab.left() == []


@pytest.mark.parametrize(
    ("missing", "told"),
    [("ca.pem", "certificate verify failed"), ("cert.pem", "does not answer")],
)
def test_a_server_or_client_that_is_not_trusted(
    lab: Lab, tls: Proxy, certificates: Path, missing: str, told: str
) -> None:
    (certificates / missing).unlink()
    lab.commit({"werf.yaml": ONE.format('"true"')})
    refused = lab.build(
        DOCKER_HOST=f"tcp://127.0.0.1:{tls.port}",
        DOCKER_TLS_VERIFY="1",
        DOCKER_CERT_PATH=str(certificates),
    )
    assert refused.code == 1
    assert told in refused.err


def test_certificates_that_are_not_there(lab: Lab) -> None:
    lab.commit({"werf.yaml": ONE.format('"true"')})
    refused = lab.build(DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH=str(lab.folder / "none"))
    assert refused.code == 2
    assert "DOCKER_CERT_PATH" in refused.err


def test_the_operator_over_tls(operator: Operator, tls: Proxy, certificates: Path) -> None:  # noqa: F811
    operator.end()
    there = {
        "CONVEYOR_DOCKER_ENDPOINT": f"tcp://127.0.0.1:{tls.port}",
        "CONVEYOR_DOCKER_TLS_DIR": str(certificates),
    }
    operator.env = {**operator.env, **there}
    operator.start()
    operator.of_config("tls", '"echo x > /x"')
    status = operator.over("tls")
    assert status["conditions"][0]["status"] == "True", json.dumps(status)
    assert tls.connections
