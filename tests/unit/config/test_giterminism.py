import pytest

from conveyor.api.errors import UserError
from conveyor.config.giterminism import MAX_POLICY, Policy, check_policy, parse_policy
from conveyor.config.parse import parse

FULL = """
giterminismConfigVersion: 1
cli: {allowCustomTags: true}
unknown: tolerated
config:
  goTemplateRendering:
    allowEnvVariables: [CI_X, "/APP_[A-Z]+/"]
  stapel:
    allowFromLatest: true
    git: {allowBranch: true}
    mount: {allowBuildDir: true, allowFromPaths: [/srv/x/]}
"""
USES = """
configVersion: 1
project: p
---
image: a
from: x:1
fromLatest: true
git:
- {url: "https://example.org/o/r.git", branch: main, to: /r}
- {url: "https://example.org/o/s.git", to: /s}
- {url: "https://example.org/o/t.git", tag: v1, to: /t}
mount:
- {from: build_dir, to: /a}
- {from: tmp_dir, to: /b}
- {fromPath: /srv/x, to: /c}
"""


def test_everything() -> None:
    policy = parse_policy(FULL)
    assert policy == Policy(
        env=("CI_X", "/APP_[A-Z]+/"),
        from_latest=True,
        branch=True,
        build_dir=True,
        from_paths=("/srv/x",),
    )
    check_policy(parse(USES), policy)


@pytest.mark.parametrize("text", [None, "", "giterminismConfigVersion: '1'\n"])
def test_nothing_allowed(text: str) -> None:
    assert parse_policy(text) == Policy()


def test_env_names() -> None:
    policy = parse_policy(FULL)
    assert policy.allows_env("CI_X")
    assert policy.allows_env("APP_ONE")
    assert not policy.allows_env("CI_XX")
    assert not policy.allows_env("MY_APP_ONE")


def test_violations_name_the_key_to_add() -> None:
    with pytest.raises(UserError) as raised:
        check_policy(parse(USES), Policy())
    lines = raised.value.message.splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        "werf.yaml:5",
        "werf.yaml:9",
        "werf.yaml:10",
        "werf.yaml:13",
        "werf.yaml:15",
    ]
    for key in ("allowFromLatest", "allowBranch", "allowBuildDir", "allowFromPaths: [/srv/x]"):
        assert key in raised.value.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "config: {}",
            "werf-giterminism.yaml:1: `giterminismConfigVersion` has to be there and to be 1",
        ),
        ("- a", "werf-giterminism.yaml:1: the file has to be a mapping"),
        ("a: [", "not valid YAML"),
        (
            "giterminismConfigVersion: 1\nconfig:\n  goTemplateRendering:\n    allowEnvVariables: [/(/]\n",
            'werf-giterminism.yaml:4: config.goTemplateRendering: `allowEnvVariables` has "/(/", not a regular expression',
        ),
        (
            "giterminismConfigVersion: 1\nconfig:\n  stapel:\n    allowFromLatest: sometimes\n",
            '`config.stapel.allowFromLatest` is "sometimes"; write true or false',
        ),
    ],
)
def test_mistakes(text: str, said: str) -> None:
    with pytest.raises(UserError) as raised:
        parse_policy(text)
    assert said in raised.value.message


STAPEL = "configVersion: 1\nproject: p\n---\nimage: a\nfrom: x:1\n"
REMOTE = STAPEL + "git:\n- {url: 'https://example.org/o/r.git', to: /r}\n"
# What a config uses → the permission it needs, as it is written and as the message names it.
GATES = {
    "fromLatest": (STAPEL + "fromLatest: true\n", "stapel: {allowFromLatest: true}"),
    "branch": (
        REMOTE.replace("to: /r", "to: /r, branch: main"),
        "stapel: {git: {allowBranch: true}}",
    ),
    "no ref": (REMOTE, "stapel: {git: {allowBranch: true}}"),
    "build_dir": (
        STAPEL + "mount: [{from: build_dir, to: /b}]\n",
        "stapel: {mount: {allowBuildDir: true}}",
    ),
    "fromPath": (
        STAPEL + "mount: [{fromPath: /srv/x/, to: /b}]\n",
        "stapel: {mount: {allowFromPaths: [/srv/x]}}",
    ),
}


@pytest.mark.parametrize("name", GATES)
def test_every_gate(name: str) -> None:
    text, permission = GATES[name]
    config = parse(text)
    with pytest.raises(UserError) as raised:
        check_policy(config, Policy())
    named = permission.replace(": {", ".").rstrip("}")
    assert f"is not allowed; commit werf-giterminism.yaml with `config.{named}`" in (
        raised.value.message
    )
    check_policy(config, parse_policy(f"giterminismConfigVersion: 1\nconfig: {{{permission}}}\n"))
    refusing = permission.replace("true", "false").replace("/srv/x", "/srv")
    policy = parse_policy(f"giterminismConfigVersion: 1\nconfig: {{{refusing}}}\n")
    with pytest.raises(UserError):
        check_policy(config, policy)


@pytest.mark.parametrize(
    "needless",
    [
        "git: [{url: 'https://example.org/o/r.git', tag: v1, to: /r}]",
        f"git: [{{url: 'https://example.org/o/r.git', commit: {'a' * 40}, to: /r}}]",
        "git: [{to: /r}]",
        "mount: [{from: tmp_dir, to: /b}]",
        "fromLatest: false",
    ],
)
def test_what_needs_no_permission(needless: str) -> None:
    check_policy(parse(STAPEL + needless + "\n"), Policy())


@pytest.mark.parametrize(
    ("pattern", "name", "allowed"),
    [
        ("CI_X", "CI_X", True),
        ("CI_X", "CI_X2", False),
        ("CI_*", "CI_X", False),
        ("/CI_.*/", "CI_X", True),
        ("/CI_.*/", "MY_CI_X", False),
        ("/CI_X|CI_Y/", "CI_YY", False),
        ("/CI_X/", "CI_X\n", False),
        ("//", "", False),
        ("/", "/", True),
    ],
)
def test_names_and_anchored_expressions(pattern: str, name: str, *, allowed: bool) -> None:
    assert Policy(env=(pattern,)).allows_env(name) is allowed


WITHOUT_EFFECT = """
giterminismConfigVersion: 1
cli: {allowCustomTags: true}
config:
  allowUncommitted: true
  allowUncommittedTemplates: ["**/*"]
  goTemplateRendering: {allowUncommittedFiles: ["**/*"]}
  secrets: {allowEnvVariables: [A], allowFiles: [a], allowValueIds: [a]}
  dockerfile:
    allowUncommitted: ["**/*"]
    allowUncommittedDockerignoreFiles: ["**/*"]
    allowContextAddFiles: [a]
helm: {allowUncommittedFiles: ["**/*"]}
includes: {allowIncludesUpdate: true}
somethingNewer: {of: werf}
"""


def test_keys_without_effect_are_read_and_allow_nothing() -> None:
    assert parse_policy(WITHOUT_EFFECT) == Policy()


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("allowCustomTags: true", "allowCustomTags: 1", "`cli.allowCustomTags` is the number 1"),
        ("allowUncommitted: true", "allowUncommitted: [a]", "`config.allowUncommitted` is a list"),
        ("allowFiles: [a]", "allowFiles: a", '`config.secrets.allowFiles` is "a"; write a list'),
        ("cli: {allowCustomTags: true}", "cli: true", "`cli` is true"),
        ("helm: {", "helm: [{", "not valid YAML"),
    ],
)
def test_mistakes_in_them_are_told(right: str, wrong: str, said: str) -> None:
    with pytest.raises(UserError) as raised:
        parse_policy(WITHOUT_EFFECT.replace(right, wrong))
    assert said in raised.value.message


def test_a_file_that_is_too_large_is_not_read() -> None:
    patterns = "".join(f"\n    - /(a{number})+/" for number in range(MAX_POLICY // 15))
    text = f"giterminismConfigVersion: 1\nconfig:\n  goTemplateRendering:\n    allowEnvVariables:{patterns}"
    with pytest.raises(
        UserError, match=r"werf-giterminism\.yaml:1: the file has \d+ characters; 262144 are"
    ):
        parse_policy(text)
