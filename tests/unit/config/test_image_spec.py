"""`imageSpec` of images and of the meta section: values, merging, mistakes."""

from typing import Any

import pytest

from conveyor.api.errors import UserError
from conveyor.config.image_spec import expand_labels, merged, name_matcher
from conveyor.config.model_image_config import HealthSpec, ImageSpec
from conveyor.config.parse import parse

HEAD = "configVersion: 1\nproject: shop\n"
STAPEL = "---\nimage: a\nfrom: x:1\n"
DOCKERFILE = "---\nimage: a\ndockerfile: Dockerfile\n"

FULL = """\
imageSpec:
  author: Me
  clearHistory: true
  config:
    cmd: [run, 8080]
    entrypoint: [/bin/sh, -c]
    env: {PATH: "/x:${PATH}", N: 1.20}
    expose: [8080, 53/udp]
    healthcheck: {test: [CMD-SHELL, "test -f /ok"], interval: 30, timeout: 3, startperiod: 10, retries: 4}
    labels: {a: "%image%", b: yes}
    stopSignal: SIGQUIT
    user: 12:34
    volumes: [/v]
    workingDir: /w
    removeLabels: [x, "/^y.*/"]
    removeVolumes: [/old]
    removeEnv: [E]
    keepEssentialWerfLabels: true
    clearCmd: true
    clearEntrypoint: false
    clearUser: true
    clearWorkingDir: true
"""
READ = ImageSpec(
    author="Me",
    clear_history=True,
    cmd=("run", "8080"),
    entrypoint=("/bin/sh", "-c"),
    env={"PATH": "/x:${PATH}", "N": "1.20"},
    expose=("8080", "53/udp"),
    healthcheck=HealthSpec(
        test=("CMD-SHELL", "test -f /ok"), interval=30, timeout=3, start_period=10, retries=4
    ),
    labels={"a": "%image%", "b": "yes"},
    stop_signal="SIGQUIT",
    user="12:34",
    volumes=("/v",),
    working_dir="/w",
    remove_labels=("x", "/^y.*/"),
    remove_volumes=("/old",),
    remove_env=("E",),
    keep_essential_labels=True,
    clear=frozenset({"cmd", "user", "workingDir"}),
)


def images(text: str) -> dict[str, Any]:
    return {image.name: image for image in parse(HEAD + text).images}


def refused(text: str) -> str:
    with pytest.raises(UserError) as raised:
        parse(HEAD + text)
    assert raised.value.reason == "InvalidWerfConfig"
    return raised.value.message


@pytest.mark.parametrize("head", [STAPEL, DOCKERFILE])
def test_everything(head: str) -> None:
    assert images(head + FULL)["a"].image_spec == READ


@pytest.mark.parametrize(
    ("body", "spec"),
    [
        ("imageSpec: {}\n", ImageSpec()),
        ("imageSpec: ~\n", None),
        ("", None),
        ("imageSpec: {config: ~}\n", ImageSpec()),
        ("imageSpec: {config: {healthcheck: {}}}\n", ImageSpec(healthcheck=HealthSpec())),
    ],
)
def test_little(body: str, spec: ImageSpec | None) -> None:
    assert images(STAPEL + body)["a"].image_spec == spec


GENERAL = """\
build:
  imageSpec:
    author: Team
    config: {labels: {org: general, x: "1"}, removeLabels: [tier, y]}
"""


def test_the_general_one_is_for_final_images() -> None:
    found = images(
        GENERAL
        + STAPEL
        + "imageSpec: {author: Me, config: {labels: {org: own, z: '2'}, removeLabels: [y], env: {A: b}}}\n"
        + "---\nimage: plain\nfrom: x:1\n---\nimage: hidden\nfinal: false\nfrom: x:1\n"
        + "---\nimage: df\ndockerfile: D\n---\nimage: df-hidden\nfinal: false\ndockerfile: D\n"
        + "---\nartifact: art\nfrom: x:1\n---\nartifact: own-art\nfrom: x:1\nimageSpec: {author: A}\n"
    )
    general = ImageSpec(
        author="Team", labels={"org": "general", "x": "1"}, remove_labels=("tier", "y")
    )
    assert found["plain"].image_spec == general
    assert found["df"].image_spec == general
    assert found["a"].image_spec == ImageSpec(
        author="Team",
        labels={"org": "general", "z": "2", "x": "1"},
        remove_labels=("y", "tier"),
        env={"A": "b"},
    )
    assert [found[name].image_spec for name in ("hidden", "df-hidden", "art")] == [None] * 3
    assert found["own-art"].image_spec == ImageSpec(author="A")


def test_the_general_one_goes_with_docker() -> None:
    image = images(GENERAL + STAPEL + "docker: {USER: me}\n")["a"]
    assert image.docker.user == "me"
    assert image.image_spec.author == "Team"


def test_an_empty_general_one_counts() -> None:
    assert images("build: {imageSpec: {}}\n" + STAPEL)["a"].image_spec == ImageSpec()


def test_merging_keeps_what_either_says() -> None:
    general = ImageSpec(clear_history=True, keep_essential_labels=True)
    assert merged(general, ImageSpec(author="Me", cmd=("x",))) == ImageSpec(
        author="Me", cmd=("x",), clear_history=True, keep_essential_labels=True
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("imageSpec: {user: me}", 'werf.yaml:6: image "a": imageSpec: unknown field `user`'),
        ("imageSpec: [x]", "`imageSpec` is a list; write a mapping"),
        ("imageSpec: {config: {cmd: run}}", '`imageSpec.config.cmd` is "run"; write a list'),
        ("imageSpec: {config: {comd: [x]}}", "unknown field `comd`; did you mean `cmd`?"),
        ("imageSpec: {config: {clearCmd: 'yes'}}", "write true or false"),
        ("imageSpec: {config: {healthcheck: {startPeriod: 1}}}", "did you mean `startperiod`?"),
        ("imageSpec: {config: {healthcheck: {interval: 5s}}}", "write a whole number from 0 to"),
        ("imageSpec: {config: {healthcheck: {retries: -1}}}", "write a whole number from 0 to"),
        ("imageSpec: {config: {healthcheck: {test: [x]}}}", "write [NONE], [CMD, …]"),
        ("imageSpec: {config: {expose: [http]}}", "`expose`: 'http' is not a port"),
        ("imageSpec: {config: {volumes: [data]}}", '"data" is not absolute'),
        ("imageSpec: {config: {workingDir: app}}", '"app" is not absolute'),
        ("imageSpec: {config: {stopSignal: STOP_IT}}", "'STOP_IT' is not a signal"),
        ("imageSpec: {config: {removeLabels: ['/[/']}}", 'has "/[/", not a regular expression'),
        ("imageSpec: {config: {removeEnv: ['/(?i)a/']}}", "flags such as (?i) are not known"),
        ("imageSpec: {config: {labels: {werf: x}}}", '`labels` sets "werf", which belongs to'),
        ("imageSpec: {config: {labels: {a: '%name%'}}}", "there are %image% and %project% only"),
        ("imageSpec: {config: {env: {A: '${B'}}}", "`env.A` is"),
        ("imageSpec: {config: {env: {'A=B': x}}}", "a name has no `=`"),
        ("imageSpec: {config: {env: [A]}}", "`imageSpec.config.env` is a list; write a mapping"),
    ],
)
@pytest.mark.parametrize("head", [STAPEL, DOCKERFILE])
def test_mistakes(head: str, body: str, said: str) -> None:
    assert said in refused(f"{head}{body}\n")


def test_too_many_patterns() -> None:
    text = "imageSpec: {config: {removeEnv: [" + "x," * 101 + "]}}\n"
    assert "`removeEnv` has 101 entries; 100 are allowed" in refused(STAPEL + text)


@pytest.mark.parametrize("key", ["cmd", "env", "removeEnv", "clearCmd", "user", "healthcheck"])
def test_the_general_one_knows_labels_only(key: str) -> None:
    text = f"build: {{imageSpec: {{config: {{{key}: ~}}}}}}\n{STAPEL}"
    assert f"build.imageSpec.config: unknown field `{key}`" in refused(text)


def test_both_docker_and_own_spec_are_too_much() -> None:
    said = refused(STAPEL + "docker: {USER: me}\nimageSpec: {author: A}\n")
    assert "`docker` and `imageSpec` are both set" in said


def test_labels_are_expanded() -> None:
    spec = ImageSpec(labels={"%image%/x": "% project %-%image%", "rate": "100% of 5%", "": "v"})
    assert expand_labels(spec, image="web", project="shop") == {
        "web/x": "shop-web",
        "rate": "100% of 5%",
        "": "v",
    }


def test_names_and_expressions() -> None:
    matches = name_matcher(("vendor", "/^werf-.*/", "/a|b/", "/", "//"))
    assert [
        name
        for name in ("vendor", "vendors", "werf-x", "xwerf-x", "a", "abc", "cb", "cbx", "", "/")
        if matches(name)
        # "^a|b$" is what werf makes of it: begins with a, or ends with b.
    ] == ["vendor", "werf-x", "a", "abc", "cb", "", "/"]


def test_an_expression_that_takes_too_long_is_a_mistake_of_its_user() -> None:
    matches = name_matcher(("/((a*b|a)*b|a)*x/",))
    with pytest.raises(UserError, match=r"imageSpec: the expression .* takes too long"):
        matches("a" * 512)
