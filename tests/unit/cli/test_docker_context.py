"""Which Engine is meant, as the docker command finds it; contexts are written by the docker package."""

import json
from pathlib import Path

import pytest
from docker.context import ContextAPI
from docker.tls import TLSConfig

from conveyor.api.errors import UserError
from conveyor.cli.docker_context import DEFAULT_ENDPOINT, engine_of


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder of settings with the contexts `colima` and `far`."""
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    ContextAPI.create_context("colima", host="unix:///home/me/.colima/docker.sock")
    for name in ("ca", "cert", "key"):
        (tmp_path / f"{name}.pem").write_text(name)
    tls = TLSConfig(
        client_cert=(str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")),
        ca_cert=str(tmp_path / "ca.pem"),
        verify=True,
    )
    ContextAPI.create_context("far", host="tcp://far.example:2376", tls_cfg=tls)
    return tmp_path


def _use(home: Path, name: str) -> None:
    (home / "config.json").write_text(json.dumps({"currentContext": name}))


def test_without_any_of_it(tmp_path: Path) -> None:
    assert engine_of(None, {"DOCKER_CONFIG": str(tmp_path)}) == (DEFAULT_ENDPOINT, "")


def test_the_order(home: Path) -> None:
    _use(home, "colima")
    environ = {"DOCKER_CONFIG": str(home)}
    assert engine_of(None, environ) == ("unix:///home/me/.colima/docker.sock", "")
    environ["DOCKER_CONTEXT"] = "far"
    # The docker package writes `https:`, the docker command `tcp:`.
    assert engine_of(None, environ)[0].endswith("://far.example:2376")
    environ["DOCKER_HOST"] = "tcp://here:1"
    assert engine_of(None, environ) == ("tcp://here:1", "")
    assert engine_of("unix:///flag", environ) == ("unix:///flag", "")
    assert engine_of(None, {**environ, "DOCKER_HOST": "", "DOCKER_CONTEXT": "default"}) == (
        DEFAULT_ENDPOINT,
        "",
    )


def test_certificates_of_a_context(home: Path) -> None:
    _, folder = engine_of(None, {"DOCKER_CONFIG": str(home), "DOCKER_CONTEXT": "far"})
    assert sorted(path.name for path in Path(folder).iterdir()) == ["ca.pem", "cert.pem", "key.pem"]


def test_certificates_of_the_environment(home: Path) -> None:
    environ = {"DOCKER_HOST": "tcp://here:2", "DOCKER_TLS_VERIFY": "1", "DOCKER_CONFIG": str(home)}
    assert engine_of(None, environ) == ("tcp://here:2", str(home))
    with pytest.raises(UserError, match="there is no directory /nowhere"):
        engine_of(None, {**environ, "DOCKER_CERT_PATH": "/nowhere"})


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        (None, r"docker context 'gone': there is none in .*; `docker context ls` lists them"),
        ("{", r"meta.json: Expecting"),
        ("[]", r"names no Docker host"),
        ('{"Endpoints": {"docker": {"Host": 7}}}', r"names no Docker host"),
    ],
)
def test_a_context_that_is_no_good(home: Path, meta: str | None, message: str) -> None:
    name = "gone" if meta is None else "colima"
    if meta is not None:
        for file in home.rglob("meta.json"):
            file.write_text(meta)
    with pytest.raises(UserError, match=message):
        engine_of(None, {"DOCKER_CONFIG": str(home), "DOCKER_CONTEXT": name})
