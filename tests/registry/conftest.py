"""Real servers on loopback ports: docker-registry (open, Basic, Bearer) and git over http.

Out: fixtures with the servers' addresses. The registry is the Debian package `docker-registry`
(distribution 2.8), git's side is `git http-backend`.
"""

# ruff: noqa: S603, S607, S310 - the test starts programs of its own choice

import base64
import fcntl
import http.server
import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

USER, PASSWORD = "builder", "s3cret:with#signs"


@dataclass(frozen=True, kw_only=True)
class Registry:
    """A running registry."""

    host: str
    log: Path
    root: Path

    def uploads(self, repository: str) -> int:
        """How many blobs somebody began to send."""
        return self.log.read_text().count(f'"POST /v2/{repository}/blobs/uploads/ ')

    def has_blobs(self, repository: str) -> bool:
        """Whether a blob is stored."""
        folder = self.root / f"data/docker/registry/v2/repositories/{repository}"
        return (folder / "_layers").exists()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _registry(root: Path, auth: str, tls: str = "") -> Iterator[Registry]:
    host, log = f"127.0.0.1:{_free_port()}", root / "log"
    (root / "config.yml").write_text(
        f"""version: 0.1
log: {{level: info, formatter: json}}
storage: {{filesystem: {{rootdirectory: {root}/data}}, delete: {{enabled: true}}}}
http: {{addr: "{host}"{tls}}}
{auth}"""
    )
    with log.open("wb") as out:
        command = ["docker-registry", "serve", str(root / "config.yml")]
        process = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            _wait_for(host, process)
            yield Registry(host=host, log=log, root=root)
        finally:
            process.terminate()
            process.wait(10)


def _wait_for(host: str, process: subprocess.Popen[bytes]) -> None:
    address, _, port = host.partition(":")
    for _ in range(500):
        assert process.poll() is None, "docker-registry ended at once: see its log"
        try:
            socket.create_connection((address, int(port)), 0.2).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise AssertionError("docker-registry did not start")


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry without authentication."""
    with _registry(tmp_path_factory.mktemp("registry"), "") as running:
        yield running


@pytest.fixture(scope="session")
def other_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Another one."""
    with _registry(tmp_path_factory.mktemp("other"), "") as running:
        yield running


@pytest.fixture(scope="session")
def basic_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry with Basic authentication by htpasswd."""
    root = tmp_path_factory.mktemp("basic")
    command = ["htpasswd", "-Bbn", "-C", "4", USER, PASSWORD]
    (root / "htpasswd").write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    auth = f"auth: {{htpasswd: {{realm: r, path: {root}/htpasswd}}}}\n"
    with _registry(root, auth) as running:
        yield running


@pytest.fixture(scope="session")
def tls_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry with a certificate of nobody known; it lies in `root / "cert.pem"`."""
    root = tmp_path_factory.mktemp("tls")
    _certificate(root)
    tls = f", tls: {{certificate: {root}/cert.pem, key: {root}/key.pem}}"
    with _registry(root, "", tls) as running:
        yield running


def _certificate(root: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=tests"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    command += ["-keyout", f"{root}/key.pem", "-out", f"{root}/cert.pem"]
    subprocess.run(command, check=True, capture_output=True)


@dataclass(kw_only=True)
class TokenService:
    """Issues bearer tokens as Docker's token specification says."""

    root: Path
    requests: list[dict[str, list[str]]] = field(default_factory=list)
    authorized: list[bool] = field(default_factory=list)
    url: str = ""

    def issue(self, query: dict[str, list[str]], authorization: str) -> bytes:
        self.requests.append(query)
        expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        known = authorization == f"Basic {expected}"
        self.authorized.append(known)
        access: list[dict[str, object]] = []
        for scope in query.get("scope", []):
            kind, name, actions = scope.split(":")
            granted = (
                actions.split(",") if known else [a for a in actions.split(",") if a == "pull"]
            )
            access.append({"type": kind, "name": name, "actions": granted})
        return json.dumps({"token": self._token(access), "expires_in": 300}).encode()

    def _token(self, access: list[dict[str, object]]) -> str:
        der = subprocess.run(
            ["openssl", "x509", "-in", str(self.root / "cert.pem"), "-outform", "DER"],
            check=True,
            capture_output=True,
        ).stdout
        header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        now = int(time.time())  # noqa: TID251 - a real token has a real time
        claims: dict[str, object] = {
            "iss": "tests",
            "sub": USER,
            "aud": "registry",
            "jti": "1",
            "access": access,
        }
        claims |= {"iat": now - 10, "nbf": now - 10, "exp": now + 300}
        signed = b".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
        command = ["openssl", "dgst", "-sha256", "-sign", str(self.root / "key.pem")]
        done = subprocess.run(command, input=signed, check=True, capture_output=True)
        return (signed + b"." + _base64url(done.stdout)).decode()


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


@contextmanager
def _http(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def token_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenService]:
    """A token service of our own."""
    root = tmp_path_factory.mktemp("token")
    _certificate(root)
    service = TokenService(root=root)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            body = service.issue(query, self.headers.get("Authorization", ""))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with _http(Handler) as url:
        service.url = url
        yield service


@pytest.fixture(scope="session")
def token_registry(
    tmp_path_factory: pytest.TempPathFactory, token_service: TokenService
) -> Iterator[Registry]:
    """A registry that trusts `token_service`."""
    bundle = token_service.root / "cert.pem"
    auth = (
        "auth: {token: {realm: '%s/token', service: registry, issuer: tests, rootcertbundle: %s}}\n"
    )
    with _registry(
        tmp_path_factory.mktemp("tokened"), auth % (token_service.url, bundle)
    ) as running:
        yield running


@pytest.fixture(scope="session")
def docker_config() -> Callable[[str], str]:
    """The text of a docker config with the right password for a host."""

    def text(host: str) -> str:
        auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return json.dumps({"auths": {host: {"auth": auth}}})

    return text


@dataclass(kw_only=True)
class GitServer:
    """A bare repository served over http.

    Attributes:
        url: of the repository.
        repo: its directory; `git` runs in a work tree of it.
        private: whether a password is wanted.
        old: whether to speak the old protocol, which refuses ids that are no branch's.
    """

    url: str
    repo: Path
    work: Path
    private: bool = False
    old: bool = False

    def git(self, *arguments: str) -> str:
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        who = [
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.org",
            "-c",
            "init.defaultBranch=main",
        ]
        command = [
            "git",
            "-C",
            str(self.work),
            *who,
            "-c",
            "protocol.file.allow=always",
            *arguments,
        ]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        return done.stdout.strip()

    def commit(self, date: str = "2024-05-06T07:08:09Z") -> str:
        """Commit everything, push, return the id."""
        os.environ["GIT_COMMITTER_DATE"] = date
        try:
            self.git("add", "-A")
            self.git("commit", "--allow-empty", "-qm", "c")
        finally:
            del os.environ["GIT_COMMITTER_DATE"]
        self.git("push", "-q", str(self.repo), "HEAD:refs/heads/main")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def git_server(tmp_path: Path) -> Iterator[GitServer]:
    """An empty repository behind http."""
    with _git_server(tmp_path) as server:
        yield server


@pytest.fixture
def second_git_server(tmp_path: Path) -> Iterator[GitServer]:
    """Another one."""
    (tmp_path / "second").mkdir()
    with _git_server(tmp_path / "second") as server:
        yield server


@contextmanager
def _git_server(tmp_path: Path) -> Iterator[GitServer]:
    (tmp_path / "git").mkdir()
    server = GitServer(url="", repo=tmp_path / "git" / "app.git", work=tmp_path / "work")
    server.work.mkdir()
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(server.repo)], check=True)
    server.git("init", "-q")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._backend(b"")

        def do_POST(self) -> None:
            self._backend(self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def _backend(self, body: bytes) -> None:
            expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            if server.private and self.headers.get("Authorization") != f"Basic {expected}":
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.end_headers()
                return
            path, _, query = self.path.partition("?")
            environment = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(server.repo.parent),
                "GIT_HTTP_EXPORT_ALL": "1",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": "" if server.old else self.headers.get("Git-Protocol", ""),
                "REMOTE_ADDR": "127.0.0.1",
            }
            done = subprocess.run(
                ["git", "http-backend"],
                input=body,
                env=environment,
                capture_output=True,
                check=False,
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = [line.split(": ", 1) for line in head.decode().split("\r\n")]
            status = next((value for name, value in headers if name == "Status"), "200 OK")
            self.send_response(int(status.split()[0]))
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            return

    with _http(Handler) as url:
        server.url = f"{url}/app.git"
        urllib.request.urlopen(f"{server.url}/HEAD").close()
        yield server


@dataclass(kw_only=True)
class Delivery:
    """One courier process and the stage container's side of it, played by the test.

    Attributes:
        base: the shared directory and what else the courier finds.
    """

    base: Path
    process: subprocess.Popen[bytes] | None = None
    lock: int | None = None

    @property
    def io(self) -> Path:
        return self.base / "io"

    @property
    def out(self) -> Path:
        return self.io / "out"

    def start(self, task: dict[str, object]) -> None:
        """Start the courier with a task."""
        self.io.mkdir(exist_ok=True)
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[2] / "operator"),
            "CONVEYOR_COURIER": json.dumps({"version": 2, "runs": 1, **task}),
            "CONVEYOR_IO": str(self.io),
            "CONVEYOR_TERMINATION_LOG": str(self.base / "termination"),
            "TMPDIR": str(self.base),
        }
        with (self.base / "stderr").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "conveyor.builder.courier"],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def live(self) -> None:
        """Take the lock as the stage program does."""
        self.io.mkdir(exist_ok=True)
        part = self.io / "alive.part"
        self.lock = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        part.rename(self.io / "alive")

    def die(self) -> None:
        """Release the lock."""
        assert self.lock is not None
        os.close(self.lock)
        self.lock = None

    def await_ready(self, run: int = 0) -> None:
        """Wait until the inputs of a run are there."""
        self.await_file(f"in/ready-{run}")

    def await_file(self, name: str, seconds: int = 30) -> Path:
        assert self.process is not None
        for _ in range(seconds * 100):
            if (self.io / name).exists():
                return self.io / name
            assert self.process.poll() is None, self.message()
            time.sleep(0.01)
        raise AssertionError(f"{name} did not appear")

    def write(self, name: str, value: object) -> None:
        """Write a JSON file of the stage program, all or nothing."""
        self.out.mkdir(exist_ok=True, parents=True)
        part = self.out / f"{name}.part"
        part.write_text(json.dumps(value))
        part.rename(self.out / name)

    def layer(self, name: str, files: dict[str, bytes]) -> dict[str, object]:
        """Write a layer's tar; returns what the stage program says of it."""
        self.out.mkdir(exist_ok=True, parents=True)
        path = self.out / name
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
            for member, data in files.items():
                info = tarfile.TarInfo(member)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        whiteouts = sum(1 for member in files if Path(member).name.startswith(".wh."))
        size = path.stat().st_size
        return {"file": name, "size": size, "entries": len(files), "whiteouts": whiteouts}

    def run(self, number: int, *layers: dict[str, object]) -> None:
        """Say that a run is captured."""
        self.write(f"{number}.json", {"run": number, "layers": list(layers), "peakRSS": 1})

    def done(self, **failure: object) -> None:
        """End well, or with a failure."""
        self.write("done.json", {"ok": False, **failure} if failure else {"ok": True})
        self.die()

    def end(self) -> tuple[int, dict[str, object]]:
        """Wait for the courier; returns exit code and StageResult."""
        assert self.process is not None
        stdout, _ = self.process.communicate(timeout=60)
        self.lines = [json.loads(line) for line in stdout.splitlines()]
        return self.process.returncode, self.message()

    def message(self) -> dict[str, object]:
        """The termination message."""
        path = self.base / "termination"
        text = path.read_bytes() if path.exists() else b""
        assert len(text) <= 4096
        stderr = (self.base / "stderr").read_text()
        assert "Traceback" not in stderr, stderr
        message: dict[str, object] = json.loads(text) if text else {"stderr": stderr}
        return message

    lines: list[dict[str, object]] = field(default_factory=list)


@pytest.fixture
def delivery(tmp_path: Path) -> Iterator[Delivery]:
    """A courier to be started."""
    running = Delivery(base=tmp_path / "pod")
    running.base.mkdir()
    yield running
    if running.lock is not None:
        running.die()
    if running.process is not None and running.process.poll() is None:
        running.process.kill()
        running.process.communicate()
