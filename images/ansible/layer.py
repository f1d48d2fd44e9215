#!/usr/bin/env python3
"""Assemble the ansible layer: ansible-core on a Python of its own, under `/.conveyor/ansible`.

In: a Debian root with python3, python3-apt and patchelf, wheels of the lock file, the files beside this program.
Out, in the folder given: `ansible.tar.gz` and `ansible.json` `{"digest", "diffID", "size"}`. The same inputs give the
same bytes. The layer lies on the tools layer and uses its C.UTF-8; of the image below it uses nothing.

    images/ansible/layer.py --wheels build/ansible-wheels --out build/ansible
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parent / "tools"))

import build as tools  # noqa: E402 - the program that makes the tools layer, beside us

PREFIX = ".conveyor/ansible"
LOADER = f"/{PREFIX}/ld.so"
LIBRARIES = f"/{PREFIX}/lib"
PACKAGES = "lib/python3/dist-packages"
# Parts of the standard library that no module uses.
LEFT_OUT = re.compile(
    r"(test|idlelib|tkinter|turtledemo|lib2to3|ensurepip|venv|pydoc_data|unittest/test|distutils/tests"
    r"|sqlite3/test|ctypes/test|config-[^/]+)/|(sitecustomize|turtle|pydoc|antigravity|this)\.py$"
)
# Extensions that drag in libraries no module needs.
UNUSED_EXTENSION = re.compile(
    r"(_dbm|_gdbm|_sqlite3|_curses|_curses_panel|readline|nis|_tkinter|_test.*|_xx.*)\."
)
# Of the wheels: what is only for development, and modules of collections that werf does not allow.
UNUSED = re.compile(
    r"ansible_test/|ansible/galaxy/data/|[^/]+\.dist-info/(?!METADATA|licenses/|LICENSE|COPYING)|[^/]+\.data/"
    r"|cryptography/hazmat/bindings/.*\.pyi$|.*\.pyi$"
)
COLLECTIONS = {
    "community.general": "archive ini_file iso_extract xattr bower bundler composer cpanm easy_install gem"
    " maven_artifact npm pear yarn apk apt_rpm homebrew homebrew_cask homebrew_tap layman macports openbsd_pkg"
    " opkg pacman pkg5 pkg5_publisher pkgin pkgng pkgutil portage portinstall pulp_repo redhat_subscription"
    " slackpkg sorcery svr4pkg swdepot swupd urpmi xbps zypper zypper_repository locale_gen timezone",
    "community.crypto": "x509_certificate openssl_csr openssl_privatekey openssl_publickey",
    "ansible.posix": "acl",
}
# What a short name stands for; ansible's own table of these is twenty times as long and is read at every start.
RENAMED = {"openssl_certificate": "community.crypto.x509_certificate"}
ACTIONS = {"yum": "ansible.builtin.dnf"}
OWN = "ansible_collections.ansible.builtin.plugins"
IMPORTS = {
    f"{OWN}.modules": "ansible.modules",
    f"{OWN}.module_utils": "ansible.module_utils",
    OWN: "ansible.plugins",
}


def main() -> None:
    """Read the arguments and build."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheels", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    root = arguments.out / "root"
    shutil.rmtree(root, ignore_errors=True)
    top = root / PREFIX
    put_standard_library(top)
    put_wheels(arguments.wheels, top / PACKAGES)
    put_apt(top)
    put_own(top)
    put_python(top)
    compile_packages(top / PACKAGES)
    print(json.dumps(tools.pack(root, arguments.out, "ansible")))  # noqa: T201 - the answer for the caller


def put_python(top: Path) -> None:
    """The interpreter, with the layer's own loader and libraries wherever it is started from.

    They are written into the program, not into the environment: commands of the image must not see them. As
    RPATH they count before an LD_LIBRARY_PATH of the image.
    """
    program = top / "bin/python3"
    tools.put(Path("/usr/bin/python3").resolve(), program, 0o755)
    put_libraries(top)
    run("patchelf", "--set-interpreter", LOADER, "--force-rpath", "--set-rpath", LIBRARIES, program)
    library = top / "lib/libc.so.6"
    data = library.read_bytes()
    if tools.LOCALES not in data:
        sys.exit(f"{library}: {tools.LOCALES.decode()} is not compiled in")
    tools.write_bytes(library, data.replace(tools.LOCALES, tools.OUR_LOCALES), 0o755)


def put_libraries(top: Path) -> None:
    """The loader and every library that some file of the layer is linked with."""
    wanted = [top / "bin/python3", *sorted(top.rglob("*.so"))]
    for line in run("ldd", *wanted, check=False).splitlines():
        match = re.match(r"\s*(\S+) => (/\S+)|\s*(/\S*/ld-linux\S+)", line)
        if not match:
            continue
        name, library, loader = match.groups()
        if loader:
            tools.put(Path(loader).resolve(), top / "ld.so", 0o755)
        elif not Path(library).resolve().is_relative_to(top.resolve()):
            tools.put(Path(library).resolve(), top / "lib" / name, 0o644)
    # Loaded by name when a thread ends.
    gcc = run("ldconfig", "-p").partition("libgcc_s.so.1 ")[2].partition("=> ")[2].split()[0]
    tools.put(Path(gcc).resolve(), top / "lib/libgcc_s.so.1", 0o644)


def put_standard_library(top: Path) -> None:
    """Debian's standard library, compiled and without source."""
    library = Path(sysconfig.get_path("stdlib"))
    target = top / "lib" / tools.python_folder()
    for file in sorted(library.rglob("*.py")):
        relative = file.relative_to(library)
        if not LEFT_OUT.search(str(relative)) and "dist-packages" not in relative.parts:
            tools.compiled(file, target / relative.with_suffix(".pyc"), f"{LIBRARIES}/{relative}")
    for file in sorted((library / "lib-dynload").glob("*.so")):
        if not UNUSED_EXTENSION.match(file.name):
            tools.put(file, target / "lib-dynload" / file.name, 0o644)


def put_wheels(folder: Path, target: Path) -> None:
    """The packages: everything of all of them but `ansible`, of that three collections in part."""
    for wheel in sorted(folder.glob("*.whl")):
        choose = is_of_collections if wheel.name.startswith("ansible-") else is_wanted
        with zipfile.ZipFile(wheel) as archive:
            for info in archive.infolist():
                if not info.is_dir() and choose(info.filename):
                    tools.write_bytes(target / info.filename, archive.read(info), 0o644)
    for name in COLLECTIONS:
        place = target / "ansible_collections" / name.replace(".", "/")
        tools.write(place / "meta/runtime.yml", "requires_ansible: '>=2.16.0'\n", 0o644)
    check_collections(target / "ansible_collections")
    put_routing(target / "ansible/config/ansible_builtin_runtime.yml")


def is_wanted(name: str) -> bool:
    """Whether a file of an ordinary wheel is needed."""
    return not UNUSED.match(name)


def is_of_collections(name: str) -> bool:
    """Whether a file of the wheel `ansible` belongs to a module that werf allows."""
    match = re.match(r"ansible_collections/(\w+)/(\w+)/(.+)", name)
    key = f"{match[1]}.{match[2]}" if match else ""
    if not match or key not in COLLECTIONS:
        return False
    module = re.fullmatch(r"plugins/modules/(\w+)\.py", match[3])
    if module:
        return module[1] in COLLECTIONS[key].split()
    return match[3].startswith("plugins/module_utils/") or match[3] in ("MANIFEST.json", "COPYING")


def check_collections(folder: Path) -> None:
    """Stop when an upgrade has taken a module away."""
    for name, modules in COLLECTIONS.items():
        there = {file.stem for file in (folder / name.replace(".", "/")).glob("plugins/modules/*")}
        if missing := set(modules.split()) - there:
            sys.exit(f"{name} has no {', '.join(sorted(missing))} any more")


def put_routing(file: Path) -> None:
    """Where ansible looks short names up: ours only."""
    routes = {m: f"{name}.{m}" for name, modules in COLLECTIONS.items() for m in modules.split()}
    routing = {"modules": redirects(routes | RENAMED), "action": redirects(ACTIONS)}
    table = {"plugin_routing": routing, "import_redirection": redirects(IMPORTS)}
    tools.write(file, json.dumps(table), 0o644)


def redirects(names: dict[str, str]) -> dict[str, dict[str, str]]:
    """Names in the form of that table."""
    return {name: {"redirect": to} for name, to in names.items()}


def put_apt(top: Path) -> None:
    """python3-apt: the modules apt and apt_repository use it, from the interpreter they run in."""
    source, target = Path("/usr/lib/python3/dist-packages"), top / PACKAGES
    files = [*source.glob("apt_*.so"), *source.glob("apt/**/*.py"), *source.glob("aptsources/*.py")]
    for file in files:
        tools.put(file, target / file.relative_to(source), 0o644)
    templates = Path("/usr/share/python-apt/templates")
    for file in templates.iterdir():
        tools.put(file, top / "share/python-apt" / file.name, 0o644)
    info = target / "aptsources/distinfo.py"
    text = info.read_text()
    if str(templates) not in text:
        sys.exit(f"{info} does not name {templates}")
    tools.write(info, text.replace(str(templates), f"/{PREFIX}/share/python-apt"), 0o644)


def put_own(top: Path) -> None:
    """Our program, its settings and the callback that reports."""
    for file in sorted((HERE / "files").rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            mode = 0o755 if file.parent.name == "bin" else 0o644
            tools.put(file, top / file.relative_to(HERE / "files"), mode)


def compile_packages(folder: Path) -> None:
    """Compiled files beside the sources; modules are read as text and need none."""
    for file in sorted(folder.rglob("*.py")):
        if "modules" in file.parts:
            continue
        name = f"{file.stem}.{sys.implementation.cache_tag}.pyc"
        shown = f"/{PREFIX}/{PACKAGES}/{file.relative_to(folder)}"
        tools.compiled(file, file.parent / "__pycache__" / name, shown, optimize=0)


def run(*words: object, check: bool = True) -> str:
    """Run a program of the build root; its output."""
    found = subprocess.run(  # noqa: S603 - our own words
        [str(word) for word in words], capture_output=True, text=True, check=False
    )
    if check and found.returncode:
        sys.exit(f"{words[0]}: {found.stderr}")
    return found.stdout


if __name__ == "__main__":
    main()
