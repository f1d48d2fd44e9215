"""A block that only copies, made in another pod upon an outline: the same layers as a pod on the image itself makes."""

import json
import os
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest

from conveyor.builder.outline import Outline
from conveyor.builder.stage import Stage

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")

Json = dict[str, Any]


@pytest.fixture
def below(tmp_path: Path) -> Path:
    """The image that the block starts from."""
    top = tmp_path / "below"
    for folder in ("usr/bin", "usr/local/bin", "etc/app/conf.d", "home/app", "srv/empty", "opt"):
        (top / folder).mkdir(parents=True)
    (top / "bin").symlink_to("usr/bin")
    (top / "opt/link").symlink_to("/srv/empty")
    for name in ("usr/bin/sh", "etc/passwd", "etc/app/a.conf", "etc/app/conf.d/x", "home/app/.rc"):
        (top / name).write_text(f"old {name}")
    (top / "etc/app/b.conf").symlink_to("a.conf")
    os.chown(top / "home/app", 1000, 1000)
    (top / "home/app").chmod(0o750)
    (top / "usr/local").chmod(0o2775)
    return top


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The image that the files come from."""
    top = tmp_path / "source"
    (top / "out/deep").mkdir(parents=True)
    (top / "out/conf.d").mkdir()
    for name in ("out/a.conf", "out/deep/new", "out/conf.d/y"):
        (top / name).write_text(f"new {name}")
    (top / "out/ln").symlink_to("deep/new")
    (top / "service").write_bytes(b"\x7fELF" + bytes(5000))
    (top / "service").chmod(0o4755)
    os.link(top / "out/a.conf", top / "out/hard")
    os.chown(top / "out/deep", 7, 8)
    return top


def copied(number: int, dest: str, *, pattern: str = "/service", **more: object) -> Json:
    """The steps of one COPY --from; its bundle is export `e<number>`."""
    sources = [{"pattern": pattern, "entries": "0"}]
    step = {"op": "copy", "file": f"in/e{number}.tar", "sources": sources, "keepOwner": True}
    return {"steps": [{**step, "dest": dest, "chown": "", "chmod": "", "workdir": "/", **more}]}


def made_dir(path: str) -> Json:
    """The steps of a WORKDIR."""
    return {"steps": [{"op": "mkdir", "path": path, "mode": 0o755, "user": ""}]}


def program(root: Path, place: Path, task: Json) -> Path:
    """Run the stage program in a directory; answers what it wrote."""
    for folder in ("in", "out"):
        (place / folder).mkdir(parents=True, exist_ok=True)
    for run in range(len(task["runs"])):
        (place / f"in/ready-{run}").touch()
    Stage({"version": 1, "env": {}, **task}, root=os.fsencode(root), io=str(place)).run()
    return place / "out"


def bundles(layers: list[Json]) -> list[Json]:
    """The exports that the layers take their files from."""
    steps = [step for layer in layers for step in layer["steps"] if step["op"] == "copy"]
    return [
        {"id": f"e{n}", "kind": "copy", "sources": [step["sources"][0]["pattern"]]}
        for n, step in enumerate(steps)
    ]


def on_the_image(below: Path, source: Path, place: Path, layers: list[Json]) -> Path:
    """The block in a pod on its image, which learns the outline; answers what it wrote."""
    out = program(source, place / "exporting", {"runs": [], "exports": bundles(layers)})
    (place / "in").mkdir(parents=True)
    for path in out.glob("export-*.tar"):
        path.rename(place / "in" / path.name.removeprefix("export-"))
    return program(below, place, {"runs": [{"layers": layers}], "outline": True})


def assembled(source: Path, place: Path, layers: list[Json], outline: object) -> Path:
    """The block in the pod of its files; answers what that wrote."""
    text = json.dumps(layers).replace('"in/e', '"out/export-e')
    made = bundles(layers)
    assembly = {"id": "a0", "kind": "assembly", "outline": outline}
    assembly |= {"runs": [{"layers": json.loads(text)}], "bundles": [it["id"] for it in made]}
    return program(source, place, {"runs": [], "exports": [*made, assembly]})


def entries(path: Path) -> list[tuple[object, ...]]:
    """Everything in a layer but the times of what was made now."""
    with tarfile.open(path) as tar:
        found = []
        for one in tar:
            file = tar.extractfile(one) if one.isreg() else None
            data = file.read() if file else b""
            found.append((one.name, one.type, one.mode, one.uid, one.gid, one.linkname, data))
    return found


SERVICE = "/usr/local/bin/service"
BLOCKS: dict[str, list[Json]] = {
    "a file into a directory": [copied(0, "/usr/local/bin/")],
    "a file by its new name": [copied(0, SERVICE)],
    "a file through a link": [copied(0, "/bin/service")],
    "a file in place of another": [copied(0, "/usr/bin/sh")],
    "a file in place of a link's target": [copied(0, "/etc/app/b.conf")],
    "directories that are not there": [copied(0, "/new/one/two/")],
    "below an owned directory": [copied(0, "/home/app/bin/service")],
    "a directory into an empty one": [copied(0, "/srv/empty/", pattern="/out")],
    "a directory through a link": [copied(0, "/opt/link/", pattern="/out")],
    "a directory over another": [copied(0, "/etc/app", pattern="/out")],
    "the root": [copied(0, "/")],
    "owner and mode": [copied(0, "/srv/x/", chown="5:6", chmod="0700")],
    "a working directory": [made_dir("/srv/app"), copied(0, ".", workdir="/srv/app")],
    "one upon the other": [copied(0, "/srv/new/", pattern="/out"), copied(1, "/srv/new/deep/")],
    "twice the same": [copied(0, SERVICE), copied(1, SERVICE)],
    "a directory that is there": [made_dir("/srv/empty"), copied(0, "/srv/empty/")],
}


@pytest.mark.parametrize("layers", BLOCKS.values(), ids=BLOCKS.keys())
def test_the_same_layers(tmp_path: Path, below: Path, source: Path, layers: list[Json]) -> None:
    real = on_the_image(below, source, tmp_path / "real", layers)
    report = json.loads((real / "0.json").read_text())
    made = assembled(source, tmp_path / "made", layers, report["outline"])

    (run,) = json.loads((made / "export-a0.json").read_text())["runs"]
    figures = [{**layer, "file": None} for layer in run["layers"]]
    assert figures == [{**layer, "file": None} for layer in report["layers"]]
    for mine, theirs in zip(run["layers"], report["layers"], strict=True):
        assert bool(mine["file"]) == bool(theirs["file"])
        if mine["file"]:
            assert entries(made / mine["file"]) == entries(real / theirs["file"])


def test_the_bundles_are_for_nobody_else(tmp_path: Path, below: Path, source: Path) -> None:
    layers = BLOCKS["a file by its new name"]
    report = json.loads(
        (on_the_image(below, source, tmp_path / "real", layers) / "0.json").read_text()
    )
    out = assembled(source, tmp_path / "made", layers, report["outline"])
    assert json.loads((out / "export-e0.json").read_text()) == {"leftOut": True}


SCRATCH = [["", "d", 0o755, 0, 0, 0, 1]]


def test_nothing_is_known_of_scratch_and_nothing_needs_to_be(tmp_path: Path, source: Path) -> None:
    out = assembled(source, tmp_path, [copied(0, "/bin/service")], SCRATCH)
    assert [one[0] for one in entries(out / "export-a0-0-0.tar")] == ["bin", "bin/service"]


def left_out(out: Path) -> bool:
    """Whether the block has to be built by a pod of its own, which finds its bundles."""
    told = json.loads((out / "export-a0.json").read_text())
    return told == {"leftOut": True} and "leftOut" not in (out / "export-e0.json").read_text()


@pytest.mark.parametrize(
    ("learnt", "now"),
    [
        ([copied(0, SERVICE)], [copied(0, "/etc/app/service")]),
        ([copied(0, SERVICE)], [copied(0, "/etc/app/new/dir/")]),
        ([copied(0, "/etc/x")], [copied(0, "/etc/app", pattern="/out")]),
        ([copied(0, SERVICE)], [made_dir("/home/app/x")]),
        ([copied(0, "/usr/")], [copied(0, SERVICE)]),
    ],
    ids=["a file", "new directories", "a directory", "WORKDIR", "further down"],
)
def test_what_the_outline_does_not_tell(
    tmp_path: Path, below: Path, source: Path, learnt: list[Json], now: list[Json]
) -> None:
    told = (on_the_image(below, source, tmp_path / "real", learnt) / "0.json").read_text()
    outline = json.loads(told)["outline"]
    out = assembled(source, tmp_path / "made", [*now, copied(0, "/")], outline)
    assert left_out(out)


@pytest.mark.parametrize(
    ("layer", "outline"),
    [
        (copied(0, "/etc/hosts"), SCRATCH),
        (copied(0, "/x", pattern="/out"), [*SCRATCH, ["x", "f"]]),
        (copied(0, "/x", chown="nobody"), SCRATCH),
        (copied(0, "/x", link=True), SCRATCH),
        (copied(0, "/x"), [*SCRATCH, ["../x", "d", 0o755, 0, 0, 0, 1]]),
        (copied(0, "/x"), [*SCRATCH, ["a", "l", "/etc"], ["a/b", "f"]]),
        (copied(0, "/x"), [*SCRATCH, ["..", "d", 0o755, 0, 0, 0, 1]]),
    ],
    ids=[
        "mounted into pods",
        "a directory over a file",
        "a user by name",
        "with --link",
        "out of the outline",
        "through a link of the outline",
        "above the outline",
    ],
)
def test_what_a_pod_has_to_do_or_to_say(
    tmp_path: Path, source: Path, layer: Json, outline: list[Any]
) -> None:
    assert left_out(assembled(source, tmp_path, [layer], outline))


def test_an_outline_is_told_when_all_that_is_placed_is_part_of_it(
    tmp_path: Path, below: Path
) -> None:
    """What follows without files (CMD) may be published before it is reported."""
    runs = [{"layers": [made_dir(path)]} for path in ("/srv/one", "/opt/two")]
    task = {"runs": [*runs, {"layers": []}], "outline": True, "waitInputs": True}
    out = program(below, tmp_path / "real", task)
    told = [json.loads((out / f"{run}.json").read_text()).get("outline") for run in range(3)]
    assert told[0] is None
    assert told[1] == told[2]
    assert {"srv", "opt"} <= {entry[0] for entry in told[1] if entry[-1] == 1}


def test_a_bundle_that_was_left_out(tmp_path: Path, source: Path) -> None:
    layers = json.loads(json.dumps([copied(0, "/x")]).replace("in/e0", "out/export-e7"))
    assembly = {"id": "a0", "kind": "assembly", "outline": SCRATCH, "runs": [{"layers": layers}]}
    out = program(source, tmp_path, {"runs": [], "exports": [assembly]})
    assert json.loads((out / "export-a0.json").read_text()) == {"leftOut": True}


def test_an_outline_that_would_be_too_long_is_none(
    tmp_path: Path, below: Path, source: Path
) -> None:
    for number in range(1001):
        (below / f"srv/{number}").touch()
    out = on_the_image(below, source, tmp_path / "real", [copied(0, "/srv/x")])
    assert json.loads((out / "0.json").read_text())["outline"] is None


def test_a_directory_with_attributes_of_its_own_is_no_outline_s(
    tmp_path: Path, below: Path, source: Path
) -> None:
    os.setxattr(below / "srv", "user.note", b"x")
    out = on_the_image(below, source, tmp_path / "real", [copied(0, "/srv/x")])
    assert json.loads((out / "0.json").read_text())["outline"] is None


def test_a_name_that_is_no_text(tmp_path: Path, below: Path, source: Path) -> None:
    Path(os.fsdecode(os.fsencode(below) + b"/srv/\xff")).touch()
    out = on_the_image(below, source, tmp_path / "real", [copied(0, "/srv/x")])
    assert json.loads((out / "0.json").read_text())["outline"] is None


def test_an_outline_keeps_modes_owners_and_times(tmp_path: Path) -> None:
    told = [*SCRATCH, ["a", "d", 0o2750, 5, 6, 1234, 0], ["a/b", "d", 0o755, 0, 0, 99, 0]]
    Outline(told).lay_out(os.fsencode(tmp_path))
    status = (tmp_path / "a").stat()
    assert stat.S_IMODE(status.st_mode) == 0o2750
    assert (status.st_uid, status.st_gid, status.st_mtime) == (5, 6, 1234)
