"""Layers from hostile hands."""

import gzip
import io
import os
import random
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.builder import courier_gzip, tarformat
from conveyor.builder.courier_errors import CourierError
from conveyor.builder.courier_task import Limits
from conveyor.builder.layer_check import LayerCheck, TarFigures, check_figures

Edit = Callable[[tarfile.TarInfo], None]


def tar(*members: tuple[str, Edit | bytes], fmt: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt) as archive:
        for name, what in members:
            info = tarfile.TarInfo(name)
            data = what if isinstance(what, bytes) else b""
            info.size = len(data)
            if not isinstance(what, bytes):
                what(info)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def of_type(kind: bytes, link: str = "") -> Edit:
    def edit(info: tarfile.TarInfo) -> None:
        info.type, info.linkname = kind, link

    return edit


def with_pax(**records: str) -> Edit:
    def edit(info: tarfile.TarInfo) -> None:
        info.pax_headers = records

    return edit


def check(
    data: bytes, limits: Limits | None = None, step: int = 1 << 20, **options: bool
) -> TarFigures:
    checker = LayerCheck(limits or Limits(), **options)
    for at in range(0, len(data), step):
        checker.feed(data[at : at + step])
    return checker.finish()


GOOD = tar(
    ("./", of_type(tarfile.DIRTYPE)),
    ("etc", of_type(tarfile.DIRTYPE)),
    ("etc/motd", b"hello" * 200),
    ("etc/hard", of_type(tarfile.LNKTYPE, "etc/motd")),
    ("etc/soft", of_type(tarfile.SYMTYPE, "/absolute/../target")),
    ("etc/fifo", of_type(tarfile.FIFOTYPE)),
    ("dev-null", of_type(tarfile.CHRTYPE)),
    ("block", of_type(tarfile.BLKTYPE)),
    ("etc/.wh.issue", b""),
    ("var/.wh..wh..opq", b""),
    ("deep/" + "d" * 200 + "/" + "n" * 250, b"long"),
    ("ping", with_pax(**{"SCHILY.xattr.security.capability": "x", "mtime": "1.5"})),
    ("not utf-8 \udcff", b"x"),
    ("new\nline", b""),
)


@pytest.mark.parametrize("step", [1, 7, 511, 512, 513, 1 << 20])
def test_a_good_layer_in_pieces_of_any_size(step: int) -> None:
    assert check(GOOD, step=step) == TarFigures(size=len(GOOD), entries=14, whiteouts=2)


def test_gnu_format_too() -> None:
    data = tar(("a/" * 100 + "b" * 200, b"x"), ("l" * 200, b""), fmt=tarfile.GNU_FORMAT)
    assert check(data).entries == 2


def test_our_own_writer_is_accepted() -> None:
    entry = tarformat.Entry(b"x" * 200, tarformat.FILE)
    entry.size, entry.mtime, entry.uid = 3, 1 << 40, 1 << 30
    data = tarformat.header(entry) + b"abc" + tarformat.padding(3) + tarformat.END
    assert check(data) == TarFigures(size=len(data), entries=1, whiteouts=0)


@pytest.mark.parametrize(
    ("member", "why"),
    [
        (("/etc/passwd", b""), "absolute"),
        (("../escape", b""), "leads elsewhere"),
        (("a/../../escape", b""), "leads elsewhere"),
        (("a/" * 3000, b""), "too long"),
        (("n" * 256, b""), "too long"),
        (("a", of_type(tarfile.LNKTYPE, "/etc/shadow")), "absolute"),
        (("a", of_type(tarfile.LNKTYPE, "../etc/shadow")), "leads elsewhere"),
        (("a", of_type(tarfile.LNKTYPE, "not/here")), "no earlier entry"),
        (("a", of_type(tarfile.LNKTYPE, "a")), "no earlier entry"),
        (("a", of_type(tarfile.LNKTYPE, "")), "empty"),
        (("a", of_type(b"V")), "unknown type"),
        (("a", of_type(b"S")), "unknown type"),
        (("a", of_type(b"7")), "unknown type"),
        ((".wh.", b""), "whiteout"),
        ((".wh..", b""), "whiteout"),
        ((".wh...", b""), "whiteout"),
        (("a/.wh..wh.plnk", b""), "whiteout"),
        ((".wh..wh..opq", b""), "whiteout"),
        ((".wh.full", b"content"), "whiteout"),
        ((".wh.dir", of_type(tarfile.DIRTYPE)), "whiteout"),
        ((".wh.dir/file", b""), "whiteout"),
        ((".conveyor/bash", b""), "belongs to Conveyor"),
        (("./.conveyor-io/x", b""), "belongs to Conveyor"),
        ((".wh..conveyor", b""), "belongs to Conveyor"),
        (("a", with_pax(**{"SCHILY.xattr.trusted.overlay.redirect": "/etc"})), "not allowed"),
        (("a", with_pax(**{"GNU.sparse.realsize": "99999999999"})), "not known"),
        (("a", with_pax(size="-5")), "not a number"),
        (("a", with_pax(size="99999999999999999999")), "not a number"),
        (("a", with_pax(size="9999999999999")), "bytes"),
    ],
)
def test_refused(member: tuple[str, Edit | bytes], why: str) -> None:
    with pytest.raises(CourierError, match=why) as caught:
        check(tar(member))
    assert caught.value.reason == "LayerInvalid"


def test_a_hard_link_to_a_directory_is_refused() -> None:
    members = ("d", of_type(tarfile.DIRTYPE)), ("l", of_type(tarfile.LNKTYPE, "d"))
    with pytest.raises(CourierError, match="no earlier entry"):
        check(tar(*members))


def test_a_bundle_may_say_that_a_directory_is_implied() -> None:
    def noted(value: str) -> bytes:
        return tar(("x", with_pax(**{"CONVEYOR.note": value})))

    assert check(noted("implied"), bundle=True).entries == 1
    for data, bundle in ((noted("implied"), False), (noted("archive 0"), True)):
        with pytest.raises(CourierError, match=r"CONVEYOR\.note"):
            check(data, bundle=bundle)


def test_a_bundle_may_hold_any_name() -> None:
    data = tar((".wh.x", b"content"), (".conveyor/x", b""), ("0/a", b""))
    assert check(data, bundle=True).whiteouts == 0
    with pytest.raises(CourierError):
        check(tar(("../x", b"")), bundle=True)


def test_limits() -> None:
    data = tar(*((f"f{n}", b"x" * 1000) for n in range(10)))
    with pytest.raises(CourierError, match="more than 9 entries"):
        check(data, Limits(entries=9))
    with pytest.raises(CourierError, match="more than 9999 bytes"):
        check(data, Limits(layer_bytes=9999))
    assert check(data, Limits(entries=10, layer_bytes=10_000)).entries == 10


def damage(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


PLAIN = tar(("name", b"x" * 600), fmt=tarfile.USTAR_FORMAT)


def checksummed(data: bytes) -> bytes:
    block = data[:148] + b" " * 8 + data[156:512]
    return damage(data, 148, b"%06o\0 " % sum(block))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "cut short"),
        (b"\0" * 512, "cut short"),
        (PLAIN[:300], "cut short"),
        (PLAIN[:700], "cut short"),
        (PLAIN[: 512 + 1024], "cut short"),
        (PLAIN + b"garbage" + bytes(505), "after its end"),
        (PLAIN[:1536] + bytes(1024) + PLAIN[:512], "after its end"),
        (PLAIN + bytes(2 << 20), "after its end"),
        (damage(PLAIN, 0, b"X"), "wrong checksum"),
        (checksummed(damage(PLAIN, 124, b"-0000000010\0")), "not a number"),
        (checksummed(damage(PLAIN, 124, b"\xff" * 12)), "negative"),
        (checksummed(damage(PLAIN, 124, b"\x80" + b"\x01" * 11)), "bytes"),
        (checksummed(damage(PLAIN, 0, b"\0" * 4)), "empty"),
        (b"\x1f\x8b" + os.urandom(510), "checksum|not a number|negative"),
    ],
)
def test_damaged(data: bytes, why: str) -> None:
    with pytest.raises(CourierError, match=why):
        check(data)


def extension(kind: bytes, body: bytes, size: int | None = None) -> bytes:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, len(body) if size is None else size
    return info.tobuf(tarfile.USTAR_FORMAT) + body + bytes(-len(body) % 512)


@pytest.mark.parametrize(
    ("kind", "body", "why"),
    [
        (b"x", b"8 a=bcd\n", "not known"),
        (b"x", b"99999 path=x\n", "malformed"),
        (b"x", b"0 path=x\n", "malformed"),
        (b"x", b"path=x\n", "malformed"),
        (b"x", b"9 path=xy", "malformed"),
        (b"x", b"11 path=/a\n", "absolute"),
        (b"x", b"14 path=a\0b/c\n", "too long"),
        (b"L", b"/etc/passwd\0", "absolute"),
        (b"g", b"11 path=/a\n", "unknown type"),
    ],
)
def test_hostile_extended_headers(kind: bytes, body: bytes, why: str) -> None:
    with pytest.raises(CourierError, match=why):
        check(extension(kind, body) + PLAIN)


def test_extended_headers_are_limited_and_need_an_entry() -> None:
    with pytest.raises(CourierError, match="extended header of"):
        check(extension(b"x", b"", size=1 << 30))
    with pytest.raises(CourierError, match="without an entry"):
        check(extension(b"L", b"name\0") + bytes(1024))


@given(st.binary(max_size=3000))
def test_noise_is_refused_and_never_crashes(data: bytes) -> None:
    with pytest.raises(CourierError):
        check(data + b"\1")


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255), st.integers(1, 2000))
def test_a_changed_byte_is_refused_or_harmless(at: int, change: int, step: int) -> None:
    changed = damage(GOOD, at, bytes([GOOD[at] ^ change]))
    try:
        found = check(changed, step=step)
    except CourierError as error:
        assert error.reason == "LayerInvalid"  # noqa: PT017 - most changes are refused, not all
    else:
        assert found.size == len(GOOD)


def test_figures_must_agree() -> None:
    found = TarFigures(size=1024, entries=2, whiteouts=1)
    check_figures(found, {"size": 1024, "entries": 2, "whiteouts": 1, "file": "x"})
    check_figures(found, {})
    with pytest.raises(CourierError, match="2 entries, 3 were announced"):
        check_figures(found, {"entries": 3})
    with pytest.raises(CourierError, match="announced"):
        check_figures(found, {"size": "1024"})


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("length", [0, 1, 1000, 32768, 300_000, 3_000_000])
def test_gzip_is_gzip(length: int) -> None:
    data = random.Random(length).randbytes(length // 2)  # noqa: S311
    data += bytes(length - length // 2)
    results = set()
    for threads in (1, 3):
        with ThreadPoolExecutor(threads) as pool:
            blocks = pieces(data, courier_gzip.BLOCK)
            results.add(b"".join(courier_gzip.compress(blocks, pool, 2 * threads)))
    (packed,) = results
    assert gzip.decompress(packed) == data
    assert len(packed) < length // 2 + 2000 + length // 100


@pytest.mark.parametrize("start", [b"\0" * 1000, b"ab" * 500, b""])
def test_the_first_block_refers_to_nothing_before_it(start: bytes) -> None:
    """Whatever it begins with: a reader has no dictionary."""
    with ThreadPoolExecutor(1) as pool:
        packed = b"".join(courier_gzip.compress([start, start], pool, 2))
    assert gzip.decompress(packed) == start * 2
    assert packed[:4] == b"\x1f\x8b\x08\x00", "one plain member"


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=30))
def test_gzip_of_blocks_of_any_size(blocks: list[bytes]) -> None:
    with ThreadPoolExecutor(2) as pool:
        packed = b"".join(courier_gzip.compress(blocks, pool, 3))
    assert gzip.decompress(packed) == b"".join(blocks)
