"""RUN --mount in Jobs: volumes, what each container sees and is told, who shares a pod."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, union-attr, arg-type, var-annotated"

import json
from dataclasses import replace

import pytest
from tests.unit.jobs.test_manifest import PARENT, SETTINGS, build, container, order, pod
from tests.unit.jobs.test_task import AROUND, read
from tests.unit.jobs.values import (
    EXTERNAL,
    bundle,
    cached,
    copying,
    image,
    layer,
    plan,
    situation,
    to_build,
)

from conveyor.api.errors import UserError
from conveyor.config.dockerfile import Instruction
from conveyor.config.dockerfile_mount_points import seeded
from conveyor.config.dockerfile_mounts import parse_mount
from conveyor.jobs import ssh
from conveyor.jobs.decide import decide
from conveyor.jobs.decision import StartJob
from conveyor.jobs.exports import exports_of, seeds_of
from conveyor.jobs.manifest import job
from conveyor.jobs.mounts import without_hidden_exports
from conveyor.jobs.observe import observe
from conveyor.jobs.repositories import repositories
from conveyor.jobs.run_mounts import check_given, run_points
from conveyor.jobs.run_volumes import cache_path
from conveyor.jobs.task import laying_tasks, tasks
from conveyor.plan.model import (
    BlockStep,
    CopySource,
    DockerfileBlock,
    PlannedMount,
    StageWork,
)

TOKEN = {"id": "token", "secretRef": {"name": "app-token", "key": "value"}}
CLAIMED = {"cache": {"persistentVolumeClaim": {"claimName": "cache"}}}
KEYS = [{"name": "deploy"}]
SOCKET = "/.conveyor-ssh/ssh-auth-sock"


def work(*flags, files=None, workdir=""):
    mounts = []
    for flag in flags:
        mount = parse_mount(flag, str)
        takes = mount.type == "bind" or seeded(mount)
        source = (files or CopySource()) if takes else None
        mounts.append(PlannedMount(mount=mount, files=source))
    run = Instruction(keyword="RUN", args=("make",), line=7)
    steps = (BlockStep(instruction=run, mounts=tuple(mounts)),)
    if workdir:
        steps = (BlockStep(instruction=Instruction(keyword="WORKDIR", args=(workdir,))), *steps)
    block = DockerfileBlock(
        steps=steps, context="ctx", dockerfile="Dockerfile", dockerignore="*.log", commit="c" * 40
    )
    return StageWork(block=block, labels={"werf": "shop"})


def stage(*flags, name="app/dockerfile", **more):
    return to_build(name, work=work(*flags, **more), base=EXTERNAL)


def written(*flags, owner=None, bundles=None, **more):
    """(Job, stage task, what `mounts` fetches, where it lays that out)."""
    owner = owner or build()
    wanted = replace(order(stage(*flags, **more)), bundles=bundles or {})
    wanted = replace(wanted, seeds=seeds_of(wanted.stages, plan(image(*wanted.stages))))
    around = replace(
        AROUND,
        git=repositories(wanted, owner.spec),
        secrets=frozenset(it.id for it in owner.spec.secrets),
        keeps_caches=owner.spec.mounts.cache is not None,
        ssh_keys=ssh.key_paths(owner),
    )
    planned = plan(image(*wanted.stages))
    told = tasks(wanted, planned, around)
    laying = laying_tasks(wanted, planned, around)
    body = job(wanted, owner, SETTINGS, told, laying)
    fetching, places = laying or ("null", "null")
    return body, read(told.stage), read(fetching), read(places)


def seen(body, name="stage"):
    """Mount path to the mount without its path, of what a RUN mounts."""
    one = container(body, name) if name != "mounts" else pod(body)["initContainers"][0]
    return {
        mount["mountPath"]: {key: value for key, value in mount.items() if key != "mountPath"}
        for mount in one["volumeMounts"]
        if mount["name"].startswith("run-")
    }


def volumes(body):
    return {
        it["name"]: {key: value for key, value in it.items() if key != "name"}
        for it in pod(body)["volumes"]
        if it["name"].startswith("run-")
    }


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_bind_is_laid_out_before_and_mounted_as_what_it_is():
    body, _, fetching, places = written("source=src/a,target=a", "target=/b,rw", workdir="/w")
    assert seen(body) == {
        "/w/a": {"name": "run-binds", "subPath": "run-0", "readOnly": True},
        "/b": {"name": "run-binds", "subPath": "run-1"},
    }
    assert seen(body, "mounts") == {"/.conveyor-mounts/run-binds": {"name": "run-binds"}}
    assert volumes(body) == {"run-binds": {"emptyDir": {}}}
    assert [(it["kind"], it["sources"], it["dockerignore"]) for it in fetching["inputs"]] == [
        ("context", ["/src/a"], "*.log"),
        ("context", ["/"], "*.log"),
    ]
    assert places["places"] == [
        {"kind": "bundle", "file": f"in/{n}.tar", "to": f"/.conveyor-mounts/run-binds/run-{n}"}
        for n in (0, 1)
    ]


def test_files_of_a_stage_are_those_that_a_copy_takes():
    planned = stage("from=tools,source=bin,target=/b", files=CopySource(image="t", external=True))
    (export,) = exports_of(planned, plan(image(planned)))
    assert (export.source, export.sources, export.external) == ("t", ("/bin",), True)
    body, _, fetching, _ = written(
        "from=tools,source=bin,target=/b",
        files=CopySource(image="t", external=True),
        bundles={export.key: bundle()},
    )
    assert [(it["kind"], it["digest"]) for it in fetching["inputs"]] == [
        ("blob", layer("files").digest)
    ]
    assert fetching["git"] == []
    assert "initContainers" in pod(body)


def test_only_who_lays_out_files_may_change_owners():
    body, *_ = written("target=/b")
    (mounts,) = pod(body)["initContainers"]
    assert mounts["securityContext"]["capabilities"]["drop"] == ["ALL"]
    assert "CHOWN" in mounts["securityContext"]["capabilities"]["add"]
    assert not mounts["securityContext"]["allowPrivilegeEscalation"]
    courier = container(body, "courier")
    assert courier["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert not set(seen(body, "courier"))


# --- caches, tmpfs ----------------------------------------------------------------------------------------------------


def test_a_cache_without_a_claim_is_cold():
    body, task, fetching, _ = written("type=cache,target=/c,sharing=locked,uid=5,mode=700")
    assert seen(body) == {"/c": {"name": "run-0"}}
    assert volumes(body) == {"run-0": {"emptyDir": {}}}
    assert task["mounts"]["caches"] == [
        {"path": "/c", "mode": 0o700, "uid": 5, "gid": 0, "lock": ""}
    ]
    assert fetching is None
    assert "initContainers" not in pod(body)


def paths(*flags, image_name="app/dockerfile"):
    body, task, *_ = written(*flags, owner=build(mounts=CLAIMED), name=image_name)
    return {path: it.get("subPath") for path, it in seen(body).items()}, task["mounts"]["caches"]


def test_caches_are_told_apart_by_id_and_owner_and_project():
    flags = ("type=cache,target=/a,id=x", "type=cache,target=/b,id=x", "type=cache,target=/c")
    owned = ("type=cache,target=/d,id=x,uid=1", "type=cache,target=/e,id=/c")
    found, _ = paths(*flags, *owned)
    assert found["/a"] == found["/b"] != found["/d"]
    assert found["/c"] == found["/e"]
    assert all(path.startswith("run/shop/caches/") for path in found.values())
    assert len(set(found.values())) == 3


def test_a_locked_cache_has_a_lock_and_a_private_one_a_directory_too():
    shared = paths("type=cache,target=/a,id=x")[0]["/a"]
    locked, (cache,) = paths("type=cache,target=/a,id=x,sharing=locked")
    assert locked == {"/a": shared, "/.conveyor-locks": "run/shop/locks"}
    assert cache["lock"] == f"/.conveyor-locks/{shared.rpartition('/')[2]}"
    private, (cache,) = paths("type=cache,target=/a,id=x,sharing=private")
    assert private["/a"] != shared
    assert cache["lock"] == f"/.conveyor-locks/{private['/a'].rpartition('/')[2]}"


@pytest.mark.parametrize("name", ["../../x", "a/../b", "..", "x" * 300, "a..b", "\N{SNOWMAN}"])
def test_an_id_names_one_directory_whatever_it_says(name):
    path = paths(f"type=cache,target=/a,id={name}")[0]["/a"]
    folder, _, last = path.rpartition("/")
    assert folder == "run/shop/caches"
    assert last not in ("", ".", "..")
    assert len(last) <= 64
    assert last.isascii()


def test_a_read_only_cache_is_not_prepared():
    body, task, *_ = written("type=cache,target=/c,ro")
    assert seen(body)["/c"]["readOnly"] is True
    assert task["mounts"]["caches"] == []


TOOLS = CopySource(image="tools:1", external=True)
SEEDED = "type=cache,from=tools,source=deps,target=/c,id=x"


def begun(*flags, claimed, **more):
    """As `written`, for caches that begin with files of an image."""
    planned = stage(*flags, files=TOOLS)
    found = {export.key: bundle() for export in exports_of(planned, plan(image(planned)))}
    owner = build(mounts=CLAIMED) if claimed else build()
    return written(*flags, files=TOOLS, bundles=found, owner=owner, **more)


def test_a_cold_cache_begins_with_files():
    body, task, fetching, places = begun(SEEDED, claimed=False)
    assert seen(body) == {"/c": {"name": "run-cold-caches", "subPath": "run-0"}}
    assert volumes(body) == {"run-cold-caches": {"emptyDir": {}}}
    assert seen(body, "mounts") == {
        "/.conveyor-mounts/run-cold-caches": {"name": "run-cold-caches"}
    }
    assert places["places"] == [
        {"kind": "seed", "file": "in/0.tar", "to": "/.conveyor-mounts/run-cold-caches/run-0"}
    ]
    assert [it["kind"] for it in fetching["inputs"]] == ["blob"]
    assert task["mounts"]["caches"] == [{"path": "/c", "lock": ""}]


def test_a_kept_cache_begins_with_files_once():
    """The container `mounts` sees the directories of all caches, so it can tell which of them is new."""
    body, task, _, places = begun(f"{SEEDED},sharing=locked", claimed=True)
    path = seen(body)["/c"]["subPath"]
    assert seen(body, "mounts") == {
        "/.conveyor-mounts/run-cache": {"name": "run-cache", "subPath": "run/shop/caches"}
    }
    key = path.removeprefix("run/shop/caches/")
    assert [it["to"] for it in places["places"]] == [f"/.conveyor-mounts/run-cache/{key}"]
    assert task["mounts"]["caches"] == [{"path": "/c", "lock": f"/.conveyor-locks/{key}"}]


def test_caches_are_told_apart_by_what_they_begin_with():
    def path(flag, seeds=None):
        planned = stage(flag, files=TOOLS)
        wanted = replace(order(planned), seeds=seeds or {TOOLS.image: "one"})
        (point,) = run_points(wanted)
        return cache_path(wanted, point)

    again = path(SEEDED.replace("target=/c", "target=/d"))
    other = path(SEEDED.replace("source=deps", "source=more"))
    changed = path(SEEDED, {TOOLS.image: "two"})
    assert path(SEEDED) == again
    assert len({again, other, changed}) == 3


def test_what_a_cache_begins_with_is_the_image_that_is_there_now():
    tools = image(cached("tools/dockerfile", "debian", base=EXTERNAL))
    planned = stage(SEEDED, files=CopySource(image="tools"))
    made = plan(tools, image(planned, needs=["tools"]))
    assert seeds_of([planned], made) == {"tools": str(tools.stages[-1].digest)}
    assert seeds_of([stage(SEEDED, files=TOOLS)], made) == {"tools:1": "tools:1"}
    assert seeds_of([stage("target=/b", files=TOOLS)], made) == {}


def test_a_tmpfs_is_memory():
    body, task, *_ = written("type=tmpfs,target=/t,size=64m", "type=tmpfs,target=/u")
    assert volumes(body) == {
        "run-0": {"emptyDir": {"medium": "Memory", "sizeLimit": str(64 << 20)}},
        "run-1": {"emptyDir": {"medium": "Memory"}},
    }
    assert task["mounts"]["tmpfs"] == ["/t", "/u"]


# --- secrets ----------------------------------------------------------------------------------------------------------

SECRET = {
    "secret": {
        "secretName": "app-token",
        "defaultMode": 0o400,
        "items": [{"key": "value", "path": "value", "mode": 0o400}],
    }
}


def test_a_secret_is_a_file_of_its_own():
    body, task, fetching, _ = written("type=secret,id=token", owner=build(secrets=[TOKEN]))
    assert volumes(body) == {"run-0": SECRET}
    assert seen(body) == {
        "/run/secrets/token": {"name": "run-0", "subPath": "value", "readOnly": True}
    }
    assert task["mounts"]["variables"] == {}
    assert fetching is None


def test_a_secret_of_somebody_else_is_copied_in_memory():
    flag = "type=secret,id=token,target=/t,uid=5,gid=6,mode=440"
    body, _, fetching, places = written(flag, owner=build(secrets=[TOKEN]))
    assert volumes(body)["run-secrets"] == {"emptyDir": {"medium": "Memory"}}
    assert seen(body) == {"/t": {"name": "run-secrets", "subPath": "run-0", "readOnly": True}}
    assert set(seen(body, "mounts")) == {"/.conveyor-run/run-0", "/.conveyor-mounts/run-secrets"}
    assert fetching["inputs"] == []
    assert places["places"] == [
        {
            "kind": "secret",
            "file": "/.conveyor-run/run-0/value",
            "to": "/.conveyor-mounts/run-secrets/run-0",
            "mode": 0o440,
            "uid": 5,
            "gid": 6,
        }
    ]


def test_a_secret_as_a_variable_is_read_from_a_file():
    owner = build(secrets=[TOKEN])
    body, task, *_ = written("type=secret,id=token,env=T", owner=owner)
    assert seen(body) == {"/.conveyor-run/run-0": {"name": "run-0", "readOnly": True}}
    assert task["mounts"]["variables"] == {"T": "/.conveyor-run/run-0/value"}
    assert "T" not in [it["name"] for it in container(body, "stage")["env"]]


def test_without_a_secret_a_run_goes_on():
    body, task, fetching, _ = written("type=secret,id=token,env=T,target=/t,uid=5")
    assert (seen(body), volumes(body), fetching) == ({}, {}, None)
    assert task["mounts"]["variables"] == {}


def test_only_jobs_that_ask_have_secrets():
    body, *_ = written("type=tmpfs,target=/t", owner=build(secrets=[TOKEN]))
    assert "app-token" not in json.dumps(body)


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("type=secret,id=x,required", "ctx/Dockerfile:7: RUN requires the secret 'x'; name its"),
        ("type=ssh,required", "ctx/Dockerfile:7: RUN requires an SSH agent; name Secrets"),
    ],
)
def test_what_is_required_has_to_be_given(flag, said):
    planned = plan(image(stage(flag)))
    with pytest.raises(UserError, match=said) as raised:
        check_given(planned, build(secrets=[TOKEN]).spec)
    assert raised.value.reason == "SecretNotFound"
    given = build(secrets=[{**TOKEN, "id": "x"}], sshKeySecretRefs=KEYS)
    check_given(planned, given.spec)
    check_given(plan(image(stage(flag.removesuffix(",required")))), build().spec)


# --- SSH --------------------------------------------------------------------------------------------------------------


def test_the_agent_is_where_a_run_asks_for_it_and_keys_are_not():
    flags = ("type=ssh,uid=1000", "type=ssh,id=other,target=/x,mode=666")
    body, task, *_ = written(*flags, owner=build(sshKeySecretRefs=KEYS))
    assert task["mounts"]["sockets"] == [
        {"path": path, "agent": SOCKET, "mode": mode, "uid": uid, "gid": 0}
        for path, mode, uid in (
            ("/run/buildkit/ssh_agent.0", 0o600, 1000),
            ("/x", 0o666, 0),
        )
    ]
    assert task["waitInputs"] is True
    assert not {"SSH_AUTH_SOCK", "GIT_SSH_COMMAND"} & set(task["env"])
    mounts = {it["mountPath"]: it for it in container(body, "stage")["volumeMounts"]}
    assert mounts["/.conveyor-ssh"]["readOnly"] is True
    assert "/.werf/tmp" not in mounts
    keys = [it["name"] for it in pod(body)["volumes"] if it.get("secret", {}) and "ssh" in str(it)]
    assert not set(keys) & {it["name"] for it in mounts.values()}


def test_without_keys_there_is_no_socket():
    _, task, *_ = written("type=ssh")
    assert task["mounts"]["sockets"] == []
    assert "waitInputs" not in task


# --- who shares a pod, what is observed -------------------------------------------------------------------------------


def started(*stages):
    actions = decide(situation(plan(image(*stages)), fuse=True)).actions
    return [[one.name for one in it.stages] for it in actions if isinstance(it, StartJob)]


CACHE, OTHER = "type=cache,target=/c", "type=cache,target=/d"


@pytest.mark.parametrize(
    ("flags", "together"),
    [
        ((CACHE, CACHE), True),
        ((CACHE, OTHER), False),
        ((CACHE, ""), False),
        (("", CACHE), False),
        (("target=/b", "target=/b"), True),
        (("target=/b,rw", "target=/b,rw"), False),
    ],
)
def test_only_runs_with_the_same_mounts_share_a_pod(flags, together):
    stages = [
        stage(*filter(None, [flag]), name=f"app/s{number}") for number, flag in enumerate(flags)
    ]
    assert started(*stages) == [["s0", "s1"] if together else ["s0"]]


def test_files_for_others_are_exported_by_the_same_pod():
    """The stage program leaves out what a mount is in the way of."""
    other = image(to_build("web/dockerfile", base=EXTERNAL, work=copying("app")), needs=["app"])
    (action,) = decide(situation(plan(image(stage(CACHE)), other))).actions
    assert [export.sources for export in action.exports] == [("/bin",)]
    wanted = replace(order(stage(CACHE)), exports=action.exports)
    assert without_hidden_exports(wanted).exports == action.exports


def test_a_wrong_place_that_only_the_parent_tells():
    parent = replace(PARENT, config={"config": {"WorkingDir": "/proc"}})
    wanted = replace(order(stage("target=x")), parent=parent)
    with pytest.raises(UserError, match=r"ctx/Dockerfile:7: RUN --mount: nothing can be mounted"):
        tasks(wanted, plan(image(*wanted.stages)), AROUND)


def test_what_the_init_container_says_counts():
    body, *_ = written("target=/b")
    body["metadata"] |= {"uid": "u", "creationTimestamp": "2024-05-06T12:00:00Z"}
    failure = {"reason": "GitUnreachable", "message": "no route"}
    ended = {"exitCode": 1, "message": json.dumps({"version": 1, "failure": failure})}
    waiting = [
        {"name": name, "state": {"waiting": {"reason": "PodInitializing"}}}
        for name in ("stage", "courier")
    ]

    def seen_as(state, phase="Pending"):
        mounts = [{"name": "mounts", "state": state}]
        found = {
            "phase": phase,
            "initContainerStatuses": mounts,
            "containerStatuses": waiting,
        }
        return observe(body, {"spec": {}, "status": found})

    running = seen_as({"running": {}})
    assert (running.phase, running.waiting_reason) == ("Running", None)
    over = seen_as({"terminated": ended}, "Failed")
    assert over.phase == "Ended"
    assert (over.result.failure.message, over.result.failure.final) == ("no route", False)
