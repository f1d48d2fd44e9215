"""A real repository: revisions, files, patches, ancestry; and the same over HTTP with and without credentials."""

import base64
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from conveyor.adapters.answers import GitAnswers
from conveyor.adapters.git_access import READY_FILE
from conveyor.adapters.git_clones import GitClones, open_local
from conveyor.adapters.git_credentials import GitCredentials, check_url
from conveyor.adapters.git_errors import without_user_info
from conveyor.api.errors import NotYet, UserError
from conveyor.config.commit import CommitInfo
from conveyor.plan.answers import StageID
from conveyor.plan.questions import (
    Ancestry,
    CommitExists,
    ContextChecksum,
    FileText,
    MappingPatch,
    PathFilter,
    PathKind,
    RemoteHead,
    StageInfo,
    TreeChecksum,
)

PASSWORD = "s3cret word"  # noqa: S105 - of a server made here
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "Dev",
    "GIT_AUTHOR_EMAIL": "dev@example.org",
    "GIT_COMMITTER_NAME": "Dev",
    "GIT_COMMITTER_EMAIL": "dev@example.org",
    "GIT_AUTHOR_DATE": "2024-01-02T03:04:05+0900",
    "GIT_COMMITTER_DATE": "2024-02-02T03:04:05Z",
}


def git(directory, *args):
    done = subprocess.run(  # noqa: S603
        ["git", "-C", str(directory), *args],  # noqa: S607
        env=ENVIRONMENT,
        capture_output=True,
        check=True,
        timeout=30,
    )
    return done.stdout.decode().strip()


def commit(directory, message, **files):
    for name, text in files.items():
        path = directory / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(directory, "add", "-A")
    git(directory, "commit", "-q", "--allow-empty", "-m", message)
    return git(directory, "rev-parse", "HEAD")


@pytest.fixture
def work(tmp_path):
    directory = tmp_path / "work"
    directory.mkdir()
    git(directory, "init", "-q", "-b", "main")
    commit(directory, "first", a_txt="one\n", src__b_txt="b\n")
    git(directory, "tag", "-a", "v1", "-m", "v1")
    return directory


@pytest.fixture
async def repo(work):
    return await open_local(work)


async def test_revisions(work, repo):
    first = git(work, "rev-parse", "HEAD")
    git(work, "branch", "feature/x")
    second = commit(work, "second", a_txt="two\n")
    assert await repo.resolve() == second
    assert await repo.resolve(branch="main") == second
    assert await repo.resolve(branch="feature/x") == first
    assert await repo.resolve(tag="v1") == first
    assert await repo.resolve(commit=first) == first
    assert await repo.about(first) == CommitInfo(hash=first, date=1704132245, zone="+0900")
    assert (await repo.about(first)).human == "2024-01-02 03:04:05 +0900 +0900"
    assert await repo.is_ancestor(first, second)
    assert await repo.is_ancestor(first, first)
    assert not await repo.is_ancestor(second, first)
    assert not await repo.is_ancestor("f" * 40, first)
    assert await repo.commit_exists(first)
    assert not await repo.commit_exists("f" * 40)
    assert not await repo.commit_exists("main")


@pytest.mark.parametrize(
    "revision",
    [
        {"branch": "nope"},
        {"tag": "main"},
        {"commit": "f" * 40},
        {"commit": "main"},
        {"branch": "--upload-pack=x"},
        {"branch": "a..b"},
        {"branch": "a b"},
        {"tag": "v1^{tree}"},
        {"branch": "x" * 2000},
    ],
)
async def test_a_revision_that_does_not_exist(repo, revision):
    with pytest.raises(UserError) as caught:
        await repo.resolve(**revision)
    assert caught.value.reason == "GitRevisionNotFound"


async def test_files_and_links(work, repo):
    (work / "link").symlink_to("src/../a.txt")
    (work / "out").symlink_to("../../etc/passwd")
    (work / "loop").symlink_to("loop")
    head = commit(work, "links")
    assert await repo.file_text(head, "a.txt") == "one\n"
    assert await repo.file_text(head, "link") == "one\n"
    assert await repo.file_text(head, "src") is None
    assert await repo.file_text(head, "nope") is None
    assert await repo.files(head, "src") == ("src/b.txt",)
    assert await repo.path_kind(head, "src") == "directory"
    with pytest.raises(UserError, match="leads out of the repository"):
        await repo.file_text(head, "out")
    with pytest.raises(UserError, match="links in a row"):
        await repo.file_text(head, "loop")


async def test_a_file_that_is_too_large(work, repo):
    head = commit(work, "large", big_txt="x" * (9 * 1024 * 1024))
    with pytest.raises(UserError, match="larger than"):
        await repo.file_text(head, "big.txt")


async def test_patches(work, repo):
    first = git(work, "rev-parse", "HEAD")
    text = "".join(f"{n}\n" for n in range(100))
    second = commit(work, "more", src__b_txt="c\n", long_txt=text)
    third = commit(work, "line", long_txt=text.replace("50\n", "fifty\n"))
    everything = PathFilter()
    patch = await repo.patch(first, second, PathFilter(base="src"), "/app")
    assert patch.text == (
        "diff --git a/b.txt b/b.txt\nindex 61780798..f2ad6c76 100644\n"
        "--- a/b.txt\n+++ b/b.txt\n@@ -1 +1 @@\n-b\n+c\n"
    )
    assert patch.size == len(patch.text)
    assert not patch.empty
    line = await repo.patch(second, third, everything, "/app")
    assert "@@ -48,7 +48,7 @@" in line.text
    assert line.size > len(line.text)  # the size is that of a patch with the whole file around it
    nothing = await repo.patch(second, third, PathFilter(base="src"), "/app")
    assert (nothing.text, nothing.size, nothing.empty) == ("", 0, True)


async def test_configuration_of_a_repository_does_not_change_its_patches(work, repo):
    first = git(work, "rev-parse", "HEAD")
    second = commit(work, "more", src__b_txt="c\n")
    before = await repo.patch(first, second, PathFilter(), "/app")
    for setting in (
        *("diff.noprefix=true", "diff.mnemonicPrefix=true", "diff.external=/bin/false"),
        *("core.abbrev=20", "diff.context=0", "color.ui=always", "diff.algorithm=patience"),
    ):
        git(work, "config", *setting.split("="))
    after = await (await open_local(work)).patch(first, second, PathFilter(), "/app")
    assert after == before


async def test_a_binary_counts_with_its_bytes(work, repo):
    first = git(work, "rev-parse", "HEAD")
    (work / "x.bin").write_bytes(os.urandom(3000) + b"\0")
    second = commit(work, "binary")
    patch = await repo.patch(first, second, PathFilter(), "/app")
    assert "Binary files /dev/null and b/x.bin differ" in patch.text
    assert patch.size > 3000


async def test_answers(work, repo):
    first = git(work, "rev-parse", "HEAD")
    head = commit(work, "context", ctx__Dockerfile="FROM x\n", ctx__a_txt="a", ctx__b_md="b")
    answers = GitAnswers(repo, open_remote=open_local)

    async def ask(kind, **fields):
        question = kind(repo="own", commit=head, **fields)
        assert answers.handles(question)
        return await answers.answer(question)

    assert await ask(FileText, path="a.txt") == "one\n"
    assert await ask(PathKind, path="ctx") == "directory"
    assert await ask(CommitExists) is True
    assert await ask(Ancestry, ancestor=first) is True
    whole = await ask(TreeChecksum, filter=PathFilter())
    part = await ask(TreeChecksum, filter=PathFilter(), narrow=("src",))
    assert len(whole) == len(part) == 64
    assert whole != part
    context = {"context": "ctx", "dockerfile": "Dockerfile", "sources": (".",)}
    all_of_it = await ask(ContextChecksum, dockerignore="", **context)
    less = await ask(ContextChecksum, dockerignore="*.md\n", **context)
    assert len({all_of_it, less, ""}) == 3
    nothing = await ask(ContextChecksum, dockerignore="", **{**context, "sources": ("no",)})
    assert nothing == ""
    patch = MappingPatch(
        repo="own", from_commit=first, to_commit=head, filter=PathFilter(), to="/app"
    )
    assert not (await answers.answer(patch)).empty
    head_of = RemoteHead(url=str(work), branch="", tag="v1", commit="")
    remote = GitAnswers(None, open_remote=lambda url: open_local(Path(url)))
    assert await remote.answer(head_of) == first
    stage = StageInfo(id=StageID(digest="d", timestamp=1))
    assert not answers.handles(stage)
    with pytest.raises(TypeError):
        await answers.answer(stage)


async def test_a_directory_without_a_repository(tmp_path):
    with pytest.raises(UserError, match="not a git repository"):
        await open_local(tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c id",
        "file:///etc",
        "git://host/x",
        "-oProxyCommand=x",
        "ssh://-oProxyCommand=x/y",
        "https://user:secret@host/x",
        "https://user@host/x",
        "https:///x",
        "https://host/a b",
        "https://host/\nx",
        "/srv/git",
        "-user@host:x",
        "https://host/" + "x" * 3000,
        "https://[::1/x",
        "https://host:port/x",
        "https://host:99999/x",
        "https://\u2100.example/x",
        "ssh://evil.example%2Fx@host/y",
        "https://user:pass@secret@host/x",
        "HTTPS://host/x",
    ],
)
def test_urls_that_are_refused_without_showing_secrets(url):
    with pytest.raises(UserError) as caught:
        check_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://host/x.git", "http://host:8080/x", "ssh://git@host/x", "git@host:org/x.git"]
)
def test_urls_that_are_allowed(url):
    assert check_url(url) == url


def test_user_information_is_never_shown():
    assert without_user_info("https://u:p@host/x") == "https://host/x"
    assert PASSWORD not in repr(GitCredentials(username="u", password=PASSWORD))


class _Backend(BaseHTTPRequestHandler):
    """`git http-backend` behind basic auth, and a place that redirects to another host name."""

    def do_GET(self):
        self._serve()

    def do_POST(self):
        self._serve()

    def log_message(self, *args):
        pass

    def _serve(self):
        path, _, query = self.path.partition("?")
        self.server.seen.append((self.headers["Host"], self.headers["Authorization"]))
        if path.startswith("/moved/"):
            port = self.server.server_address[1]
            self.send_response(301)
            self.send_header("Location", f"http://localhost:{port}/{self.path[7:]}")
            self.end_headers()
            return
        expected = base64.b64encode(f"dev:{PASSWORD}".encode()).decode()
        if "/private" in path and self.headers["Authorization"] != f"Basic {expected}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.end_headers()
            return
        self._run(path.replace("/private", ""), query)

    def _run(self, path, query):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        environment = {
            **ENVIRONMENT,
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers["Content-Type"] or "",
            "HTTP_CONTENT_ENCODING": self.headers["Content-Encoding"] or "",
            "GIT_PROTOCOL": self.headers["Git-Protocol"] or "",
        }
        done = subprocess.run(
            ["git", "http-backend"],  # noqa: S607
            input=body,
            env=environment,
            capture_output=True,
            check=False,
            timeout=30,
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def server(work):
    made = ThreadingHTTPServer(("127.0.0.1", 0), _Backend)
    made.root, made.seen, made.daemon_threads = work.parent, [], True
    git(work, "config", "uploadpack.allowFilter", "true")
    git(work, "config", "uploadpack.allowAnySHA1InWant", "true")
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def url_of(server, path="/work/.git"):
    return f"http://127.0.0.1:{server.server_address[1]}{path}"


@pytest.fixture
def clones(tmp_path):
    return GitClones(tmp_path / "clones")


async def test_a_clone_without_blobs_fetches_what_it_needs(work, server, clones):
    first = git(work, "rev-parse", "HEAD")
    repo = await clones.open(url_of(server))
    assert await repo.resolve() == first
    assert await repo.file_text(first, "a.txt") == "one\n"
    second = commit(work, "second", a_txt="two\n")
    git(work, "tag", "v2")
    assert not await repo.commit_exists(second)
    assert await repo.resolve(branch="main") == second
    assert await repo.resolve(tag="v2") == second
    assert await repo.is_ancestor(first, second)
    assert "-one\n+two" in (await repo.patch(first, second, PathFilter(), "/app")).text


async def test_a_commit_at_hand_costs_no_network(work, server, clones):
    first = git(work, "rev-parse", "HEAD")
    repo = await clones.open(url_of(server))
    server.seen.clear()
    assert await repo.resolve(commit=first) == first
    assert await (await clones.open(url_of(server))).resolve(commit=first) == first
    assert server.seen == []


async def test_a_commit_that_no_branch_leads_to_is_fetched(work, server, clones):
    repo = await clones.open(url_of(server))
    git(work, "checkout", "-q", "--detach")
    lonely = commit(work, "lonely", a_txt="lonely\n")
    git(work, "update-ref", "refs/pull/1/head", lonely)
    git(work, "checkout", "-q", "main")
    assert await repo.resolve(commit=lonely) == lonely
    assert await repo.file_text(lonely, "a.txt") == "lonely\n"


async def test_a_branch_that_was_forced_is_followed(work, server, clones):
    repo = await clones.open(url_of(server))
    commit(work, "second", a_txt="two\n")
    await repo.resolve(branch="main")
    git(work, "reset", "-q", "--hard", "HEAD^")
    other = commit(work, "other", a_txt="three\n")
    assert await repo.resolve(branch="main") == other
    git(work, "checkout", "-q", "-b", "renamed")
    git(work, "branch", "-D", "main")
    with pytest.raises(UserError, match="main"):
        await repo.resolve(branch="main")
    assert await repo.resolve() == other


async def test_credentials_are_used_and_needed(work, server, clones):
    head = git(work, "rev-parse", "HEAD")
    url = url_of(server, "/private/work/.git")
    right = GitCredentials(username="dev", password=PASSWORD)
    repo = await clones.open(url, right)
    assert await repo.resolve(branch="main") == head
    assert await repo.file_text(head, "a.txt") == "one\n"
    for wrong in (None, GitCredentials(username="dev", password="not" + PASSWORD)):
        with pytest.raises(UserError) as caught:
            await clones.open(url, wrong)
        assert caught.value.reason == "GitAuthFailed"
        assert "s3cret" not in str(caught.value)
    left = "".join(p.read_text() for p in (clones._directory).glob("*/config"))
    assert "s3cret" not in left


async def test_credentials_do_not_follow_a_redirect_to_another_host(work, server, clones):
    credentials = GitCredentials(username="dev", password=PASSWORD)
    with pytest.raises(UserError) as caught:
        await clones.open(url_of(server, "/moved/private/work/.git"), credentials)
    assert caught.value.reason == "GitAuthFailed"
    assert [auth for host, auth in server.seen if host.startswith("localhost")] == [None]


async def test_who_has_no_credentials_does_not_see_the_clone_of_who_has(server, clones):
    url = url_of(server, "/private/work/.git")
    await clones.open(url, GitCredentials(username="dev", password=PASSWORD))
    with pytest.raises(UserError):
        await clones.open(url)


async def test_no_repository_and_no_server(server, clones):
    with pytest.raises(UserError, match="no such repository"):
        await clones.open(url_of(server, "/nothing/.git"))
    port = server.server_address[1]
    server.shutdown()
    server.server_close()
    with pytest.raises(NotYet) as caught:
        await clones.open(f"http://127.0.0.1:{port}/work/.git")
    assert caught.value.reason == "GitRemoteUnreachable"


async def test_a_damaged_clone_is_made_anew(work, server, clones):
    head = git(work, "rev-parse", "HEAD")
    repo = await clones.open(url_of(server))
    (directory,) = clones._clones()
    (directory / "HEAD").unlink()
    with pytest.raises(NotYet, match="damaged"):
        await repo.file_text(head, "a.txt")
    again = await clones.open(url_of(server))
    assert await again.file_text(head, "a.txt") == "one\n"


async def test_a_clone_with_broken_packs_gets_them_again(work, server, clones):
    head = git(work, "rev-parse", "HEAD")
    repo = await clones.open(url_of(server))
    for pack in clones._clones()[0].glob("objects/pack/*"):
        pack.chmod(0o600)
        pack.write_bytes(b"broken")
    assert await repo.file_text(head, "a.txt") == "one\n"


async def test_a_half_made_clone_is_made_anew(work, server, clones):
    await clones.open(url_of(server))
    (directory,) = clones._clones()
    (directory / READY_FILE).unlink()
    (directory / "HEAD").unlink()
    repo = await GitClones(clones._directory).open(url_of(server))
    assert await repo.resolve() == git(work, "rev-parse", "HEAD")


async def test_the_least_used_clones_are_thrown_away(work, server, tmp_path):
    clones = GitClones(tmp_path / "clones", max_clones=2)
    urls = [url_of(server, path) for path in ("/work/.git", "/work/.git/", "/./work/.git")]
    for age, url in enumerate(urls[:2]):
        await clones.open(url)
        (path,) = [p for p in clones._clones() if (p / READY_FILE).stat().st_mtime > 100]
        os.utime(path / READY_FILE, (age, age))
    await clones.open(urls[2])
    assert len(clones._clones()) == 2
    assert not (clones._directory / clones._key(urls[0], None)).exists()
