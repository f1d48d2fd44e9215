"""Jobs as containers of a Docker Engine, and back."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, union-attr, arg-type, var-annotated"

import copy
import io
import json
import tarfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from conveyor.adapters.engine_api import Endpoint, EngineError
from conveyor.adapters.engine_containers import LABEL_BODY, order_of
from conveyor.adapters.engine_files import files_tar, first_file, open_directory_tar
from conveyor.adapters.engine_parts import mounts_of_parts
from conveyor.adapters.engine_view import Seen, Trouble, job_of, pod_of
from conveyor.adapters.engine_volumes import Part
from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.jobs.model import JobPhase
from conveyor.jobs.observe import observe

GOLDEN = Path(__file__).parents[2] / "golden/jobs"
MINIMAL = yaml.safe_load((GOLDEN / "minimal.yaml").read_text())
WHOLE = yaml.safe_load((GOLDEN / "stage.yaml").read_text())
CREATED = "2026-05-06T07:08:09.123456789Z"
NEVER = "0001-01-01T00:00:00Z"
NOW = datetime(2026, 5, 6, 7, 10, tzinfo=UTC)


def turned(body=None, network="", architecture="amd64"):
    return order_of(body or MINIMAL, network=network, architecture=architecture)


def without_nodes(body=WHOLE):
    """What only pods have is left out."""
    found = copy.deepcopy(body)
    pod = found["spec"]["template"]["spec"]
    for key in ("nodeSelector", "tolerations", "priorityClassName"):
        pod.pop(key, None)
    for key in ("runtimeClassName", "serviceAccountName"):
        pod.pop(key, None)
    return found


# --- a Job as containers ------------------------------------------------------------------------------------------------


def test_the_stage_container_sees_what_it_sees_in_a_pod():
    whole = without_nodes()
    stage = turned(whole).stage.body
    pod = whole["spec"]["template"]["spec"]["containers"][0]
    assert stage["Image"] == pod["image"]
    assert stage["Entrypoint"] == pod["command"]
    assert stage["User"] == "0:0"
    assert stage["HostConfig"]["Init"] is False
    assert stage["Env"] == [f"CONVEYOR_TASK={pod['env'][0]['value']}"]
    mounts = {it["Target"]: it["ReadOnly"] for it in stage["HostConfig"]["Mounts"]}
    assert mounts == {"/.conveyor-io": False, "/.conveyor-ca": True}
    assert all(it["Type"] == "volume" for it in stage["HostConfig"]["Mounts"])
    host = stage["HostConfig"]
    assert (host["CapAdd"], host["CapDrop"], host.get("Privileged")) == ([], [], None)
    assert host["Memory"] == host["MemorySwap"] == 2 << 30
    assert "CpuShares" not in host


def test_commands_come_before_the_courier_where_processors_are_scarce():
    found = turned(without_nodes())
    assert found.courier.body["HostConfig"]["CpuShares"] * 10 <= 1024


def test_only_the_courier_has_secrets():
    found = turned(without_nodes())
    filled = {it.path: (it.container, it.kind, it.name) for it in found.fillings}
    assert filled == {
        "/.conveyor-ca": ("courier", "configMap", "conveyor-ca-shop"),
        "/.conveyor-secrets/registry-0": ("courier", "secret", "push"),
        "/.conveyor-secrets/registry-1": ("courier", "secret", "pull-a"),
        "/.conveyor-secrets/registry-2": ("courier", "secret", "pull-b"),
        "/.conveyor-secrets/git-0": ("courier", "secret", "git-login"),
    }
    targets = {it["Target"] for it in found.stage.body["HostConfig"]["Mounts"]}
    assert not any(target.startswith("/.conveyor-secrets") for target in targets)
    assert found.pull_secrets == ("node-pull", "push", "pull-a", "pull-b")


def test_the_courier_may_do_nothing():
    host = turned().courier.body["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]


def test_both_containers_share_one_volume():
    found = turned()
    sources = [
        {it["Source"] for it in container.body["HostConfig"]["Mounts"]}
        for container in (found.stage, found.courier)
    ]
    name = MINIMAL["metadata"]["name"]
    assert sources[0] & sources[1] == {f"conveyor.default.{name}.io"}
    assert ("courier", "/.conveyor-io") in found.directories


@pytest.mark.parametrize(
    ("host", "network"),
    [("127.0.0.1:5000", "host"), ("localhost:5000", "host"), ("registry.example", "builds")],
)
def test_a_registry_of_the_machine_is_reached_through_its_network(host, network):
    text = json.dumps(MINIMAL).replace("registry.example/shop@", f"{host}/shop@")
    found = turned(json.loads(text), network="builds")
    assert found.courier.body["HostConfig"]["NetworkMode"] == network
    assert found.stage.body["HostConfig"]["NetworkMode"] == "builds"


def changed(path, value):
    body = copy.deepcopy(MINIMAL)
    inner = body["spec"]["template"]["spec"]
    *steps, last = path
    for step in steps:
        inner = inner[step]
    inner[last] = value
    return body


def with_volume(source, **mount):
    """MINIMAL whose stage mounts one volume more."""
    body = changed(("volumes",), [{"name": "extra", **source}])
    stage = body["spec"]["template"]["spec"]["containers"][0]
    stage["volumeMounts"] = [{"name": "extra", "mountPath": "/extra", **mount}]
    return body


STAGE = ("containers", 0)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (changed(("nodeSelector",), {"disk": "fast"}), "nodeSelector"),
        (changed(("nodeSelector",), {"kubernetes.io/arch": "arm64"}), "linux/arm64"),
        (changed(("serviceAccountName",), "x"), "serviceAccountName"),
        (changed((*STAGE, "lifecycle"), {}), "lifecycle"),
        (changed((*STAGE, "securityContext", "privileged"), 1), "privileged"),
        (changed((*STAGE, "resources"), {"limits": {"nvidia.com/gpu": "1"}}), "nvidia.com/gpu"),
        (with_volume({"persistentVolumeClaim": {"claimName": "x"}}), "persistentVolumeClaim"),
        (with_volume({"hostPath": {"path": "/"}}), "hostPath"),
        (changed(("initContainers",), [{}]), "further containers"),
        (changed(("initContainers",), [{"name": "mounts"}] * 2), "further containers"),
    ],
)
def test_what_has_no_counterpart_is_refused(body, told):
    with pytest.raises(UserError) as caught:
        turned(body)
    assert caught.value.reason is Reason.NOT_SUPPORTED
    assert told in caught.value.message


def test_the_same_platform_is_not_refused():
    turned(changed(("nodeSelector",), {"kubernetes.io/arch": "arm64"}), architecture="arm64")


def test_memory_can_be_a_volume():
    volume = {"emptyDir": {"medium": "Memory"}}
    mounts = turned(with_volume(volume)).stage.body["HostConfig"]["Mounts"]
    assert mounts[0] == {"Type": "tmpfs", "Target": "/extra"}
    volume["emptyDir"]["sizeLimit"] = "1Mi"
    mounts = turned(with_volume(volume)).stage.body["HostConfig"]["Mounts"]
    assert mounts[0]["TmpfsOptions"] == {"SizeBytes": 1 << 20}


# --- containers as a Job ------------------------------------------------------------------------------------------------


def state(status, code=0, finished=NEVER, **more):
    running = status == "running"
    started = NEVER if status == "created" else "2026-05-06T07:08:10.5Z"
    return {
        "Status": status,
        "Running": running,
        "ExitCode": code,
        "StartedAt": started,
        "FinishedAt": finished,
        **more,
    }


def container(role, found):
    order = turned()
    labels = order.of(role).body["Labels"]
    return {
        "Id": f"id-{role}",
        "Created": CREATED,
        "Config": {"Image": "image", "Labels": labels},
        "State": found,
    }


def seen(courier, stage, **more):
    return Seen(
        courier=container("courier", courier),
        stage=container("stage", stage) if stage else None,
        **more,
    )


def observed(found, now=NOW):
    return observe(job_of(found, now), pod_of(found))


ENDED = "2026-05-06T07:09:00Z"
RESULT = json.dumps(
    {
        "version": 1,
        "runs": [
            {
                "layers": [
                    {"digest": f"sha256:{'a' * 64}", "diffID": f"sha256:{'b' * 64}", "size": 1}
                ]
            }
        ],
        "exports": {},
        "failure": None,
    }
)


def test_what_its_maker_knew_is_read_back():
    found = observed(seen(state("running"), state("running")))
    notes = MINIMAL["metadata"]["annotations"]
    assert found.name == MINIMAL["metadata"]["name"]
    assert found.owner_uid == "u"
    assert ",".join(found.digests) == notes["conveyor.dev/digests"]
    assert ",".join(found.contents) == notes["conveyor.dev/contents"]
    assert found.parent == notes["conveyor.dev/parent"]
    assert found.uid == "id-courier"
    assert found.created_at == "2026-05-06T07:08:09Z"
    assert json.loads(container("courier", {})["Config"]["Labels"][LABEL_BODY])["deadline"] == 3600


@pytest.mark.parametrize(
    ("courier", "stage", "phase"),
    [
        (state("created"), None, JobPhase.PENDING),
        (state("created"), state("created"), JobPhase.PENDING),
        (state("running"), state("created"), JobPhase.RUNNING),
        (state("running"), state("running"), JobPhase.RUNNING),
        (state("running"), state("exited", 3, ENDED), JobPhase.RUNNING),
        (state("exited", 0, ENDED), state("running"), JobPhase.ENDED),
        (state("exited", 1, ENDED), state("exited", 1, ENDED), JobPhase.ENDED),
    ],
)
def test_phases(courier, stage, phase):
    assert observed(seen(courier, stage)).phase is phase


def test_a_result():
    done = state("exited", 0, ENDED)
    found = observed(seen(done, done, message=RESULT))
    assert found.delivered
    assert found.result.failure is None
    assert found.finished_at == ENDED


def test_no_result():
    found = observed(seen(state("exited", 137, ENDED), state("exited", 137, ENDED)))
    assert found.result.failure.reason is Reason.STAGE_EVICTED
    assert not found.result.failure.final
    assert "container courier ended with code 137" in found.result.failure.message


def test_memory():
    stage = state("exited", 137, ENDED, OOMKilled=True)
    found = observed(seen(state("exited", 0, ENDED), stage))
    assert found.result.failure.reason is Reason.STAGE_OOM_KILLED


def test_a_job_over_its_time():
    late = NOW + timedelta(hours=2)
    running = seen(state("running"), state("running"))
    assert observed(running, late).result.failure.reason is Reason.STAGE_TIMED_OUT
    killed = state("exited", 137, "2026-05-06T08:08:11Z")
    assert observed(seen(killed, killed), late).result.failure.reason is Reason.STAGE_TIMED_OUT
    in_time = seen(state("exited", 0, ENDED), state("exited", 0, ENDED), message=RESULT)
    assert observed(in_time, late).result.failure is None


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("ErrImagePull", Reason.STAGE_PULL_FAILED),
        ("CreateContainerConfigError", Reason.SECRET_NOT_FOUND),
    ],
)
def test_why_it_waits(kind, reason):
    trouble = Trouble(reason=kind, message="no such thing")
    found = observed(seen(state("created"), None, trouble=trouble))
    assert found.waiting_reason is reason
    assert "no such thing" in found.waiting


def test_nobody_starts_it_any_more():
    found = observed(seen(state("created"), None, lost="the process has ended"))
    assert found.ended
    assert found.result.failure.reason is Reason.STAGE_EVICTED
    assert "the process has ended" in found.result.failure.message


# --- files, addresses ---------------------------------------------------------------------------------------------------


def test_files_that_only_root_reads(tmp_path):
    (tmp_path / "big").write_bytes(b"big")
    with (
        files_tar({"a": b"one", "b": tmp_path / "big"}, {}) as made,
        tarfile.open(fileobj=made) as tar,
    ):
        found = {it.name: (it.mode, tar.extractfile(it).read()) for it in tar}
    assert found == {"a": (0o400, b"one"), "b": (0o400, b"big")}


def test_keys_of_a_config_map_have_names_of_their_own():
    with (
        files_tar({"x": b"1", "y": b"2"}, {"y": ("ca.crt", 0o444)}) as made,
        tarfile.open(fileobj=made) as tar,
    ):
        assert tar.getnames() == ["ca.crt"]


def test_an_archive_of_one_file():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("termination-log")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"abc"))
    assert first_file(out.getvalue()) == b"abc"
    assert first_file(out.getvalue()[:100]) == b""
    assert first_file(b"") == b""
    assert first_file(open_directory_tar().read()) == b""


@pytest.mark.parametrize(
    ("text", "tls", "url", "socket"),
    [
        ("unix:///run/docker.sock", "", "http://engine", "/run/docker.sock"),
        ("tcp://engine:2375", "", "http://engine:2375", ""),
        ("tcp://engine:2376", "/certificates", "https://engine:2376", ""),
        ("https://engine", "", "https://engine", ""),
    ],
)
def test_endpoints(text, tls, url, socket):
    found = Endpoint.parse(text, tls)
    assert (found.url, found.socket, found.tls) == (url, socket, tls)


@pytest.mark.parametrize(
    "text", ["", "docker", "ssh://me@host", "unix://host/x", "tcp://", "npipe:////./pipe/docker"]
)
def test_other_endpoints_are_refused(text):
    with pytest.raises(UserError, match="not the address of a Docker Engine"):
        Endpoint.parse(text)


# --- parts of volumes ---------------------------------------------------------------------------------------------------


def with_parts(*, laid=True):
    """A Job whose RUN mounts a directory, a secret, a cache of a claim and memory of another user's secret."""
    body = copy.deepcopy(MINIMAL)
    spec = body["spec"]["template"]["spec"]
    spec["volumes"] += [
        {"name": "run-binds", "emptyDir": {}},
        {"name": "run-secrets", "emptyDir": {"medium": "Memory"}},
        {"name": "run-1", "secret": {"secretName": "s", "items": [{"key": "k", "path": "value"}]}},
        {"name": "run-cache", "persistentVolumeClaim": {"claimName": "kept"}},
    ]
    spec["containers"][0]["volumeMounts"] += [
        {"name": "run-binds", "mountPath": "/b", "subPath": "run-0", "readOnly": True},
        {"name": "run-secrets", "mountPath": "/o", "subPath": "run-2", "readOnly": True},
        {"name": "run-1", "mountPath": "/s", "subPath": "value", "readOnly": True},
        {"name": "run-cache", "mountPath": "/c", "subPath": "run/p/caches/c"},
    ]
    if laid:
        mounts = copy.deepcopy(spec["containers"][1])
        mounts |= {"name": "mounts", "command": ["lay"]}
        mounts["volumeMounts"] = [
            {"name": name, "mountPath": f"/.conveyor-mounts/{name}"}
            for name in ("run-binds", "run-secrets")
        ]
        spec["initContainers"] = [mounts]
    return body


def test_parts_are_mounted_when_they_are_laid_out():
    found = order_of(with_parts(), network="", architecture="amd64", claims={"kept": "cache"})
    name = f"conveyor.default.{MINIMAL['metadata']['name']}"
    assert [(it.volume, it.path, it.target, it.read_only, it.kept) for it in found.parts] == [
        (f"{name}.run-binds", "run-0", "/b", True, False),
        (f"{name}.run-secrets", "run-2", "/o", True, False),
        (f"{name}.run-1", "value", "/s", True, False),
        ("cache", "run/p/caches/c", "/c", False, True),
    ]
    assert found.lays_out
    laid = {it["Target"]: it for it in found.mounts.body["HostConfig"]["Mounts"]}
    assert set(laid) == {
        "/.conveyor-mounts/run-binds",
        "/.conveyor-mounts/run-secrets",
        "/.conveyor-parts/run-1",
        "/.conveyor-parts/run-cache",
    }
    assert {it["Type"] for it in laid.values()} == {"volume"}
    kept = laid["/.conveyor-parts/run-cache"]
    assert kept["Source"] == "cache"
    assert kept["VolumeOptions"]["Labels"] == {"conveyor.dev/kept": "true"}
    targets = {it["Target"] for it in found.stage.body["HostConfig"]["Mounts"]}
    assert targets == {"/.conveyor-io"}
    filled = {it.name: (it.container, it.path) for it in found.fillings}
    assert filled["s"] == ("mounts", "/.conveyor-parts/run-1")


def test_parts_without_anything_to_lay_out():
    found = order_of(
        with_parts(laid=False), network="", architecture="amd64", claims={"kept": "cache"}
    )
    assert not found.lays_out
    assert found.mounts.body["Entrypoint"] == ["true"]
    assert not any(text.startswith("CONVEYOR_COURIER") for text in found.mounts.body["Env"])


def test_a_claim_that_is_none_of_the_engine():
    with pytest.raises(UserError, match="persistentVolumeClaim"):
        order_of(with_parts(), network="", architecture="amd64")


DIRECTORY, LINK, PIPE = 1 << 31, 1 << 27, 1 << 25


class FakeEngine:
    """Files of the container `mounts` by their modes; what is made there."""

    def __init__(self, modes, mountpoint="/var/lib/engine/v"):
        self.modes = modes
        self.made = []
        self._volume = {"Mountpoint": mountpoint}

    async def stat(self, _container, path):
        mode = self.modes.get(path)
        return None if mode is None else {"mode": mode}

    async def put_archive(self, _container, path, tar):
        with tarfile.open(fileobj=tar) as opened:
            (name,) = opened.getnames()
        self.made.append(f"{path}/{name}")
        self.modes[f"{path}/{name}"] = DIRECTORY | 0o777

    async def get(self, _path):
        return self._volume


def order_with(*parts):
    return replace(
        order_of(with_parts(), network="", architecture="amd64", claims={"kept": "c"}), parts=parts
    )


def part(path, *, kept=False):
    return Part(volume="v", path=path, target="/t", read_only=True, seen="/seen", kept=kept)


@pytest.mark.parametrize("mode", [0o644, DIRECTORY | 0o755])
async def test_a_part_is_a_file_or_a_directory(mode):
    engine = FakeEngine({"/seen/d": DIRECTORY, "/seen/d/x": mode})
    (mount,) = await mounts_of_parts(engine, order_with(part("d/x")))
    assert (mount["Type"], mount["Source"]) == ("bind", "/var/lib/engine/v/d/x")
    assert mount["ReadOnly"]


@pytest.mark.parametrize(
    "modes",
    [
        {"/seen/d": DIRECTORY, "/seen/d/x": LINK},
        {"/seen/d": LINK, "/seen/d/x": DIRECTORY},
        {"/seen/d": DIRECTORY, "/seen/d/x": PIPE},
        {"/seen/d": 0o644, "/seen/d/x": 0o644},
        {"/seen/d": DIRECTORY},
    ],
)
async def test_no_link_is_followed_on_the_machine_of_the_engine(modes):
    with pytest.raises(EngineError, match="/t"):
        await mounts_of_parts(FakeEngine(modes), order_with(part("d/x")))


async def test_an_engine_that_hides_its_volumes():
    engine = FakeEngine({"/seen/x": 0o644}, mountpoint="")
    with pytest.raises(EngineError, match="where it keeps"):
        await mounts_of_parts(engine, order_with(part("x")))


async def test_what_is_kept_is_made_once():
    engine = FakeEngine({})
    for _ in range(2):
        await mounts_of_parts(engine, order_with(part("a/b", kept=True)))
    assert engine.made == ["/seen/a", "/seen/a/b"]


def test_what_could_not_be_laid_out():
    failure = json.dumps(
        {
            "version": 1,
            "runs": [],
            "exports": {},
            "failure": {"reason": "InputMissing", "message": "gone"},
        }
    )
    failed = seen(state("created"), None, message=failure)
    mounts = container("courier", state("exited", 1, ENDED))
    found = observed(replace(failed, mounts=mounts))
    assert found.ended
    assert found.finished_at == ENDED
    assert (found.result.failure.reason, found.result.failure.message) == (
        Reason.STAGE_FAILED,
        "gone",
    )
    running = replace(failed, message="", mounts=container("courier", state("running")))
    assert observed(running).phase is JobPhase.RUNNING
    done = replace(failed, message="", mounts=container("courier", state("exited", 0, ENDED)))
    assert not observed(done).ended


def test_a_kept_cache_that_begins_with_files_is_refused():
    body = with_parts()
    laying = body["spec"]["template"]["spec"]["initContainers"][0]
    laying["volumeMounts"].append({"name": "run-cache", "mountPath": "/x", "subPath": "y"})
    with pytest.raises(UserError, match="--cache-volume"):
        order_of(body, network="", architecture="amd64", claims={"kept": "c"})
