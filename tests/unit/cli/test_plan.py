"""`conveyor plan` on small repositories."""

import json

import pytest
from projects import META, git

from conveyor.plan.digest import sha3_args, sha256_args, sha256_concat

APP = (
    META
    + """\
image: app
from: debian:12
git:
- add: /src
  to: /app
shell:
  setup: [make]
"""
)
IMPORT = (
    META
    + """\
image: lib
from: debian:12
final: false
shell: {setup: [make lib]}
---
image: app
from: debian:12
import:
- {image: lib, add: /lib, to: /lib, before: setup}
- {image: lib, add: /bin, to: /bin, before: setup}
shell: {setup: [ls]}
"""
)


def test_text_has_sets_images_stages_digests_and_states(repo, conveyor):
    commit = repo.commit({"werf.yaml": META + "image: app\nfrom: alpine:3.18\n"})
    result = conveyor("plan")
    assert result.code == 0
    digest = "3dbd6d44689162ca0ebbdef149f0c467c9ba147c6e9a7759164efc0a"
    assert result.out.splitlines() == [
        f"commit {commit}",
        "Set #0:",
        "  app",
        f"    from  {digest}  ToBuild",
    ]


def test_json_is_as_documented(repo, conveyor):
    commit = repo.commit({"werf.yaml": META + "image: ~\nfrom: alpine:3.18\n"})
    digest = "3dbd6d44689162ca0ebbdef149f0c467c9ba147c6e9a7759164efc0a"
    stage = {"name": "from", "digest": digest, "state": "ToBuild", "question": None}
    assert conveyor("plan", "--json").json == {
        "commit": commit,
        "project": "p",
        "sets": [[""]],
        "images": [{"name": "", "platform": "linux/amd64", "final": True, "stages": [stage]}],
        "questions": [],
    }


@pytest.mark.parametrize("revision", ["HEAD", "main", "v1", None])
def test_a_commit_is_named_by_id_branch_tag_or_head(repo, conveyor, revision):
    commit = repo.commit({"werf.yaml": APP, "src/a": "1"}, tag="v1")
    (repo.path / "werf.yaml").write_text("never committed")
    result = conveyor("plan", "--commit", revision or commit, "--json")
    assert result.json["commit"] == commit


def test_a_bare_repository_will_do(repo, conveyor, tmp_path):
    repo.commit({"werf.yaml": APP, "src/a": "1"})
    bare = tmp_path / "bare.git"
    git(repo.path, "clone", "--quiet", "--bare", ".", str(bare))
    found = conveyor("plan", "--git", str(bare), "--commit", "main")
    assert found.out == conveyor("plan").out


def test_what_is_not_there_is_the_users_error(repo, conveyor, tmp_path):
    assert conveyor("plan", "--git", str(tmp_path)).code == 2
    repo.commit({"readme": ""})
    missing = conveyor("plan", "--commit", "nowhere")
    assert missing.code == 2
    assert "has no revision 'nowhere'" in missing.err
    assert conveyor("plan", "--commit=--all").code == 2
    none = conveyor("plan", "--dir", "svc")
    assert none.code == 2
    assert "there is no werf.yaml or werf.yml in directory 'svc'" in none.err
    assert conveyor("plan", "--dir", "../..").code == 2


def test_an_error_names_file_and_line(repo, conveyor):
    repo.commit({"werf.yaml": META + "image: app\nfrom: a\nfroom: b\n"})
    result = conveyor("plan")
    assert result.code == 2
    assert result.err.startswith("Error: werf.yaml:6: ")
    assert result.out == ""


def test_a_config_without_images_is_an_error(repo, conveyor):
    repo.commit({"werf.yaml": "project: p\nconfigVersion: 1\n"})
    result = conveyor("plan")
    assert (result.code, result.err) == (2, "Error: werf.yaml describes no image\n")


def test_images_are_selected_with_what_they_need(repo, conveyor):
    repo.commit({"werf.yaml": IMPORT + "---\nimage: other\nfrom: debian:12\n"})
    assert conveyor("plan", "--image", "app", "--json").json["sets"] == [["lib"], ["app"]]
    assert conveyor("plan", "--image", "o*", "--json").json["sets"] == [["other"]]
    unknown = conveyor("plan", "--image", "ap")
    assert (unknown.code, unknown.err) == (2, 'Error: no image matches "ap"; did you mean `app`?\n')


def test_the_next_commit_is_planned_on_top_of_what_is_assumed_built(repo, conveyor, tmp_path):
    storage = str(tmp_path / "stages.json")
    both = ("--stages", storage, "--assume-built", storage, "--json")
    repo.commit({"werf.yaml": APP, "src/a": "1"})
    built = {"from": "ToBuild", "gitArchive": "ToBuild", "setup": "ToBuild"}
    assert conveyor("plan", *both).states("app") == built
    cached = dict.fromkeys(built, "Cached")
    assert conveyor("plan", *both).states("app") == cached
    repo.commit({"src/a": "2"})
    assert conveyor("plan", *both).states("app") == {**cached, "gitLatestPatch": "ToBuild"}
    last = conveyor("plan", "--stages", storage, "--json")
    assert last.states("app") == {**cached, "gitLatestPatch": "Cached"}
    stages = json.loads((tmp_path / "stages.json").read_text())["stages"]
    assert len(stages) == 4
    assert stages[0]["id"] == last.json["images"][0]["stages"][0]["stageId"]


def test_one_storage_file_may_be_read_and_another_written(repo, conveyor, tmp_path):
    repo.commit({"werf.yaml": APP, "src/a": "1"})
    old, new = str(tmp_path / "old.json"), str(tmp_path / "new.json")
    conveyor("plan", "--assume-built", new)
    assert conveyor("plan", "--stages", old, "--json").states("app")["from"] == "ToBuild"
    assert conveyor("plan", "--stages", new, "--json").states("app")["from"] == "Cached"


def test_timestamps_only_grow(repo, conveyor, tmp_path):
    repo.commit({"werf.yaml": APP, "src/a": "1"})
    storage = tmp_path / "s.json"
    future = f"{'a' * 56}-99999999999999"
    storage.write_text(json.dumps({"version": 1, "stages": [{"id": future}]}))
    conveyor("plan", "--stages", str(storage), "--assume-built", str(storage))
    times = [int(it["id"].split("-")[1]) for it in json.loads(storage.read_text())["stages"]]
    assert times == [99999999999999] + [100000000000000] * 3


def test_checksums_of_imports_are_asked_for_and_may_be_answered(repo, conveyor, tmp_path):
    repo.commit({"werf.yaml": IMPORT})
    storage = tmp_path / "s.json"
    asked = conveyor("plan", "--stages", str(storage), "--assume-built", str(storage), "--json")
    waiting = {"from": "ToBuild", "dependenciesBeforeSetup": "Unknown", "setup": "Unknown"}
    assert asked.states("app") == waiting
    assert f"stages that wait for an answer are not in {storage}" in asked.err
    questions = asked.json["questions"]
    assert [(it["kind"], it["image"]) for it in questions] == [("ImportChecksum", "lib")] * 2
    imports = asked.json["images"][1]["stages"][1]["imports"]
    assert [it["question"] for it in imports] == questions
    document = json.loads(storage.read_text())
    document["answers"] = [{"question": it, "answer": {"checksum": "d" * 32}} for it in questions]
    storage.write_text(json.dumps(document))
    told = conveyor("plan", "--stages", str(storage), "--json")
    assert told.states("app") == {
        "from": "Cached",
        "dependenciesBeforeSetup": "ToBuild",
        "setup": "ToBuild",
    }
    assert told.json["questions"] == []


def test_open_questions_are_printed_to_be_copied(repo, conveyor):
    repo.commit({"werf.yaml": IMPORT})
    lines = conveyor("plan").out.splitlines()
    start = lines.index(
        "Open questions, to be answered under `answers` in the file of --stages (docs/cli.md):"
    )
    assert [json.loads(line)["kind"] for line in lines[start + 1 :]] == ["ImportChecksum"] * 2
    assert "Unknown  what is the checksum of the files imported from image 'lib'?" in "".join(lines)


def test_a_base_image_that_nobody_knows_is_a_question(repo, conveyor, tmp_path):
    policy = "giterminismConfigVersion: 1\nconfig: {stapel: {allowFromLatest: true}}\n"
    config = META + "image: app\nfrom: debian:12\nfromLatest: true\nshell: {setup: [ls]}\n"
    repo.commit({"werf.yaml": config, "werf-giterminism.yaml": policy})
    asked = conveyor("plan", "--json")
    assert asked.states("app") == {"from": "Unknown", "setup": "Unknown"}
    question = {"kind": "BaseImageInfo", "reference": "debian:12", "platform": "linux/amd64"}
    assert asked.json["questions"] == [question]
    storage = tmp_path / "s.json"
    answer = {"id": f"sha256:{'1' * 64}"}
    answers = [{"question": question, "answer": answer}]
    storage.write_text(json.dumps({"version": 1, "answers": answers}))
    told = conveyor("plan", "--stages", str(storage), "--json")
    assert told.states("app") == {"from": "ToBuild", "setup": "ToBuild"}


def test_templates_read_variables_that_the_policy_allows(repo, conveyor, monkeypatch):
    monkeypatch.setenv("TAG", "3.18")
    config = META + 'image: app\nfrom: alpine:{{ env "TAG" }}\n'
    repo.commit({"werf.yaml": config})
    refused = conveyor("plan")
    assert refused.code == 2
    assert "TAG" in refused.err
    policy = "config: {goTemplateRendering: {allowEnvVariables: [TAG]}}\n"
    repo.commit({"werf-giterminism.yaml": "giterminismConfigVersion: 1\n" + policy})
    digest = conveyor("plan", "--json").json["images"][0]["stages"][0]["digest"]
    assert digest == "3dbd6d44689162ca0ebbdef149f0c467c9ba147c6e9a7759164efc0a"


def test_the_platform_is_part_of_digests(repo, conveyor):
    repo.commit({"werf.yaml": META + "image: app\nfrom: alpine:3.18\nplatform: [linux/386]\n"})
    (image,) = conveyor("plan", "--platform", "linux/arm64", "--json").json["images"]
    assert image["platform"] == "linux/arm64"
    digest = "88970e8ae133a58fdd339ae79a46677657d2a6db8c35e20d70ecb914"
    assert image["stages"][0]["digest"] == digest


def test_an_image_of_several_platforms_has_a_row_for_each(repo, conveyor):
    repo.commit({"werf.yaml": META + "image: app\nfrom: alpine:3.18\n"})
    several = conveyor("plan", "--platform", "linux/amd64,linux/aarch64", "--json").json
    assert several["sets"] == [["app"]]
    rows = [(one["name"], one["platform"]) for one in several["images"]]
    assert rows == [("app", "linux/amd64"), ("app", "linux/arm64")]
    digests = [one["stages"][0]["digest"] for one in several["images"]]
    assert digests == [
        "3dbd6d44689162ca0ebbdef149f0c467c9ba147c6e9a7759164efc0a",
        "88970e8ae133a58fdd339ae79a46677657d2a6db8c35e20d70ecb914",
    ]
    text = conveyor("plan", "--platform", "linux/amd64,linux/arm64").out
    assert "  app  linux/amd64\n" in text
    assert "  app  linux/arm64\n" in text


def test_the_build_platform_is_part_of_what_runs_there_and_of_what_names_it(repo, conveyor):
    text = "FROM --platform=$BUILDPLATFORM a AS x\nRUN b\nFROM c\nCOPY --from=x /y /y\n"
    repo.commit({"werf.yaml": META + "image: app\ndockerfile: Dockerfile\n", "Dockerfile": text})

    def planned(*options):
        (image,) = conveyor("plan", "--json", *options).json["images"]
        rows = (*image.get("blocks", ()), image)
        return [(row.get("platform"), row["stages"][0]["digest"]) for row in rows]

    own = planned("--build-platform", "linux/amd64")
    other = planned("--build-platform", "linux/aarch64")
    assert [platform for platform, _ in own] == [None, "linux/amd64"]
    assert [platform for platform, _ in other] == ["linux/arm64", "linux/amd64"]
    assert own[0] != other[0]
    assert own[1] == other[1]
    repo.commit({"Dockerfile": "FROM c\nARG BUILDARCH\nRUN x\n"})
    assert planned("--build-platform", "linux/amd64") != planned("--build-platform", "linux/arm64")
    assert conveyor("plan", "--build-platform", "what is this").code == 2


def test_files_from_an_image_of_several_platforms_are_asked_for_once_a_platform(repo, conveyor):
    config = META.replace("project: p", "project: p\nbuild: {platform: [linux/amd64, linux/arm64]}")
    lib = "image: lib\nfrom: alpine:3.18\n---\n"
    site = (
        "image: site\nfrom: alpine:3.18\nimport: [{image: lib, add: /a, to: /a, before: setup}]\n"
    )
    repo.commit({"werf.yaml": config + lib + site})
    found = conveyor("plan", "--json").json
    questions = [stage["question"] for one in found["images"] for stage in one["stages"]]
    assert found["questions"] == [question for question in questions if question]
    assert [(one["kind"], one["image"]) for one in found["questions"]] == [
        ("ImportChecksum", "lib"),
        ("ImportChecksum", "lib"),
    ]
    assert len({one["id"] for one in found["questions"]}) == 2


def test_a_platform_that_comes_is_explained_as_new_and_the_other_as_it_was(repo, conveyor):
    before = repo.commit({"werf.yaml": META + "image: app\nfrom: alpine:3.18\n"})
    platforms = "platform: [linux/amd64, linux/arm64]\n"
    repo.commit({"werf.yaml": META + "image: app\nfrom: alpine:3.18\n" + platforms})
    told = conveyor("plan", "--explain", before, "--json").json["explanation"]["stages"]
    assert [(one["image"], one["platform"], one["change"]) for one in told] == [
        ("app", "linux/arm64", "Added")
    ]


def test_what_cannot_be_built_is_planned_with_a_warning(repo, conveyor):
    repo.commit({"werf.yaml": META + "image: app\nfrom: alpine:3.18\nplatform: [windows/amd64]\n"})
    result = conveyor("plan")
    assert result.code == 0
    assert result.err.startswith('Warning: werf.yaml:4: image "app": platform windows/amd64')


def test_a_remote_repository_is_read_from_a_local_clone(repo, other_repo, conveyor):
    other_repo.commit({"lib/a": "1"}, tag="v1")
    url = "https://git.example.com/team/lib.git"
    mapping = f"git:\n- {{url: '{url}', tag: v1, add: /lib, to: /lib}}\n"
    repo.commit({"werf.yaml": META + "image: app\nfrom: debian:12\n" + mapping})
    for known in (url, url.removesuffix(".git")):
        result = conveyor("plan", "--remote", f"{known}={other_repo.path}", "--json")
        assert result.states("app") == {"from": "ToBuild", "gitArchive": "ToBuild"}


def test_a_remote_needs_a_directory_that_exists(conveyor, tmp_path):
    result = conveyor("plan", "--remote", f"https://example.com/x={tmp_path}/nothing")
    assert result.code == 2
    assert "is not URL=DIR with a directory that exists" in result.err


def test_blocks_of_a_dockerfile_are_no_images_of_their_own(repo, conveyor):
    text = "FROM alpine:3.18 AS base\nRUN a\nFROM base\nRUN b\n"
    config = META + "image: app\ndockerfile: Dockerfile\n"
    repo.commit({"werf.yaml": config, "Dockerfile": text})
    (image,) = conveyor("plan", "--json").json["images"]
    assert [stage["name"] for stage in image["stages"]] == ["dockerfile"]
    assert [block["name"] for block in image["blocks"]] == ["app/stage/base"]
    rows = [line.split()[0] for line in conveyor("plan").out.splitlines()[3:]]
    assert rows == ["base", "dockerfile"]


def test_explaining_and_assuming_exclude_each_other(conveyor, tmp_path):
    result = conveyor("plan", "--explain", "HEAD", "--assume-built", str(tmp_path / "s"))
    assert result.code == 2
    assert "--explain only looks" in result.err


DEPENDENCY = (
    META
    + """\
image: lib
from: debian:12
---
image: app
from: debian:12
dependencies:
- image: lib
  before: setup
  imports: [{type: ImageName, targetEnv: LIB}, {type: ImageID, targetEnv: LIB_ID}]
shell: {setup: [ls]}
"""
)
WAITING = {"from": "ToBuild", "dependenciesBeforeSetup": "Unknown", "setup": "Unknown"}


def test_what_is_built_answers_the_questions_of_other_images(repo, conveyor, tmp_path):
    repo.commit({"werf.yaml": DEPENDENCY})
    storage = str(tmp_path / "s.json")
    both = ("--stages", storage, "--assume-built", storage, "--json")
    first = conveyor("plan", "--repo", "registry.example.com/app", *both)
    assert first.states("app") == WAITING
    assert first.err == ""
    again = conveyor("plan", "--repo", "registry.example.com/app", *both)
    assert again.states("app") == dict.fromkeys(WAITING, "Cached")
    elsewhere = conveyor("plan", "--repo", "registry.example.com/other", *both)
    assert elsewhere.states("app")["dependenciesBeforeSetup"] == "ToBuild"


def test_a_reference_may_be_told_when_there_is_no_repository(repo, conveyor, tmp_path):
    repo.commit({"werf.yaml": DEPENDENCY})
    storage = tmp_path / "s.json"
    asked = conveyor("plan", "--stages", str(storage), "--assume-built", str(storage), "--json")
    assert asked.states("app") == WAITING
    assert asked.json["questions"] == [{"kind": "ImageReference", "image": "lib"}]
    assert "open questions: 1" in asked.err
    document = json.loads(storage.read_text())
    reference = "registry.example.com:5000/app:tag"
    answer = {"reference": reference, "id": f"sha256:{'1' * 64}"}
    document["answers"] = [{"question": asked.json["questions"][0], "answer": answer}]
    storage.write_text(json.dumps(document))
    told = conveyor("plan", "--stages", str(storage), "--json")
    assert told.states("app")["setup"] == "ToBuild"
    answer["reference"] = "registry.example.com:5000/app"
    storage.write_text(json.dumps(document))
    wrong = conveyor("plan", "--stages", str(storage))
    assert wrong.code == 2
    assert "answers[0].answer.reference: has to be REPOSITORY:TAG" in wrong.err


STAGED = META + "image: app\ndockerfile: Dockerfile\nstaged: true\n"


def test_instructions_of_a_staged_dockerfile_wait_for_the_environment_of_their_base(
    repo, conveyor, monkeypatch
):
    monkeypatch.setenv("WERF_STAGED_DOCKERFILE_VERSION", "v2")
    text = "FROM debian:12 AS base\nRUN a\nFROM base\nENV B=$A\n"
    repo.commit({"werf.yaml": STAGED, "Dockerfile": text})
    result = conveyor("plan", "--json")
    assert result.states("app/stage/base") == {"FROM1": "ToBuild", "RUN2": "Unknown"}
    assert set(result.states("app").values()) == {"Unknown"}
    question = {"kind": "BaseImageInfo", "reference": "debian:12", "platform": "linux/amd64"}
    assert question in result.json["questions"]
    assert result.err == "", "it can be built"


def test_a_version_of_staged_dockerfiles_that_there_is_not(repo, conveyor, monkeypatch):
    monkeypatch.setenv("WERF_STAGED_DOCKERFILE_VERSION", "v3")
    repo.commit({"werf.yaml": STAGED, "Dockerfile": "FROM scratch\nENV A=b\n"})
    result = conveyor("plan")
    assert result.code == 2
    assert "WERF_STAGED_DOCKERFILE_VERSION=v3 is unknown" in result.err


def test_what_is_written_in_vain_is_a_warning(repo, conveyor):
    config = META + "image: app\nfrom: scratch\ndisableGitAfterPatch: true\ndocker: {CMD: x}\n"
    repo.commit({"werf.yaml": config})
    result = conveyor("plan")
    assert result.code == 0
    assert result.err.startswith('Warning: werf.yaml:4: image "app": `disableGitAfterPatch` takes')


def test_a_virtual_merge_needs_a_merge(repo, conveyor):
    repo.commit({"werf.yaml": APP, "src/a": "1"})
    result = conveyor("plan", "--virtual-merge")
    assert result.code == 2
    assert "parents" in result.err


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ("url: file:///etc\n  tag: v1", "git url 'file:///etc' must begin with one of http, https"),
        ("url: no url\n  tag: v1", "git url 'no url' is malformed"),
        ("url: https://git.invalid/a/b\n  tag: no", "{other}/.git has no tag 'no'"),
        ("url: https://git.invalid/a/b\n  tag: --x", "'--x' is not a valid branch or tag name"),
    ],
)
def test_what_git_says_of_a_mapping_names_its_line(repo, other_repo, conveyor, mapping, message):
    other_repo.commit({"file": "1"})
    config = f"{META}image: a\nfrom: b\ngit:\n- to: /app\n  {mapping}\n"
    repo.commit({"werf.yaml": config})
    result = conveyor("plan", "--remote", f"https://git.invalid/a/b={other_repo.path}")
    assert result.code == 2
    assert result.err.startswith(f"Error: werf.yaml:7: {message.format(other=other_repo.path)}")


def test_a_submodule_is_told_with_the_line_that_takes_it(repo, other_repo, conveyor):
    commit = other_repo.commit({"file": "1"})
    git(repo.path, "update-index", "--add", "--cacheinfo", f"160000,{commit},vendor")
    mapping = "image: a\nfrom: b\ngit: [{add: /, to: /app}]\n"
    dockerfile = "image: a\ndockerfile: Dockerfile\n"
    (repo.path / "vendor").mkdir()
    for config, line in ((mapping, 6), (dockerfile, 4)):
        (repo.path / "werf.yaml").write_text(META + config)
        (repo.path / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
        git(repo.path, "add", "werf.yaml", "Dockerfile")
        git(repo.path, "commit", "--quiet", "--message", "change")
        result = conveyor("plan")
        assert result.code == 2
        assert (
            f"werf.yaml:{line}: git submodules are not supported, and vendor is one" in result.err
        )


@pytest.mark.parametrize("name", ["foo", "", "linux/arm64,", "linux/"])
def test_a_platform_that_is_none(repo, conveyor, name):
    repo.commit({"werf.yaml": META + "image: a\nfrom: b\n"})
    result = conveyor("plan", "--platform", name)
    assert (result.code, "is not OS/ARCH such as linux/arm64" in result.err) == (2, True)


def test_onbuild_of_a_block_is_planned(repo, conveyor):
    text = "FROM a:1 AS x\nONBUILD COPY f /f\nFROM x\nRUN z\n"
    repo.commit(
        {"werf.yaml": META + "image: a\ndockerfile: Dockerfile\n", "Dockerfile": text, "f": "1"}
    )
    result = conveyor("plan", "--json")
    oid = git(repo.path, "rev-parse", "HEAD:f")
    files = sha256_args(sha256_concat(oid))
    depends = sha256_args("x", "RUN z", "a:1", "COPY f /f", "COPY f /f", files)
    (stage,) = result.json["images"][0]["stages"]
    assert stage["digest"] == sha3_args("1.2", "dockerfile", depends)
    assert result.err == ""


def test_dockerfile_mode_legacy_plans_every_block_up_to_the_target(repo, conveyor):
    text = "FROM a:1 AS base\nRUN x\nFROM base AS one\nRUN y\nFROM base AS two\nRUN z\nFROM base\nRUN w\n"
    werf = META + "image: a\ndockerfile: Dockerfile\ntarget: two\n"
    repo.commit({"werf.yaml": werf, "Dockerfile": text})
    found = {}
    for mode in ("buildkit", "legacy"):
        (planned,) = conveyor("plan", "--json", "--dockerfile-mode", mode).json["images"]
        found[mode] = [block["name"] for block in planned["blocks"]], planned["stages"]
    assert found["buildkit"][0] == ["a/stage/base"]
    assert found["legacy"][0] == ["a/stage/base", "a/stage/one"]
    assert found["buildkit"][1] == found["legacy"][1]
    assert conveyor("plan", "--dockerfile-mode", "docker").code == 2


def test_what_a_dockerfile_says_in_vain_is_a_warning(repo, conveyor):
    text = "# syntax=docker/dockerfile:1\n# check=skip=all\nFROM a:1\nARG BUILDKIT_B\nRUN z\n"
    args = (
        "args: {BUILDKIT_INLINE_CACHE: '1', BUILDKIT_B: '2', OTHER: '3', SOURCE_DATE_EPOCH: '0'}\n"
    )
    repo.commit(
        {"werf.yaml": META + "image: a\ndockerfile: Dockerfile\n" + args, "Dockerfile": text}
    )
    assert conveyor("plan").err.splitlines() == [
        "Warning: Dockerfile:1: `# syntax=docker/dockerfile:1` has no effect: "
        "Conveyor reads Dockerfiles itself, no frontend image is fetched",
        "Warning: Dockerfile:2: `# check=skip=all` has no effect: nothing is linted",
        'Warning: werf.yaml:4: image "a": the build arg BUILDKIT_INLINE_CACHE has no effect: '
        "it is a setting of BuildKit",
        'Warning: werf.yaml:4: image "a": the build arg SOURCE_DATE_EPOCH has no effect: '
        "it is a setting of BuildKit",
    ]
