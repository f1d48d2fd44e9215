"""`conveyor build` against a real Engine and a real registry."""

import json
import signal

import pytest
from tests.engine.conftest import PASSWORD, Lab, Result

WERF = """\
project: local
configVersion: 1
---
image: lib
from: BASE
shell:
  install: ["mkdir -p /made", "echo made > /made/file"]
---
image: app
from: BASE
git:
- {add: /src, to: /app, stageDependencies: {setup: [lock]}}
import:
- {image: lib, add: /made, to: /made, after: install}
shell:
  setup: ["cat /app/a /made/file > /both"]
---
image: site
dockerfile: Dockerfile
"""
DOCKERFILE = """\
FROM BASE AS one
RUN echo one > /one
FROM BASE AS unused
RUN exit 7
FROM BASE
COPY src /src
COPY --from=one /one /one
RUN cat /one /src/a > /two
ENV COLOUR=blue
"""
FILES = {"werf.yaml": WERF, "Dockerfile": DOCKERFILE, "src/a": "hello\n", "src/lock": "1\n"}
ONE = "project: one\nconfigVersion: 1\n---\nimage: app\nfrom: BASE\nshell:\n  install:\n  - {}\n"


def test_a_project_is_built_once(lab: Lab) -> None:
    """Stapel with git and an import, and a Dockerfile of which only the needed blocks run; then nothing is left to do."""
    lab.commit(FILES)
    first = lab.build("--json")
    assert first.code == 0, first.err
    assert set(first.states().values()) == {"Built"}
    refs = {image["name"]: image["ref"] for image in first.json()["images"]}
    assert lab.shell(refs["app"], "cat /both") == "hello\nmade\n"
    assert lab.shell(refs["site"], "cat /two; echo $COLOUR") == "one\nhello\nblue\n"
    assert lab.left() == []

    again = lab.build("--json")
    assert again.code == 0, again.err
    assert set(again.states().values()) == {"Cached"}
    assert refs == {image["name"]: image["ref"] for image in again.json()["images"]}


def test_a_changed_file_is_a_patch(lab: Lab) -> None:
    lab.commit(FILES)
    assert lab.build("--image", "app").code == 0
    lab.commit({"src/a": "changed\n"})
    second = lab.build("--image", "app", "--json")
    assert second.code == 0, second.err
    built = {name for name, state in second.states().items() if state == "Built"}
    assert built == {"app/gitLatestPatch"}
    ref = next(it["ref"] for it in second.json()["images"] if it["name"] == "app")
    assert lab.shell(ref, "cat /app/a") == "changed\n"


def test_digests_are_those_of_the_plan(lab: Lab) -> None:
    """So what is built here serves whoever plans the same: `conveyor plan` has the operator's planner."""
    lab.commit(FILES)
    built = lab.build("--image", "app", "--json").json()
    planned = lab.conveyor("plan", "--image", "app", "--json").json()
    own = {stage["name"]: stage["digest"] for stage in _image(built, "app")["stages"]}
    for stage in _image(planned, "app")["stages"]:
        if stage["digest"]:
            assert stage["digest"].startswith(own[stage["name"]])


def test_progress_is_a_line_for_each_stage(lab: Lab) -> None:
    lab.commit({"werf.yaml": ONE.format('"true"')})
    built = lab.build()
    lines = built.err.splitlines()
    assert lines[1] == "Set #0: app"
    assert "▶ [2/2] app/install  building" in lines
    assert any(line.startswith("✔ [2/2] app/install  built in ") for line in lines)
    assert built.out.startswith(f"app {lab.repo}@sha256:")
    assert "● [2/2] app/install  cached" in lab.build().err.splitlines()


def test_what_commands_write_is_told(lab: Lab) -> None:
    lab.commit({"werf.yaml": ONE.format('"echo one; echo two >&2; printf three"')})
    lines = [line for line in lab.build().err.splitlines() if " | " in line]
    label = "[2/2] app/install | "
    assert sorted(lines) == sorted(label + word for word in ("one", "two", "three"))
    lab.commit({"werf.yaml": ONE.format('"echo other"')})
    assert "other" not in lab.build("--quiet").err


def test_a_failing_command(lab: Lab) -> None:
    lab.commit({"werf.yaml": ONE.format('"echo some output; exit 3"')})
    failed = lab.build("--json")
    assert failed.code == 1
    failure = failed.json()["failure"]
    assert (failure["reason"], failure["exitCode"]) == ("StageFailed", 3)
    assert "  | some output" in failed.err.splitlines()
    assert "  exit code: 3" in failed.err.splitlines()
    assert lab.left() == []


@pytest.mark.parametrize(
    ("files", "arguments", "told"),
    [
        ({"a": "b"}, (), "there is no werf.yaml"),
        ({"werf.yaml": "project: x\n"}, (), "configVersion"),
        ({"werf.yaml": ONE.format("a")}, ("--repo", "app"), "repo"),
        ({"werf.yaml": ONE.format("a")}, ("--commit", "nowhere"), "nowhere"),
        ({"werf.yaml": ONE.format("a")}, ("--image", "other"), "other"),
        ({"werf.yaml": ONE.format("a")}, ("--stage-timeout", "soon"), "--stage-timeout"),
        ({"werf.yaml": ONE.format("a")}, ("--conveyor-image", "no-such-image:1"), "no-such-image"),
        (
            {
                "werf.yaml": ONE.format("a") + "mount:\n- {fromPath: /srv/x, to: /x}\n",
                "werf-giterminism.yaml": "giterminismConfigVersion: 1\nconfig: {stapel: {mount: "
                "{allowFromPaths: [/srv/x]}}}\n",
            },
            (),
            "is a directory that no stage can see",
        ),
    ],
)
def test_what_somebody_has_to_change(
    lab: Lab, files: dict[str, str], arguments: tuple[str, ...], told: str
) -> None:
    lab.commit(files)
    refused = lab.build(*arguments)
    assert refused.code == 2, refused.err
    assert told in refused.err
    assert "Traceback" not in refused.err
    assert lab.left() == []


def test_no_engine(lab: Lab) -> None:
    lab.commit({"werf.yaml": ONE.format("a")})
    refused = lab.build("--docker-host", f"unix://{lab.folder}/none.sock")
    assert refused.code == 1
    assert "does not answer" in refused.err


def test_an_interrupted_build_leaves_nothing(lab: Lab) -> None:
    lab.commit({"werf.yaml": ONE.format('"sleep 600"')})
    process = lab.start()
    lab.wait_for("a running stage", lab.stages)
    process.send_signal(signal.SIGINT)
    ended = lab.result(process)
    assert ended.code == 130, ended.err
    assert "interrupted" in ended.err
    assert lab.left() == []


def test_what_a_killed_build_left_is_removed_by_the_next(lab: Lab) -> None:
    lab.commit({"werf.yaml": ONE.format('"sleep 600"')})
    process = lab.start()
    lab.wait_for("a running stage", lab.stages)
    process.kill()
    process.wait(30)
    old = set(lab.left())
    assert old
    lab.commit({"werf.yaml": ONE.format('"true"')})
    assert lab.build().code == 0
    assert lab.left() == []


def test_two_builds_at_once_build_a_stage_once(lab: Lab) -> None:
    """The second finds the first's Job and waits for it, as two ImageBuilds of a namespace do."""
    lab.commit({"werf.yaml": ONE.format('"sleep 5; cat /dev/urandom | head -c 20 > /x"')})
    both = [lab.start("--json"), lab.start("--json")]
    results = [lab.result(process) for process in both]
    assert [result.code for result in results] == [0, 0], results
    refs = {_image(result.json(), "app")["ref"] for result in results}
    assert len(refs) == 1
    assert lab.left() == []


def test_a_living_build_is_left_alone(lab: Lab) -> None:
    """A build that begins removes what is dead, not what somebody else is at."""
    lab.commit({"werf.yaml": ONE.format('"sleep 20"')})
    first = lab.start()
    lab.wait_for("a running stage", lab.stages)
    running = [it.id for it in lab.stages()]
    lab.commit({"werf.yaml": ONE.format('"true"')})
    assert lab.build().code == 0
    assert [it.id for it in lab.stages()] == running
    assert lab.result(first).code == 0
    assert lab.left() == []


def test_a_stage_container_has_no_login_and_no_socket(lab: Lab, docker_login: str) -> None:
    """The repository wants a password: the courier and the Engine have it, the stage container does not."""
    lab.repo = f"{docker_login}/private"
    lab.commit({"werf.yaml": ONE.format('"sleep 8"')})
    process = lab.start()
    lab.wait_for("a running stage", lab.stages)
    (stage,) = lab.stages()
    seen = stage.attrs
    mounts = {it["Destination"]: it["Type"] for it in seen["Mounts"]}
    assert mounts == {"/.conveyor-io": "volume"}
    assert not seen["HostConfig"]["Privileged"]
    assert not seen["HostConfig"]["CapAdd"]
    assert seen["HostConfig"]["NetworkMode"] != "host"
    assert PASSWORD not in json.dumps(seen)
    code, found = stage.exec_run(["/bin/sh", "-c", "ls /.conveyor-secrets /var/run/docker.sock"])
    assert code != 0, found
    done = lab.result(process)
    assert done.code == 0, done.err
    assert PASSWORD not in done.err + done.out
    lab.client.images.list(lab.repo)


def test_a_wrong_login(lab: Lab, docker_login: str) -> None:
    lab.repo = f"{docker_login}/private"
    (lab.folder / "docker/config.json").write_text("{}")
    lab.commit({"werf.yaml": ONE.format("a")})
    refused = lab.build()
    assert refused.code == 2, refused.err
    assert "RegistryDenied" in refused.err


def test_a_remote_repository_from_a_clone(lab: Lab) -> None:
    """Its commits are handed over like the project's own."""
    other = lab.folder / "other"
    other.mkdir()
    git = ["-C", str(other)]
    lab.commit({"werf.yaml": ONE.format("a")})
    lab.git(*git, "init", "-q", "-b", "main")
    (other / "file").write_text("of another repository\n")
    lab.git(*git, "add", "--all")
    lab.git(*git, "-c", "user.name=t", "-c", "user.email=t@e", "commit", "-qm", "c")
    url = "https://git.example.invalid/team/other.git"
    mapping = f"git:\n- {{url: {url}, branch: main, add: /file, to: /there}}\n"
    allowed = "giterminismConfigVersion: 1\nconfig: {stapel: {git: {allowBranch: true}}}\n"
    config = ONE.format('"cat /there > /copy"') + mapping
    lab.commit({"werf.yaml": config, "werf-giterminism.yaml": allowed})
    built = lab.build("--json", "--remote", f"{url}={other}")
    assert built.code == 0, built.err
    ref = _image(built.json(), "app")["ref"]
    assert lab.shell(ref, "cat /copy") == "of another repository\n"


def _image(document: dict[str, object], name: str) -> dict[str, object]:
    images = document["images"]
    assert isinstance(images, list)
    found: dict[str, object] = next(it for it in images if it["name"] == name)
    return found


SERVICE = """\
FROM BASE AS build
COPY src /src
RUN cat /src/a /src/lock > /service
FROM BASE
COPY --from=build /service /usr/local/bin/service
CMD ["cat", "/usr/local/bin/service"]
"""


def _containers_of(lab: Lab, *arguments: str) -> tuple[Result, int]:
    """Build; also how many containers were made for it."""
    since = lab.client.info()["SystemTime"]
    built = lab.build(*arguments)
    assert built.code == 0, built.err
    wanted = {"type": "container", "event": "create"}
    found = lab.client.events(
        since=since, until=lab.client.info()["SystemTime"], filters=wanted, decode=True
    )
    return built, len(list(found))


def test_a_block_that_only_copies_is_made_where_its_files_are(lab: Lab) -> None:
    """The first time it has containers of its own, which tell what has to be known of its base."""
    werf = "project: one\nconfigVersion: 1\n---\nimage: app\ndockerfile: Dockerfile\n"
    lab.commit({**FILES, "werf.yaml": werf, "Dockerfile": SERVICE})
    _, first = _containers_of(lab)
    lab.commit({"src/a": "changed\n"})
    built, second = _containers_of(lab, "--json")
    assert (set(built.states().values()), second) == ({"Built"}, first // 2)
    (image,) = built.json()["images"]
    assert lab.shell(image["ref"], "cat /usr/local/bin/service") == "changed\n1\n"
