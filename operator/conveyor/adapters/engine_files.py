"""Tars that go into containers of a Docker Engine, and files that come out.

In: names and contents (bytes, or a file on disk). Out: an open tar; the content of the first file of one.
"""

import io
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

Content = Mapping[str, bytes | Path]


def files_tar(contents: Content, keys: Mapping[str, tuple[str, int]]) -> BinaryIO:
    """Return a tar of files; those that `keys` does not name are root's to read.

    Args:
        contents: File or bytes by key.
        keys: File name and mode of the keys that are wanted; {} for all by their own names.
    """
    out = tempfile.TemporaryFile()  # noqa: SIM115 - whoever sends it closes it
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for key, (name, mode) in (keys or {key: (key, 0o400) for key in contents}).items():
            _add(tar, name, contents[key], mode)
    out.seek(0)
    return out


def open_directory_tar(name: str = ".") -> BinaryIO:
    """Return a tar that makes a directory, that it is unpacked in by default, writable for everybody, as an emptyDir is."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo(f"{name}/")
        info.type, info.mode = tarfile.DIRTYPE, 0o777
        tar.addfile(info)
    out.seek(0)
    return out


def first_file(tar: bytes) -> bytes:
    """Return the content of the first regular file of a tar, b"" when there is none or it is cut off."""
    try:
        with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
            for member in opened:
                file = opened.extractfile(member) if member.isreg() else None
                if file is not None:
                    return file.read()
    except tarfile.TarError:
        return b""
    return b""


def _add(tar: tarfile.TarFile, name: str, content: bytes | Path, mode: int) -> None:
    info = tarfile.TarInfo(name)
    info.mode = mode
    if isinstance(content, Path):
        info.size = content.stat().st_size
        with content.open("rb") as file:
            tar.addfile(info, file)
        return
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
