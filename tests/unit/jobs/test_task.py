"""Job orders to the two task texts."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, union-attr, arg-type, var-annotated"

import base64
import json
import zlib
from dataclasses import replace

import pytest
from tests.unit.jobs.values import (
    EXTERNAL,
    cached,
    copying,
    image,
    importing,
    layer,
    plan,
    sha,
    to_build,
)

from conveyor.api.errors import UserError
from conveyor.api.v1alpha1 import LocalRef
from conveyor.config.dockerfile import Heredoc, Instruction
from conveyor.config.model import GitMapping, GitRemote
from conveyor.jobs import exports
from conveyor.jobs.model import Bundle, Export, JobOrder, ParentImage
from conveyor.jobs.repositories import Repository
from conveyor.jobs.task import Surroundings, tasks
from conveyor.plan.model import BlockStep, CopySource, DockerfileBlock, StageWork
from conveyor.plan.model_sources import GitArchive, GitPatch

OLD, NEW = "a" * 40, "b" * 40
PARENT = ParentImage(
    manifest_digest=sha("parent"),
    config={"config": {"Env": ["PATH=/bin", "LANG=C"], "WorkingDir": "/srv", "User": "app"}},
    layers=(),
)
OWN = Repository(name="own", url="https://git.example/app.git")
AROUND = Surroundings(repo="registry.example/shop", git=(OWN,))
MAPPING = GitMapping(
    add="src", to="/app", include_paths=("a", "b"), exclude_paths=("c",), owner="app", group="www"
)
FILE = GitMapping(add="conf/app.yaml", to="/etc/app/config.yaml")


def read(text):
    """A task text, unpacked."""
    if text.startswith("z:"):
        text = zlib.decompress(base64.b64decode(text[2:])).decode()
    return json.loads(text)


def written(
    *works, around=AROUND, planned=None, bundles=None, wanted=(), base=EXTERNAL, parent=None
):
    """(stage task, courier task) of a Job with these works as its stages."""
    stages = tuple(
        to_build(f"app/s{number}", work=work, base=base) for number, work in enumerate(works)
    )
    order = JobOrder(
        image="app",
        stages=stages,
        parent=parent or PARENT,
        execution="registry.example/shop@sha256:1",
        exports=tuple(wanted),
        bundles=bundles or {},
    )
    planned = planned or plan(*([image(*stages)] if stages else []))
    told = tasks(order, planned, around)
    return read(told.stage), read(told.courier)


def only_step(stage):
    ((step,),) = [layer_["steps"] for layer_ in stage["runs"][0]["layers"]]
    return step


# --- stapel -----------------------------------------------------------------------------------------------------------


def test_an_archive():
    stage, courier = written(StageWork(archives=(GitArchive(mapping=MAPPING, commit=NEW),)))
    assert only_step(stage) == {
        "op": "unpack",
        "file": "in/0.tar",
        "to": "/app",
        "owner": "app",
        "group": "www",
    }
    assert courier["inputs"] == [
        {
            "run": 0,
            "kind": "gitArchive",
            "file": "in/0.tar",
            "repository": 0,
            "commit": NEW,
            "toName": None,
            "add": "src",
            "includePaths": ["a", "b"],
            "excludePaths": ["c"],
        }
    ]


@pytest.mark.parametrize(
    ("to", "folder", "name"),
    [("/etc/app/config.yaml", "/etc/app", "config.yaml"), ("/config.yaml", "/", "config.yaml")],
)
def test_an_archive_of_a_single_file(to, folder, name):
    mapping = GitMapping(add="conf/app.yaml", to=to)
    archive = GitArchive(mapping=mapping, commit=NEW, single=True)
    stage, courier = written(StageWork(archives=(archive,)))
    assert only_step(stage)["to"] == folder
    assert courier["inputs"][0]["toName"] == name


def test_tasks_of_ansible():
    stage, courier = written(StageWork(tasks=('{"command":"a"}', '{"debug":{"msg":"\\u003c"}}')))
    expected = [{"command": "a"}, {"debug": {"msg": "<"}}]
    assert only_step(stage) == {"op": "ansible", "tasks": expected}
    assert courier["inputs"] == []


def test_a_patch():
    patch = GitPatch(mapping=MAPPING, from_commit=OLD, commit=NEW)
    stage, courier = written(StageWork(patches=(patch,)))
    step = only_step(stage)
    assert (step["op"], step["file"], step["deletesFile"], step["to"]) == (
        "patch",
        "in/0.tar",
        "in/0.tar.deletes",
        "/app",
    )
    (asked,) = courier["inputs"]
    assert (asked["kind"], asked["from"], asked["commit"], asked["toName"]) == (
        "gitPatch",
        OLD,
        NEW,
        None,
    )


def test_a_patch_of_a_single_file():
    patch = GitPatch(mapping=FILE, from_commit=OLD, commit=NEW, single=True)
    stage, courier = written(StageWork(patches=(patch,)))
    assert only_step(stage)["to"] == "/etc/app"
    assert courier["inputs"][0]["toName"] == "config.yaml"


def test_a_patch_between_equal_commits_is_nothing_to_do():
    patch = GitPatch(mapping=MAPPING, from_commit=NEW, commit=NEW)
    stage, courier = written(StageWork(patches=(patch,), commands=("true",)))
    assert only_step(stage)["op"] == "script"
    assert courier["inputs"] == []


def test_every_mapping_names_its_repository():
    url = "https://git.example/lib.git"
    lib = GitMapping(name="x/lib", to="/lib", remote=GitRemote(url=url, tag="v1"))
    work = StageWork(
        archives=(GitArchive(mapping=MAPPING, commit=NEW), GitArchive(mapping=lib, commit=OLD)),
        patches=(GitPatch(mapping=lib, from_commit=OLD, commit=NEW),),
    )
    around = replace(AROUND, git=(OWN, Repository(name=url, url=url)))
    _, courier = written(work, around=around)
    assert [(it["repository"], it["commit"]) for it in courier["inputs"]] == [
        (0, NEW),
        (1, OLD),
        (1, NEW),
    ]
    assert courier["git"][1] == {"url": url, "credentials": None}


def test_an_import():
    planned_import = importing("tools")
    key = f"import-metadata-{planned_import.source_id}"
    stage, courier = written(
        StageWork(imports=(planned_import,)), bundles={key: Bundle(layer=layer("files"))}
    )
    assert only_step(stage) == {
        "op": "import",
        "file": "in/0.tar",
        "to": "/opt/bin",
        "owner": "",
        "group": "",
    }
    assert courier["inputs"] == [
        {
            "run": 0,
            "kind": "blob",
            "file": "in/0.tar",
            "digest": layer("files").digest,
            "size": layer("files").size,
            "gzip": True,
        }
    ]


def test_everything_of_a_stage_in_order():
    first, second = importing("tools"), importing("more", source_id="cd" * 32)
    bundles = {
        f"import-metadata-{one.source_id}": Bundle(layer=layer(one.source))
        for one in (first, second)
    }
    work = StageWork(
        archives=(GitArchive(mapping=MAPPING, commit=NEW),),
        patches=(GitPatch(mapping=FILE, from_commit=OLD, commit=NEW),),
        imports=(first, second),
        commands=("make", "make install"),
    )
    stage, courier = written(work, bundles=bundles)
    steps = stage["runs"][0]["layers"][0]["steps"]
    assert [step["op"] for step in steps] == ["unpack", "patch", "import", "import", "script"]
    assert [step.get("file") for step in steps[:4]] == [one["file"] for one in courier["inputs"]]
    assert [one.get("digest") for one in courier["inputs"]][2:] == [
        layer("tools").digest,
        layer("more").digest,
    ]
    assert steps[-1] == {"op": "script", "commands": ["make", "make install"]}


def test_several_stages_are_runs_and_number_their_inputs_on():
    one = StageWork(archives=(GitArchive(mapping=MAPPING, commit=NEW),))
    two = StageWork(patches=(GitPatch(mapping=MAPPING, from_commit=OLD, commit=NEW),))
    stage, courier = written(one, two)
    assert len(stage["runs"]) == courier["runs"] == 2
    assert [(x["run"], x["file"]) for x in courier["inputs"]] == [(0, "in/0.tar"), (1, "in/1.tar")]


# --- Dockerfile -------------------------------------------------------------------------------------------------------


def step(keyword, *args, flags=(), json=False, env=None):
    instruction = Instruction(
        keyword=keyword, args=args, flags=flags, json=json, original=f"{keyword} {' '.join(args)}"
    )
    return BlockStep(instruction=instruction, env=env or {})


def block(*steps, **fields):
    return StageWork(
        block=DockerfileBlock(
            steps=steps,
            **{
                "context": "services/web",
                "dockerfile": "Dockerfile",
                "dockerignore": "",
                "commit": NEW,
                **fields,
            },
        )
    )


def test_run_has_the_environment_user_and_directory_of_its_place():
    stage, courier = written(
        block(
            step("ENV", "LANG", "de"),
            step("RUN", "make", env={"VERSION": "1"}),
            step("USER", "www"),
            step("WORKDIR", "web"),
            step("SHELL", "/bin/bash", "-ec"),
            step("RUN", "make install"),
            step("RUN", "/bin/tool", "-x", json=True),
            step("CMD", "web"),
        )
    )
    (first,), (folder,), (second,), (third,) = [one["steps"] for one in stage["runs"][0]["layers"]]
    assert first == {
        "op": "exec",
        "argv": ["/bin/sh", "-c", "make"],
        "env": {"PATH": "/bin", "LANG": "de", "VERSION": "1"},
        "user": "app",
        "workdir": "/srv",
    }
    assert folder == {"op": "mkdir", "path": "/srv/web", "mode": 0o755, "user": "www"}
    assert second["argv"] == ["/bin/bash", "-ec", "make install"]
    assert (second["user"], second["workdir"]) == ("www", "/srv/web")
    assert second["env"] == {"PATH": "/bin", "LANG": "de"}
    assert third["argv"] == ["/bin/tool", "-x"]
    assert courier["inputs"] == []


def test_a_run_without_network_says_so():
    stage, _ = written(
        block(
            step("RUN", "one", flags=("--network=none",)),
            step("RUN", "two", flags=("--network=default", "--security=sandbox")),
        )
    )
    first, second = (one["steps"][0] for one in stage["runs"][0]["layers"])
    assert (first["network"], "network" in second) == ("none", False)


def test_a_later_slice_of_a_job_finds_what_earlier_ones_have_set():
    stage, _ = written(
        block(step("ENV", "LANG", "de"), step("USER", "www"), step("RUN", "one")),
        block(step("WORKDIR", "web"), step("SHELL", "/bin/bash", "-ec"), step("COPY", "a", "b")),
        block(step("RUN", "two")),
    )
    ((folder,), (copy,)) = [one["steps"] for one in stage["runs"][1]["layers"]]
    ((run,),) = [one["steps"] for one in stage["runs"][2]["layers"]]
    assert (folder["path"], copy["workdir"]) == ("/srv/web", "/srv/web")
    assert run["argv"] == ["/bin/bash", "-ec", "two"]
    assert (run["user"], run["workdir"]) == ("www", "/srv/web")
    assert run["env"] == {"PATH": "/bin", "LANG": "de"}


def test_a_block_finds_what_the_block_before_it_in_the_job_has_set():
    """And the ONBUILD of that is over with its FROM."""
    stage, _ = written(
        block(
            step("FROM", "debian"),
            step("ENV", "LANG", "de"),
            step("USER", "www"),
            step("WORKDIR", "web"),
            step("SHELL", "/bin/bash", "-ec"),
            step("ONBUILD", "RUN trigger"),
            step("VOLUME", "/data"),
            step("RUN", "one", env={"LEVEL": "1"}),
        ),
        block(step("FROM", "base", "RUN trigger"), step("RUN", "trigger"), step("RUN", "two")),
        block(step("FROM", "next"), step("RUN", "three")),
    )
    runs = [[layer_["steps"][0] for layer_ in run["layers"]] for run in stage["runs"]]
    trigger, two = runs[1]
    assert trigger == {**two, "argv": ["/bin/bash", "-ec", "trigger"]}
    assert two == {
        "op": "exec",
        "argv": ["/bin/bash", "-ec", "two"],
        "env": {"PATH": "/bin", "LANG": "de"},
        "user": "www",
        "workdir": "/srv/web",
    }
    assert runs[2] == [{**two, "argv": ["/bin/bash", "-ec", "three"]}]


def test_copy_takes_files_of_the_context():
    stage, courier = written(
        block(
            step("COPY", "a*", "b/", "dest/", flags=("--chown=www:www", "--chmod=640")),
            step("ADD", "c.tar", "/x"),
            dockerignore="*.md",
        )
    )
    (first,), (second,) = [one["steps"] for one in stage["runs"][0]["layers"]]
    assert first == {
        "op": "copy",
        "file": "in/0.tar",
        "sources": [{"pattern": "a*", "entries": "0"}, {"pattern": "b/", "entries": "1"}],
        "keepOwner": False,
        "dest": "dest/",
        "chown": "www:www",
        "chmod": "640",
        "workdir": "/srv",
    }
    assert (second["file"], second["chown"], second["chmod"]) == ("in/1.tar", "", "")
    assert courier["inputs"][0] == {
        "run": 0,
        "kind": "context",
        "file": "in/0.tar",
        "repository": 0,
        "commit": NEW,
        "context": "services/web",
        "dockerignore": "*.md",
        "dockerfile": "Dockerfile",
        "sources": ["a*", "b/"],
    }
    assert courier["inputs"][1]["sources"] == ["c.tar"]


def test_copy_tells_both_programs_what_its_flags_mean():
    flags = ("--link", "--parents", "--exclude=*.md", "--exclude=!a.md", "--chown=1")
    copy = step("COPY", "a/./b*", "c", "/d/", flags=flags)
    stage, courier = written(block(copy))
    assert only_step(stage)["link"] is True
    assert courier["inputs"][0]["exclude"] == [[False, "[^/]*\\.md"], [True, "a\\.md"]]
    assert courier["inputs"][0]["parents"] == [
        {"base": "a", "include": [[False, "b[^/]*"]], "required": None},
        {"base": "/", "include": [[False, "c"]], "required": "c"},
    ]


def test_link_with_a_mode_is_an_ordinary_copy():
    stage, _ = written(block(step("COPY", "a", "/d", flags=("--link", "--chmod=u=rX"))))
    assert "link" not in only_step(stage)
    assert only_step(stage)["chmodChanges"] == [
        {"op": "-", "bits": 0o4700, "to": "", "how": ""},
        {"op": "+", "bits": 0o400, "to": "", "how": ""},
        {"op": "X", "bits": 0o100, "to": "", "how": ""},
    ]


@pytest.mark.parametrize(
    ("keyword", "flags", "unpacks"),
    [
        ("ADD", (), True),
        ("ADD", ("--unpack",), True),
        ("ADD", ("--unpack=false",), False),
        ("COPY", (), False),
    ],
)
def test_who_unpacks_archives(keyword, flags, unpacks):
    stage, courier = written(block(step(keyword, "a.tar", "/d", flags=flags)))
    assert only_step(stage).get("unpack", False) is unpacks
    assert courier["inputs"][0].get("unpack", False) is unpacks


def test_here_documents_need_no_courier():
    docs = (Heredoc(name="EOF", content="text"),)
    copy = replace(
        step("COPY", "/d"), instruction=replace(step("COPY", "/d").instruction, heredocs=docs)
    )
    script = step("RUN", "/dev/pipes/EOF")
    script = replace(script, instruction=replace(script.instruction, heredocs=docs))
    stage, courier = written(block(copy, script))
    (first,), (second,) = [one["steps"] for one in stage["runs"][0]["layers"]]
    assert first["texts"] == second["scripts"] == [{"name": "EOF", "text": "text"}]
    assert "file" not in first
    assert courier["inputs"] == []


def test_bundles_differ_by_what_is_left_out():
    def key(*flags):
        work = block(
            replace(step("COPY", "/a", "/b", flags=flags), source=CopySource(image="tools"))
        )
        target = image(to_build("app/s0", work=work, base=EXTERNAL))
        planned = plan(image(cached("tools/from", "debian", base=EXTERNAL)), target)
        (export,) = exports.exports_of(target.stages[0], planned)
        return export.key

    assert key("--chown=1", "--link") == key()
    assert len({key(), key("--parents"), key("--exclude=x"), key("--exclude=y")}) == 4


def test_copy_from_another_image_takes_its_bundle():
    work = copying("tools")
    source = image(cached("tools/from", "debian", base=EXTERNAL))
    target = image(to_build("app/s0", work=work, base=EXTERNAL))
    planned = plan(source, target)
    (export,) = exports.exports_of(target.stages[0], planned)
    bundles = {export.key: Bundle(layer=layer("files"))}
    stage, courier = written(work, planned=planned, bundles=bundles)
    assert only_step(stage)["keepOwner"] is True
    assert only_step(stage)["file"] == courier["inputs"][0]["file"]
    assert courier["inputs"][0]["digest"] == layer("files").digest


# --- what surrounds them ----------------------------------------------------------------------------------------------

COMMIT_ENV = {"WERF_COMMIT_HASH": NEW}


def test_commit_variables_are_for_stapel_only():
    around = Surroundings(repo="r.example/x", commit_env=COMMIT_ENV)
    stapel, _ = written(StageWork(commands=("make",)), around=around)
    assert stapel["env"] == {"PATH": "/bin", "LANG": "C", **COMMIT_ENV}
    dockerfile, _ = written(block(step("RUN", "make")), around=around)
    assert dockerfile["env"] == {"PATH": "/bin", "LANG": "C"}


def test_the_courier_is_told_where_things_are_and_the_stage_is_not():
    around = Surroundings(
        repo="registry.example:5000/shop",
        insecure=("registry.example:5000",),
        mirrors={"docker.io": "https://mirror.example"},
        git=(replace(OWN, secret=LocalRef(name="login"), volume="git-0"),),
        registry_configs=("/.conveyor-secrets/registry-0",),
        ca=True,
        callback_url="http://10.0.0.1:8080/results/ns/job",
        callback_token="f" * 64,
    )
    stage, courier = written(StageWork(commands=("make",)), around=around)
    assert courier == {
        "version": 2,
        "repo": "registry.example:5000/shop",
        "insecure": ["registry.example:5000"],
        "mirrors": {"docker.io": "https://mirror.example"},
        "caFile": "/.conveyor-ca/ca.crt",
        "dockerConfig": ["/.conveyor-secrets/registry-0"],
        "git": [{"url": "https://git.example/app.git", "credentials": "/.conveyor-secrets/git-0"}],
        "inputs": [],
        "runs": 1,
        "exports": [],
        "callback": {"url": "http://10.0.0.1:8080/results/ns/job", "token": "f" * 64},
    }
    assert sorted(stage) == ["caFile", "env", "exports", "runs", "version"]
    text = json.dumps(stage)
    assert not any(word in text for word in ("example", "secrets", "f" * 64))


def test_nothing_optional_is_null():
    stage, courier = written(StageWork(commands=("make",)))
    assert stage["caFile"] is None
    assert (courier["caFile"], courier["callback"]) == (None, None)
    assert courier["git"] == [{"url": "https://git.example/app.git", "credentials": None}]


def test_exports_of_an_export_job():
    wanted = [
        Export(key="import-metadata-1", source="app", checksum_id="1", add="/bin", include=("x",)),
        Export(key="copy-2", source="app", sources=("/lib", "/usr/lib*")),
    ]
    stage, courier = written(wanted=wanted)
    assert stage["runs"] == []
    assert stage["exports"] == [
        {"id": "e0", "kind": "import", "add": "/bin", "includePaths": ["x"], "excludePaths": []},
        {"id": "e1", "kind": "copy", "sources": ["/lib", "/usr/lib*"]},
    ]
    assert (courier["runs"], courier["exports"]) == (0, ["e0", "e1"])


# --- size -------------------------------------------------------------------------------------------------------------


def order_of(command):
    stage = to_build("app/install", work=StageWork(commands=(command,)), base=EXTERNAL)
    return JobOrder(image="app", stages=(stage,), parent=PARENT, execution="x")


def test_long_tasks_are_packed_and_short_ones_are_readable():
    short = tasks(order_of("make"), plan(), AROUND).stage
    assert short.startswith("{")
    assert len(short) <= 4096
    long = tasks(order_of("echo " * 100_000), plan(), AROUND).stage
    assert long.startswith("z:")
    assert len(long) < 4096
    assert read(long)["runs"][0]["layers"][0]["steps"][0]["commands"] == ["echo " * 100_000]


def test_equal_orders_give_equal_texts():
    assert tasks(order_of("x" * 9999), plan(), AROUND) == tasks(
        order_of("x" * 9999), plan(), AROUND
    )


def test_a_task_that_no_process_can_be_given_is_refused():
    noise = "".join(sha(str(number))[7:] for number in range(4000))
    with pytest.raises(
        UserError, match="stage app/install: its commands and here-documents are too long"
    ):
        tasks(order_of(noise), plan(), AROUND)


def test_what_is_accepted_fits_into_a_variable_of_linux():
    for count in (1000, 1500, 2000, 2500):
        noise = "".join(sha(str(number))[7:] for number in range(count))
        try:
            text = tasks(order_of(noise), plan(), AROUND).stage
        except UserError:
            continue
        assert len(f"CONVEYOR_TASK={text}".encode()) < 128 * 1024


def test_a_working_directory_is_used_clean_however_it_is_written():
    stage, _ = written(
        block(step("WORKDIR", "/app/./"), step("RUN", "make"), step("COPY", "a", "b"))
    )
    paths = [one["steps"][0] for one in stage["runs"][0]["layers"]]
    assert [one.get("path") or one["workdir"] for one in paths] == ["/app", "/app", "/app"]
