#!/usr/bin/env python3
"""Assemble the tools layer: everything a stage container brings along, under `/.conveyor`.

In: a Debian root with python3, bash-static and busybox-static (the operator image is built on one), and
the source of `conveyor.builder`. Out, in the folder given: `root/.conveyor/…`, `tools.tar.gz` and
`tools.json` `{"digest", "diffID", "size"}`. The same inputs give the same bytes.

Nothing in it uses the image below it: Python comes with its own loader and libraries, bash and busybox are
static. Only the modules that the stage program can import are taken, compiled, without source.

    images/tools/build.py --source operator --out build/tools
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import modulefinder
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

PREFIX = ".conveyor"
PROGRAM = "conveyor.builder.stage"
LAZY = (
    "conveyor.builder.copying",
    "conveyor.builder.exports",
    "conveyor.builder.modes",
    "conveyor.builder.no_network",
    "conveyor.builder.overlay",
    "conveyor.builder.playbook",
    "conveyor.builder.selection",
    "conveyor.builder.steps_unpack",
    "conveyor.builder.unpack",
    "conveyor.builder.untar",
)
# What Python itself needs to start, and what the standard library imports by name at run time.
ALWAYS = (
    "os",
    "codecs",
    "encodings.aliases",
    "encodings.utf_8",
    "encodings.ascii",
    "encodings.latin_1",
    "traceback",
    "linecache",
    "tokenize",
)
# Imported for types only, or only where a platform lacks something: never at run time here.
EXCLUDED = (
    "typing",
    "ssl",
    "socket",
    "subprocess",
    "_hashlib",
    "doctest",
    "unittest",
    "argparse",
    "getopt",
    "optparse",
    "pydoc",
    "inspect",
    "dis",
    "ast",
    "nt",
    "winreg",
    "multiprocessing",
    "threading",
    "asyncio",
    "logging",
    "pickle",
    "_pydecimal",
    "hmac",
)
APPLETS = (
    "base64",
    "cat",
    "chmod",
    "chown",
    "cp",
    "cut",
    "date",
    "du",
    "env",
    "false",
    "find",
    "grep",
    "head",
    "id",
    "install",
    "ln",
    "ls",
    "mkdir",
    "mknod",
    "mv",
    "readlink",
    "rm",
    "rmdir",
    "sed",
    "sh",
    "sleep",
    "sort",
    "stat",
    "tail",
    "tar",
    "test",
    "touch",
    "tr",
    "true",
    "wc",
    "xargs",
)

LOCALES, OUR_LOCALES = b"/usr/lib/locale", b"/.conveyor/i18n"

# `-p`: neither BASH_ENV nor functions of the image's environment are read. The image may set variables
# that steer the loader; they are meant for its own programs.
ENTRY = """#!/.conveyor/bin/bash -p
unset LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT LD_BIND_NOW LD_DEBUG GLIBC_TUNABLES
exec /.conveyor/ld.so --library-path /.conveyor/lib /.conveyor/bin/python3 \
-I -S -B -X utf8 /.conveyor/lib/stage/run.py
"""
RUN = """import sys

sys.path.insert(0, "/.conveyor/lib/stage")
from conveyor.builder.stage import main

sys.exit(main())
"""


def main() -> None:
    """Read the arguments and build."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="folder that holds conveyor/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--bash", type=Path, default=Path("/bin/bash-static"))
    parser.add_argument("--busybox", type=Path, default=Path("/bin/busybox"))
    arguments = parser.parse_args()
    if Path(sys.executable).resolve() != Path(arguments.python).resolve():
        sys.exit(f"run this with {arguments.python}: its modules are compiled for that interpreter")
    root = arguments.out / "root"
    shutil.rmtree(root, ignore_errors=True)
    top = root / PREFIX
    put_programs(top, arguments)
    put_modules(top, arguments.source.resolve())
    print(json.dumps(pack(root, arguments.out, "tools")))  # noqa: T201 - the answer for the caller


def put_programs(top: Path, arguments: argparse.Namespace) -> None:
    """Bash, busybox with its applets, Python with loader and libraries, the entry."""
    interpreter = Path(arguments.python).resolve()
    require_static(arguments.bash, arguments.busybox)
    put_bash(arguments.bash, top)
    put(arguments.busybox, top / "bin/busybox", 0o755)
    for applet in APPLETS:
        (top / "bin" / applet).symlink_to("busybox")
    put(interpreter, top / "bin/python3", 0o755)
    put_libraries(interpreter, top)
    write(top / "bin/stage", ENTRY, 0o755)
    write(top / "lib/stage/run.py", RUN, 0o644)


def put_bash(bash: Path, top: Path) -> None:
    """Bash with its own C.UTF-8, which werf's scripts run under and small images do not have.

    glibc looks for locales in a folder that is compiled in; a path of the same length takes its place.
    """
    program = bash.read_bytes()
    if LOCALES not in program or len(LOCALES) != len(OUR_LOCALES):
        sys.exit(f"{bash}: {LOCALES.decode()} is not compiled in")
    write_bytes(top / "bin/bash", program.replace(LOCALES, OUR_LOCALES), 0o755)
    source = Path(LOCALES.decode()) / "C.utf8"
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        put(file, top / "i18n/C.utf8" / file.relative_to(source), 0o644)


def require_static(*programs: Path) -> None:
    """Stop when a program would need the image's loader."""
    for program in programs:
        found = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False)  # noqa: S603, S607
        if found.returncode == 0 and "=>" in found.stdout:
            sys.exit(f"{program} is not static: install bash-static and busybox-static")


def put_libraries(program: Path, top: Path) -> None:
    """The loader as `ld.so` and every library that the program is linked with."""
    found = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True)  # noqa: S603, S607
    for line in found.stdout.splitlines():
        match = re.match(r"\s*(\S+) => (/\S+)|\s*(/\S*ld-\S+|/\S*/ld-linux\S+)", line)
        if not match:
            continue
        name, library, loader = match.groups()
        if loader:
            put(Path(loader).resolve(), top / "ld.so", 0o755)
        else:
            put(Path(library).resolve(), top / "lib" / name, 0o644)
    if not (top / "ld.so").exists():
        sys.exit(f"{program}: no loader in the output of ldd")


def put_modules(top: Path, source: Path) -> None:
    """Every module that the stage program can reach, compiled."""
    library = Path(sysconfig.get_path("stdlib"))
    for name, file in sorted(reachable(source, library).items()):
        if file.suffix == ".so":
            put(file, top / "lib" / python_folder() / "lib-dynload" / file.name, 0o644)
            put_libraries(file, top)
            continue
        ours = name.partition(".")[0] == "conveyor"
        base = top / "lib" / ("stage" if ours else python_folder())
        relative = file.relative_to(source if ours else library)
        compiled(file, base / relative.with_suffix(".pyc"), f"/{PREFIX}/lib/{relative}")
    (top / "lib" / python_folder() / "lib-dynload").mkdir(parents=True, exist_ok=True)


def reachable(source: Path, library: Path) -> dict[str, Path]:
    """Name to file of the program's modules, found by reading their import statements."""
    finder = modulefinder.ModuleFinder(
        [str(source), str(library), str(library / "lib-dynload")], excludes=list(EXCLUDED)
    )
    for name in (PROGRAM, *LAZY, *ALWAYS):
        finder.import_hook(name)
    found = ((name, getattr(module, "__file__", None)) for name, module in finder.modules.items())
    files = {name: Path(file) for name, file in found if file}
    foreign = [
        n for n in files if n.startswith("conveyor.") and not n.startswith("conveyor.builder")
    ]
    if foreign:
        sys.exit(f"the stage program must not import {foreign}")
    return files


def python_folder() -> str:
    """`python3.11`, the folder Python looks for below its prefix."""
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def compiled(file: Path, target: Path, shown: str, *, optimize: int = 2) -> None:
    """Compile one module; the file's times and place are not part of the result."""
    target.parent.mkdir(parents=True, exist_ok=True)
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(
        str(file),
        cfile=str(target),
        dfile=shown,
        doraise=True,
        optimize=optimize,
        invalidation_mode=mode,
    )


def pack(root: Path, out: Path, name: str) -> dict[str, object]:
    """Write the layer as NAME.tar.gz and NAME.json: names sorted, times zero, owned by root."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(root.rglob("*")):
            info = tar.gettarinfo(str(path), arcname=str(path.relative_to(root)))
            info.uid = info.gid = info.mtime = 0
            info.uname = info.gname = ""
            info.mode = 0o777 if info.issym() else 0o755 if info.isdir() else info.mode & 0o755
            with path.open("rb") if info.isfile() else io.BytesIO() as file:
                tar.addfile(info, file if info.isfile() else None)
    data = raw.getvalue()
    packed = gzip.compress(data, 9, mtime=0)
    (out / f"{name}.tar.gz").write_bytes(packed)
    report: dict[str, object] = {
        "digest": "sha256:" + hashlib.sha256(packed).hexdigest(),
        "diffID": "sha256:" + hashlib.sha256(data).hexdigest(),
        "size": len(packed),
    }
    (out / f"{name}.json").write_text(json.dumps(report) + "\n")
    return report


def put(source: Path, target: Path, mode: int) -> None:
    """Copy a file's bytes."""
    write_bytes(target, source.read_bytes(), mode)


def write(target: Path, text: str, mode: int) -> None:
    """Write a text file."""
    write_bytes(target, text.encode(), mode)


def write_bytes(target: Path, data: bytes, mode: int) -> None:
    """Write a file and its folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    target.chmod(mode)


if __name__ == "__main__":
    main()
