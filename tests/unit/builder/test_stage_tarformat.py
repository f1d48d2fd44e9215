"""The tar format both ways, against the standard library's and against broken bytes."""

import contextlib
import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.builder import tarformat
from conveyor.builder.tarformat import Entry, Reader, TarError

_NAMES = st.binary(min_size=1, max_size=300).filter(
    lambda n: b"\0" not in n and b"/" not in n and n not in (b".", b"..")
)
_KINDS = st.sampled_from((tarformat.FILE, tarformat.DIR, tarformat.SYMLINK, tarformat.FIFO))
_FIGURES = ("name", "kind", "mode", "uid", "gid", "size", "mtime", "link", "device", "xattrs")


def figures(entry: Entry) -> dict[str, object]:
    return {name: getattr(entry, name) for name in _FIGURES}


@st.composite
def entries(draw: st.DrawFn) -> tuple[Entry, bytes]:
    name = b"/".join(draw(st.lists(_NAMES, min_size=1, max_size=4)))
    entry = Entry(name, draw(_KINDS), draw(st.integers(0, 0o7777)))
    content = draw(st.binary(max_size=1500)) if entry.kind == tarformat.FILE else b""
    entry.size = len(content)
    entry.uid = draw(st.integers(0, (1 << 32) - 2))
    entry.gid = draw(st.integers(0, (1 << 32) - 2))
    entry.mtime = draw(st.integers(-(1 << 40), 1 << 40))
    if entry.kind == tarformat.SYMLINK:
        entry.link = draw(_NAMES)
    keys = st.sampled_from((b"user.a", b"security.capability", b"user.b"))
    entry.xattrs = tuple(draw(st.dictionaries(keys, st.binary(max_size=200), max_size=2)).items())
    return entry, content


def archive(*members: tuple[Entry, bytes]) -> bytes:
    parts = []
    for entry, content in members:
        parts += [tarformat.header(entry), content, tarformat.padding(len(content))]
    return b"".join((*parts, tarformat.END))


@given(st.lists(entries(), max_size=4))
def test_what_is_written_is_read_back(members: list[tuple[Entry, bytes]]) -> None:
    reader = Reader(io.BytesIO(archive(*members)))
    read = [(figures(entry), b"".join(iter(lambda: reader.read(700), b""))) for entry in reader]
    assert read == [(figures(entry), content) for entry, content in members]


@given(entries())
def test_the_standard_library_reads_it(member: tuple[Entry, bytes]) -> None:
    entry, content = member
    with tarfile.open(
        fileobj=io.BytesIO(archive(member)), encoding="utf-8", errors="surrogateescape"
    ) as tar:
        (info,) = tar.getmembers()
        assert info.name.encode("utf-8", "surrogateescape") == entry.name.rstrip(b"/")
        assert (info.mode, info.uid, info.gid, int(info.mtime)) == (
            entry.mode,
            entry.uid,
            entry.gid,
            entry.mtime,
        )
        file = tar.extractfile(info) if info.isreg() else None
        assert (file.read() if file else b"") == content


def test_size_over_eight_gigabytes() -> None:
    entry = Entry(b"big", tarformat.FILE)
    entry.size = 9 << 30
    with tarfile.open(fileobj=io.BytesIO(tarformat.header(entry))) as tar:
        info = tar.next()
        assert info is not None
        assert info.size == 9 << 30


@pytest.mark.parametrize("form", ["gnu", "pax", "ustar"])
def test_archives_of_gnu_tar_are_read(tmp_path: Path, form: str) -> None:
    long = "n" * 90 if form == "ustar" else "n" * 200
    (tmp_path / "in" / long).mkdir(parents=True)
    (tmp_path / "in" / long / "file").write_text("content")
    (tmp_path / "in/link").symlink_to("t" * (90 if form == "ustar" else 180))
    command = [
        "tar",
        "-C",
        str(tmp_path / "in"),
        f"--format={form}",
        "-cf",
        str(tmp_path / "t.tar"),
        ".",
    ]
    subprocess.run(command, check=True, timeout=20)  # noqa: S603 - fixed words
    with (tmp_path / "t.tar").open("rb") as stream:
        reader = Reader(stream)
        found = {entry.name: (entry.kind, entry.link, reader.read()) for entry in reader}
    assert found[f"./{long}/file".encode()] == (tarformat.FILE, b"", b"content")
    assert len(found[b"./link"][1]) in (90, 180)


def _bad_checksum(data: bytes) -> bytes:
    return b"X" + data[1:]


def _cut(data: bytes) -> bytes:
    return data[:700]


def _cut_in_header(data: bytes) -> bytes:
    return data[:300]


def _unknown_kind(data: bytes) -> bytes:
    entry = Entry(b"x", b"S")
    return tarformat.header(entry) + data


def _huge_extension(_: bytes) -> bytes:
    entry = Entry(b"x", b"x")
    entry.size = 1 << 32
    return tarformat.header(entry)


def _pax_without_number(data: bytes) -> bytes:
    entry = Entry(b"x", b"x")
    entry.size = 12
    return tarformat.header(entry) + b"12 size=two\n".ljust(512, b"\0") + data


def _torn_pax(data: bytes) -> bytes:
    entry = Entry(b"x", b"x")
    entry.size = 6
    return tarformat.header(entry) + b"99 a=b".ljust(512, b"\0") + data


@pytest.mark.parametrize(
    "breakage",
    [
        _bad_checksum,
        _cut,
        _cut_in_header,
        _unknown_kind,
        _huge_extension,
        _torn_pax,
        _pax_without_number,
    ],
)
def test_broken_archives_are_refused(breakage: object) -> None:
    entry = Entry(b"name", tarformat.FILE)
    entry.size = 600
    data = archive((entry, b"x" * 600))
    with pytest.raises(TarError):
        list(Reader(io.BytesIO(breakage(data))))  # type: ignore[operator]


@given(st.binary(max_size=3000))
def test_any_bytes_end_in_entries_or_a_clear_error(data: bytes) -> None:
    with contextlib.suppress(TarError):
        list(Reader(io.BytesIO(data)))
