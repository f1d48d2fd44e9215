"""Which sources of an ADD are URLs, which are git repositories, and what they say."""

import pytest

from conveyor.api.errors import UserError
from conveyor.config.dockerfile import parse_dockerfile
from conveyor.config.dockerfile_model import Instruction
from conveyor.config.remote_source import (
    GitSource,
    HttpSource,
    RemoteSource,
    UnsupportedSourceError,
    endpoint,
    is_remote,
    remote_sources,
)

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SHA256 = f"sha256:{'a' * 64}"


def add(*words: str, flags: tuple[str, ...] = ()) -> dict[int, RemoteSource]:
    """What `ADD WORDS… /dest` fetches."""
    instruction = Instruction(keyword="ADD", args=(*words, "/dest"), flags=flags)
    return dict(remote_sources(instruction, expanded=True))


FILES = {
    "https://example.org/a/b.tar.gz": "b.tar.gz",
    "http://example.org/x": "x",
    "https://example.org/x/": "x",
    "https://example.org/x?y=1/2": "x",
    "https://example.org": "__unnamed__",
    "https://example.org/": "__unnamed__",
    "https://example.org/?file=x": "__unnamed__",
    "https://example.org/a%20b": "a b",
    "https://example.org/a%2Fb": "b",
    "https://example.org/caf%C3%A9": "café",
    "https://example.org/%ff": "\udcff",
    "https://example.org:8443/x": "x",
    "https://[2001:db8::1]/x": "x",
    # No repositories: the path does not end in .git (moby/buildkit: dfgitutil).
    "https://example.org/foo.git/": "foo.git",
    "https://example.org/foo.git.bar": "foo.git.bar",
    "https://example.org/moby/buildkit": "buildkit",
    "http://example.org/docker.git:": "docker.git:",
}


@pytest.mark.parametrize("url", FILES)
def test_a_file_is_named_by_the_path_of_its_url(url: str) -> None:
    assert add(url) == {0: HttpSource(url=url, name=FILES[url])}


REPOSITORIES = {
    "https://example.com/foo.git": GitSource(url="https://example.com/foo.git"),
    "HTTPS://example.com/foo.git": GitSource(url="https://example.com/foo.git"),
    "http://example.com/foo.git#v1": GitSource(url="http://example.com/foo.git", ref="v1"),
    "https://example.com/foo.git#release/1.2": GitSource(
        url="https://example.com/foo.git", ref="release/1.2"
    ),
    "https://example.com/foo/bar.git#baz/qux:quux/quuz": GitSource(
        url="https://example.com/foo/bar.git", ref="baz/qux", subdir="quux/quuz"
    ),
    "https://example.com/d.git#:myfolder": GitSource(
        url="https://example.com/d.git", subdir="myfolder"
    ),
    "https://example.com/d.git#:/a/./b/../c/": GitSource(
        url="https://example.com/d.git", subdir="a/c"
    ),
    "https://example.com/d%2Egit": GitSource(url="https://example.com/d%2Egit"),
    "https://user@example.com/d.git": GitSource(url="https://user@example.com/d.git"),
    "ssh://git@example.com:2222/d": GitSource(url="ssh://git@example.com:2222/d"),
    "ssh://example.com/d.git#main": GitSource(url="ssh://example.com/d.git", ref="main"),
    "git@example.com:moby/buildkit": GitSource(url="git@example.com:moby/buildkit"),
    "git@example.com:moby/buildkit.git#v1:docs": GitSource(
        url="git@example.com:moby/buildkit.git", ref="v1", subdir="docs"
    ),
    "git@example.com:m/b.git?subdir=/docs#v1": GitSource(
        url="git@example.com:m/b.git", ref="v1", subdir="docs"
    ),
    "https://example.com/d.git?ref=v1.0.0&subdir=/subdir": GitSource(
        url="https://example.com/d.git", ref="v1.0.0", subdir="subdir"
    ),
    "https://example.com/d.git?subdir=/subdir#v1.0.0": GitSource(
        url="https://example.com/d.git", ref="v1.0.0", subdir="subdir"
    ),
    "https://example.com/d.git?tag=v1.0.0": GitSource(
        url="https://example.com/d.git", ref="refs/tags/v1.0.0"
    ),
    "https://example.com/d.git?branch=refs/heads/v1": GitSource(
        url="https://example.com/d.git", ref="refs/heads/v1"
    ),
    "https://example.com/d.git?checksum=0123": GitSource(
        url="https://example.com/d.git", checksum="0123"
    ),
    f"https://example.com/d.git?commit=0123#{COMMIT}": GitSource(
        url="https://example.com/d.git", ref=COMMIT, checksum="0123"
    ),
    "https://example.com/d.git?keep-git-dir&submodules=false": GitSource(
        url="https://example.com/d.git", keep_git_dir=True, submodules=False
    ),
    "https://example.com/d.git?keep-git-dir=0&submodules=1": GitSource(
        url="https://example.com/d.git"
    ),
}


@pytest.mark.parametrize("url", REPOSITORIES)
def test_a_repository_is_known_by_its_url(url: str) -> None:
    assert add(url) == {0: REPOSITORIES[url]}


@pytest.mark.parametrize(
    "path",
    [
        *("a", "a/b", "./x", "../x", ".git", "./.git", "a.git", "custom.xyz/moby/buildkit.git"),
        *("github.com/moby/buildkit", "github.com/moby/buildkit#main", "a:b", "http:/x", "x@y"),
    ],
)
def test_everything_else_is_of_the_context(path: str) -> None:
    assert not is_remote(path)
    assert add(path) == {}


WRONG = {
    "ftp://example.org/x": "ADD ftp://example.org/x: ftp is no protocol of ADD; known are http, https and ssh",
    "file:///etc/passwd": "ADD file:///etc/passwd: it has no host",
    "file://host/etc/passwd": "ADD file://host/etc/passwd: file is no protocol of ADD; known are http, https and ssh",
    "HTTPS://example.org/x": "ADD HTTPS://example.org/x: write https:// in lower case",
    "https:///x": "ADD https:///x: it has no host",
    "https://h:99999/x": "ADD https://h:99999/x: its host or port cannot be read",
    "https://h:0/x": "ADD https://h:0/x: 0 is no port",
    "https://[::1/x": "ADD https://[::1/x: its host or port cannot be read",
    "https://h/%zz": "ADD https://h/%zz: it has a % without two hex digits",
    "https://h/..": "ADD https://h/..: its last part '..' cannot name a file",
    "https://h/a%00b": "ADD https://h/a%00b: its last part 'a\\x00b' cannot name a file",
    "https://h/a\nb": "a URL of ADD has control characters, or more than 8192 characters",
    f"https://h/{'x' * 9000}": "a URL of ADD has control characters, or more than 8192 characters",
    "https://h/d.git?invalid=1": "ADD https://h/d.git: 'invalid' is unknown in its query; known are ref, tag, "
    "branch, subdir, checksum, commit, keep-git-dir, submodules",
    "https://h/d.git?ref=a&ref=b": "ADD https://h/d.git: ref stands more than once in its query",
    "https://h/d.git?ref=": "ADD https://h/d.git: ref has no value in its query",
    "https://h/d.git?ref=a#b": "ADD https://h/d.git: it names two refs: b and a",
    "https://h/d.git?tag=a&branch=a": "ADD https://h/d.git: it names two refs: refs/tags/a and refs/heads/a",
    "https://h/d.git?subdir=a#:b": "ADD https://h/d.git: it names two subdirs: b and a",
    "https://h/d.git?submodules=maybe": "ADD https://h/d.git: submodules=maybe is neither true nor false",
    "https://h/d.git#--upload-pack=x": "ADD https://h/d.git#--upload-pack=x: '--upload-pack=x' cannot be a branch, "
    "tag or commit",
    "https://h/d.git#a..b": "ADD https://h/d.git#a..b: 'a..b' cannot be a branch, tag or commit",
    "https://h/d.git#:../x": "ADD https://h/d.git#:../x: '../x' leads out of the repository",
    "https://h/d.git?checksum=zz": "ADD https://h/d.git: --checksum=zz: for a repository write a commit in hex digits",
    f"https://h/d.git?checksum=ff#{COMMIT}": "ADD https://h/d.git: --checksum=ff is not the beginning of commit "
    + COMMIT,
    "git@h:": "ADD git@h:: it has no path",
    "git@h:-oProxyCommand=x": "ADD git@h:-oProxyCommand=x: it has no path",
}


@pytest.mark.parametrize("url", WRONG)
def test_what_is_wrong_is_said(url: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        add(url)
    assert not isinstance(caught.value, UnsupportedSourceError)
    assert str(caught.value) == WRONG[url]


UNSUPPORTED = {
    "git://h/d.git": "ADD git://h/d.git: git:// is not encrypted; write https:// or ssh://",
    "https://u:s3cret@h/x": "ADD https://h/x: a login in the URL would be in the image's history; git takes it "
    "from spec.gitCredentials",
    "https://u:s3cret@h/d.git": "ADD https://h/d.git: a login in the URL would be in the image's history; git "
    "takes it from spec.gitCredentials",
    "https://u@h/x?sig=s3cret": "ADD https://h/x: a user in the URL of a file is not supported",
}


@pytest.mark.parametrize("url", UNSUPPORTED)
def test_what_docker_would_do_and_this_does_not(url: str) -> None:
    with pytest.raises(UnsupportedSourceError) as caught:
        add(url)
    assert str(caught.value) == UNSUPPORTED[url]


def test_flags_pin_and_keep() -> None:
    assert add("https://h/x", flags=(f"--checksum={SHA256}",))[0] == HttpSource(
        url="https://h/x", name="x", checksum=SHA256
    )
    git = "https://h/d.git"
    assert add(git, flags=("--checksum=0123", "--keep-git-dir"))[0] == GitSource(
        url=git, checksum="0123", keep_git_dir=True
    )
    assert add(f"{git}?keep-git-dir=1", flags=("--keep-git-dir=true",))[0] == GitSource(
        url=git, keep_git_dir=True
    )
    assert add("https://h/x", flags=("--keep-git-dir=true",)) == add("https://h/x")


@pytest.mark.parametrize(
    ("words", "flag", "said"),
    [
        (("a",), f"--checksum={SHA256}", "--checksum is for URLs and git repositories only"),
        (("github.com/a/b",), "--checksum=ab", "--checksum is for URLs and git repositories only"),
        (("https://h/x", "y"), f"--checksum={SHA256}", "--checksum is for one source; write an ADD for each"),
        (("https://h/x",), "--checksum=md5:abc", "--checksum=md5:abc: write sha256: and 64 hex digits"),
        (("https://h/x",), f"--checksum=sha512:{'a' * 128}"[:90], "sha256: and 64 hex digits"),
        (("https://h/d.git",), f"--checksum={SHA256}", "for a repository write a commit in hex digits"),
        (("https://h/d.git?checksum=ab",), "--checksum=abc", "--checksum=abc is not the URL's own ab"),
        (
            ("https://h/d.git?keep-git-dir=1",),
            "--keep-git-dir=false",
            "--keep-git-dir=false and keep-git-dir of the URL contradict each other",
        ),
    ],
)  # fmt: skip
def test_flags_that_do_not_fit(words: tuple[str, ...], flag: str, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        add(*words, flags=(flag,))
    assert said in str(caught.value)


def test_excludes_are_not_passed_over() -> None:
    """A flag that is accepted for files of the context must not be forgotten for others."""
    with pytest.raises(UnsupportedSourceError, match="--exclude does not reach into URLs"):
        add("https://h/d.git", "a", flags=("--exclude=*.md",))
    with pytest.raises(UnsupportedSourceError, match="--unpack does not open what is fetched"):
        add("https://h/a.tgz", flags=("--unpack",))
    assert add("a", flags=("--exclude=*.md", "--unpack")) == {}
    assert add("https://h/a.tgz", flags=("--unpack=false",))


def test_sources_of_several_kinds_keep_their_places() -> None:
    found = add("a", "https://h/x", "b", "git@h:d")
    assert {place: type(source) for place, source in found.items()} == {1: HttpSource, 3: GitSource}


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("https://Example.org/x", ("example.org", 443)),
        ("http://example.org/x", ("example.org", 80)),
        ("http://example.org:8080/x", ("example.org", 8080)),
        ("https://[::1]:8/x", ("::1", 8)),
        ("ssh://git@h/d", ("h", 22)),
        ("ssh://git@h:2222/d", ("h", 2222)),
        ("git@h:d", ("h", 22)),
    ],
)
def test_where_a_source_is(url: str, where: tuple[str, int]) -> None:
    assert endpoint(add(url)[0]) == where


def test_messages_show_neither_login_nor_signature() -> None:
    assert add("https://h/x?sig=s3cret")[0].shown == "ADD https://h/x"
    assert add("https://user@h/d.git?ref=v1")[0].shown == "ADD https://h/d.git"


@pytest.mark.parametrize(
    ("line", "reason", "said"),
    [
        ("COPY https://h/x /x", "InvalidDockerfile", "COPY takes no URL and no git repository; write ADD"),
        ("COPY git@h:d /x", "InvalidDockerfile", "COPY takes no URL and no git repository; write ADD"),
        ("ADD --checksum=x a /x", "InvalidDockerfile", "--checksum is for URLs and git repositories only"),
        ("ADD --checksum a /x", "InvalidDockerfile", "flag --checksum has no valid value"),
        ("ADD --keep-git-dir=yes https://h/d.git /x", "InvalidDockerfile", "has no valid value"),
        ("COPY --keep-git-dir a /x", "InvalidDockerfile", "unknown flag --keep-git-dir of COPY"),
        ("ADD git://h/d /x", "NotSupported", "git:// is not encrypted"),
        ("ADD ftp://h/d /x", "InvalidDockerfile", "ftp is no protocol of ADD"),
    ],
)  # fmt: skip
def test_a_dockerfile_is_refused_with_the_line(line: str, reason: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_dockerfile(f"FROM a\n{line}\n", file="Dockerfile")
    assert caught.value.reason == reason
    assert caught.value.message.startswith("Dockerfile:2: ")
    assert said in caught.value.message


def test_words_with_variables_are_looked_at_when_they_are_replaced() -> None:
    text = (
        "FROM a\nARG V\nADD --checksum=$V https://h/$V y /x\nADD ftp://$V x /y\nCOPY http://$V /z\n"
    )
    assert (
        parse_dockerfile(text, file="Dockerfile").blocks[0].instructions[1].flag("checksum") == "$V"
    )
