"""Digests: the conformance cases of werf-semantics §4, by number."""

from planning import NEW, OLD, History, World, answer, depends, digests, names, stage

from conveyor.plan.answers import ImportRecord, Patch
from conveyor.plan.digest import paramshash
from conveyor.plan.questions import ImportChecksum, MappingPatch

FROM = "image: a\nfrom: alpine:3.18\n"
SHELL = FROM + "shell:\n  beforeInstall: [apk add curl, echo ok]\n"
GIT = "git: [{add: /, to: /app}]\n"


def test_case_1_from_alone():
    (only,) = World(FROM).plan().image("a").stages
    assert only.digest == "3dbd6d44689162ca0ebbdef149f0c467c9ba147c6e9a7759164efc0a"
    assert only.content_digest == "096d09c2afe03c25c9ed1a6cd29f4308e4cc5c357b0c12c1ee258a24"


def test_case_2_commands():
    second = stage(World(SHELL).plan(), "beforeInstall")
    assert (
        depends(second).value == "4065e302c6ab919f82175f5dc89ceafa5cdfe405584cc2a0d38c7356abffa314"
    )
    assert second.digest == "9054956cc20cf7c586993e3aba135748d48b81a9e21ace781a4872b1"
    assert second.content_digest == "a85014a2b04759ef281199f97a8285977482c9d1915a542b8f8f5c98"


def test_case_3_git_archive_does_not_depend_on_the_commit_and_install_on_the_stored_one():
    world = World(SHELL + "  install: [make]\n" + GIT)
    (mapping,) = world.config.image("a").git
    assert paramshash(mapping) == "69595bebc4fb0895aebaaf3d1d7a1fbfc3bad0380610b6910cd05e2bc52fc63d"
    for commit in (OLD, NEW):
        assert stage(world.plan(commit), "gitArchive").digest == (
            "1378de04a69f7b12498b49473585f44e0169cdea8315795de7069561"
        )
    world.build(OLD)  # OLD is 1111…
    assert stage(world.plan(NEW), "install").digest == (
        "9065dc674b6dc0b2f8f73299d2777c711e987e1be2457ce9e8620e68"
    )


def test_case_4_git_cache_counts_whole_mebibytes():
    def large(size):
        def answers(question):
            if isinstance(question, MappingPatch):
                return Patch(text="x", size=size, empty=False)
            return answer(question)

        world = World(FROM + GIT, answers)
        world.build(OLD)
        return world.plan(NEW)

    cache = stage(large(int(3.7 * 1024 * 1024)), "gitCache")
    assert (
        depends(cache).value == "4e07408562bedb8b60ce05c1decfe3ad16b72230967de01f640b7e4729b49fce"
    )
    assert "gitCache" in names(large(1_048_576))
    assert "gitCache" not in names(large(1_048_575))


def test_case_5_from_cache_version_reaches_what_is_built_from_the_image_and_nothing_else():
    others = (
        "---\nimage: onTop\nfrom: a\nshell: {install: [x]}\n"
        "---\nimage: importing\nfrom: alpine:3.18\n"
        "import: [{image: a, add: /x, to: /x, after: install}]\n"
        "---\nimage: beside\nfrom: alpine:3.18\n"
    )

    def built(salt, checksum):
        def answers(question):
            if isinstance(question, ImportChecksum):
                return ImportRecord(checksum=checksum, source_stage_id="s-1")
            return answer(question)

        world = World(f"{FROM}{salt}shell: {{install: [make]}}\n{others}", answers)
        world.build(timestamp=1)  # the checksum is known once the source is built
        return world.plan()

    plain, salted = built("", "1" * 32), built("fromCacheVersion: '2'\n", "1" * 32)
    for image in ("a", "onTop"):
        before, after = digests(plain, image), digests(salted, image)
        assert all(before[name] != after[name] for name in before)
    assert digests(plain, "beside") == digests(salted, "beside")
    assert digests(plain, "importing") == digests(salted, "importing")
    others_files = built("fromCacheVersion: '2'\n", "2" * 32)
    assert digests(plain, "importing") != digests(others_files, "importing")


async def test_case_6_renaming_a_single_file_changes_nothing_a_whole_directory_does(tmp_path):

    werf = "configVersion: 1\nproject: p\n---\n" + FROM
    werf += "git:\n- {add: /, to: /app, includePaths: [src], stageDependencies: {install: [%s]}}\n"
    werf += "shell: {install: [make]}\n"
    found = {}
    for globs in ("src/*.lock", "src/deep"):
        first = {"werf.yaml": werf % globs, "src/a.lock": "x\n", "src/deep/f": "f\n"}
        renamed = {"src/b.lock": "x\n", "src/deep/g": "f\n"}
        commits = [{"files": first}, {"files": renamed, "delete": ["src/a.lock", "src/deep/f"]}]
        folder = tmp_path / globs.replace("/", "_").replace("*", "x")
        (folder / "scratch").mkdir(parents=True)
        history = await History.make(commits, folder)
        both = [depends(stage(await history.plan(n), "install")).value for n in (0, 1)]
        found[globs] = both[0] == both[1]
    assert found == {"src/*.lock": True, "src/deep": False}


def test_case_7_environment_of_docker_instructions():
    last = stage(World(FROM + 'docker: {ENV: {A: "1"}}\n').plan(), "dockerInstructions")
    assert depends(last).value == "3c162d846524762ef8517c493285846ed85e237aad97d89ce7e6950d534e916d"
