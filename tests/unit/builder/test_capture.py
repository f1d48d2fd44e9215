"""A layer's file: what it is called while it is being written, and after."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from conveyor.builder.capture import capture
from conveyor.builder.courier_io import Exchange
from conveyor.builder.handover import GROWING, hold_alive
from conveyor.builder.snapshot import Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from conveyor.builder.snapshot import Change


class Watched(Snapshot):
    """Tells which file the courier sees growing when the first change is written."""

    def __init__(self, root: bytes, exchange: Exchange) -> None:
        super().__init__(root)
        self.exchange = exchange
        self.growing: int | None = None

    def changes(self, within: Iterable[bytes] | None = None) -> "Iterator[Change]":
        for change in super().changes(within):
            self.growing = self.exchange.growing()
            yield change


def test_it_is_the_same_file_by_another_name(tmp_path: Path) -> None:
    root, io = tmp_path / "root", tmp_path / "io"
    for folder in (root, io):
        folder.mkdir()
    exchange = Exchange(str(io))
    lock = hold_alive(f"{io}/alive")
    snapshot = Watched(os.fsencode(root) + b"/", exchange)
    snapshot.take()
    snapshot.settle()
    (root / "made").write_text("text")
    told = capture(snapshot, os.fsencode(root) + b"/", None, f"{io}/out/0-0.tar")
    assert told["file"] == "0-0.tar"
    assert snapshot.growing == (io / "out/0-0.tar").stat().st_ino
    assert exchange.growing() is None

    nothing = capture(snapshot, os.fsencode(root) + b"/", None, f"{io}/out/1-0.tar")
    assert nothing["file"] is None
    assert not (io / "out" / GROWING).exists()
    os.close(lock)


def test_a_file_whose_writer_is_gone_grows_no_more(tmp_path: Path) -> None:
    exchange = Exchange(str(tmp_path))
    lock = hold_alive(f"{tmp_path}/alive")
    (tmp_path / "out" / GROWING).write_bytes(b"half")
    assert exchange.growing() is not None
    os.close(lock)
    assert exchange.growing() is None
