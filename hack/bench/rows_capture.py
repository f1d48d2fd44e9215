"""The snapshot tool without a cluster: how long the walk takes, and the capture of many small files.

In: the lab. Out: rows. The tree is the base image's, unpacked into a folder of this machine; the tool is the one of the stage
container, on this Python.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.lab import BenchError, run
from bench.table import Row, row
from cluster import settings
from conveyor.builder.layer import write_layer
from conveyor.builder.snapshot import Snapshot

if TYPE_CHECKING:
    from bench.lab import Lab

FOLDERS, FILES = 1000, 100


def rows(lab: Lab, runs: int) -> list[Row]:
    """Walk the base image; capture 100,000 files of 20 bytes added to it."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=settings.cache_folder()) as place:
        root, many = Path(place) / "root", Path(place) / "many"
        root.mkdir()
        _unpack(lab, root)
        walks, entries = _walks(root, runs)
        _make(many)
        captures = [_capture(root, many) for _ in range(runs)]
    return [
        row(f"walk of the base image ({entries} entries)", walks, digits=3),
        row(f"capture of {FOLDERS * FILES} new small files as a tar", captures),
    ]


def _unpack(lab: Lab, root: Path) -> None:
    image = f"{lab.registry}/library/debian:bookworm"
    run(["docker", "pull", "--quiet", image])
    container = run(["docker", "create", image, "true"]).strip()
    try:
        run(["docker", "export", "--output", f"{root}.tar", container])
        run(["tar", "-C", str(root), "-xf", f"{root}.tar"])
    finally:
        run(["docker", "rm", container])
        Path(f"{root}.tar").unlink(missing_ok=True)


def _walks(root: Path, runs: int) -> tuple[list[float], int]:
    found = []
    for _ in range(runs):
        snapshot = Snapshot(os.fsencode(root))
        begun = time.perf_counter()
        snapshot.take()
        found.append(time.perf_counter() - begun)
    return found, snapshot.entries


def _make(many: Path) -> None:
    for folder in range(FOLDERS):
        (many / str(folder)).mkdir(parents=True)
        for file in range(FILES):
            (many / str(folder) / str(file)).write_bytes(b"twenty bytes of text")


def _capture(root: Path, many: Path) -> float:
    """Move the files in after the first walk, capture them, move them out again."""
    snapshot = Snapshot(os.fsencode(root))
    snapshot.take()
    snapshot.settle()
    many.rename(root / "many")
    with tempfile.TemporaryFile(dir=settings.cache_folder()) as out:
        begun = time.perf_counter()
        figures = write_layer(snapshot.changes(), os.fsencode(root), out.fileno())
        took = time.perf_counter() - begun
    (root / "many").rename(many)
    expected = FOLDERS * (FILES + 1) + 1  # and the folder that holds them
    if figures.entries != expected:
        raise BenchError(f"{figures.entries} entries were captured instead of {expected}")
    return took
