import pytest

from conveyor.api.errors import UserError
from conveyor.config.giterminism import Policy, check_policy, parse_policy
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
