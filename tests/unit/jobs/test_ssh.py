"""The SSH agent: who sees what."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, union-attr, arg-type, var-annotated"

import json

import pytest
from tests.unit.jobs.test_manifest import COPY, SETTINGS, build, container, order, pod
from tests.unit.jobs.test_task import AROUND, written
from tests.unit.jobs.values import EXTERNAL, copying, to_build

from conveyor.jobs import ssh
from conveyor.jobs.manifest import job
from conveyor.jobs.model import ParentImage, Tasks
from conveyor.jobs.task import Surroundings
from conveyor.plan.image_config import execution_config
from conveyor.plan.model import StageWork

OWNER = build(sshKeySecretRefs=[{"name": "deploy"}, {"name": "other"}])
KEYS = ssh.key_paths(OWNER)
WITH_KEYS = Surroundings(repo="registry.example/shop", ssh_keys=KEYS)
COMMANDS = StageWork(commands=("git clone",))
NO_COMMANDS = StageWork(emptied=("/x",))


def made(*works, owner=OWNER):
    stages = tuple(to_build(f"app/s{n}", work=work, base=EXTERNAL) for n, work in enumerate(works))
    exports = () if stages else (COPY,)
    wanted = order(*stages, exports=exports)
    return job(wanted, owner, SETTINGS, Tasks(stage="{}", courier="{}"))


def test_keys_are_mounted_into_the_courier_alone():
    body = made(COMMANDS)
    secrets = {
        volume["secret"]["secretName"]: volume["name"]
        for volume in pod(body)["volumes"]
        if "secret" in volume
    }
    assert {"deploy", "other"} <= set(secrets)
    stage = container(body, "stage")
    assert not {mount["name"] for mount in stage["volumeMounts"]} & set(secrets.values())
    paths = {
        mount["name"]: mount["mountPath"] for mount in container(body, "courier")["volumeMounts"]
    }
    assert tuple(paths[secrets[name]] for name in ("deploy", "other")) == KEYS
    assert not pod(body).get("shareProcessNamespace")


def test_both_see_the_sockets_directory():
    body = made(COMMANDS)
    where = {
        name: mount["mountPath"]
        for name in ("stage", "courier")
        for mount in container(body, name)["volumeMounts"]
        if mount["name"] == "ssh"
    }
    assert where == {"stage": "/.werf/tmp", "courier": "/.conveyor-ssh"}


def test_only_the_courier_can_lay_a_socket_there():
    body = made(COMMANDS)
    for name, expected in (("stage", True), ("courier", None)):
        mounts = container(body, name)["volumeMounts"]
        assert [mount.get("readOnly") for mount in mounts if mount["name"] == "ssh"] == [expected]


def test_the_tasks_agree_on_the_socket():
    stage, courier = written(COMMANDS, around=WITH_KEYS)
    assert stage["env"]["SSH_AUTH_SOCK"] == "/.werf/tmp/ssh-auth-sock"
    files = (
        "UserKnownHostsFile=/.conveyor-io/run/known_hosts /.werf/tmp/known_hosts ~/.ssh/known_hosts"
    )
    assert files in stage["env"]["GIT_SSH_COMMAND"]  # the first one is the one that ssh writes to
    assert stage["waitInputs"] is True
    assert courier["ssh"] == {
        "keys": list(KEYS),
        "socket": "/.conveyor-ssh/ssh-auth-sock",
        "knownHosts": "/.conveyor-ssh/known_hosts",
    }
    assert not any(key in json.dumps(stage) for key in KEYS)


def test_tasks_of_ansible_have_one_too():
    stage, courier = written(StageWork(tasks=('{"command": "true"}',)), around=WITH_KEYS)
    assert stage["env"]["SSH_AUTH_SOCK"] == "/.werf/tmp/ssh-auth-sock"
    assert courier["ssh"]["keys"] == list(KEYS)


@pytest.mark.parametrize("works", [(NO_COMMANDS,), (copying("tools"),), ()])
def test_only_user_stages_have_an_agent(works):
    body = made(*works)
    assert "ssh" not in {volume["name"] for volume in pod(body)["volumes"]}
    assert "deploy" not in json.dumps(body)


@pytest.mark.parametrize(("works", "around"), [((COMMANDS,), AROUND), ((NO_COMMANDS,), WITH_KEYS)])
def test_without_keys_or_commands_nothing_is_told(works, around):
    stage, courier = written(*works, around=around)
    assert "SSH_AUTH_SOCK" not in stage["env"]
    assert "waitInputs" not in stage
    assert "ssh" not in courier


def test_an_image_may_have_its_own_git_command_but_not_its_own_agent():
    env = ["GIT_SSH_COMMAND=ssh -v", "SSH_AUTH_SOCK=/gone"]
    own = ParentImage(manifest_digest="m", config={"config": {"Env": env}}, layers=())
    stage, _ = written(COMMANDS, around=WITH_KEYS, parent=own)
    assert stage["env"]["GIT_SSH_COMMAND"] == "ssh -v"
    assert stage["env"]["SSH_AUTH_SOCK"] == "/.werf/tmp/ssh-auth-sock"


def test_the_image_that_runs_knows_nothing_of_it():
    parent = {"config": {"Env": ["A=1"]}, "rootfs": {"diff_ids": []}}
    assert "SSH" not in json.dumps(execution_config(parent, "sha256:1"))
