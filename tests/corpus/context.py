"""Build contexts that many cases share.

In: nothing. Out: `CONTEXTS`: name to files. `common` is what a case gets that says nothing else; archives are the same
to the byte each time.
"""

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Mapping

from tests.cluster.projects import Content, Executable, Link

_TREE: tuple[tuple[str, bytes, bytes | str, int, int], ...] = (
    ("pack", tarfile.DIRTYPE, b"", 0o750, 7),
    ("pack/plain", tarfile.REGTYPE, b"plain\n", 0o640, 7),
    ("pack/tool", tarfile.REGTYPE, b"#!/bin/sh\n", 0o4755, 0),
    ("pack/again", tarfile.LNKTYPE, "pack/plain", 0o640, 7),
    ("pack/link", tarfile.SYMTYPE, "plain", 0o777, 7),
    ("pack/empty", tarfile.DIRTYPE, b"", 0o2775, 33),
)


def archive(tree: tuple[tuple[str, bytes, bytes | str, int, int], ...] = _TREE) -> bytes:
    """A tar of (name, type, content or link, mode, uid and gid); every time is 100 s after 1970."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, content, mode, owner in tree:
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.uid, info.gid, info.mtime = kind, mode, owner, owner, 100
            info.linkname = content if isinstance(content, str) else ""
            data = content if isinstance(content, bytes) else b""
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


_COMMON: Mapping[str, Content] = {
    "a.txt": "a\n",
    "b.txt": "b\n",
    "empty": "",
    "two words.txt": "blank in the name\n",
    "[odd].txt": "brackets in the name\n",
    "run.sh": Executable("#!/bin/sh\necho run\n"),
    "app.conf": "app\n",
    "db.conf": "db\n",
    "notes.md": "notes\n",
    "README.md": "readme\n",
    "app.log": "log\n",
    "dir/c.txt": "c\n",
    "dir/d.log": "log\n",
    "dir/run.sh": Executable("#!/bin/sh\necho dir\n"),
    "dir/sub/e.txt": "e\n",
    "dir/sub/f.md": "f\n",
    "dir/.hidden": "hidden\n",
    "dir/link": Link("c.txt"),
    "dir/dangling": Link("nowhere"),
    "dir/up": Link("../a.txt"),
    "other/c.txt": "other c\n",
    "other/g.txt": "g\n",
    "link-to-file": Link("a.txt"),
    "link-to-dir": Link("dir"),
    "src/main.c": "int main(){}\n",
    "src/lib/util.c": "int util;\n",
    "src/lib/util.h": "extern int util;\n",
}


def _packed() -> dict[str, Content]:
    tar = archive()
    return {
        "plain.tar": tar,
        "packed.tar.gz": gzip.compress(tar, mtime=0),
        "packed.tar.bz2": bz2.compress(tar),
        "packed.tar.xz": lzma.compress(tar),
        "misnamed.tar.gz": "no archive\n",
        "disguised.dat": gzip.compress(tar, mtime=0),
        "text.gz": gzip.compress(b"only compressed\n", mtime=0),
        "a.txt": "a\n",
    }


def _odd_names() -> dict[str, Content]:
    return {
        "odd/caf\udce9": "latin 1\n",
        "odd/café": "utf-8\n",
        "odd/new\nline": "line break\n",
        "odd/" + "x" * 200: "long\n",
        "odd/" + "/".join(["deep" * 10] * 6) + "/file": "deep\n",
        "odd/star*": "star\n",
        "odd/back\\slash": "backslash\n",
        "odd/dollar$HOME": "dollar\n",
        "odd/ leading": "blank\n",
    }


CONTEXTS: Mapping[str, Mapping[str, Content]] = {
    "common": _COMMON,
    "archives": _packed(),
    "odd": _odd_names(),
    "none": {},
}
