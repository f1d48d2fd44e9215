"""RUN --mount with containers of an Engine: files, caches, secrets, the SSH agent; nothing of them is in the image."""

import gzip
import hashlib
import io
import json
import os
import secrets
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.conftest import Lab
from tests.registry.conftest import Registry

META = "project: engine\nconfigVersion: 1\n---\nimage: app\ndockerfile: Dockerfile\n"

FILES = r"""
FROM BASE AS files
RUN mkdir -p /out/deep && echo made > /out/deep/file && chmod 640 /out/deep/file && chown -R 1000:1001 /out

FROM BASE
WORKDIR /work
RUN --mount=type=bind,source=src,target=/srv/new/src \
    --mount=type=bind,source=src/one.txt,target=/etc/one.conf \
    --mount=type=bind,source=link,target=/opt/link \
    --mount=type=bind,target=ctx \
    --mount=type=bind,from=files,source=/out,target=/mnt/files,rw \
    --mount=type=tmpfs,target=/fast,size=1m \
    --mount=type=cache,target=/root/.cache/tool,mode=0711,uid=7 \
    set -e; \
    cat /srv/new/src/one.txt /etc/one.conf /opt/link ctx/src/one.txt > /report; \
    for path in /srv/new/src/x /etc/one.conf ctx/x; do \
      if (echo x > $path) 2>/dev/null; then exit 9; fi; \
    done; \
    ls -ln /mnt/files/deep/file | cut -c1-10 >> /report; \
    echo changed > /mnt/files/deep/file; \
    echo x > /root/.cache/tool/x
RUN for path in /work/ctx /srv/new /etc/one.conf /opt /mnt /fast /root; do \
      if test -e $path; then echo left $path >> /report; fi; \
    done
"""


@pytest.fixture(autouse=True)
def cache_volume(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A volume of this test's own."""
    name = f"conveyor-test-{os.urandom(4).hex()}"
    lab.options = ("--cache-volume", name)
    yield name
    for volume in lab.client.volumes.list(filters={"name": name}):
        volume.remove(force=True)


def built(lab: Lab, *arguments: str, **env: str) -> str:
    """Build, with the reference of the image `app`."""
    done = lab.build("--json", *arguments, **env)
    assert done.code == 0, done.err
    assert lab.left() == []
    ref: str = done.json()["images"][-1]["ref"]
    return ref


def test_mounted_files_are_used_and_leave_nothing(lab: Lab) -> None:
    """Of the context and of a stage, as files and as directories, through a link too; tmpfs; a cache."""
    lab.commit({"Dockerfile": FILES, "src/one.txt": "one\n", "werf.yaml": META})
    (lab.project / "link").symlink_to("src/one.txt")
    lab.commit({})
    ref = built(lab)
    told = lab.shell(ref, "cat /report").splitlines()
    assert told == ["one", "one", "one", "one", "-rw-r-----"]


# --- caches -----------------------------------------------------------------------------------------------------------

COUNT = """
FROM BASE
RUN --mount=type=cache,target=/c,id=log,sharing=locked N=1; echo $N >> /c/log; cp /c/log /seen
"""


def test_a_cache_outlives_a_build(lab: Lab, cache_volume: str) -> None:
    """And it is a project's own; an empty name of the volume leaves it empty."""
    told = []
    for number, project in (("1", "engine"), ("2", "engine"), ("3", "other")):
        files = {"Dockerfile": COUNT.replace("N=1", f"N={number}")}
        lab.commit({**files, "werf.yaml": META.replace("engine", project)})
        told.append(lab.shell(built(lab), "cat /seen").split())
    assert told == [["1"], ["1", "2"], ["3"]]
    lab.commit({"Dockerfile": COUNT.replace("N=1", "N=4"), "werf.yaml": META})
    ref = built(lab, "--cache-volume", "")
    assert lab.shell(ref, "cat /seen; ls -d /c || echo gone").split() == ["4", "gone"]
    assert [it.name for it in lab.client.volumes.list(filters={"name": cache_volume})] == [
        cache_volume
    ]


def test_build_dir_outlives_a_build(lab: Lab) -> None:
    config = (
        "project: engine\nconfigVersion: 1\n---\nimage: app\nfrom: BASE\n"
        "mount:\n- {from: build_dir, to: /kept}\nshell:\n  install:\n"
        "  - echo NUMBER >> /kept/log; cp /kept/log /seen\n"
    )
    for number, told in (("1", ["1"]), ("2", ["1", "2"])):
        allowed = "giterminismConfigVersion: 1\nconfig: {stapel: {mount: {allowBuildDir: true}}}\n"
        files = {"werf.yaml": config.replace("NUMBER", number), "werf-giterminism.yaml": allowed}
        lab.commit(files)
        assert lab.shell(built(lab), "cat /seen").split() == told


# --- secrets ----------------------------------------------------------------------------------------------------------

SECRETS = """
FROM BASE
RUN echo before > /before
RUN --mount=type=secret,id=token \\
    --mount=type=secret,id=owned,target=/etc/app/token,mode=0440,uid=1000,gid=1001 \\
    --mount=type=secret,id=named,env=TOKEN \\
    --mount=type=secret,id=none \\
    set -e; \\
    md5sum < /run/secrets/token | cut -c1-32 > /sums; md5sum < /etc/app/token | cut -c1-32 >> /sums; \\
    echo -n "$TOKEN" | md5sum | cut -c1-32 >> /sums; \\
    stat -c '%a %u:%g' /run/secrets/token /etc/app/token >> /sums; \\
    if test -e /run/secrets/none; then exit 9; fi; if echo x > /run/secrets/token; then exit 8; fi; sleep 5
RUN ls /run /etc/app > /later 2>&1 || true; env > /env
"""


def test_secrets_are_in_nothing_but_the_container_that_asks(lab: Lab) -> None:
    """A file of any bytes, one of another user, a variable; then everything that is left is searched for the values."""
    value, binary = secrets.token_hex(16), b"\x00\xff" + secrets.token_hex(16).encode()
    (lab.folder / "owned").write_bytes(binary)
    lab.commit({"Dockerfile": SECRETS, "werf.yaml": META})
    given = ("--secret", "id=token,env=VALUE", "--secret", f"id=owned,src={lab.folder}/owned")
    process = lab.start("--json", *given, "--secret", "id=named", VALUE=value, named=value)
    lab.wait_for("the RUN with secrets", lambda: _with_secrets(lab))
    seen = [json.dumps(it.attrs) for it in lab.containers()]
    seen += [it.logs().decode() for it in lab.containers()]
    done = lab.result(process)
    assert done.code == 0, done.err
    ref = done.json()["images"][-1]["ref"]
    seen += [done.out, done.err, *_config_and_layers(lab, ref)]
    assert not [text[:200] for text in seen if value in text or binary[2:].decode() in text]
    sums = [hashlib.md5(it).hexdigest() for it in (value.encode(), binary, value.encode())]  # noqa: S324
    found = lab.shell(ref, "cat /sums /later /env").splitlines()
    assert found[:5] == [*sums, "400 0:0", "440 1000:1001"]
    assert not any("TOKEN" in line or line == "token" for line in found)
    assert lab.left() == []


def _with_secrets(lab: Lab) -> list[str]:
    """The stage container that mounts secrets, while it runs."""
    return [
        it.name
        for it in lab.stages()
        if any(m["Destination"] == "/run/secrets/token" for m in it.attrs["Mounts"])
    ]


def _config_and_layers(lab: Lab, ref: str) -> Iterator[str]:
    """All that the Engine saves of an image: config, history, files of layers."""
    lab.client.images.pull(ref)
    saved = io.BytesIO(b"".join(lab.client.images.get(ref).save()))
    with tarfile.open(fileobj=saved) as tar:
        for member in tar:
            file = tar.extractfile(member)
            data = file.read() if file else b""
            yield (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("latin-1")


@pytest.mark.parametrize(
    ("mount", "told"),
    [
        (
            "secret,id=x,required",
            "Dockerfile:2: RUN requires the secret 'x'; give it with --secret",
        ),
        ("ssh,required", "Dockerfile:2: RUN requires an SSH agent; give it with --ssh"),
    ],
)
def test_what_is_required_and_not_given(lab: Lab, mount: str, told: str) -> None:
    lab.commit({"Dockerfile": f"FROM BASE\nRUN --mount=type={mount} b\n", "werf.yaml": META})
    refused = lab.build()
    assert refused.code == 2, refused.err
    assert told in refused.err
    assert "building" not in refused.err


# --- SSH --------------------------------------------------------------------------------------------------------------

AGENT = r"""
FROM OWN AS asked
USER 0
RUN echo 'me:x:1000:1000::/:/bin/sh' >> /etc/passwd && mkdir -m 777 /report
USER 1000:1000
RUN --mount=type=ssh,uid=1000 set -e; cd /report; \
    ssh-add -L | tee key.pub | cut -d' ' -f3 > told; \
    echo text > text; ssh-keygen -q -Y sign -f key.pub -n test text && ls text.sig >> told; \
    if ssh-add -D 2>/dev/null; then echo removed >> told; fi; \
    ssh-add -l | cut -d' ' -f3 >> told
USER 0
RUN echo ${SSH_AUTH_SOCK:-none} >> /report/told
ENTRYPOINT []
"""


@pytest.fixture
def ssh(lab: Lab, registry: Registry) -> Path:
    """A key; the project's Dockerfile is of an image with SSH: Conveyor's own."""
    name = f"{registry.host}/own"
    lab.client.images.get(lab.image).tag(name, "1")
    lab.client.images.push(name, tag="1")
    lab.client.images.remove(f"{name}:1", force=True)
    lab.commit({"Dockerfile": AGENT.replace("OWN", f"{name}:1"), "werf.yaml": META})
    key = lab.folder / "key"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "conveyor-test", "-f", str(key)]
    subprocess.run(command, check=True)  # noqa: S603
    return key


@pytest.fixture
def agent(lab: Lab, ssh: Path) -> Iterator[str]:
    """An agent of this machine with the key."""
    socket = f"{lab.folder}/agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)  # noqa: S603, S607
    lab.wait_for("the agent", Path(socket).is_socket)
    env = {**os.environ, "SSH_AUTH_SOCK": socket}
    subprocess.run(["ssh-add", "-q", str(ssh)], env=env, check=True)  # noqa: S603, S607
    yield socket
    process.kill()
    process.wait(30)


def test_the_agent_of_this_machine(lab: Lab, agent: str) -> None:
    """Commands list keys and have things signed, as another user too; they cannot take keys away."""
    ref = built(lab, "--ssh", "default", SSH_AUTH_SOCK=agent)
    told = lab.shell(ref, "cat /report/told").split()
    assert told == ["conveyor-test", "text.sig", "conveyor-test", "none"]


def test_keys(lab: Lab, ssh: Path) -> None:
    ref = built(lab, "--ssh", f"default={ssh}")
    assert lab.shell(ref, "cat /report/told").split()[:2] == ["conveyor-test", "text.sig"]
