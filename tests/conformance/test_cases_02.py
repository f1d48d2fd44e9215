"""Conformance cases of section 2: giterminism.

There is no work tree here: a build is given a commit, and everything is read from it. Where werf refuses what is
uncommitted or lets it in by permission, Conveyor does not see it at all; the tests make a work tree dirty and assert
that nothing of it is seen.
"""

from pathlib import Path

import pytest
from werf_project import META, Project, write

from conveyor.api.errors import UserError

POLICY = "giterminismConfigVersion: 1\n"
ALL_UNCOMMITTED = (
    POLICY
    + """
config:
  allowUncommitted: true
  allowUncommittedTemplates: ["**/*"]
  goTemplateRendering: {allowUncommittedFiles: ["**/*"]}
  dockerfile: {allowUncommitted: ["**/*"], allowUncommittedDockerignoreFiles: ["**/*"]}
"""
)
TEMPLATES = META + 'image: {{ .Files.Get "name" }}\nfrom: {{ include "from.tmpl" . }}\n'


async def refused(project: Project) -> str:
    with pytest.raises(UserError) as raised:
        await project.config()
    return raised.value.message


@pytest.mark.parametrize("policy", [POLICY, ALL_UNCOMMITTED])
async def test_case_2_1_what_is_not_committed_is_not_read(tmp_path: Path, policy: str) -> None:
    """Werf: an edited werf.yaml is an error, or is used when `allowUncommitted` says so. Here: the commit's is used.

    A file that is not committed is told to be missing, by its name.
    """
    files = {"werf.yaml": TEMPLATES, ".werf/from.tmpl": "alpine", "name": "a"}
    project = Project.make(tmp_path, files | {"werf-giterminism.yaml": policy})
    before = await project.digests()
    write(tmp_path, {"werf.yaml": "nonsense", ".werf/from.tmpl": "debian", "name": "b"})
    assert await project.digests() == before
    assert list(before) == ["a"]


@pytest.mark.parametrize("missing", ["werf.yaml", "name", ".werf/from.tmpl"])
async def test_case_2_1_a_file_that_is_not_committed_is_named(tmp_path: Path, missing: str) -> None:
    """Werf: the untracked file must be committed. Here: it is not in the commit."""
    files = {"werf.yaml": TEMPLATES, ".werf/from.tmpl": "alpine", "name": "a"}
    policy = {"werf-giterminism.yaml": ALL_UNCOMMITTED}
    project = Project.make(tmp_path, {k: v for k, v in files.items() if k != missing} | policy)
    write(tmp_path, {missing: files[missing]})
    message = await refused(project)
    assert missing.removeprefix(".werf/") in message
    assert "commit" in message or "there is no template" in message


async def test_case_2_2_a_mounted_path_has_to_be_listed(tmp_path: Path) -> None:
    config = META + "image: a\nfrom: alpine\nmount: [{fromPath: /tmp/x, to: /x}]\n"
    listed = POLICY + "config: {stapel: {mount: {allowFromPaths: [/tmp/x]}}}\n"
    project = Project.make(tmp_path / "not", {"werf.yaml": config})
    assert "`config.stapel.mount.allowFromPaths: [/tmp/x]`" in await refused(project)
    near = POLICY + "config: {stapel: {mount: {allowFromPaths: [/x, /]}}}\n"
    files = {"werf.yaml": config, "werf-giterminism.yaml": near}
    assert "allowFromPaths" in await refused(Project.make(tmp_path / "near", files))
    files = {"werf.yaml": config, "werf-giterminism.yaml": listed}
    assert (await Project.make(tmp_path / "listed", files).config()).images[0].mounts


async def test_case_2_3_from_latest_needs_permission(tmp_path: Path) -> None:
    """The check asks no registry: there is none in this test."""
    config = META + "image: a\nfrom: alpine\nfromLatest: true\n"
    project = Project.make(tmp_path / "not", {"werf.yaml": config})
    assert "`config.stapel.allowFromLatest: true`" in await refused(project)
    policy = POLICY + "config: {stapel: {allowFromLatest: true}}\n"
    files = {"werf.yaml": config, "werf-giterminism.yaml": policy}
    assert (await Project.make(tmp_path / "allowed", files).config()).images[0].from_latest


async def test_case_2_4_a_policy_that_is_not_committed_does_not_count(tmp_path: Path) -> None:
    """Werf: "must be committed". Here: it does not exist, and what it would allow is refused."""
    project = Project.make(
        tmp_path, {"werf.yaml": META + "image: a\nfrom: alpine\nfromLatest: true\n"}
    )
    policy = POLICY + "config: {stapel: {allowFromLatest: true}}\n"
    write(tmp_path, {"werf-giterminism.yaml": policy})
    assert "commit werf-giterminism.yaml with `config.stapel.allowFromLatest" in await refused(
        project
    )


@pytest.mark.parametrize("excluded", ["", "  excludePaths: [src/new]\n"])
async def test_case_2_5_untracked_files_of_a_mapping_are_not_seen(
    tmp_path: Path, excluded: str
) -> None:
    """Werf: the build fails unless the mapping leaves the file out. Here: the plan is that of the commit."""
    config = META + f"image: a\nfrom: alpine\ngit:\n- add: /\n  to: /app\n{excluded}"
    project = Project.make(tmp_path, {"werf.yaml": config, "src/old": "1"})
    before = await project.digests()
    assert [name for name, _ in before["a"]] == ["from", "gitArchive"]
    write(tmp_path, {"src/new": "2", "src/old": "3"})
    assert await project.digests() == before


async def test_case_2_6_a_dockerignore_never_ignores_the_dockerfile(tmp_path: Path) -> None:
    """Werf prints a warning besides; nobody would read it here."""
    files = {
        "werf.yaml": META + "image: a\ndockerfile: Dockerfile\n",
        "Dockerfile": "FROM alpine\nCOPY app /app\n",
        "app/main": "x",
    }
    found = []
    for number, ignored in enumerate(("nothing\n", "nothing\nDockerfile\n", "Dockerfile\n*.md\n")):
        project = Project.make(tmp_path / str(number), files | {".dockerignore": ignored})
        found.append(await project.digests())
    assert found[0] == found[1] == found[2]
