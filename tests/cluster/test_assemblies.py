"""Blocks that only copy: made in the pod of their files, and the same as from a pod of their own."""

import io
import tarfile
from typing import Any

import pytest
from tests.cluster.builds import Build, image, stages, stages_of
from tests.cluster.harness import Harness, Project
from tests.cluster.registry import doubled, refs

META = "project: e2e\nconfigVersion: 1\n---\n"
WERF = META + "image: app\ndockerfile: Dockerfile\n"
SERVICE = """\
FROM debian:bookworm AS build
COPY src /src
RUN mkdir -p /out/etc/app /out/lib && cat /src/code /src/code > /out/service && chmod 4755 /out/service \\
 && ln -s service /out/alias && ln /out/service /out/lib/hard && chown -R 5:6 /out/etc \\
 && for name in $(cat /src/names); do echo "$name" > "/out/$name"; done
FROM debian:bookworm
ENV WHERE=bin
WORKDIR /srv/app
COPY --from=build /out/service /usr/local/$WHERE/
COPY --from=build --chown=1000:1000 --chmod=0750 /out/ .
COPY --from=build /out/service /bin/service
USER nobody
CMD ["cat", "/usr/local/bin/service"]
"""
LOOK = "cd / && find srv usr/local bin/service etc -newer /etc/debian_version | sort | xargs stat -c '%n %F %a %u:%g %s %h'"


def _jobs(build: Build) -> list[list[str]]:
    return sorted(map(stages_of, build.jobs()))


def _project(lab: Harness, dockerfile: str = SERVICE) -> Project:
    project = lab.git_project({"werf.yaml": WERF, "Dockerfile": dockerfile})
    project.change({"src/code": "one\n", "src/names": "etc/app/x\n"})
    return project


def _layers(lab: Harness, ref: str, count: int) -> list[list[tuple[Any, ...]]]:
    """The last layers: everything in them but times."""
    return [_members(lab.registry.blob(ref, one)) for one in lab.registry.layers(ref)[-count:]]


def _members(data: bytes) -> list[tuple[Any, ...]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return [
            (it.name, it.type, it.mode, it.uid, it.gid, it.linkname, _content(tar, it))
            for it in tar
        ]


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member) if member.isreg() else None
    return file.read() if file else b""


def test_the_last_block_needs_a_pod_once(lab: Harness) -> None:
    """The first build's pod records the outline; from then on the block is made where its files are."""
    project, repo = _project(lab), lab.new_repo()
    first = lab.build(project, repo=repo)
    first.wait_ready()
    jobs = [["COPY1", "dockerfile"], ["COPY3", "COPY4", "COPY5", "dockerfile"]]
    assert _jobs(first) == jobs
    assert sum(tag.startswith("outline-") for tag in lab.registry.tags(repo)) == 1

    project.change({"src/code": "two\n"})
    second = lab.build(project, repo=repo)
    status = second.wait_ready()
    ref = refs(status)["app"]
    assert _jobs(second) == [["COPY1", "dockerfile"]]
    assert stages(status, "app") == {"dockerfile (build)": "Built", "dockerfile": "Built"}
    assert lab.pods.run(ref) == "two\ntwo\n"
    told = [one["message"] for one in second.events() if one["reason"] == "StageBuilt"]
    assert {text.partition(":")[0] for text in told} == {
        "app/stage/build/dockerfile",
        "app/dockerfile",
    }

    alone = lab.build(project)
    other = refs(alone.wait_ready())["app"]
    assert len(_jobs(alone)) == 2
    assert _layers(lab, ref, 4) == _layers(lab, other, 4)
    configs = [dict(lab.config(one)) for one in (ref, other)]
    for config in configs:
        config["Labels"] = None  # they name other stages
    assert configs[0] == configs[1]
    assert doubled(lab.registry.stages(repo)) == []

    again = lab.build(project, repo=repo)
    assert refs(again.wait_ready())["app"] == ref
    assert _jobs(again) == []


UNTOLD = """\
FROM debian:bookworm AS build
COPY src /src
RUN mkdir -p "/out/$(cat /src/names)" && cp /src/code "/out/$(cat /src/names)/x"
FROM debian:bookworm
COPY --from=build /out /etc
"""


def test_what_the_outline_does_not_tell_takes_a_pod(lab: Harness) -> None:
    """Files for a directory that no build has looked into, or in place of a file: a pod places them, or says what is wrong."""
    project, repo = lab.git_project({"werf.yaml": WERF, "Dockerfile": UNTOLD}), lab.new_repo()
    for name, jobs in (("app", 2), ("app/two", 1), ("apt", 2), ("apt/two", 1)):
        project.change({"src/code": name, "src/names": name})
        build = lab.build(project, repo=repo)
        ref = refs(build.wait_ready())["app"]
        assert len(_jobs(build)) == jobs
        look = f"cat /etc/{name}/x; ls -d /etc/apt/sources.list.d"
        assert lab.pods.shell(ref, look) == f"{name}/etc/apt/sources.list.d\n"
    project.change({"src/names": "debian_version"})
    broken = lab.build(project, repo=repo)
    broken.wait_stalled("StageFailed")
    assert "cannot copy to non-directory: /etc/debian_version" in broken.story()


SCRATCH = """\
FROM debian:bookworm AS build
RUN mkdir /out && cp /bin/cat /out/ && mkdir -p /out/lib64 /out/lib/x86_64-linux-gnu \\
 && cp -L /lib64/ld-linux-x86-64.so.2 /out/lib64/ && cp -L /lib/x86_64-linux-gnu/libc.so.6 /out/lib/x86_64-linux-gnu/ \\
 && date +%s%N > /out/made
FROM scratch AS files
COPY --from=build /out /
FROM files
COPY --from=build /out/made /again
CMD ["/cat", "/made", "/again"]
"""


def test_upon_nothing_there_is_nothing_to_know(lab: Harness) -> None:
    build = lab.build(_project(lab, SCRATCH))
    ref = refs(build.wait_ready())["app"]
    made, again = lab.pods.run(ref).split()
    assert made == again
    assert ["dockerfile"] in _jobs(build)
    assert len(lab.registry.layers(ref)) == 2


BOTH = """\
FROM debian:bookworm AS build
RUN date +%s%N > /made
FROM scratch AS small
COPY --from=build /made /made
FROM debian:bookworm AS test
COPY --from=build /made /made
RUN cat /made > /tested
"""


def test_files_that_somebody_else_wants_as_well(lab: Harness) -> None:
    werf = META + "".join(
        f"image: {name}\ndockerfile: Dockerfile\ntarget: {name}\n---\n"
        for name in ("small", "test")
    )
    project = lab.git_project({"werf.yaml": werf.removesuffix("---\n"), "Dockerfile": BOTH})
    build = lab.build(project)
    found = refs(build.wait_ready())
    assert _jobs(build) == [["COPY1", "dockerfile"], ["dockerfile"]]
    (layer,) = lab.registry.layers(found["small"])
    ((name, *_, content),) = _members(lab.registry.blob(found["small"], layer))
    assert (name, content.decode()) == ("made", lab.pods.shell(found["test"], "cat /tested"))


SLOW = """\
FROM debian:bookworm AS build
RUN date +%s%N > /made
RUN sleep 6
FROM scratch
COPY --from=build /made /made
"""


@pytest.mark.kills
def test_killed_before_it_is_published(lab: Harness) -> None:
    build = lab.build(_project(lab, SLOW))
    build.wait_jobs()
    build.wait_for("the first line is stored", lambda _: lab.registry.stages(build.repo), 60)
    lab.operator.kill()
    status = build.wait_ready()
    assert _jobs(build) == [["RUN1", "dockerfile"]]
    (layer,) = lab.registry.layers(refs(status)["app"])
    assert [it[0] for it in _members(lab.registry.blob(refs(status)["app"], layer))] == ["made"]
    assert {row["state"] for row in image(status, "app")["stages"]} == {"Built"}
