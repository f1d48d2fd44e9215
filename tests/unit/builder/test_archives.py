"""Archives of a build context: what is one, and what is refused of hostile ones."""

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest

from conveyor.builder import archives, zstd
from conveyor.builder.archives import Archive, write_tar
from conveyor.builder.courier_errors import CourierError
from conveyor.builder.courier_task import Limits


def tar(*members: tuple[str, bytes], **fields: Any) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for field, value in fields.items():
                setattr(info, field, value)
            made.addfile(info, io.BytesIO(data))
    return out.getvalue()


def chunks(data: bytes, size: int = 1000) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def unpacked(data: bytes, **limits: int) -> bytes:
    archive = Archive(chunks(data))
    assert archive.is_tar()
    out = io.BytesIO()
    write_tar(archive, out, Limits(**limits), "a.bin")
    return out.getvalue()


def names(data: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as found:
        return found.getnames()


PLAIN = tar(("a", b"x" * 5000), ("d/b", b"y"))
PACKED = {
    "tar": PLAIN,
    "gzip": gzip.compress(PLAIN),
    "several gzip streams": gzip.compress(PLAIN[:700]) + gzip.compress(PLAIN[700:]),
    "bzip2": bz2.compress(PLAIN),
    "several bzip2 streams": bz2.compress(PLAIN[:700]) + bz2.compress(PLAIN[700:]),
    "xz": lzma.compress(PLAIN),
}


@pytest.mark.parametrize("kind", PACKED)
def test_known_kinds(kind: str) -> None:
    assert names(unpacked(PACKED[kind])) == ["a", "d/b"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        bytes(10240),
        b"\x1f\x8b\x08 no gzip",
        gzip.compress(b"no tar", mtime=0),
        bz2.compress(b"no tar" * 1000),
        b"BZh broken",
        b"\xfd7zXZ\x00 broken",
        b"\x28\xb5\x2f\xfd broken",
        PLAIN[:300],
    ],
)
def test_other_files(data: bytes) -> None:
    assert not Archive(chunks(data)).is_tar()


def test_what_follows_the_end_does_not_matter() -> None:
    assert names(unpacked(gzip.compress(PLAIN)[:-12] + b"rubbish")) == ["a", "d/b"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (gzip.compress(PLAIN[:2000], mtime=0), "in the middle of a file"),
        (lzma.compress(tar(("a", bytes(range(256)) * 4000)))[:300], "not whole xz data"),
        (PLAIN[:5632] + b"x" * 512, "wrong checksum|not a number"),
        (tar(("../x", b"")), "'../x' leaves the directory"),
        (tar(("a/../../x", b"")), "leaves the directory"),
        (
            tar(("x", b""), type=tarfile.LNKTYPE, linkname="../../etc/passwd"),
            "leaves the directory",
        ),
        (tar(("x", b""), type=b"S"), "of a type that cannot be unpacked"),
        (tar(("x", b""), uid=-5), "impossible owner"),
    ],
)
def test_broken_and_hostile(data: bytes, said: str) -> None:
    with pytest.raises(CourierError, match=said) as caught:
        unpacked(data)
    assert caught.value.reason == "StepInvalid"
    assert caught.value.message.startswith("ADD a.bin: ")


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CourierError, match="more than 4096 bytes unpacked"):
        unpacked(gzip.compress(PLAIN), input_bytes=4096)
    with pytest.raises(CourierError, match="more than 1 entries"):
        unpacked(PLAIN, entries=1)
    monkeypatch.setattr(archives, "RATIO_FROM", 1 << 20)
    bomb = bz2.compress(tar(("zeros", bytes(32 << 20))))
    with pytest.raises(CourierError, match="over 1000 times as large") as caught:
        unpacked(bomb)
    assert caught.value.reason == "InputTooLarge"


def test_memory_of_xz_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_XZ_MEMORY", 1 << 16)
    with pytest.raises(
        CourierError, match="packed with xz so that unpacking takes too much memory"
    ):
        Archive(chunks(PACKED["xz"])).is_tar()


def test_links_that_lead_out_are_kept() -> None:
    data = tar(("x", b""), type=tarfile.SYMTYPE, linkname="/../../etc/passwd")
    assert names(unpacked(data)) == ["x"]


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    zstd._library.cache_clear()
    monkeypatch.setattr(zstd, "_NAME", "libnone.so.0")
    with pytest.raises(CourierError, match=r"libnone\.so\.0 is not installed"):
        Archive(chunks(b"\x28\xb5\x2f\xfd broken"))
    zstd._library.cache_clear()
