from typing import Any

import pytest

from conveyor.api.errors import UserError
from conveyor.config.mappings import repository_id
from conveyor.config.model import (
    Dependency,
    DependencyImport,
    GitMapping,
    GitRemote,
    Import,
    Mount,
    Shell,
)
from conveyor.config.model_image_config import DockerInstructions
from conveyor.config.names import has_tag_or_digest
from conveyor.config.parse import parse

META = "configVersion: 1\nproject: shop\n---\nimage: tool\nfrom: t:1\n---\nartifact: built\nfrom: t:1\n---\n"


def _image(body: str, head: str = "image: a\nfrom: x:1\n") -> Any:
    return parse(META + head + body).images[-1]


def _refused(body: str, head: str = "image: a\nfrom: x:1\n") -> Any:
    with pytest.raises(UserError) as raised:
        parse(META + head + body)
    return raised.value.message


@pytest.mark.parametrize(
    ("head", "base", "internal"),
    [
        ("from: alpine:3.18", "alpine:3.18", False),
        ("from: scratch", "scratch", False),
        ("from: tool", "tool", True),
        ("from: built", "built", True),
        ("from: tol", "tol", False),
        ("from: a", "a:latest", False),
        ("fromImage: tool", "tool", True),
        ("fromImage: r.io/x/tool:1", "r.io/x/tool:1", False),
        ("fromArtifact: built", "built", True),
    ],
)
def test_base(head: str, base: str, internal: Any) -> None:
    image = _image("", f"image: a\n{head}\n")
    assert (image.base, image.base_internal) == (base, internal)


def test_own_name_is_judged_per_name() -> None:
    images: Any = parse(META + "image: [alpine, b]\nfrom: alpine\n").images
    a, b = images[-2:]
    assert (a.base, a.base_internal) == ("alpine:latest", False)
    assert (b.base, b.base_internal) == ("alpine", True)


def test_simple_values_keep_their_text() -> None:
    image = _image(
        "fromCacheVersion: 1.20\ncacheVersion: yes\nfromLatest: on\nfinal: off\ndisableGitAfterPatch: true\n"
    )
    assert (image.from_cache_version, image.cache_version) == ("1.20", "yes")
    assert (image.from_latest, image.final, image.disable_git_after_patch) == (True, False, True)


def test_defaults() -> None:
    image = _image("git: ~\nshell: ~\nmount: ~\nimport: ~\ndocker: ~\ndependencies: ~\nfinal: ~\n")
    assert image == _image("")
    assert (image.git, image.shell, image.mounts, image.imports, image.docker) == (
        (),
        None,
        (),
        (),
        None,
    )
    assert image.final
    assert not image.artifact


def test_artifact() -> None:
    image = _image("shell: {install: make}\n", "artifact: a\nfrom: x\n")
    assert (image.artifact, image.final) == (True, False)


def test_shell() -> None:
    image = _image(
        "shell:\n  beforeInstall: one\n  setup: [two, 'three # 3']\n  cacheVersion: 1\n  installCacheVersion: 0.10\n"
    )
    assert image.shell == Shell(
        commands={"beforeInstall": ("one",), "setup": ("two", "three # 3")},
        cache_version="1",
        stage_cache_versions={"install": "0.10"},
    )


def test_git_paths_are_cleaned_and_local_mappings_come_first() -> None:
    image = _image(
        "git:\n"
        "- {url: 'https://example.org/acme/widgets.git', tag: v1.0, to: /w}\n"
        "- {add: /src/, to: /app//x/, includePaths: [./a, b/], excludePaths: c/../d, owner: 1000, group: app,"
        " stageDependencies: {install: go.mod, setup: ['**/*.py', b]}}\n"
        "- {to: /root}\n"
    )
    assert image.git == (
        GitMapping(
            add="src",
            to="/app/x",
            include_paths=("a", "b"),
            exclude_paths=("d",),
            owner="1000",
            group="app",
            stage_dependencies={"install": ("go.mod",), "setup": ("**/*.py", "b")},
        ),
        GitMapping(add="", to="/root"),
        GitMapping(
            name="acme/widgets",
            add="",
            to="/w",
            remote=GitRemote(url="https://example.org/acme/widgets.git", tag="v1.0"),
        ),
    )
    assert [mapping.at.line for mapping in image.git] == [14, 15, 13]


@pytest.mark.parametrize("where", ["env", "src", "value"])
def test_basic_auth_is_read_and_its_password_forgotten(where: str) -> None:
    image = _image(
        "git: [{url: 'https://h/o/r', to: /r, tag: v1,"
        f" basicAuth: {{username: u, password: {{{where}: s3cret}}}}}}]\n"
    )
    assert image.git[0].remote.password == where
    assert "s3cret" not in repr(image)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://github.com/acme/widgets.git", "acme/widgets"),
        ("https://github.com/acme/widgets/", "acme/widgets"),
        ("git@github.com:acme/widgets.git", "acme/widgets"),
        ("ssh://git@host:22/group/sub/repo", "sub/repo"),
        ("file:///srv/git/acme/widgets.git", "acme/widgets"),
        ("git@host:repo.git", "git@host:repo.git"),
        ("repo", "repo"),
    ],
)
def test_repository_id(url: str, name: str) -> None:
    assert repository_id(url) == name


def test_automatic_excludes_span_git_and_imports() -> None:
    image = _image(
        "git:\n- {add: /src, to: /app}\nimport:\n- {image: tool, add: /out, to: /app/lib, after: setup}\n"
        "- {image: tool, add: /o, to: /app/lib/x, after: setup}\n"
    )
    assert image.git[0].exclude_paths == ("lib", "lib/x")
    assert [entry.exclude_paths for entry in image.imports] == [("x",), ()]


def test_imports() -> None:
    image = _image(
        "import:\n"
        "- {image: tool, add: /out, before: install}\n"
        "- {from: tool, add: /bin/, to: /usr/bin/, after: setup, stage: install, owner: 1, group: g, includePaths: [a]}\n"
        "- {artifact: built, add: /x, after: install}\n"
        "- {image: 'example.org/x:1.2', add: /y, before: setup, excludePaths: b}\n"
    )
    assert image.imports == (
        Import(image="tool", before="install", add="/out", to="/out"),
        Import(
            image="tool",
            after="setup",
            stage="install",
            add="/bin",
            to="/usr/bin",
            owner="1",
            group="g",
            include_paths=("a",),
        ),
        Import(image="built", artifact=True, after="install", add="/x", to="/x"),
        Import(
            image="example.org/x:1.2",
            external=True,
            before="setup",
            add="/y",
            to="/y",
            exclude_paths=("b",),
        ),
    )


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("tool", False),
        ("acme/tool", False),
        ("localhost:5000/tool", False),
        ("tool:1", True),
        ("localhost:5000/a/tool:1.2-x", True),
        ("tool@sha256:" + "a" * 64, True),
        ("tool:1@sha256:" + "a" * 64, True),
        ("Tool:1", False),
        ("tool:", False),
        ("tool@sha256:xyz", False),
        ("a/" * 600 + "b:1", False),
        ("a-" * 500 + "!", False),
    ],
)
def test_has_tag_or_digest(reference: str, found: Any) -> None:
    assert has_tag_or_digest(reference) is found


def test_dependencies() -> None:
    image = _image(
        "dependencies:\n- image: tool\n  before: setup\n  imports:\n"
        "  - {type: ImageName, targetEnv: A}\n  - {type: ImageDigest, targetEnv: B}\n- {from: tool, after: install}\n"
    )
    assert image.dependencies == (
        Dependency(
            image="tool",
            before="setup",
            imports=(
                DependencyImport(type="ImageName", target="A"),
                DependencyImport(type="ImageDigest", target="B"),
            ),
        ),
        Dependency(image="tool", after="install"),
    )


def test_mounts() -> None:
    image = _image(
        "mount:\n- {from: tmp_dir, to: /t/}\n- {from: build_dir, to: /b}\n- {fromPath: ./x/, to: /c}\n"
    )
    assert image.mounts == (
        Mount(type="tmp_dir", to="/t"),
        Mount(type="build_dir", to="/b"),
        Mount(type="custom_dir", to="/c", from_path="x"),
    )


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (
            "{ENTRYPOINT: [a, b]}",
            DockerInstructions(
                entrypoint='["a", "b"]', entrypoint_words=("a", "b"), cmd="[]", cmd_words=()
            ),
        ),
        ("{CMD: [nginx]}", DockerInstructions(cmd='["nginx"]', cmd_words=("nginx",))),
        ("{CMD: []}", DockerInstructions(cmd="[]", cmd_words=())),
        (
            "{CMD: ['echo \"x\"', 'a\\b']}",
            DockerInstructions(cmd='["echo "x"", "a\\b"]', cmd_words=('echo "x"', "a\\b")),
        ),
        ("{CMD: '', ENTRYPOINT: ''}", DockerInstructions()),
        ("{CMD: echo hi, ENTRYPOINT: /e}", DockerInstructions(cmd="echo hi", entrypoint="/e")),
        ("{}", DockerInstructions()),
        (
            "{VOLUME: /d, EXPOSE: ['80', 81/udp], ENV: {A: 1.20, B: ~, C: yes}, LABEL: {x: 'y z'}, WORKDIR: /w,"
            " USER: 1000, HEALTHCHECK: NONE, exactValues: true}",
            DockerInstructions(
                volumes=("/d",),
                expose=("80", "81/udp"),
                env={"A": "1.20", "B": "", "C": "yes"},
                labels={"x": "y z"},
                workdir="/w",
                user="1000",
                healthcheck="NONE",
                exact_values=True,
            ),
        ),
    ],
)
def test_docker(body: str, wanted: Any) -> None:
    assert _image(f"docker: {body}\n").docker == wanted


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("shell: [a]\n", "`shell` is a list; write a mapping"),
        ("git: {add: /}\n", "`git` is a mapping; write a list of mappings"),
        ("git: [x]\n", '`git[0]` is "x"; write a mapping'),
        ("final: 'yes'\n", '`final` is "yes"; write true or false'),
        ("docker: {USER: me}\nimageSpec: {user: me}\n", "`docker` and `imageSpec` are both set"),
        ("from: [x]\n", "given twice"),
        (
            "import:\n- {image: tool, from: tool, add: /x, after: setup}\n",
            "`image` and `from` are both set",
        ),
        ("import:\n- {artifact: tool, add: /x, after: setup}\n", "is an image, not an artifact"),
        (
            "dependencies:\n- {image: tool, after: setup, imports: [{type: ImageID, targetEnv: A}]}\n"
            "- {image: tool, after: setup, imports: [{type: ImageID, targetEnv: A}]}\n",
            'targetEnv "A" is set twice',
        ),
        ("git:\n" + "- {to: /x}\n" * 301, "has 301 git mappings and imports"),
        ("platform: [linux]\n", "write os/architecture"),
        (
            "docker: {EXPOSE: [1-65535, 1-65535, 1-65535, 1-65535]}\n",
            "262140 ports; 196608 are all there are",
        ),
        (
            "imageSpec: {config: {expose: [1-65535, 1-65535, 1-65535, 1-65535]}}\n",
            "`expose`: 262140 ports",
        ),
        ("docker: {EXPOSE: [http]}\n", "docker: `EXPOSE`: 'http' is not a port"),
        ("docker: {HEALTHCHECK: curl x}\n", "docker: `HEALTHCHECK`: HEALTHCHECK curl: write"),
        ('docker: {HEALTHCHECK: "CMD a\\nRUN b"}\n', "`HEALTHCHECK`: write one line"),
    ],
)
def test_mistakes(body: str, said: str) -> None:
    assert said in _refused(body)


def test_many_overlapping_exports_are_handled() -> None:
    body = "git:\n" + "".join(
        f"- {{to: /a{'/x' * (number % 90)}, includePaths: [b{number}]}}\n" for number in range(290)
    )
    image = _image(body)
    assert len(image.git) == 290
    # Every mapping leaves out what the other ones bring to its directory or below it.
    assert len(image.git[0].exclude_paths) == 289


def test_paths_are_limited() -> None:
    assert "longer than 1024 characters or 100 levels" in _refused(
        f"git:\n- {{to: /{'a/' * 200}}}\n"
    )
    assert "has a path that is longer" in _refused(
        f"git:\n- {{to: /a, includePaths: {'a' * 2000}}}\n"
    )


def test_values_of_dependencies_are_limited() -> None:
    body = "dependencies:\n- image: tool\n  before: setup\n  imports:\n" + "".join(
        f"  - {{type: ImageTag, targetEnv: V{number}}}\n" for number in range(501)
    )
    assert "takes 501 values of other images; 500 are allowed" in _refused(body)
