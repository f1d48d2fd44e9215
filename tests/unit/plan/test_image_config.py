"""Image configs: children, execution images, instructions, the docker directive."""

import copy
import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.api.errors import UserError
from conveyor.config.dockerfile import Instruction, parse_dockerfile
from conveyor.config.model_image_config import DockerInstructions
from conveyor.plan.dockerfile_args import arguments
from conveyor.plan.dockerfile_steps import DEFAULT_PATH, Scope, StepMaker
from conveyor.plan.image_config import (
    Config,
    Layer,
    RunCommand,
    apply_docker_directive,
    apply_instruction,
    child_config,
    environment,
    exec_argv,
    execution_config,
    run_command,
)
from conveyor.plan.model import BlockStep

NOW = "2024-01-01T00:00:00Z"
BASE: Config = {
    "architecture": "arm64",
    "variant": "v8",
    "os": "linux",
    "created": "2020-01-01T00:00:00Z",
    "container": "abc",
    "container_config": {"Cmd": ["x"]},
    "docker_version": "1",
    "author": "a",
    "config": {
        "Env": ["PATH=/bin", "A=1"],
        "Cmd": ["c"],
        "Entrypoint": ["e"],
        "User": "u",
        "WorkingDir": "/w",
        "Labels": {"l": "1", "m": "1"},
        "Volumes": {"/v": {}},
        "ExposedPorts": {"80/tcp": {}},
        "StopSignal": "TERM",
        "Healthcheck": {"Test": ["NONE"]},
        "OnBuild": ["RUN x"],
    },
    "rootfs": {"type": "layers", "diff_ids": ["sha256:0", "sha256:1"]},
    "history": [
        {"created": "x", "created_by": "0"},
        {"created": "x", "created_by": "env", "empty_layer": True},
        {"created": "x", "created_by": "1"},
    ],
}
EMPTY: Config = {
    "architecture": "amd64",
    "os": "linux",
    "config": {},
    "rootfs": {"type": "layers", "diff_ids": []},
}


def inner(config: Config) -> Mapping[str, object]:
    part = config["config"]
    assert isinstance(part, Mapping)
    return part


def of(**values: object) -> Config:
    return {**EMPTY, "config": values}


# --- children -------------------------------------------------------------------------------------


def test_a_child_adds_layers_history_and_labels() -> None:
    before = copy.deepcopy(BASE)
    layers = [
        Layer(diff_id="sha256:2", created_by="two"),
        Layer(diff_id="sha256:3", created_by="three"),
    ]
    child = child_config(BASE, created=NOW, layers=layers, labels={"m": "2", "n": "3"})
    assert before == BASE
    assert child["rootfs"] == {
        "type": "layers",
        "diff_ids": ["sha256:0", "sha256:1", "sha256:2", "sha256:3"],
    }
    history = child["history"]
    assert isinstance(history, list)
    assert history[:3] == BASE["history"]
    assert history[3:] == [
        {"created": NOW, "created_by": "two"},
        {"created": NOW, "created_by": "three"},
    ]
    assert inner(child) == {**inner(BASE), "Labels": {"l": "1", "m": "2", "n": "3"}}
    assert (child["created"], child["architecture"], child["variant"]) == (NOW, "arm64", "v8")
    assert not {"container", "container_config", "docker_version"} & set(child)


def test_a_change_without_a_layer_is_an_empty_line_of_history() -> None:
    child = child_config(EMPTY, created=NOW, created_by="ENV A=1")
    line = {"created": NOW, "created_by": "ENV A=1", "empty_layer": True}
    assert child["history"] == [line]
    assert child_config(EMPTY, created=NOW)["history"] == []


def test_scratch_has_the_platform_asked_for() -> None:
    child = child_config(None, created=NOW, platform="linux/arm/v7")
    assert (child["os"], child["architecture"], child["variant"]) == ("linux", "arm", "v7")
    assert (child["config"], child["rootfs"]) == ({}, {"type": "layers", "diff_ids": []})


def test_missing_history_of_the_parent_is_filled_up() -> None:
    parent = {**EMPTY, "rootfs": {"type": "layers", "diff_ids": ["sha256:0", "sha256:1"]}}
    child = child_config(parent, created=NOW, layers=[Layer(diff_id="sha256:2", created_by="two")])
    assert child["history"] == [
        {"created_by": "unknown"},
        {"created_by": "unknown"},
        {"created": NOW, "created_by": "two"},
    ]


@pytest.mark.parametrize(
    "broken", [{}, {"rootfs": None, "history": 1, "config": []}, {"rootfs": {"diff_ids": "x"}}]
)
def test_a_broken_parent_is_taken_as_empty(broken: Config) -> None:
    child = child_config(broken, created=NOW)
    assert (child["config"], child["history"]) == ({}, [])
    assert execution_config(broken, "sha256:t")["rootfs"] == {
        "type": "layers",
        "diff_ids": ["sha256:t"],
    }


# --- the execution image --------------------------------------------------------------------------


def test_the_execution_image_keeps_platform_and_environment_only() -> None:
    assert execution_config(BASE, "sha256:t") == {
        "architecture": "arm64",
        "variant": "v8",
        "os": "linux",
        "config": {"Env": ["PATH=/bin", "A=1"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:t", "sha256:0", "sha256:1"]},
    }


def test_the_execution_image_does_not_depend_on_time_and_labels() -> None:
    one = child_config(BASE, created=NOW, labels={"x": "1"})
    other = child_config(BASE, created="2030-01-01T00:00:00Z", labels={"x": "2"})
    assert execution_config(one, "sha256:t") == execution_config(other, "sha256:t")


# --- instructions ---------------------------------------------------------------------------------


def steps(*lines: str) -> tuple[BlockStep, ...]:
    parsed = parse_dockerfile("\n".join(["FROM x", *lines]), file="D")
    maker = StepMaker(parsed, arguments(parsed, {}, "linux/amd64"))
    return maker.steps(parsed.blocks[0], Scope.of_image(()), {})[0]


def after(config: Config, *lines: str) -> Mapping[str, object]:
    for step in steps(*lines):
        config = apply_instruction(config, step)
    return inner(config)


SH = ["/bin/sh", "-c"]


@pytest.mark.parametrize(
    ("base", "lines", "result"),
    [
        ({"Env": ["A=1", "B=2"]}, ["ENV B=3 C='4 5'"], {"Env": ["A=1", "B=3", "C=4 5"]}),
        ({"Labels": {"a": "1"}}, ["LABEL a=2 b=$"], {"Labels": {"a": "2", "b": "$"}}),
        ({}, ["CMD a  b"], {"Cmd": [*SH, "a  b"]}),
        ({}, ['CMD ["a", "b"]'], {"Cmd": ["a", "b"]}),
        ({"Cmd": ["x"]}, ["CMD []"], {}),
        ({}, ['SHELL ["bash", "-c"]', "CMD a"], {"Shell": ["bash", "-c"], "Cmd": ["bash", "-c", "a"]}),
        ({"Cmd": ["x"]}, ['ENTRYPOINT ["e"]'], {"Entrypoint": ["e"]}),
        ({"Cmd": ["x"]}, ["CMD c", "ENTRYPOINT e"], {"Cmd": [*SH, "c"], "Entrypoint": [*SH, "e"]}),
        ({"Cmd": ["x"]}, ["ENTRYPOINT e", 'CMD ["c"]'], {"Cmd": ["c"], "Entrypoint": [*SH, "e"]}),
        ({"Cmd": ["x"], "Entrypoint": ["e"]}, ["ENTRYPOINT []"], {}),
        ({"Entrypoint": ["e"]}, ['CMD ["c"]'], {"Entrypoint": ["e"], "Cmd": ["c"]}),
        ({}, ["WORKDIR a"], {"WorkingDir": "/a"}),
        ({"WorkingDir": "/w"}, ["WORKDIR a/../b", "WORKDIR c/"], {"WorkingDir": "/w/b/c"}),
        ({"WorkingDir": "/w"}, ["WORKDIR //x/"], {"WorkingDir": "//x/"}),
        ({"WorkingDir": "/w"}, ["WORKDIR $NONE/"], {"WorkingDir": "/"}),
        ({"User": "a"}, ["USER b:c"], {"User": "b:c"}),
        (
            {"ExposedPorts": {"1/tcp": {}}},
            ["EXPOSE 80 8-9/udp"],
            {"ExposedPorts": {"1/tcp": {}, "80/tcp": {}, "8/udp": {}, "9/udp": {}}},
        ),
        ({"Volumes": {"/a": {}}}, ["VOLUME /b /a"], {"Volumes": {"/a": {}, "/b": {}}}),
        ({}, ["STOPSIGNAL SIGQUIT"], {"StopSignal": "SIGQUIT"}),
        (
            {},
            ["HEALTHCHECK --interval=3s --retries=2 CMD true"],
            {"Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 3 * 10**9, "Retries": 2}},
        ),
        ({"Healthcheck": {"Test": ["CMD", "x"]}}, ["HEALTHCHECK NONE"], {"Healthcheck": {"Test": ["NONE"]}}),
        ({}, ["ONBUILD RUN a", "ONBUILD RUN b"], {"OnBuild": ["RUN a", "RUN b"]}),
        ({"A": 1}, ["RUN x", "COPY a b", "ADD a b", "ARG A=1"], {"A": 1}),
    ],
)  # fmt: skip
def test_instruction(base: dict[str, object], lines: list[str], result: dict[str, object]) -> None:
    before = copy.deepcopy(base)
    assert after(of(**base), *lines) == result
    assert base == before


def test_maintainer_is_the_author() -> None:
    (step,) = steps("MAINTAINER A <a@x>")
    assert apply_instruction(EMPTY, step)["author"] == "A <a@x>"


def test_from_completes_the_path_and_takes_triggers_away() -> None:
    step = BlockStep(instruction=Instruction(keyword="FROM", args=("x",), line=7))
    assert inner(apply_instruction(EMPTY, step)) == {"Env": [f"PATH={DEFAULT_PATH}"]}
    with_path = of(Env=["PATH=/bin"])
    assert apply_instruction(with_path, step) == with_path
    with pytest.raises(UserError) as caught:
        apply_instruction(BASE, step)
    assert caught.value.reason == "NotSupported"
    assert caught.value.message.startswith("line 7: FROM x has got ONBUILD instructions since")
    planned = BlockStep(instruction=Instruction(keyword="FROM", args=("x", "RUN x"), line=7))
    assert "OnBuild" not in inner(apply_instruction(BASE, planned))
    assert inner(BASE)["OnBuild"] == ["RUN x"]


# --- commands -------------------------------------------------------------------------------------


def test_what_a_run_executes() -> None:
    parsed = parse_dockerfile("FROM x\nARG A=2\nRUN echo  $A", file="D")
    maker = StepMaker(parsed, arguments(parsed, {"http_proxy": "p"}, "linux/amd64"))
    step = maker.steps(parsed.blocks[0], Scope.of_image(()), {})[0][-1]
    assert run_command(BASE, step) == RunCommand(
        argv=("/bin/sh", "-c", "echo  $A"),
        env={"PATH": "/bin", "A": "2", "HTTP_PROXY": "p", "http_proxy": "p"},
        user="u",
        workdir="/w",
    )
    assert run_command(EMPTY, step).workdir == "/"


def test_argument_vectors() -> None:
    text, words = steps("RUN a b", 'RUN ["a", "b"]')
    bash = of(Shell=["/bin/bash", "-ec"])
    assert exec_argv(text, bash) == ("/bin/bash", "-ec", "a b")
    assert exec_argv(words, bash) == ("a", "b")


def test_environment() -> None:
    assert environment(of(Env=["A=b=c", "B", 7])) == {"PATH": DEFAULT_PATH, "A": "b=c", "B": ""}


# --- docker: of a stapel image --------------------------------------------------------------------

UNSET: dict[str, object] = {}
BASES: dict[str, dict[str, object]] = {
    "neither": {},
    "special": {"Entrypoint": [""], "Cmd": []},
    "cmd": {"Cmd": ["c"]},
    "entrypoint": {"Entrypoint": ["e"]},
    "both": {"Entrypoint": ["e"], "Cmd": ["c"]},
}
CMD, EP = '["C"]', '["E"]'
# base, config CMD, config ENTRYPOINT -> Cmd, Entrypoint; None: the key is absent
RULES = [
    ("neither", "", "", [], [""]),
    ("special", "", "", [], [""]),
    ("cmd", "", "", ["c"], [""]),
    ("entrypoint", "", "", None, ["e"]),
    ("both", "", "", ["c"], ["e"]),
    ("neither", CMD, "", ["C"], [""]),
    ("special", CMD, "", ["C"], [""]),
    ("cmd", CMD, "", ["C"], [""]),
    ("entrypoint", CMD, "", ["C"], [""]),
    ("both", CMD, "", ["C"], [""]),
    ("neither", "[]", "", [], [""]),
    ("entrypoint", "[]", "", [], [""]),
    ("both", "[]", "", [], [""]),
    ("neither", "[]", EP, [], ["E"]),
    ("special", "[]", EP, [], ["E"]),
    ("cmd", "[]", EP, [], ["E"]),
    ("entrypoint", "[]", EP, [], ["E"]),
    ("both", "[]", EP, [], ["E"]),
    ("neither", CMD, EP, ["C"], ["E"]),
    ("special", CMD, EP, ["C"], ["E"]),
    ("cmd", CMD, EP, ["C"], ["E"]),
    ("entrypoint", CMD, EP, ["C"], ["E"]),
    ("both", CMD, EP, ["C"], ["E"]),
    ("both", "", EP, [], ["E"]),
]
KEPT = {"entrypoint": ["e"], "both": ["e"]}


@pytest.mark.parametrize(("base", "cmd", "entrypoint", "cmd_after", "entrypoint_after"), RULES)
@pytest.mark.parametrize("keep", [False, True])
def test_cmd_and_entrypoint(
    base: str,
    cmd: str,
    entrypoint: str,
    cmd_after: list[str] | None,
    entrypoint_after: list[str],
    *,
    keep: bool,
) -> None:
    given = DockerInstructions(cmd=cmd, entrypoint=entrypoint)
    config = of(**BASES[base])
    before = copy.deepcopy(config)
    result = inner(apply_docker_directive(config, given, keep_entrypoint_with_cmd=keep))
    if keep and cmd and not entrypoint:
        entrypoint_after = KEPT.get(base, entrypoint_after)
    assert (result.get("Cmd"), result["Entrypoint"]) == (cmd_after, entrypoint_after)
    assert config == before


@pytest.mark.parametrize("base", BASES)
def test_a_stage_without_directive_changes_them_only_once(base: str) -> None:
    once = apply_docker_directive(of(**BASES[base]), None)
    assert apply_docker_directive(once, None) == once


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ('["a", "b c"]', ["a", "b c"]),
        ("echo hi", [*SH, "echo hi"]),
        ("[a, b]", [*SH, "[a, b]"]),
        ('["a", 1]', [*SH, '["a", 1]']),
        ("[]", []),
    ],
)
def test_forms_of_a_command(written: str, words: list[str]) -> None:
    assert inner(apply_docker_directive(EMPTY, DockerInstructions(cmd=written)))["Cmd"] == words


def test_a_list_is_taken_as_it_was_written() -> None:
    given = DockerInstructions(cmd='["echo "x""]', cmd_words=('echo "x"',))
    assert inner(apply_docker_directive(EMPTY, given))["Cmd"] == ['echo "x"']
    given = DockerInstructions(
        entrypoint='["a", "b"]', entrypoint_words=('a", "b',), cmd="[]", cmd_words=()
    )
    result = inner(apply_docker_directive(of(Cmd=["x"]), given))
    assert (result["Entrypoint"], result["Cmd"]) == (['a", "b'], [])


def test_variables_in_the_directive() -> None:
    given = DockerInstructions(
        volumes=("$A/x", "/'y z'"),
        expose=("$PORT",),
        env={"B": "b"},
        labels={"l": "${B}-$NONE-\\$A"},
        workdir="$A",
        user="$B",
    )
    result = inner(apply_docker_directive(of(Env=["A=/a", "PORT=80"]), given))
    assert result["Volumes"] == {"/a/x": {}, "/y z": {}}
    assert result["ExposedPorts"] == {"80/tcp": {}}
    assert (result["Labels"], result["WorkingDir"], result["User"]) == ({"l": "b--$A"}, "/a", "b")


def test_the_base_may_be_another_config() -> None:
    result = apply_docker_directive(of(Cmd=["service"]), None, of(Cmd=["c"], Entrypoint=["e"]))
    assert (inner(result)["Cmd"], inner(result)["Entrypoint"]) == (["c"], ["e"])


def test_the_rest_of_the_directive() -> None:
    given = DockerInstructions(
        volumes=("/a /b", '["/c d"]'),
        expose=("80", "81/udp 82"),
        env={"B": "$A-x", "A": '"q r"'},
        labels={"y": "1", "x": "plain text"},
        workdir="sub",
        user="me",
        healthcheck="--interval=5s CMD-SHELL true",
    )
    assert inner(apply_docker_directive(of(Env=["A=0"], WorkingDir="/w", User="u"), given)) == {
        "Env": ["A=q r", "B=q r-x"],
        "Volumes": {"/a": {}, "/b": {}, "/c d": {}},
        "ExposedPorts": {"80/tcp": {}, "81/udp": {}, "82/tcp": {}},
        "Labels": {"x": "plain text", "y": "1"},
        "WorkingDir": "/w/sub",
        "User": "me",
        "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 5 * 10**9},
        "Cmd": [],
        "Entrypoint": [""],
    }


def test_exact_values() -> None:
    given = DockerInstructions(env={"A": '"$B"'}, volumes=("/a b",), exact_values=True)
    result = inner(apply_docker_directive(EMPTY, given))
    assert (result["Env"], result["Volumes"]) == (['A="$B"'], {"/a b": {}})


def test_user_and_directory_of_the_base_stay() -> None:
    result = inner(apply_docker_directive(BASE, None))
    assert (result["User"], result["WorkingDir"]) == ("u", "/w")
    assert inner(apply_docker_directive(EMPTY, None))["WorkingDir"] == "/"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (DockerInstructions(expose=("http",)), "docker.EXPOSE: 'http' is not a port"),
        (DockerInstructions(healthcheck="curl x"), "docker.HEALTHCHECK: HEALTHCHECK curl: write"),
        (DockerInstructions(healthcheck="--"), "docker.HEALTHCHECK: "),
        (DockerInstructions(healthcheck="CMD a\nRUN b"), "docker.HEALTHCHECK: write one line"),
        (DockerInstructions(healthcheck="--interval=x CMD a"), "docker.HEALTHCHECK: 'x' is not"),
    ],
)
def test_mistakes_in_the_directive(given: DockerInstructions, message: str) -> None:
    with pytest.raises(UserError) as caught:
        apply_docker_directive(EMPTY, given)
    assert caught.value.reason == "InvalidWerfConfig"
    assert caught.value.message.startswith(message)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["Env", "Cmd", "Entrypoint", "Labels", "Volumes", "ExposedPorts", "Shell", "OnBuild"]
)


@given(st.dictionaries(KEYS, JSON))
def test_foreign_configs_never_break_it(part: dict[str, object]) -> None:
    config = of(**part)
    before = json.dumps(config, sort_keys=True)
    child = child_config(config, created=NOW, labels={"l": "1"}, created_by="x")
    result = apply_docker_directive(child, DockerInstructions(env={"A": "1"}, expose=("1",)))
    for step in steps("ENV A=1", "LABEL a=b", "EXPOSE 1", "VOLUME /a", "CMD a", "ENTRYPOINT b"):
        result = dict(apply_instruction(result, step))
    assert json.dumps(config, sort_keys=True) == before
    assert environment(result)["A"] == "1"


@pytest.mark.parametrize(
    "given",
    [
        {"env": {f"A{number}": "$B" for number in range(10_000)}},
        {"labels": {f"a{number}": "$B" for number in range(10_000)}},
        {"volumes": tuple(f"/{number}/$B" for number in range(10_000))},
    ],
    ids=["ENV", "LABEL", "VOLUME"],
)
def test_short_texts_that_stand_for_long_ones_have_a_limit(given):
    base = {"config": {"Env": ["B=" + "x" * 500]}}
    with pytest.raises(UserError, match="more than 4194304 characters"):
        apply_docker_directive(base, DockerInstructions(**given))


def test_ports_of_variables_have_a_limit():
    base = {"config": {"Env": ["P=1-65535"]}}
    assert (
        len(
            apply_docker_directive(base, DockerInstructions(expose=("$P",)))["config"][
                "ExposedPorts"
            ]
        )
        == 65535
    )
    with pytest.raises(UserError, match=r"docker\.EXPOSE: 262140 ports; 196608 are all there are"):
        apply_docker_directive(base, DockerInstructions(expose=("$P $P $P $P",)))
