"""ADD of URLs and repositories: the courier as a process against servers that behave, and servers that do not.

All servers are on 127.0.0.1, which the policy of these tests allows by its address.
"""

# ruff: noqa: S603, S607 - the test starts programs of its own choice

import asyncio
import gzip
import hashlib
import http.server
import io
import json
import os
import subprocess
import tarfile
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conveyor.builder.courier_errors import CourierError
from conveyor.builder.courier_task import GitAccess, Limits
from conveyor.builder.remote_git import Pinned, RemoteStore
from conveyor.builder.remote_hosts import Gate
from conveyor.builder.remote_http import Visitor
from conveyor.config.dockerfile import Instruction
from conveyor.config.remote_policy import RemotePolicy, policy_of
from conveyor.config.remote_source import remote_sources
from conveyor.jobs.task_inputs import Inputs, StageRun
from conveyor.jobs.task_sources import parts_with_remotes
from conveyor.plan.model import BlockStep

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]
AT = "ctx/Dockerfile:7"
CONTENT = bytes(range(256)) * 5000
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
LOOPBACK = {"privateHosts": ["127.0.0.1"]}


class Site:
    """A web server whose pages are functions; remembers what it was asked."""

    def __init__(self) -> None:
        self.pages: dict[str, Answer] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.url = ""

    def page(self, path: str, body: bytes = b"", status: int = 200, **headers: str) -> str:
        """Have a page; returns its URL."""

        def answer(request: http.server.BaseHTTPRequestHandler) -> None:
            request.send_response(status)
            told = {"Content-Length": str(len(body))} | {
                name.replace("_", "-"): value for name, value in headers.items()
            }
            for name, value in told.items():
                request.send_header(name, value)
            request.end_headers()
            request.wfile.write(body)

        return self.odd(path, answer)

    def odd(self, path: str, answer: Answer) -> str:
        """Have a page that does as it likes; returns its URL."""
        self.pages[path] = answer
        return f"{self.url}{path}"


@contextmanager
def _site() -> Iterator[Site]:
    site = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            site.asked.append((self.path, dict(self.headers)))
            answer = site.pages.get(self.path.partition("?")[0])
            try:
                if answer is None:
                    self.send_error(404)
                else:
                    answer(self)
            except OSError:
                return  # the courier has seen enough

        def log_message(self, *_: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    with _site() as running:
        yield running


@pytest.fixture
def other_site() -> Iterator[Site]:
    with _site() as running:
        yield running


@dataclass(frozen=True)
class Member:
    """A member of a bundle; the content of a link is where it leads."""

    info: tarfile.TarInfo
    content: bytes


class Lab:
    """Has the courier fetch one source."""

    def __init__(self, delivery: Any, registry: Any) -> None:
        self.delivery = delivery
        self.repo = f"{registry.host}/proj/{uuid.uuid4().hex}"
        self.insecure = [registry.host]

    def start(self, item: dict[str, object], **more: object) -> None:
        whole = {"run": 0, "file": "in/0.tar", "at": AT, **item}
        task = {"repo": self.repo, "insecure": self.insecure, "inputs": [whole], "remote": LOOPBACK}
        self.delivery.start(task | more)
        self.delivery.live()

    def taken(self, item: dict[str, object], **more: object) -> dict[str, Member]:
        """Fetch; returns the members of the bundle by name."""
        self.start(item, **more)
        self.delivery.await_ready(0)
        self.delivery.run(0)
        self.delivery.done()
        assert self.delivery.end()[0] == 0
        found = {}
        with tarfile.open(self.delivery.io / "in/0.tar") as tar:
            for member in tar:
                file = tar.extractfile(member) if member.isfile() else None
                content = file.read() if file else member.linkname.encode()
                found[member.name] = Member(member, content)
        return found

    def refused(self, item: dict[str, object], **more: object) -> tuple[str, str]:
        """Fail; returns reason and message without the place it begins with."""
        self.start(item, **more)
        code, result = self.delivery.end()
        assert code == 1
        failure = result["failure"]
        assert (
            json.loads((self.delivery.io / "in/failed").read_text())["reason"] == failure["reason"]
        )
        assert not (self.delivery.io / "in/ready-0").exists()
        assert failure["message"].startswith(f"{AT}: ADD "), failure
        return failure["reason"], failure["message"].removeprefix(f"{AT}: ")


@pytest.fixture
def lab(delivery: Any, registry: Any) -> Lab:
    return Lab(delivery, registry)


def http_file(url: str, name: str = "file", **more: object) -> dict[str, object]:
    return {"kind": "http", "url": url, "name": name, **more}


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", ["said", "not said"])
def test_a_file_is_as_buildkit_has_it(lab: Lab, site: Site, length: str) -> None:
    def unsized(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Last-Modified", "Mon, 06 May 2024 07:08:09 GMT")
        request.end_headers()
        request.wfile.write(CONTENT)

    modified = {"Last_Modified": "Mon, 06 May 2024 07:08:09 GMT"}
    url = site.page("/x", CONTENT, **modified) if length == "said" else site.odd("/x", unsized)
    found = lab.taken(http_file(url, "a file ü", checksum=SHA256))
    assert list(found) == ["0/a file ü"]
    member = found["0/a file ü"]
    info = member.info
    assert (info.mode, info.uid, info.gid, info.mtime) == (0o600, 0, 0, 1714979289)
    assert member.content == CONTENT
    assert "Authorization" not in site.asked[0][1]
    assert "Cookie" not in site.asked[0][1]


def test_an_archive_stays_packed_and_a_file_without_date_is_of_1970(lab: Lab, site: Site) -> None:
    packed = gzip.compress(b"never unpacked")
    found = lab.taken(
        http_file(site.page("/a.tar.gz", packed, Content_Type="application/gzip"), "a.tar.gz")
    )
    assert found["0/a.tar.gz"].content == packed
    assert found["0/a.tar.gz"].info.mtime == 0


def test_an_empty_file(lab: Lab, site: Site) -> None:
    found = lab.taken(http_file(site.page("/empty")))
    assert found["0/file"].info.size == 0


def test_a_content_encoding_is_undone(lab: Lab, site: Site) -> None:
    packed = gzip.compress(CONTENT[:1000]) + gzip.compress(CONTENT[1000:])
    found = lab.taken(http_file(site.page("/x", packed, Content_Encoding="gzip"), checksum=SHA256))
    assert found["0/file"].content == CONTENT


def test_redirects_are_followed_and_told_nothing(lab: Lab, site: Site, other_site: Site) -> None:
    last = other_site.page("/c", CONTENT)
    site.page("/b", status=302, Location=last, Set_Cookie="a=b")
    site.page("/a", status=301, Location="/b", Set_Cookie="a=b")
    found = lab.taken(http_file(f"{site.url}/a", checksum=SHA256))
    assert found["0/file"].content == CONTENT
    assert [path for path, _ in site.asked] == ["/a", "/b"]
    for _, headers in (*site.asked, *other_site.asked):
        assert headers.keys() <= {"Host", "User-Agent", "Accept", "Accept-Encoding", "Connection"}


def test_a_server_that_is_tired_is_asked_again(lab: Lab, site: Site) -> None:
    def tired(request: http.server.BaseHTTPRequestHandler) -> None:
        if len(site.asked) == 1:
            request.send_error(503)
        else:
            request.send_response(200)
            request.end_headers()
            request.wfile.write(CONTENT)

    lab.taken(http_file(site.odd("/x", tired), checksum=SHA256))
    assert len(site.asked) == 2


def _endless(request: http.server.BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    while True:
        request.wfile.write(bytes(65536))


def _slow(request: http.server.BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    for _ in range(600):
        request.wfile.write(b"x")
        request.wfile.flush()
        threading.Event().wait(0.1)


def _silent(request: http.server.BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    request.wfile.write(b"x")
    request.wfile.flush()
    threading.Event().wait(60)


def _lying(request: http.server.BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "1000000")
    request.end_headers()
    request.wfile.write(b"much less")


def _no_http(request: http.server.BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"\x00\x01SSH-2.0 go away\r\n\r\n")


def _many_headers(request: http.server.BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.0 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n")


def _bomb(request: http.server.BaseHTTPRequestHandler) -> None:
    body = gzip.compress(bytes(200_000_000), 9)
    assert len(body) < 1_000_000
    request.send_response(200)
    request.send_header("Content-Encoding", "gzip")
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


SMALL = {"inputBytes": 1_000_000}
QUICK = {"remoteSeconds": 2, "remoteStallSeconds": 1}


@pytest.mark.parametrize(
    ("answer", "limits", "reason", "said"),
    [
        (_endless, SMALL, "InputTooLarge", "the content has more than 1000000 bytes"),
        (_bomb, SMALL, "InputTooLarge", "the content has more than 1000000 bytes"),
        (_slow, QUICK, "RemoteUnreachable", "the server is too slow, or sends nothing more"),
        (_silent, QUICK, "RemoteUnreachable", "the server is too slow, or sends nothing more"),
        (_lying, {}, "RemoteUnreachable", "the content ends early"),
        (_no_http, {}, "RemoteUnreachable", "the server does not speak HTTP: Bad status line"),
        (
            _many_headers,
            {},
            "RemoteUnreachable",
            "the server does not speak HTTP: Got more than 32768 bytes",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_hostile_servers(
    lab: Lab, site: Site, answer: Answer, limits: dict[str, int], reason: str, said: str
) -> None:
    found, message = lab.refused(http_file(site.odd("/x", answer)), limits=limits)
    assert found == reason, message
    assert message.startswith(f"ADD {site.url}/x: ")
    assert said in message


def test_what_is_packed_and_broken(lab: Lab, site: Site) -> None:
    url = site.page("/x", b"no gzip at all", Content_Encoding="gzip")
    assert lab.refused(http_file(url))[0] == "InputMissing"


def test_another_content_than_the_checksum_says(lab: Lab, site: Site) -> None:
    url = site.page("/x", b"something else")
    reason, message = lab.refused(http_file(f"{url}?token=s3cret", checksum=SHA256))
    assert reason == "ChecksumMismatch"
    found = hashlib.sha256(b"something else").hexdigest()
    assert message == f"ADD {url}: the content has sha256:{found}, and --checksum says {SHA256}"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        *(
            (404, "InputMissing"),
            (403, "InputMissing"),
            (401, "InputMissing"),
            (300, "InputMissing"),
        ),
        *((500, "RemoteUnreachable"), (503, "RemoteUnreachable"), (429, "RemoteUnreachable")),
    ],
)
def test_answers_that_are_no_success(lab: Lab, site: Site, status: int, reason: str) -> None:
    found, message = lab.refused(http_file(site.page("/x", b"no", status=status)))
    assert (found, message) == (reason, f"ADD {site.url}/x: 127.0.0.1 answers {status}")
    assert len(site.asked) == (3 if reason == "RemoteUnreachable" else 1)


@pytest.mark.parametrize("where", ["/x", "/y"])
def test_redirects_that_do_not_end(lab: Lab, site: Site, where: str) -> None:
    site.page("/x", status=302, Location=where)
    site.page("/y", status=307, Location="/x")
    reason, message = lab.refused(http_file(f"{site.url}/x"))
    assert (reason, message) == ("InputMissing", f"ADD {site.url}/x: more than 10 redirects")
    assert len(site.asked) == 11


@pytest.mark.parametrize(
    ("location", "said"),
    [
        (
            "http://169.254.169.254/latest/meta-data/",
            "169.254.169.254 is no public address (link-local",
        ),
        ("http://10.0.0.1/", "10.0.0.1 is no public address (private)"),
        ("//localhost:8080/", "localhost is a name inside a network"),
        ("http://[::ffff:127.0.0.1]/", "no public address (loopback)"),
        ("http://[::1]:9/", "::1 is no public address (loopback)"),
        ("http://2130706433/", "unusual spelling"),
        ("http://0x7f.1/", "unusual spelling"),
        ("http://kubernetes.default.svc/", "a name inside a network"),
        ("file:///etc/passwd", "it leads to file, not to http or https"),
        ("ftp://example.org/x", "it leads to ftp, not to http or https"),
        ("gopher://127.0.0.1:6379/_x", "it leads to gopher, not to http or https"),
        ("http://user:secret@127.0.0.1/", "it leads to a URL with a login in it"),
    ],
)
def test_redirects_to_where_nobody_may_go(lab: Lab, site: Site, location: str, said: str) -> None:
    reason, message = lab.refused(http_file(site.page("/x", status=302, Location=location)))
    assert reason == "RemoteForbidden"
    assert said in message
    assert "secret" not in message
    assert len(site.asked) == 1


def test_a_port_that_is_not_allowed(lab: Lab, site: Site, other_site: Site) -> None:
    other_site.page("/y", CONTENT)
    policy = {"privateHosts": [site.url.removeprefix("http://")]}
    url = site.page("/x", status=302, Location=f"{other_site.url}/y")
    reason, message = lab.refused(http_file(url), remote=policy)
    assert reason == "RemoteForbidden"
    assert "127.0.0.1 is no public address (loopback)" in message
    assert other_site.asked == []


@pytest.mark.parametrize(
    "policy", [None, {}, {"enabled": False, **LOOPBACK}, {"allowedHosts": ["127.0.0.1"]}]
)
def test_nothing_is_asked_without_permission(
    lab: Lab, site: Site, policy: dict[str, object] | None
) -> None:
    reason, _ = lab.refused(http_file(site.page("/x", CONTENT)), remote=policy)
    assert reason == "RemoteForbidden"
    assert site.asked == []


def test_an_authority_that_nobody_knows(lab: Lab, tls_registry: Any) -> None:
    url = f"https://{tls_registry.host}/v2/"
    reason, message = lab.refused(http_file(url))
    assert reason == "RemoteUnreachable"
    assert "certificate verify failed" in message
    # … and known ones are those of caBundle, as everywhere.
    lab.delivery.base = lab.delivery.base.parent / "again"
    lab.delivery.base.mkdir()
    assert (
        lab.taken(http_file(url), caFile=str(tls_registry.root / "cert.pem"))["0/file"].info.size
        == 2
    )


def test_nobody_is_there(lab: Lab) -> None:
    reason, _ = lab.refused(http_file("http://127.0.0.1:1/x"))
    assert reason == "RemoteUnreachable"


# --- repositories ----------------------------------------------------------------------------------------------------


def git_tree(**more: object) -> dict[str, object]:
    return {"kind": "gitTree", "repository": 0, "submodules": True, **more}


def at(url: str, credentials: str | None = None) -> list[dict[str, object]]:
    return [{"url": url, "credentials": credentials}]


@pytest.fixture
def library(git_server: Any) -> Any:
    """A repository with a branch and two tags."""
    work = git_server.work
    (work / "docs/deep").mkdir(parents=True)
    (work / "docs/deep/a").write_text("first")
    (work / "run").write_text("#!/bin/sh\n")
    (work / "run").chmod(0o755)
    (work / "link").symlink_to("docs")
    git_server.first = git_server.commit()
    git_server.git("tag", "light")
    git_server.git("tag", "-a", "-m", "m", "heavy")
    git_server.git("push", "-q", str(git_server.repo), "light", "heavy", "HEAD:refs/heads/old/one")
    (work / "docs/deep/a").write_text("second")
    git_server.second = git_server.commit()
    return git_server


def contents(found: dict[str, Any]) -> dict[str, bytes]:
    return {name: it.content for name, it in found.items() if not it.info.isdir()}


def test_the_default_branch_as_a_whole(lab: Lab, library: Any) -> None:
    found = lab.taken(git_tree(), git=at(library.url))
    assert contents(found) == {
        "0/docs/deep/a": b"second",
        "0/run": b"#!/bin/sh\n",
        "0/link": b"docs",
    }
    assert {name: it.info.mode for name, it in found.items() if not it.info.issym()} == {
        **dict.fromkeys(("0", "0/docs", "0/docs/deep"), 0o755),
        "0/docs/deep/a": 0o644,
        "0/run": 0o755,
    }
    assert {it.info.mtime for it in found.values()} == {1714979289}


@pytest.mark.parametrize(
    ("ref", "content"),
    [
        *(("main", b"second"), ("refs/heads/main", b"second"), ("heads/main", b"second")),
        *(("old/one", b"first"), ("light", b"first"), ("heavy", b"first")),
        *(("refs/tags/heavy", b"first"), ("FIRST", b"first"), ("SECOND", b"second")),
    ],
)
@pytest.mark.parametrize("old", [False, True], ids=["new protocol", "old protocol"])
def test_refs_of_every_kind(lab: Lab, library: Any, ref: str, content: bytes, old: bool) -> None:  # noqa: FBT001
    library.old = old
    commits = {"FIRST": library.first, "SECOND": library.second}
    item = git_tree(
        ref=commits.get(ref, ref),
        subdir="docs",
        checksum=commits["SECOND" if content == b"second" else "FIRST"][:9],
    )
    assert contents(lab.taken(item, git=at(library.url))) == {"0/deep/a": content}


def test_a_branch_comes_before_a_tag_of_the_same_name(lab: Lab, library: Any) -> None:
    library.git("push", "-q", str(library.repo), "HEAD:refs/heads/light")
    found = lab.taken(git_tree(ref="light", subdir="docs/deep"), git=at(library.url))
    assert contents(found) == {"0/a": b"second"}


def test_the_id_of_a_tag_pins_it_too(lab: Lab, library: Any) -> None:
    tag = library.git("rev-parse", "refs/tags/heavy")
    assert tag != library.first
    lab.taken(git_tree(ref="heavy", checksum=tag), git=at(library.url))


@pytest.mark.parametrize(
    ("item", "reason", "said"),
    [
        ({"ref": "nothing"}, "CommitNotFound", "it has no branch or tag nothing"),
        ({"ref": "0" * 40}, "CommitNotFound", f"commit {'0' * 40} is not in"),
        ({"ref": "light", "checksum": "0123"}, "ChecksumMismatch", "--checksum says 0123, and light is"),
        ({"subdir": "nowhere"}, "InputMissing", "there is no nowhere in"),
        ({"subdir": "run"}, "InputMissing", "run is no directory"),
    ],
)  # fmt: skip
def test_what_the_repository_does_not_have(
    lab: Lab, library: Any, item: dict[str, object], reason: str, said: str
) -> None:
    found, message = lab.refused(git_tree(**item), git=at(library.url))
    assert found == reason, message
    assert message.startswith(f"ADD {library.url}: ")
    assert said in message


@pytest.mark.parametrize("ref", ["", "heavy", "light", "FIRST"])
def test_the_git_directory_comes_along(lab: Lab, library: Any, tmp_path: Path, ref: str) -> None:
    wanted = library.first if ref == "FIRST" else ref
    found = lab.taken(git_tree(ref=wanted, keepGitDir=True), git=at(library.url))
    seen: set[str] = {""}
    for name, member in found.items():
        assert name.rpartition("/")[0] in seen, name
        seen |= {name} if member.info.isdir() else set()
    with tarfile.open(lab.delivery.io / "in/0.tar") as tar:
        tar.extractall(tmp_path / "out", filter="data")

    def git(*words: str) -> str:
        command = ["git", "-c", "safe.directory=*", "-C", str(tmp_path / "out/0"), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    commit = library.first if ref else library.second
    assert git("rev-parse", "HEAD") == commit
    assert git("status", "--porcelain") == ""
    assert git("remote", "get-url", "origin") == library.url
    assert git("log", "--format=%H") == commit
    assert git("fsck", "--no-dangling") == ""
    if ref in ("heavy", "light"):
        assert git("tag") == ref


def test_submodules(lab: Lab, library: Any) -> None:
    library.git(
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        str(library.repo),
        "docs/sub",
    )
    library.commit()
    reason, message = lab.refused(git_tree(), git=at(library.url))
    assert reason == "InputMissing"
    assert (
        "docs/sub is a submodule; write ?submodules=false in the URL to leave it empty" in message
    )
    lab.delivery.base = lab.delivery.base.parent / "again"
    lab.delivery.base.mkdir()
    found = lab.taken(git_tree(submodules=False, subdir="docs"), git=at(library.url))
    assert found["0/sub"].info.isdir()
    assert contents(found) == {"0/deep/a": b"second"}


def _login(delivery: Any, password: str = "s3cret:with#signs") -> str:  # noqa: S107 - the servers of the tests
    secret = delivery.base / "git-secret"
    secret.mkdir()
    (secret / "username").write_text("builder")
    (secret / "password").write_text(password)
    return str(secret)


def test_a_login_is_used(lab: Lab, library: Any) -> None:
    library.private = True
    assert lab.taken(git_tree(), git=at(library.url, _login(lab.delivery)))


def test_a_login_that_is_wrong(lab: Lab, library: Any) -> None:
    library.private = True
    login = _login(lab.delivery, "wrong")
    reason, message = lab.refused(git_tree(), git=at(library.url, login))
    assert reason == "GitAuthFailed"
    assert "wrong" not in message


def test_a_repository_that_has_moved(lab: Lab, library: Any, site: Site) -> None:
    site.page(
        "/moved.git/info/refs",
        status=301,
        Location=f"{library.url}/info/refs?service=git-upload-pack",
    )
    found = lab.taken(git_tree(), git=at(f"{site.url}/moved.git"))
    assert contents(found)["0/docs/deep/a"] == b"second"


def test_a_login_does_not_move_with_the_repository(lab: Lab, library: Any, site: Site) -> None:
    library.private = True
    site.page(
        "/moved.git/info/refs",
        status=301,
        Location=f"{library.url}/info/refs?service=git-upload-pack",
    )
    login = _login(lab.delivery)
    reason, _ = lab.refused(git_tree(), git=at(f"{site.url}/moved.git", login))
    assert reason == "GitAuthFailed"
    assert all("Authorization" not in headers for _, headers in site.asked)


def test_a_repository_that_leads_inside(lab: Lab, site: Site) -> None:
    site.page(
        "/x.git/info/refs", status=302, Location="http://10.0.0.1/info/refs?service=git-upload-pack"
    )
    reason, message = lab.refused(git_tree(), git=at(f"{site.url}/x.git"))
    assert reason == "RemoteForbidden"
    assert "10.0.0.1 is no public address (private)" in message


@pytest.mark.parametrize("policy", [{}, {"enabled": False, **LOOPBACK}])
def test_no_repository_without_permission(
    lab: Lab, library: Any, policy: dict[str, object]
) -> None:
    assert lab.refused(git_tree(), git=at(library.url), remote=policy)[0] == "RemoteForbidden"


def test_no_ssh_without_permission(lab: Lab) -> None:
    reason, message = lab.refused(git_tree(), git=at("git@127.0.0.1:x/y.git"), remote={})
    assert reason == "RemoteForbidden"
    assert message.startswith("ADD git@127.0.0.1:x/y.git: 127.0.0.1 is no public address")


def test_a_server_that_is_no_git_server(lab: Lab, site: Site) -> None:
    site.page("/x.git/info/refs", b"<html>welcome</html>", Content_Type="text/html")
    reason, message = lab.refused(git_tree(), git=at(f"{site.url}/x.git"))
    assert reason == "CommitNotFound", message


def test_alternates_of_a_dumb_server_lead_nowhere(lab: Lab, site: Site, other_site: Site) -> None:
    """The old protocol lets a server name others that git is to ask for objects."""
    commit = "1" * 40
    site.page(
        "/x.git/info/refs", f"{commit}\trefs/heads/main\n".encode(), Content_Type="text/plain"
    )
    site.page("/x.git/HEAD", b"ref: refs/heads/main\n")
    site.page("/x.git/objects/info/http-alternates", f"{other_site.url}/objects\n".encode())
    site.page("/x.git/objects/info/packs", b"")
    reason, _ = lab.refused(git_tree(ref=commit), git=at(f"{site.url}/x.git"))
    assert reason in {"GitUnreachable", "CommitNotFound"}
    assert other_site.asked == []


def test_a_list_of_refs_without_end(lab: Lab, site: Site) -> None:
    def refs(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "text/plain")
        request.end_headers()
        for number in range(20_000):
            request.wfile.write(f"{number:040x}\trefs/x{number:060}/main\n".encode())

    site.odd("/x.git/info/refs", refs)
    site.page("/x.git/HEAD", b"ref: refs/heads/main\n")
    reason, message = lab.refused(git_tree(ref="main"), git=at(f"{site.url}/x.git"))
    assert reason == "InputTooLarge", message


def test_a_repository_larger_than_allowed(lab: Lab, library: Any) -> None:
    noise = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(60_000))
    (library.work / "noise").write_bytes(noise)
    library.commit()
    reason, message = lab.refused(git_tree(), git=at(library.url), limits={"inputBytes": 500_000})
    assert reason == "InputTooLarge", message
    assert message == f"ADD {library.url}: what git fetches has more than 500000 bytes"


def test_a_repository_with_a_git_directory_of_its_own(lab: Lab, library: Any) -> None:
    """What a plain `git add` refuses, a hostile repository has."""
    blob = library.git("hash-object", "-w", "run")
    library.git("update-index", "--add", "--cacheinfo", f"100644,{blob},plain")
    rows = library.git("ls-tree", "HEAD") + f"\n100644 blob {blob}\t.GIT\n"
    made = subprocess.run(
        ["git", "-C", str(library.work), "mktree"],
        input=rows,
        check=True,
        capture_output=True,
        text=True,
    )
    commit = library.git("commit-tree", "-m", "m", made.stdout.strip())
    library.git("push", "-q", str(library.repo), f"{commit}:refs/heads/hostile")
    reason, message = lab.refused(git_tree(ref="hostile"), git=at(library.url))
    assert reason == "InputMissing"
    assert "a file named .git" in message


def test_both_kinds_and_the_context_come_to_one_run(lab: Lab, library: Any, site: Site) -> None:
    """What an ADD of several sources asks for."""
    inputs = [
        {"run": 0, "file": "in/0.tar", "at": AT, **http_file(site.page("/x", CONTENT))},
        {"run": 0, "file": "in/1.tar", "at": AT, **git_tree(repository=1, subdir="docs")},
        {
            "run": 0,
            "file": "in/2.tar",
            "kind": "context",
            "repository": 0,
            "commit": library.first,
            "context": "",
            "sources": ["run"],
        },
    ]
    git = at(library.url) + at(library.url)
    lab.delivery.start(
        {
            "repo": lab.repo,
            "insecure": lab.insecure,
            "inputs": inputs,
            "remote": LOOPBACK,
            "git": git,
        }
    )
    lab.delivery.live()
    lab.delivery.await_ready(0)
    names = []
    for number in range(3):
        with tarfile.open(
            fileobj=io.BytesIO((lab.delivery.io / f"in/{number}.tar").read_bytes())
        ) as tar:
            names.append([member.name for member in tar if not member.isdir()])
    assert names == [["0/file"], ["0/deep/a"], ["0/run"]]


# --- beside BuildKit -------------------------------------------------------------------------------------------------

GREETING = b"hello\n"
TREE = {
    "": 0o755,
    "docs": 0o755,
    "docs/deep": 0o755,
    "docs/deep/a": 0o644,
    "link": 0o777,
    "run": 0o755,
}
# What BuildKit 0.26.2 made of `FROM scratch` and one such ADD, with servers like these: names, modes and, of files behind URLs,
# times and contents. Directories' times are those of the build there.
AS_BUILDKIT: dict[str, object] = {
    "SITE/date": {"date": (0o600, 1714979289, GREETING)},
    "SITE/a%20b?x=1": {"a b": (0o600, 0, GREETING)},
    "SITE/": {"__unnamed__": (0o600, 0, GREETING)},
    "SITE/gz.tar.gz": {"gz.tar.gz": (0o600, 0, GREETING)},
    "SITE/disposition": {"disposition": (0o600, 0, GREETING)},
    "LIBRARY": TREE,
    "LIBRARY#heavy:docs": {"": 0o755, "deep": 0o755, "deep/a": 0o644},
    "--keep-git-dir LIBRARY#:docs": {"": 0o755, "deep": 0o755, "deep/a": 0o644},
}


@pytest.mark.parametrize("words", AS_BUILDKIT)
def test_as_buildkit_has_it(lab: Lab, site: Site, library: Any, words: str) -> None:
    site.page("/date", GREETING, Last_Modified="Mon, 06 May 2024 07:08:09 GMT")
    site.page("/a%20b", GREETING)
    site.page("/", GREETING)
    site.page("/gz.tar.gz", gzip.compress(GREETING), Content_Encoding="gzip")
    site.page("/disposition", GREETING, Content_Disposition='attachment; filename="other"')
    text = words.replace("SITE", site.url).replace("LIBRARY", library.url)
    *flags, source = text.split()
    added = Instruction(keyword="ADD", args=(source, "/x/"), flags=tuple(flags))
    remotes = remote_sources(added, expanded=True)
    inputs = Inputs()
    run = StageRun(number=0, order=None, plan=None, inputs=inputs, repositories=(library.url,))  # type: ignore[arg-type]
    assert len([*parts_with_remotes(BlockStep(instruction=added, remotes=remotes), run)]) == 1
    (item,) = inputs.items
    found = lab.taken({**item, "at": AT}, git=at(library.url))
    named = {name.removeprefix("0").removeprefix("/"): it for name, it in found.items()}
    if item["kind"] == "http":
        seen: object = {
            name: (it.info.mode, it.info.mtime, it.content) for name, it in named.items()
        }
    else:
        seen = {name: it.info.mode for name, it in named.items()}
    assert seen == AS_BUILDKIT[words]
    assert {(it.info.uid, it.info.gid) for it in found.values()} == {(0, 0)}


# --- name servers that lie -------------------------------------------------------------------------------------------


class Names:
    """Stands for the name servers: every look-up takes the next answer; the last one stays."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def getaddrinfo(self, host: str, port: int, **_: object) -> list[Any]:
        self.asked.append(host)
        address = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(2, 1, 6, "", (address, port))]


def _visit(names: Names, url: str, policy: dict[str, object]) -> tuple[int, bytes]:
    async def get() -> tuple[int, bytes]:
        asyncio.get_running_loop().getaddrinfo = names.getaddrinfo  # type: ignore[method-assign]
        gate = Gate(policy=policy_of(policy), place=f"{AT}: ADD {url}")
        async with Visitor(gate=gate, limits=Limits(remote_seconds=5), ca_file=None).get(url) as it:
            return it.status, await it.read()

    return asyncio.run(get())


def test_a_name_that_is_rebound_is_not_connected(site: Site) -> None:
    site.page("/x", CONTENT)
    port = site.url.rpartition(":")[2]
    names = Names("93.184.215.14", "127.0.0.1")
    with pytest.raises(CourierError) as caught:
        _visit(names, f"http://rebound.example.org:{port}/x", {})
    assert caught.value.reason == "RemoteForbidden"
    assert "rebound.example.org is 127.0.0.1, no public address (loopback)" in caught.value.message
    assert site.asked == []
    # The dot at the end keeps the search domains of the pod out.
    assert set(names.asked) == {"rebound.example.org."}


def test_the_address_that_was_judged_is_the_one_that_is_connected(site: Site) -> None:
    """A private name may be looked up within the cluster; its server sees the name it was asked for."""
    site.page("/x", CONTENT)
    port = site.url.rpartition(":")[2]
    names = Names("10.9.9.9", "192.0.2.1")
    with pytest.raises(CourierError) as caught:
        _visit(names, f"http://files.corp:{port}/x", {"privateHosts": ["files.corp"]})
    assert "files.corp is 192.0.2.1, no public address (documentation)" in caught.value.message
    assert set(names.asked) == {"files.corp"}


@pytest.fixture
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where repositories of this process are made."""
    folder = tmp_path / "stores"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def _pinned_to(url: str, address: str, credentials: str | None = None) -> Pinned:
    gate = Gate(policy=RemotePolicy(), place=f"{AT}: ADD {url}")
    access = GitAccess(url=url, credentials=credentials)
    return Pinned(access=access, addresses=(address,), ca_file=None, limits=Limits(), gate=gate)


@pytest.mark.usefixtures("own_folder")
def test_git_connects_to_the_address_that_was_judged(library: Any) -> None:
    """The name exists nowhere: had git looked it up, there would be no answer."""
    url = library.url.replace("127.0.0.1", "library.example.invalid")
    store = RemoteStore.make(_pinned_to(url, "127.0.0.1"))
    found = store.resolve("heavy")
    store.bring(found)
    assert (found.ref, found.commit) == ("refs/tags/heavy", library.first)
    assert store.git("cat-file", "-t", found.id) == "tag"


@pytest.mark.usefixtures("own_folder")
def test_git_follows_no_redirect_by_itself(site: Site, other_site: Site) -> None:
    site.page("/x.git/info/refs", status=302, Location=f"{other_site.url}/x.git/info/refs")
    store = RemoteStore.make(_pinned_to(f"{site.url}/x.git", "127.0.0.1"))
    with pytest.raises(CourierError) as caught:
        store.resolve("main")
    assert caught.value.reason == "GitUnreachable"
    assert other_site.asked == []


@pytest.mark.usefixtures("own_folder")
@pytest.mark.parametrize(
    ("url", "alias"),
    [
        ("git@library.example:app.git", "library.example"),
        ("ssh://git@library.example:2222/app.git", "[library.example]:2222"),
    ],
)
def test_ssh_connects_to_the_address_and_knows_the_host_by_its_name(
    library: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, alias: str
) -> None:
    """The part of ssh is played by a program that writes down how it was called."""
    program = tmp_path / "bin/ssh"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >>{tmp_path}/called\nexec git-upload-pack {library.repo}\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "ssh-privatekey").write_text("key")
    (secret / "known_hosts").write_text(f"{alias} ssh-ed25519 AAAA")
    store = RemoteStore.make(_pinned_to(url, "192.0.2.7", str(secret)))
    found = store.resolve("main")
    store.bring(found)
    assert found.commit == library.second
    called = (tmp_path / "called").read_text().splitlines()
    assert called.count("HostName=192.0.2.7") == called.count(f"HostKeyAlias={alias}") > 1
    assert "StrictHostKeyChecking=yes" in called
    assert f"UserKnownHostsFile={secret}/known_hosts" in called
