"""What `imageSpec` does to an image config."""

import copy
from collections.abc import Mapping

import pytest

from conveyor.api.errors import UserError
from conveyor.config.model_image_config import HealthSpec, ImageSpec
from conveyor.config.source_line import SourceLine
from conveyor.plan.image_config import Config, apply_image_spec, entrypoint, kept_labels

BASE: dict[str, object] = {
    "Env": ["PATH=/bin", "TOOL=/opt", "LANG=C", "LABEL=x"],
    "Cmd": ["c"],
    "Entrypoint": ["e"],
    "User": "u",
    "WorkingDir": "/w",
    "Labels": {"vendor": "acme", "tier": "base", "werf": "shop", "werf-git-1-commit": "abc"},
    "Volumes": {"/v": {}, "/x": {}},
    "ExposedPorts": {"80/tcp": {}},
    "StopSignal": "TERM",
    "Healthcheck": {"Test": ["CMD", "x"]},
}


def config(**changes: object) -> Config:
    return {
        "os": "linux",
        "author": "before",
        "history": [{"created_by": "x"}],
        "config": {**BASE, **changes},
    }


def after(spec: ImageSpec, **changes: object) -> Mapping[str, object]:
    given = config(**changes)
    before = copy.deepcopy(given)
    result = apply_image_spec(given, spec)
    assert given == before
    part = result["config"]
    assert isinstance(part, Mapping)
    return part


def test_an_empty_one_changes_nothing() -> None:
    assert apply_image_spec(config(), ImageSpec()) == config()


def test_everything_that_is_given_is_set() -> None:
    spec = ImageSpec(
        cmd=("run",),
        entrypoint=("sh", "-c"),
        env={"PORT": "80"},
        expose=("9090/udp", "8080"),
        healthcheck=HealthSpec(
            test=("CMD-SHELL", "true"), interval=30, timeout=3, start_period=10, retries=4
        ),
        labels={"l": "1", "tier": "2"},
        stop_signal="SIGQUIT",
        user="12:34",
        volumes=("/v2",),
        working_dir="/work",
    )
    assert after(spec) == {
        "Cmd": ["run"],
        "Entrypoint": ["sh", "-c"],
        "Env": ["PATH=/bin", "TOOL=/opt", "LANG=C", "LABEL=x", "PORT=80"],
        "ExposedPorts": {"9090/udp": {}, "8080/tcp": {}},
        "Healthcheck": {
            "Test": ["CMD-SHELL", "true"],
            "Interval": 30 * 10**9,
            "Timeout": 3 * 10**9,
            "StartPeriod": 10 * 10**9,
            "Retries": 4,
        },
        "Labels": {
            "vendor": "acme",
            "tier": "2",
            "werf": "shop",
            "werf-git-1-commit": "abc",
            "l": "1",
        },
        "StopSignal": "SIGQUIT",
        "User": "12:34",
        "Volumes": {"/v": {}, "/x": {}, "/v2": {}},
        "WorkingDir": "/work",
    }


def test_author_and_history() -> None:
    result = apply_image_spec(config(), ImageSpec(author="Me", clear_history=True))
    assert (result["author"], result["history"]) == ("Me", [])


@pytest.mark.parametrize(
    ("spec", "cmd", "entry"),
    [
        (ImageSpec(), ["c"], ["e"]),
        (ImageSpec(cmd=("C",)), ["C"], ["e"]),
        (ImageSpec(entrypoint=("E",)), [], ["E"]),
        (ImageSpec(cmd=("C",), entrypoint=("E",)), ["C"], ["E"]),
        (ImageSpec(clear=frozenset({"cmd"})), [], ["e"]),
        (ImageSpec(clear=frozenset({"entrypoint"})), ["c"], []),
        (ImageSpec(clear=frozenset({"cmd", "entrypoint"})), [], []),
        (ImageSpec(clear=frozenset({"cmd", "entrypoint"}), cmd=("C",)), ["C"], []),
        (ImageSpec(clear=frozenset({"entrypoint"}), entrypoint=("E",)), [], ["E"]),
    ],
)
def test_cmd_and_entrypoint(spec: ImageSpec, cmd: list[str], entry: list[str]) -> None:
    part = after(spec)
    assert (part["Cmd"], part["Entrypoint"]) == (cmd, entry)


def test_user_and_working_dir_can_be_cleared() -> None:
    part = after(ImageSpec(clear=frozenset({"user", "workingDir"})))
    assert not {"User", "WorkingDir"} & set(part)
    part = after(ImageSpec(clear=frozenset({"user", "workingDir"}), user="me"))
    assert part["User"] == "me"


def test_env_is_expanded_against_the_parents_env() -> None:
    spec = ImageSpec(
        env={"PATH": "/x:${PATH}", "A": "$TOOL/a", "B": "[$A]", "C": "'$TOOL' \\$x"},
        remove_env=("TOOL", "/LA.*/"),
    )
    # TOOL is removed and still known, A is new and not known.
    assert after(spec)["Env"] == ["PATH=/x:/bin", "A=/opt/a", "B=[]", "C=$TOOL $x"]


def test_what_werf_leaves_behind_is_removed() -> None:
    env = ["WERF_COMMIT_HASH=1", "WERF_COMMIT_TIME_UNIX=1", "WERF_COMMIT_TIME_HUMAN=1", "X=1"]
    assert after(ImageSpec(), Env=[*env, "SSH_AUTH_SOCK=/.werf/tmp/ssh-auth-sock"])["Env"] == [
        "X=1"
    ]
    assert after(ImageSpec(), Env=["SSH_AUTH_SOCK=/mine"])["Env"] == ["SSH_AUTH_SOCK=/mine"]
    assert "Env" not in after(ImageSpec(remove_env=("/.*/",)))


def test_a_variable_that_has_to_be_there() -> None:
    spec = ImageSpec(env={"A": "${NONE:?is needed}"}, at=SourceLine(line=7))
    with pytest.raises(UserError) as caught:
        apply_image_spec(config(), spec)
    assert caught.value.reason == "InvalidWerfConfig"
    assert caught.value.message.startswith("werf.yaml:7: imageSpec.config.env.A: ")


def test_labels_are_removed_but_for_the_essential_ones() -> None:
    known = {
        "vendor": "acme",
        "werf": "shop",
        "werf-stage-content-digest": "c",
        "werf.io/parent-stage-id": "p",
        "werf-project-repo-commit": "h",
        "werf-version": "v",
        "werf-git-1-commit": "abc",
    }
    spec = ImageSpec(remove_labels=("vendor", "/^werf.*/"), labels={"vendor": "new"})
    assert after(spec, Labels=known)["Labels"] == {
        "vendor": "new",
        "werf": "shop",
        "werf-stage-content-digest": "c",
        "werf.io/parent-stage-id": "p",
        "werf-project-repo-commit": "h",
    }
    assert kept_labels(spec) == (
        "werf",
        "werf-stage-content-digest",
        "werf.io/parent-stage-id",
        "werf-project-repo-commit",
    )
    assert kept_labels(ImageSpec(remove_labels=("vendor", "werf"))) == ("werf",)
    assert kept_labels(ImageSpec(remove_labels=("/.*/",), keep_essential_labels=True)) == ()


def test_volumes_are_removed_by_their_exact_path() -> None:
    spec = ImageSpec(remove_volumes=("/x", "/v.*/"), volumes=("/n",))
    assert after(spec)["Volumes"] == {"/v": {}, "/n": {}}
    assert "Volumes" not in after(ImageSpec(remove_volumes=("/x", "/v")))


def test_a_healthcheck_replaces_the_parents() -> None:
    assert after(ImageSpec(healthcheck=HealthSpec(test=("NONE",))))["Healthcheck"] == {
        "Test": ["NONE"]
    }
    assert after(ImageSpec(healthcheck=HealthSpec()))["Healthcheck"] == {}


@pytest.mark.parametrize(
    ("words", "found"),
    [(None, ()), ([], ()), ([""], ()), (["e"], ("e",)), (["", "e"], ("", "e")), ("x", ())],
)
def test_the_entrypoint_of_a_config(words: object, found: tuple[str, ...]) -> None:
    assert entrypoint(config(Entrypoint=words)) == found


def test_many_variables_take_no_longer_than_reading_them_and_have_a_limit():
    spec = ImageSpec(env={f"A{number}": "$B" for number in range(20_000)})
    base = {"config": {"Env": ["A1=old", "B=" + "x" * 50]}}
    env = apply_image_spec(base, spec)["config"]["Env"]
    assert env[0] == "A1=" + "x" * 50
    assert len(env) == 20_001
    base["config"]["Env"][1] = "B=" + "x" * 500
    with pytest.raises(UserError, match="more than 4194304 characters of variables"):
        apply_image_spec(base, spec)
