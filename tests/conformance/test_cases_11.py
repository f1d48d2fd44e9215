"""Conformance cases of the rules for image configs: section 11 (docker, CMD, ENTRYPOINT), and 3 and 5 of section 1.

Every test has its case's number in its name. Where Conveyor does otherwise by default (11.3), the test has both.
"""

import pytest

from conveyor.api.errors import UserError
from conveyor.config.model_image_config import DockerInstructions
from conveyor.config.parse import parse
from conveyor.plan.dependencies import instructions_dependencies, spec_dependencies
from conveyor.plan.digest import sha256_args
from conveyor.plan.facts import Facts
from conveyor.plan.image_config import apply_docker_directive
from conveyor.plan.planner import plan

META = "configVersion: 1\nproject: shop\n---\n"


def docker_of(body):
    return parse(f"{META}image: a\nfrom: x:1\ndocker: {body}\n").images[0].docker


def built(body, **base):
    """The config part of an image on such a base, built by werf's rule for CMD and by Conveyor's."""
    given = docker_of(body) if body else None
    return tuple(
        apply_docker_directive({"config": base}, given, keep_entrypoint_with_cmd=keep)["config"]
        for keep in (True, False)
    )


def test_11_1_entrypoint_as_a_list():
    given = docker_of("{ENTRYPOINT: [a, b]}")
    assert (given.entrypoint, given.cmd) == ('["a", "b"]', "[]")
    parts = [part.value for part in instructions_dependencies(given).parts]
    assert parts == ["[]", '["a", "b"]', "", "", ""]
    for config in built("{ENTRYPOINT: [a, b]}", Cmd=["c"], Entrypoint=["e"]):
        assert (config["Entrypoint"], config["Cmd"]) == (["a", "b"], [])


def test_11_2_without_a_directive_the_base_is_kept():
    base = {"Cmd": ["python3"], "User": "me", "WorkingDir": "/srv"}
    for config in built("", **base):
        assert config == {**base, "Entrypoint": [""]}


def test_11_3_cmd_over_an_entrypoint():
    """Real werf keeps the ENTRYPOINT; the default of Conveyor resets it."""
    werf, conveyor = built("{CMD: echo hi}", Entrypoint=["/docker-entrypoint.sh"], Cmd=["run"])
    assert (werf["Entrypoint"], werf["Cmd"]) == (
        ["/docker-entrypoint.sh"],
        ["/bin/sh", "-c", "echo hi"],
    )
    assert (conveyor["Entrypoint"], conveyor["Cmd"]) == ([""], ["/bin/sh", "-c", "echo hi"])


def test_11_4_a_base_without_either():
    for config in built(""):
        assert (config["Entrypoint"], config["Cmd"]) == ([""], [])


def test_11_5_docker_is_not_for_artifacts():
    with pytest.raises(UserError) as caught:
        parse(f"{META}artifact: a\nfrom: x:1\ndocker: {{CMD: x}}\n")
    assert 'werf.yaml:6: artifact "a": `docker` is not for artifacts' in caught.value.message


def test_11_6_exact_values():
    """A value with a blank is no two words here: Docker's parser would refuse the second, buildah keeps it."""
    for config in built("{ENV: {A: x y, B: \"'q  r' $A\"}}"):
        assert config["Env"] == ["A=x y", "B=q  r x y"]
    for config in built("{exactValues: true, ENV: {A: x y, B: \"'q  r' $A\"}}"):
        assert config["Env"] == ["A=x y", "B='q  r' $A"]
    plain, exact = (
        DockerInstructions(env={"A": "x y"}),
        docker_of("{exactValues: true, ENV: {A: x y}}"),
    )
    assert [part.value for part in instructions_dependencies(plain).parts] == [
        "A",
        "x y",
        *[""] * 5,
    ]
    assert instructions_dependencies(exact).value == sha256_args(
        "exact-values:::", "A", "x y", *[""] * 5
    )


def test_1_3_names_are_no_inputs():
    """Not even where a label has the name of the image: it is hashed as it is written."""
    body = "image: [a, b]\nfrom: scratch\nimageSpec: {config: {labels: {l: '%image%'}}}\n"
    result = plan(parse(META + body), Facts())
    a, b = ([stage.digest for stage in result.image(name).stages] for name in "ab")
    assert a == b
    assert len(a) == 2


def test_1_5_docker_and_image_spec_exclude_each_other():
    with pytest.raises(UserError) as caught:
        parse(f"{META}image: a\nfrom: x:1\ndocker: {{CMD: x}}\nimageSpec: {{}}\n")
    assert caught.value.reason == "InvalidWerfConfig"
    assert 'werf.yaml:7: image "a": `docker` and `imageSpec` are both set' in caught.value.message


def test_4_8_an_empty_image_spec():
    spec = parse(f"{META}image: a\nfrom: x:1\nimageSpec: {{}}\n").images[0].image_spec
    values = ["", "false", "", "", "<nil>", "", "", "", *["false"] * 5]
    assert [part.value for part in spec_dependencies(spec).parts] == values
