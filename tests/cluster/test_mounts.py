"""Mounts and the SSH agent, with real volumes and a real server to log in to.

The installation of `hack/install.sh` offers two paths: /srv/conveyor-e2e is a claim `conveyor-e2e`, /srv/conveyor-e2e-host a
directory of the node.
"""

import io
import secrets
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from tests.cluster.builds import (
    IMAGE_PER_JOB,
    STAGE_PER_JOB,
    Build,
    condition,
    stages,
    stages_of,
)
from tests.cluster.harness import Harness
from tests.cluster.kube import CORE, Json, eventually
from tests.cluster.registry import refs

META = "project: e2e\nconfigVersion: 1\n---\n"
OFFERED, OFFERED_HOST = "/srv/conveyor-e2e", "/srv/conveyor-e2e-host"
POLICY = f"""\
giterminismConfigVersion: 1
config:
  stapel:
    mount:
      allowBuildDir: true
      allowFromPaths: [{OFFERED}, {OFFERED_HOST}, /etc]
"""


@pytest.fixture
def place(lab: Harness, new_namespace: Callable[..., str]) -> Iterator[str]:
    """A namespace with the claims `cache` (for build_dir) and `conveyor-e2e`, both on one node."""
    namespace = new_namespace()
    node = lab.kube.list(f"{CORE}/nodes")[-1]["metadata"]["labels"]["kubernetes.io/hostname"]
    volumes = [_claim(lab, namespace, name, node) for name in ("cache", "conveyor-e2e")]
    yield namespace
    for volume in volumes:  # goes when the namespace has gone
        lab.kube.delete(f"{CORE}/persistentvolumes/{volume}")


def _claim(lab: Harness, namespace: str, name: str, node: str) -> str:
    """Make a claim and its volume; answers the volume's name."""
    volume = f"{namespace}-{name}"
    common = {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeMode": "Filesystem"}
    where = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    path = {"path": f"/var/tmp/{volume}", "type": "DirectoryOrCreate"}  # noqa: S108 - of a node
    spec: Json = common | {
        "capacity": {"storage": "1Mi"},
        "hostPath": path,
        "claimRef": {"namespace": namespace, "name": name},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [where]}]}},
    }
    lab.kube.create(
        f"{CORE}/persistentvolumes",
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": volume},
            "spec": spec,
        },
    )
    wish = common | {"resources": {"requests": {"storage": "1Mi"}}, "volumeName": volume}
    lab.kube.create(
        f"{CORE}/namespaces/{namespace}/persistentvolumeclaims",
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name},
            "spec": wish,
        },
    )
    return volume


def build_dir(claim: str) -> Mapping[str, object]:
    return {"buildDir": {"persistentVolumeClaim": {"claimName": claim}}}


BASE = """\
image: base
from: debian:bookworm
mount:
- {from: tmp_dir, to: /var/cache/apt}
- {from: build_dir, to: /cache}
shell:
  install:
  - test ! -e /var/cache/apt/archives
  - echo tmp > /var/cache/apt/made
  - echo kept-base > /cache/kept
  - echo beside > /var/cache/beside
"""
APP = (
    BASE
    + f"""\
---
image: app
from: base
mount:
- {{fromPath: {OFFERED}/, to: /opt/shared}}
git:
- {{add: /src, to: /opt/shared/src}}
- {{add: /src, to: /app}}
shell:
  install:
  - test ! -e /var/cache/apt/made
  - cat /cache/kept > /seen
  - cat /opt/shared/src/file > /opt/shared/from-app
  - echo more >> /cache/kept
  setup:
  - cat /opt/shared/from-app >> /seen
"""
)
POINTS = ("var/cache/apt", "cache", "opt/shared")


@pytest.mark.parametrize("execution", [STAGE_PER_JOB, IMAGE_PER_JOB])
def test_mounted_content_is_used_and_never_stored(lab: Harness, place: str, execution: str) -> None:
    """Also: mounts of an internal base, build_dir and fromPath outlive a Job, and a Job that mounts nothing empties."""
    files = {
        "werf.yaml": META + APP,
        "werf-giterminism.yaml": POLICY,
        "src/file": "from git\n",
    }
    project = lab.git_project(files)
    build = lab.build(project, namespace=place, execution=execution, mounts=build_dir("cache"))
    ref = refs(build.wait_ready())["app"]
    seen = lab.pods.shell(ref, f"cat /seen /app/file; cd /; find {' '.join(POINTS)}; ls var/cache")
    lines = seen.splitlines()
    assert lines[:3] == ["kept-base", "from git", "from git"]
    assert lines[3:6] == list(POINTS)
    assert "beside" in lines[6:]
    assert [
        name for name in _names(lab, ref) if name.startswith(tuple(f"{p}/" for p in POINTS))
    ] == ["var/cache/apt/.wh.archives"]
    labels = lab.registry.config(ref)["config"]["Labels"]
    assert {key: value for key, value in labels.items() if "mount-type" in key} == {
        "werf-mount-type-tmp-dir": "/var/cache/apt",
        "werf-mount-type-build-dir": "/cache",
        "werf-mount-type-custom-dir---srv--conveyor-e2e": "/opt/shared",
    }
    wanted = (
        ["from", "gitArchive,install,setup"] if execution == IMAGE_PER_JOB else ["from", "setup"]
    )
    jobs = [",".join(stages_of(job)) for job in build.jobs()]
    assert set(wanted) <= set(jobs)

    # Another image of the project finds in build_dir what these have left; its own repository has no stage of theirs.
    later = META + BASE.replace("base", "later").replace("kept-later", "kept-base").replace(
        "  - echo kept-base > /cache/kept\n", "  - cat /cache/kept > /found\n"
    )
    project.change({"werf.yaml": later})
    again = lab.build(project, namespace=place, mounts=build_dir("cache"))
    assert lab.pods.shell(refs(again.wait_ready())["later"], "cat /found") == "kept-base\nmore\n"
    empty = lab.build(project)
    assert empty.wait_stalled("StageFailed")["failure"]["command"] == "cat /cache/kept > /found"


def _names(lab: Harness, ref: str) -> list[str]:
    """Names in the layers that the build has added to its base image."""
    found: list[str] = []
    for digest in lab.registry.layers(ref)[1:]:
        with tarfile.open(fileobj=io.BytesIO(lab.registry.blob(ref, digest))) as tar:
            found += tar.getnames()
    return found


def _inline(lab: Harness, source: str, **spec: object) -> Build:
    config = (
        META
        + f"image: app\nfrom: debian:bookworm\nmount: [{{{source}, to: /x}}]\nshell: {{install: 'true'}}\n"
    )
    project = lab.git_project({"werf.yaml": config, "werf-giterminism.yaml": POLICY})
    return lab.build(project, **spec)


def test_what_cannot_be_mounted_says_why(lab: Harness) -> None:
    """A path that nobody offers, one that the namespace's Pod Security refuses, and a claim that is not there."""
    refused = _inline(lab, "fromPath: /etc")
    host = _inline(lab, f"fromPath: {OFFERED_HOST}")
    missing = _inline(lab, "from: build_dir", mounts=build_dir("nowhere"))
    forbidden = _inline(lab, "fromPath: /root")

    said = condition(refused.wait_stalled("MountNotAllowed"), "Stalled")["message"]
    assert "werf.yaml:6" in said
    assert "mounts.fromPaths" in said
    said = condition(forbidden.wait_stalled("InvalidWerfConfig"), "Stalled")["message"]
    assert "allowFromPaths: [/root]" in said
    said = _waits(missing, "StageUnschedulable")
    assert 'persistentvolumeclaim "nowhere" not found' in said
    said = _waits(host, "PodRejected")
    assert "hostPath volumes" in said
    assert "PersistentVolumeClaim" in said
    assert stages(host.status(), "app")["from"] == "Built"


def _waits(build: Build, reason: str) -> str:
    """The message of a build that waits for this reason."""
    status = build.wait_for(
        reason,
        lambda found: condition(found.get("status") or {}, "Ready").get("reason") == reason,
    )
    return str(condition(status, "Ready")["message"])


# --- SSH ----------------------------------------------------------------------------------------------------------------

TOOLS = """\
image: tools
from: debian:bookworm
git: [{add: /key.pub, to: /root/.ssh/authorized_keys}]
shell:
  beforeInstall:
  - apt-get update -qq
  - apt-get install -y -qq --no-install-recommends openssh-server git >/dev/null
  - mkdir /run/sshd && git config --global user.email a@b && git config --global user.name a
  - git init -q /srv/repo && cd /srv/repo && echo cloned > file && git add file && git commit -qm first
"""
CLIENT = """\
---
image: app
from: tools
shell:
  install:
  - ssh-add -l | cut -d' ' -f3 > /agent
  - git clone -q ssh://root@{host}/srv/repo /clone
  - ssh -o UserKnownHostsFile=/.werf/tmp/known_hosts -o StrictHostKeyChecking=yes root@{host} id -un > /login
  - (env; cat /proc/mounts; find /.werf /.conveyor* /proc/[0-9]*/fd 2>/dev/null) > /look
  - "! grep -rl 'PRIVATE[ ]KEY' /.werf /.conveyor-io /tmp /run /root"
docker: {{ENTRYPOINT: [/bin/sh]}}
"""


def test_a_stage_logs_in_with_a_key_that_it_never_sees(lab: Harness, tmp_path: Path) -> None:
    key = tmp_path / "key"
    _keygen(key)
    project = lab.git_project(
        {"werf.yaml": META + TOOLS, "key.pub": (tmp_path / "key.pub").read_text()}
    )
    repo = lab.new_repo()
    tools = refs(lab.build(project, repo=repo).wait_ready())["tools"]
    host, host_key = _server(lab, tools)
    data = {"ssh-privatekey": key.read_text(), "known_hosts": f"{host} {host_key}\n"}
    secret = lab.ssh_secret(data)

    project.change({"werf.yaml": META + TOOLS + CLIENT.format(host=host)})
    without = lab.build(project, repo=repo)
    assert without.wait_stalled("StageFailed")["failure"]["command"].startswith("git clone")
    build = lab.build(project, repo=repo, sshKeySecretRefs=[{"name": secret}])
    status = build.wait_ready()
    ref = refs(status)["app"]
    assert stages(status, "tools")["beforeInstall"] == "Cached"
    assert lab.pods.run(ref, ["/bin/cat", "/agent", "/clone/file", "/login"]) == (
        "conveyor-e2e\ncloned\nroot\n"
    )
    look = lab.pods.run(ref, ["/bin/cat", "/look"])
    assert "SSH_AUTH_SOCK=/.werf/tmp/ssh-auth-sock" in look
    assert "/.conveyor-secrets" not in look
    assert (
        lab.pods.run(ref, ["/bin/sh", "-c", "ls -d /.werf* /.conveyor* 2>/dev/null || true"]) == ""
    )
    assert not any(name.startswith((".werf", ".conveyor")) for name in _names(lab, ref))
    assert "SSH" not in str(lab.registry.config(ref)["config"])

    other = lab.ssh_secret({"ssh-privatekey": "no key"})
    bad = lab.build(project, sshKeySecretRefs=[{"name": other}], images=["tools"])
    said = condition(bad.wait_stalled("SecretNotFound"), "Stalled")["message"]
    assert "sshKeySecretRefs[0]" in said


def _keygen(path: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "conveyor-e2e", "-f", str(path)]
    subprocess.run(command, check=True, timeout=30)  # noqa: S603 - our own words


def _server(lab: Harness, image: str) -> tuple[str, str]:
    """Start a server of the image; answers its address and host key. It goes with the test's namespace."""
    name = f"sshd-{secrets.token_hex(4)}"
    path = f"{CORE}/namespaces/{lab.namespace}/pods"
    command = "mkdir -p /run/sshd; cat /etc/ssh/ssh_host_ed25519_key.pub; exec /usr/sbin/sshd -D -e"
    container = {"name": "main", "image": image, "command": ["/bin/sh", "-c", command]}
    lab.kube.create(
        path,
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
        },
    )
    log = ""

    def listens() -> bool:
        nonlocal log
        log = lab.kube.log(lab.namespace, name, "main")
        return "Server listening" in log

    def address() -> str:
        return str((lab.kube.get(f"{path}/{name}") or {})["status"].get("podIP", ""))

    eventually("the SSH server listens", 120, listens)
    eventually("its address is told", 30, address)
    key = " ".join(next(line for line in log.splitlines() if line.startswith("ssh-")).split()[:2])
    return address(), key
