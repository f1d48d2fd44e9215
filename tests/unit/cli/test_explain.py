"""Why stages change between two commits, as text and as JSON."""

from projects import META, git

CONFIG = (
    META
    + """\
image: app
from: debian:12
git:
- add: /src
  to: /app
  stageDependencies: {install: [package.json]}
shell:
  install: [npm ci]
  setup: [make]
---
image: site
from: app
shell: {setup: [ls]}
"""
)


def told(result):
    """The lines below stages, by image and stage."""
    found, image, stage = {}, "", ""
    for line in result.out.splitlines():
        if line.startswith("        "):
            found.setdefault(f"{image}/{stage}", []).append(line.strip())
        elif line.startswith("    "):
            stage = line.split()[0]
        elif line.startswith("  "):
            image = line.split()[0]
    return found


def test_nothing_changes(repo, conveyor):
    repo.commit({"werf.yaml": CONFIG, "src/package.json": "1"}, tag="v1")
    repo.commit({"other": "1"})
    result = conveyor("plan", "--explain", "v1")
    assert result.code == 0
    assert told(result) == {}
    assert "ToBuild" not in result.out


def test_commands_files_and_what_follows(repo, conveyor):
    old = repo.commit({"werf.yaml": CONFIG, "src/package.json": "1"}, tag="v1")
    config = CONFIG.replace("[make]", "[make, make check]")
    new = repo.commit({"werf.yaml": config, "src/package.json": "2"})
    lines = told(conveyor("plan", "--explain", "v1"))
    (checksum,) = lines["app/install"]
    assert checksum.startswith("GitMappingsStageDependencies / git.add: /src / package.json: "), (
        checksum
    )
    assert lines["app/setup"] == [
        "BuilderChecksum / Command: + make check",
        "the stage before it, install, changed",
        f"the stage before it carries commits {old[:12]} → {new[:12]}",
    ]
    assert lines["site/from"] == ["content of image 'app'"]
    assert lines["site/setup"] == ["the stage before it, from, changed"]


def test_a_patch_is_told_by_its_files(repo, conveyor):
    repo.commit({"werf.yaml": CONFIG, "src/package.json": "1"}, tag="v1")
    repo.commit({"src/main.js": "1\n"})
    lines = told(conveyor("plan", "--explain", "v1"))
    assert lines["app/gitLatestPatch"] == ["new stage", "Patch: + changes of main.js"]


def test_an_unrelated_branch_cannot_use_what_is_stored(repo, conveyor):
    repo.commit({"werf.yaml": CONFIG, "src/package.json": "1"}, tag="base")
    one = repo.commit({"src/a": "1"}, tag="v1")
    git(repo.path, "checkout", "--quiet", "base")
    two = repo.commit({"src/b": "1"})
    lines = told(conveyor("plan", "--explain", "v1"))
    assert lines["app/gitArchive"] == [
        "same digest, but what is stored carries commits that do not lie before this one:",
        f"commits: {one[:12]} → {two[:12]}",
    ]


def test_what_is_gone_is_told(repo, conveyor):
    repo.commit({"werf.yaml": CONFIG, "src/package.json": "1"}, tag="v1")
    repo.commit(
        {"werf.yaml": CONFIG.partition("---\nimage: site")[0].replace("  setup: [make]\n", "")}
    )
    out = conveyor("plan", "--explain", "v1").out.splitlines()
    assert [line for line in out if line.startswith("gone: ")] == [
        "gone: image app, stage setup",
        "gone: image site, stage from",
        "gone: image site, stage setup",
    ]


def test_json_names_every_component_that_differs(repo, conveyor):
    repo.commit({"werf.yaml": CONFIG, "src/package.json": "1"}, tag="v1")
    repo.commit({"werf.yaml": CONFIG.replace("debian:12", "debian:13")})
    explanation = conveyor("plan", "--explain", "v1", "--json").json["explanation"]
    assert explanation["from"] == "v1"
    first = explanation["stages"][0]
    assert first["oldDigest"] != first["newDigest"]
    assert {key: first[key] for key in ("image", "name", "change", "differences")} == {
        "image": "app",
        "name": "from",
        "change": "Changed",
        "differences": [
            {"path": ["StageDependencies", "Base"], "old": "debian:12", "new": "debian:13"}
        ],
    }
    assert [stage["name"] for stage in explanation["stages"][:4]] == [
        *("from", "gitArchive", "install", "setup")
    ]


def test_a_digest_that_waits_is_not_compared(repo, conveyor):
    imports = "import: [{image: app, add: /x, to: /x, before: setup}]\n"
    repo.commit({"werf.yaml": CONFIG + imports, "src/package.json": "1"}, tag="v1")
    repo.commit({"werf.yaml": CONFIG.replace("[make]", "[make all]") + imports})
    lines = told(conveyor("plan", "--explain", "v1"))
    assert lines["site/setup"] == ["not comparable: a digest waits for an answer"]


def test_what_is_wrong_at_the_other_commit_is_told_as_such(repo, conveyor):
    repo.commit({"werf.yaml": META + "image: app\nfroom: x\n"}, tag="v1")
    repo.commit({"werf.yaml": CONFIG, "src/package.json": "1"})
    result = conveyor("plan", "--explain", "v1")
    assert result.code == 2
    assert result.err.startswith("Error: at v1: werf.yaml:4: ")


def test_the_option_of_a_git_mapping_that_changes_is_named(repo, conveyor):
    others = "".join(f"- {{add: /src, to: /{number}}}\n" for number in range(5))
    config = CONFIG.replace("git:\n", f"git:\n{others}")
    repo.commit({"werf.yaml": config, "src/package.json": "1"}, tag="v1")
    config = config.replace("to: /2}", "to: /2, owner: app, includePaths: [a, '*.json']}")
    repo.commit({"werf.yaml": config.replace("- {add: /src, to: /4}\n", ""), "src/a": "1"})
    lines = told(conveyor("plan", "--explain", "v1"))
    assert sorted(lines["app/gitArchive"]) == [
        'git.to: /2 / IncludePaths: "" → a*.json',
        'git.to: /2 / Owner: "" → app',
        "git.to: /4 / Add: - src",
        "git.to: /4 / Repository: - own_own",
        "git.to: /4 / To: - /4",
    ]


def test_what_differs_behind_an_open_question_is_told(repo, conveyor):
    config = CONFIG + "import: [{image: app, add: /out, before: setup}]\n"
    repo.commit({"werf.yaml": config, "src/package.json": "1"}, tag="v1")
    repo.commit({"werf.yaml": config.replace("[ls]", "[ls -l]")})
    lines = told(conveyor("plan", "--explain", "v1"))
    waits = "not comparable: a digest waits for an answer"
    assert lines["site/dependenciesBeforeSetup"] == [waits]
    assert lines["site/setup"] == [
        f"{waits}; what differs in any case:",
        "BuilderChecksum / Command: ls → ls -l",
    ]
