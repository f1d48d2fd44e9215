"""Dockerfile images, seen from inside the built image."""

import pytest
from tests.cluster.builds import IMAGE_PER_JOB, STAGE_PER_JOB, image
from tests.cluster.harness import Harness
from tests.cluster.projects import SEED, Content, Executable, Link
from tests.cluster.registry import refs

META = "project: e2e\nconfigVersion: 1\n---\n"

SINGLE = r"""# a comment
ARG SUITE=stretch
ARG FLAVOUR=plain
FROM debian:${SUITE} AS whole
ARG FLAVOUR
ARG UNSET
ARG LOCAL=local
ENV A=1 B="two words"
ENV C=$A-${B} D=${LOCAL:-none}
RUN echo "$A|$B|$C|$D|$FLAVOUR|${UNSET:-unset}|${SUITE:-out of scope}" > /env && \
    echo "$PWD $(id -u)" >> /env
RUN ["/bin/sh", "-c", "echo exec $A >> /env"]
WORKDIR /srv
WORKDIR app
RUN pwd >> /env
COPY . .
COPY a.txt deep/b.txt /many/
COPY --chown=www-data:1234 a.txt /owned
COPY *.conf /etc/conf.d/
COPY deep /tree
USER games
RUN id -un > /tmp/who && (echo x > /forbidden) 2>/dev/null || true
USER 1000:33
RUN echo "$(id -u):$(id -g)" > /tmp/who2
LABEL one=1 two="two words"
EXPOSE 80 53/udp
VOLUME ["/data", "/more"]
STOPSIGNAL SIGINT
ENTRYPOINT ["/bin/sh", "-c"]
CMD ["echo $C in $PWD as $(id -u)"]
"""

CONTEXT: dict[str, Content] = {
    "ctx/Dockerfile": SINGLE,
    "ctx/.dockerignore": "# comment\n*.log\n**/*.tmp\nignored\n!ignored/kept\n.dockerignore\nDockerfile\n",
    "ctx/a.txt": "a\n",
    "ctx/one.conf": "1\n",
    "ctx/two.conf": "2\n",
    "ctx/app.log": "no\n",
    "ctx/deep/b.txt": "b\n",
    "ctx/deep/x.tmp": "no\n",
    "ctx/deep/run": Executable("#!/bin/sh\necho run\n"),
    "ctx/deep/link": Link("b.txt"),
    "ctx/ignored/gone": "no\n",
    "ctx/ignored/kept": "kept\n",
    "outside": "no\n",
    "werf.yaml": META
    + "image: whole\ndockerfile: Dockerfile\ncontext: ctx\nargs: {SUITE: bookworm, FLAVOUR: spicy}\n",
}

# werf: the Dockerfile itself is part of the context whatever .dockerignore says.
LOOK = r"""
cat /env /tmp/who /tmp/who2
echo "cwd=$PWD uid=$(id -u)"
test ! -e /forbidden
find /srv /many /owned /etc/conf.d /tree -exec stat -c '%n %F %a %u:%g' {} + | LC_ALL=C sort
/tree/run; cat /tree/link
"""

SEEN = """\
1|two words|1-two words|local|spicy|unset|out of scope
/ 0
exec 1
/srv/app
games
1000:33
cwd=/srv/app uid=1000
/etc/conf.d directory 755 0:0
/etc/conf.d/one.conf regular file 644 0:0
/etc/conf.d/two.conf regular file 644 0:0
/many directory 755 0:0
/many/a.txt regular file 644 0:0
/many/b.txt regular file 644 0:0
/owned regular file 644 33:1234
/srv directory 755 0:0
/srv/app directory 755 0:0
/srv/app/Dockerfile regular file 644 0:0
/srv/app/a.txt regular file 644 0:0
/srv/app/deep directory 775 0:0
/srv/app/deep/b.txt regular file 644 0:0
/srv/app/deep/link symbolic link 777 0:0
/srv/app/deep/run regular file 755 0:0
/srv/app/ignored directory 775 0:0
/srv/app/ignored/kept regular file 644 0:0
/srv/app/one.conf regular file 644 0:0
/srv/app/two.conf regular file 644 0:0
/tree directory 755 0:0
/tree/b.txt regular file 644 0:0
/tree/link symbolic link 777 0:0
/tree/run regular file 755 0:0
run
b
"""


@pytest.mark.parametrize("execution", [STAGE_PER_JOB, IMAGE_PER_JOB])
def test_single_stage(lab: Harness, execution: str) -> None:
    status = lab.build(lab.git_project(CONTEXT), execution=execution).wait_ready()
    ref = refs(status)["whole"]
    assert lab.pods.shell(ref, LOOK) == SEEN
    assert lab.pods.run(ref) == "1-two words in /srv/app as 1000\n"
    config = lab.registry.config(ref)["config"]
    env = dict(line.split("=", 1) for line in config["Env"])
    assert (env["A"], env["B"], env["C"], env["D"]) == ("1", "two words", "1-two words", "local")
    assert not {"FLAVOUR", "SUITE", "LOCAL"} & set(env)
    labels = config["Labels"]
    assert (labels["one"], labels["two"], labels["werf"]) == ("1", "two words", "e2e")
    assert set(config["ExposedPorts"]) == {"80/tcp", "53/udp"}
    assert set(config["Volumes"]) == {"/data", "/more"}
    assert (config["User"], config["WorkingDir"]) == ("1000:33", "/srv/app")
    assert config["Entrypoint"] == ["/bin/sh", "-c"]
    assert config["Cmd"] == ["echo $C in $PWD as $(id -u)"]


MULTI = """\
FROM debian:bookworm AS base
RUN echo base > /base
FROM base AS builder
RUN mkdir -p /out/sub && echo built > /out/file && echo sub > /out/sub/file && chmod 0600 /out/file && \
    chown 5:6 /out/sub/file
FROM base AS unneeded
RUN echo "this must never run" && exit 1
FROM builder AS more
RUN echo more > /out/more
FROM debian:bookworm
COPY --from=builder /out /from-builder
COPY --from=more --chown=33:33 /out/more /out/sub /picked/
COPY --from=0 /base /by-index
COPY --from=debian:bookworm /etc/debian_version /external
RUN test ! -e /base
CMD ["cat", "/by-index"]
"""

MULTI_SEEN = """\
/by-index regular file 644 0:0
/from-builder directory 755 0:0
/from-builder/file regular file 600 0:0
/from-builder/sub directory 755 0:0
/from-builder/sub/file regular file 644 5:6
/picked directory 755 33:33
/picked/file regular file 644 33:33
/picked/more regular file 644 33:33
"""


@pytest.mark.parametrize("execution", [STAGE_PER_JOB, IMAGE_PER_JOB])
def test_multi_stage(lab: Harness, execution: str) -> None:
    """Files of other blocks arrive as Docker copies them; a block that nothing needs is not built."""
    project = lab.git_project(
        {"werf.yaml": META + "image: multi\ndockerfile: Dockerfile\n", "Dockerfile": MULTI}
    )
    build = lab.build(project, execution=execution)
    ref = refs(build.wait_ready())["multi"]
    look = (
        "find /by-index /from-builder /picked -exec stat -c '%n %F %a %u:%g' {} + | LC_ALL=C sort"
    )
    assert lab.pods.shell(ref, look) == MULTI_SEEN
    assert lab.pods.run(ref) == "base\n"
    assert lab.pods.shell(ref, "cmp /external /etc/debian_version && echo same") == "same\n"


def test_seed_builds_only_what_the_target_needs(lab: Harness) -> None:
    """The seed of the project: for target stage2 the block stage1 is not built, and `echo` adds no layer."""
    project = lab.git_project(
        {
            "werf.yaml": META + "image: seed\ndockerfile: Dockerfile\ntarget: stage2\n",
            "Dockerfile": SEED,
        }
    )
    build = lab.build(project)
    status = build.wait_ready()
    names = [stage["name"] for stage in image(status, "seed")["stages"]]
    assert not [name for name in names if "stage1" in name]
    said = build.logs()
    assert sum("base" in log for log in said) == 1
    assert sum("stage2" in log for log in said) == 1
    assert not [log for log in said if "stage1" in log]
    base = lab.registry.layers(f"{lab.at.registry}/library/ubuntu:latest")
    assert len(lab.registry.layers(refs(status)["seed"])) == len(base)


def test_targets(lab: Harness) -> None:
    """Two images of one Dockerfile with different targets."""
    dockerfile = """\
FROM debian:bookworm AS one
RUN echo one > /one
FROM one AS two
RUN cat /one > /two && echo two >> /two
FROM two AS three
RUN exit 1
"""
    werf = META + "image: first\ndockerfile: Dockerfile\ntarget: one\n---\n"
    werf += "image: second\ndockerfile: Dockerfile\ntarget: two\n"
    project = lab.git_project({"werf.yaml": werf, "Dockerfile": dockerfile})
    found = refs(lab.build(project).wait_ready())
    assert lab.pods.shell(found["first"], "cat /one; test ! -e /two") == "one\n"
    assert lab.pods.shell(found["second"], "cat /two") == "one\ntwo\n"


def test_context_is_the_commit(lab: Harness) -> None:
    """A changed file that is not ignored makes another image; an ignored one does not."""
    files: dict[str, Content] = {
        "werf.yaml": META + "image: ctx\ndockerfile: Dockerfile\n",
        "Dockerfile": "FROM debian:bookworm\nCOPY . /all\n",
        ".dockerignore": "werf.yaml\n*.md\n",
        "code": "1\n",
        "notes.md": "1\n",
    }
    project, repo = lab.git_project(files), lab.new_repo()
    first = lab.build(project, repo=repo).wait_ready()
    project.change({"notes.md": "2\n"})
    ignored = lab.build(project, repo=repo)
    assert refs(ignored.wait_ready()) == refs(first)
    assert ignored.jobs() == []
    project.change({"code": "2\n"})
    changed = refs(lab.build(project, repo=repo).wait_ready())
    assert (
        lab.pods.shell(changed["ctx"], "ls -A /all; cat /all/code")
        == ".dockerignore\nDockerfile\ncode\n2\n"
    )
