"""RUN --mount: files, caches, secrets and the SSH agent, and that nothing of them is in the image."""

import gzip
import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from tests.cluster.builds import Build, condition, image
from tests.cluster.harness import Harness
from tests.cluster.kube import CORE, Json
from tests.cluster.operator_pod import NAMESPACE
from tests.cluster.registry import refs
from tests.cluster.test_mounts import _claim, _keygen, _names

from conveyor.api import names

META = "project: e2e\nconfigVersion: 1\n---\nimage: app\ndockerfile: Dockerfile\n"


@pytest.fixture
def place(lab: Harness, new_namespace: Callable[..., str]) -> Iterator[str]:
    """A namespace with the claim `cache`, on one node."""
    namespace = new_namespace()
    node = lab.kube.list(f"{CORE}/nodes")[-1]["metadata"]["labels"]["kubernetes.io/hostname"]
    volume = _claim(lab, namespace, "cache", node)
    yield namespace
    lab.kube.delete(f"{CORE}/persistentvolumes/{volume}")


def cache(claim: str) -> Mapping[str, object]:
    return {"cache": {"persistentVolumeClaim": {"claimName": claim}}}


# --- files ------------------------------------------------------------------------------------------------------------

FILES = r"""
FROM debian:bookworm AS files
RUN mkdir -p /out/deep && echo made > /out/deep/file && chmod 640 /out/deep/file && chown -R 1000:1001 /out

FROM debian:bookworm
WORKDIR /work
RUN --mount=type=bind,source=src,target=/srv/new/src \
    --mount=type=bind,source=src/one.txt,target=/etc/one.conf \
    --mount=source=src/one.txt,target=/etc/issue \
    --mount=type=bind,target=ctx \
    --mount=type=bind,from=files,source=/out,target=/mnt/files,rw \
    --mount=type=bind,from=debian:bookworm,source=etc/debian_version,target=/opt/version \
    --mount=type=tmpfs,target=/fast,size=1m \
    --mount=type=cache,target=/root/.cache/tool,mode=0711,uid=7 <<EOF
set -e
cat /srv/new/src/one.txt /etc/one.conf /etc/issue ctx/src/one.txt > /report
cat /opt/version | cut -c1-3 >> /report
ls -A ctx >> /report
for path in /srv/new/src/x /etc/one.conf /opt/version ctx/x; do
  ! (echo x > $path) 2>/dev/null
done
stat -c '%u:%g %a' /mnt/files/deep/file >> /report
echo changed > /mnt/files/deep/file
stat -f -c %T /fast >> /report
! dd if=/dev/zero of=/fast/x bs=1M count=2 2>/dev/null
stat -c '%a %u' /root/.cache/tool >> /report
echo x > /root/.cache/tool/x
echo beside > /root/.cache/beside
EOF
RUN cat /root/.cache/beside >> /report; ls -A /work /srv /mnt /opt /root/.cache >> /report; cat /etc/issue > /issue
"""
CONTEXT = {
    "Dockerfile": FILES,
    ".dockerignore": "*.log\n.dockerignore\n",
    "src/one.txt": "one\n",
    "app.log": "no\n",
    "werf.yaml": META,
}
REPORT = """\
one
one
one
one
12.
Dockerfile
src
werf.yaml
1000:1001 640
tmpfs
711 7
beside
/mnt:

/opt:

/root/.cache:
beside

/srv:

/work:
"""


def test_mounted_files_are_used_and_leave_nothing(lab: Harness) -> None:
    """Of the context, of a stage and of an image, as files and as directories; tmpfs; a cold cache; mount points."""
    project = lab.git_project(CONTEXT)
    build = lab.build(project)
    status = build.wait_ready()
    ref = refs(status)["app"]
    assert lab.pods.shell(ref, "cat /report; grep -q Debian /issue /etc/issue") == REPORT
    left = {"work", "report", "root", "root/.cache", "root/.cache/beside", "issue"}
    assert set(_names(lab, ref)) == left

    # What no RUN binds may change; what one binds builds it anew, though the text of the Dockerfile is the same.
    before = digest(status)
    project.change({"src/one.txt": "two\n"})
    again = lab.build(project, repo=build.repo).wait_ready()
    assert lab.pods.lines(refs(again)["app"], "head -2 /report") == ["two", "two"]
    assert digest(again) != before


def digest(status: Json) -> str:
    """Of the target's own stage."""
    rows = image(status, "app")["stages"]
    return str(next(row["digest"] for row in rows if row["name"] == "dockerfile"))


# --- files for other images -------------------------------------------------------------------------------------------

EXPORTING = """
FROM debian:bookworm AS made
RUN --mount=type=cache,target=/opt/kept --mount=source=src,target=/src \\
    mkdir /out /opt/own && cp /src/one.txt /out/ && echo kept > /opt/kept/file && echo own > /opt/own/file

FROM debian:bookworm
COPY --from=made {0} /copied/
RUN find /copied -mindepth 1 | sort > /seen
"""


@pytest.mark.parametrize(
    ("source", "seen", "exporting"),
    [("/out", ["/copied/one.txt"], 0), ("/opt", ["/copied/own", "/copied/own/file"], 1)],
    ids=["beside the mounts", "above a mount"],
)
def test_files_for_others_come_out_of_a_pod_with_mounts(
    lab: Harness, source: str, seen: list[str], exporting: int
) -> None:
    files = {"Dockerfile": EXPORTING.format(source), "src/one.txt": "one", "werf.yaml": META}
    build = lab.build(lab.git_project(files))
    ref = refs(build.wait_ready())["app"]
    assert lab.pods.lines(ref, "cat /seen") == seen
    components = [job["metadata"]["labels"][names.LABEL_COMPONENT] for job in build.jobs()]
    assert components.count(names.COMPONENT_EXPORT) == exporting


# --- caches -----------------------------------------------------------------------------------------------------------

COUNT = """
FROM debian:bookworm
RUN --mount=type=cache,target=/c,id=log N=1; echo $N >> /c/log; cp /c/log /seen
"""
LOCKED = (
    "RUN --mount=type=cache,id=one,sharing=locked,target=/{0} "
    "test ! -e /{0}/busy && touch /{0}/busy && sleep 3 && rm /{0}/busy"
)


def test_a_cache_outlives_a_build(lab: Harness, place: str) -> None:
    project = lab.git_project({"Dockerfile": COUNT, "werf.yaml": META})
    first = lab.build(project, namespace=place, mounts=cache("cache"))
    assert lab.pods.shell(refs(first.wait_ready())["app"], "cat /seen") == "1\n"
    project.change({"Dockerfile": COUNT.replace("N=1", "N=2")})
    second = lab.build(project, namespace=place, mounts=cache("cache"))
    ref = refs(second.wait_ready())["app"]
    assert lab.pods.shell(ref, "cat /seen; ls -d /c 2>/dev/null || echo gone") == "1\n2\ngone\n"
    assert set(_names(lab, ref)) == {"seen"}


BEGUN = """
FROM debian:bookworm AS deps
RUN mkdir /deps && echo {0} > /deps/first && chmod 0700 /deps

FROM debian:bookworm
RUN --mount=type=cache,target=/c,from=deps,source=/deps,sharing=locked \\
    N={1}; stat -c %a /c > /seen; cat /c/* >> /seen; echo $N >> /c/more
"""


def test_a_kept_cache_begins_with_files_once(lab: Harness, place: str) -> None:
    """What a build writes stays for the next one; other files are another cache."""

    def seen(deps: int, number: int) -> list[str]:
        project.change({"Dockerfile": BEGUN.format(deps, number)})
        build = lab.build(project, namespace=place, mounts=cache("cache"))
        return lab.pods.lines(refs(build.wait_ready())["app"], "cat /seen")

    project = lab.git_project({"Dockerfile": "FROM scratch", "werf.yaml": META})
    assert seen(deps=1, number=7) == ["700", "1"]
    assert seen(deps=1, number=8) == ["700", "1", "7"]
    assert seen(deps=2, number=9) == ["700", "2"]
    assert seen(deps=1, number=10) == ["700", "1", "7", "8"]


def test_a_locked_cache_has_one_user_at_a_time(lab: Harness, place: str) -> None:
    config = "project: e2e\nconfigVersion: 1\n"
    files = {}
    for name in ("a", "b", "c"):
        config += f"---\nimage: {name}\ndockerfile: Dockerfile.{name}\n"
        files[f"Dockerfile.{name}"] = f"FROM debian:bookworm\n{LOCKED.format(name)}\n"
    project = lab.git_project({"werf.yaml": config, **files})
    build = lab.build(project, namespace=place, mounts=cache("cache"))
    build.wait_jobs(2)
    build.wait_ready()


# --- secrets ----------------------------------------------------------------------------------------------------------

ASKING = r"""
FROM debian:bookworm AS plain
RUN --mount=type=secret,id=token,required \
    --mount=type=secret,id=token,target=/etc/app/token,mode=0440,uid=1000,gid=1001 \
    --mount=type=secret,id=token,env=TOKEN \
    --mount=type=secret,id=missing <<EOF
set -e
printf %s "$TOKEN" | cmp - /run/secrets/token
cmp /etc/app/token /run/secrets/token
stat -L -c '%n %a %u:%g %s' /run/secrets/token /etc/app/token > /report
test ! -e /run/secrets/missing
! (echo x > /run/secrets/token) 2>/dev/null
sha256sum < /run/secrets/token | cut -c1-8 >> /report
sleep 2
EOF

FROM plain
RUN env > /env; ls /run/secrets /etc/app >> /env 2>&1 || true
"""


def test_a_secret_is_where_it_is_asked_for_and_nowhere_else(lab: Harness) -> None:
    """Objects and logs are read while it is built, too."""
    value = secrets.token_hex(16)
    secret = lab.secret("Opaque", {"key": value})
    project = lab.git_project({"Dockerfile": ASKING, "werf.yaml": META})
    given = [{"id": "token", "secretRef": {"name": secret, "key": "key"}}]
    build = lab.build(project, secrets=given)
    seen: list[str] = []

    def over(found: Json) -> bool:
        seen.extend(_everything(lab, build))
        ready = condition(found.get("status") or {}, "Ready")
        return bool(ready.get("status") in ("True", "False"))

    build.wait_for("the end", over)
    ref = refs(build.wait_ready())["app"]
    assert lab.pods.lines(ref, "cat /report")[:2] == [
        "/run/secrets/token 400 0:0 32",
        "/etc/app/token 440 1000:1001 32",
    ]
    assert "TOKEN=" not in lab.pods.shell(ref, "cat /env")
    seen += [*_everything(lab, build), lab.operator.log(), json.dumps(lab.registry.config(ref))]
    assert any("CONVEYOR_MOUNTS" in text for text in seen)
    assert not [text[:200] for text in seen if value in text]
    for digest in lab.registry.layers(ref)[1:]:
        assert value.encode() not in gzip.decompress(lab.registry.blob(ref, digest))
    mounting = [job for job in build.jobs() if secret in json.dumps(job)]
    assert len(mounting) == 1 < len(build.jobs())


def _everything(lab: Harness, build: Build) -> Iterator[str]:
    """Objects and logs of a build as they are now."""
    yield json.dumps(build.get())
    yield from (json.dumps(one) for one in (*build.jobs(), *build.events()))
    yield from build.logs()
    for pod in build.pods():
        yield json.dumps(pod)
        for container in ("mounts", "stage", "courier"):
            yield lab.kube.log(build.namespace, pod["metadata"]["name"], container)


def test_what_is_required_and_not_there_stops_before_any_job(lab: Harness) -> None:
    text = "FROM debian:bookworm AS a\nRUN a\n\nFROM a\nRUN --mount=type={},required b\n"
    secret = lab.git_project({"Dockerfile": text.format("secret,id=x"), "werf.yaml": META})
    agent = lab.git_project({"Dockerfile": text.format("ssh"), "werf.yaml": META})
    missing = [{"id": "x", "secretRef": {"name": lab.secret("Opaque", {"a": "b"}), "key": "no"}}]
    nothing: list[Json] = []
    for project, given, said in (
        (
            secret,
            nothing,
            "Dockerfile:5: RUN requires the secret 'x'; name its Secret in spec.secr",
        ),
        (secret, missing, "has no key no, which spec.secrets names for x"),
        (agent, nothing, "Dockerfile:5: RUN requires an SSH agent"),
    ):
        build = lab.build(project, secrets=given)
        status = build.wait_stalled("SecretNotFound")
        assert said in condition(status, "Stalled")["message"]
        assert build.jobs() == []


# --- SSH --------------------------------------------------------------------------------------------------------------

AGENT = r"""
FROM {image} AS asked
USER 1000:1000
RUN --mount=type=ssh,uid=1000 --mount=type=ssh,id=other,target=/tmp/agent <<EOF
set -e
echo "$SSH_AUTH_SOCK" > /tmp/report
ssh-add -l | cut -d' ' -f3 >> /tmp/report
stat -c '%a %u' $SSH_AUTH_SOCK /tmp/agent >> /tmp/report
! SSH_AUTH_SOCK=/tmp/agent ssh-add -l 2>/dev/null
EOF

FROM asked
USER root
RUN (echo "${{SSH_AUTH_SOCK:-none}}"; ls -A /run/buildkit /tmp 2>&1 || true) > /later
ENTRYPOINT []
"""


def test_a_run_has_the_agent_that_it_asks_for(lab: Harness, tmp_path: Path) -> None:
    key = tmp_path / "key"
    _keygen(key)
    own = lab.kube.list(f"{CORE}/namespaces/{NAMESPACE}/pods")[0]["spec"]["containers"][0]["image"]
    project = lab.git_project({"Dockerfile": AGENT.format(image=own), "werf.yaml": META})
    secret = lab.ssh_secret({"ssh-privatekey": key.read_text()})
    build = lab.build(project, sshKeySecretRefs=[{"name": secret}])
    ref = refs(build.wait_ready())["app"]
    assert lab.pods.lines(ref, "cat /tmp/report /later") == [
        "/run/buildkit/ssh_agent.0",
        "conveyor-e2e",
        "600 1000",
        "600 0",
        "none",
        "ls: cannot access '/run/buildkit': No such file or directory",
        "/tmp:",  # noqa: S108 - of a container
        "report",
    ]
