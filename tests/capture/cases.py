"""What containers do to their files, one case each: the differential test's data.

In: nothing. Out: `CASES`, commands per layer. `python` runs the tools' own Python, for what a shell cannot.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

_PYTHON = (
    "/.conveyor/ld.so --library-path /.conveyor/lib /.conveyor/bin/python3 -I -S -B -X utf8 -c"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One differential case: the commands of each layer, run on the base `small`."""

    id: str
    layers: tuple[tuple[str, ...], ...]


def python(*lines: str) -> str:
    """A shell command that runs Python lines (with `os` imported)."""
    return f"{_PYTHON} {shlex.quote(chr(10).join(('import os', *lines)))}"


def _case(name: str, *commands: str) -> Case:
    return Case(id=name, layers=(commands,))


CASES = (
    _case("add-files", "mkdir -p /opt/a/b", "echo new > /opt/a/b/f", "echo more >> /srv/file"),
    _case("delete-tree", "rm -rf /srv/tree", "rm /srv/file"),
    _case("delete-some-of-a-tree", "rm -rf /srv/tree/d0* /srv/tree/d11/f1", "rm /srv/dangling"),
    _case("delete-and-make-again", "rm -rf /srv/dir", "mkdir /srv/dir", "echo x > /srv/dir/other"),
    _case("directory-becomes-file", "rm -r /srv/dir", "echo x > /srv/dir"),
    _case("directory-becomes-symlink", "rm -r /srv/dir", "ln -s tree /srv/dir"),
    _case("directory-becomes-dangling-symlink", "rm -r /srv/dir", "ln -s /no/where /srv/dir"),
    _case("file-becomes-directory", "rm /srv/file", "mkdir /srv/file", "echo x > /srv/file/in"),
    _case(
        "symlink-becomes-directory",
        "rm /srv/link-to-dir /srv/dangling",
        "mkdir /srv/link-to-dir /srv/dangling",
        "echo x > /srv/link-to-dir/in",
    ),
    _case("symlink-becomes-file", "rm /srv/link-to-file", "echo x > /srv/link-to-file"),
    _case("symlink-elsewhere", "rm /srv/link-to-file", "ln -s /data/one /srv/link-to-file"),
    Case(
        id="directory-becomes-file-becomes-symlink-and-back",
        layers=(
            ("rm -r /srv/dir", "echo x > /srv/dir"),
            ("rm /srv/dir", "ln -s tree /srv/dir"),
            ("rm /srv/dir", "mkdir -p /srv/dir/sub", "echo back > /srv/dir/sub/deep"),
        ),
    ),
    Case(
        id="made-in-one-layer-deleted-in-the-next",
        layers=(
            ("mkdir -p /opt/x/y", "echo 1 > /opt/x/y/z", "echo 2 > /opt/keep"),
            ("rm -r /opt/x",),
            ("true",),
            ("echo 3 > /opt/keep",),
        ),
    ),
    _case(
        "hard-links-inside", "mkdir /opt", "echo x > /opt/1", "ln /opt/1 /opt/2", "ln /opt/1 /opt/3"
    ),
    _case(
        "hard-links-across-directories",
        "mkdir -p /opt/a /opt/b",
        "echo x > /opt/b/1",
        "ln /opt/b/1 /opt/a/2",
        "ln /opt/a/2 /home/3",
    ),
    _case("hard-link-to-old-file", "ln /data/alone /srv/linked", "ln /bin/busybox /bin/bb"),
    _case("hard-link-to-old-group", "ln /data/two /home/four"),
    _case("hard-link-of-old-group-written", "echo changed >> /data/two"),
    _case("hard-link-of-old-group-removed", "rm /data/one"),
    _case(
        "hard-linked-symlink",
        "ln -s target /srv/l1",
        python("os.link('/srv/l1', '/srv/l2', follow_symlinks=False)"),
    ),
    Case(
        id="written-below-an-untouched-directory",
        layers=(
            (
                "mkdir -p /opt/own/in",
                "echo 1 > /opt/own/in/f",
                "echo 1 > /opt/own/g",
                "chown -R 1000:1001 /opt",
                "chmod 2750 /opt /opt/own /opt/own/in",
            ),
            ("echo 2 >> /opt/own/in/f",),
            ("chmod 600 /opt/own/g",),
        ),
    ),
    Case(
        id="hard-links-across-layers",
        layers=(
            ("mkdir /opt", "echo x > /opt/1", "ln /opt/1 /opt/2"),
            ("ln /opt/1 /opt/3", "rm /opt/2"),
            ("echo y >> /opt/3",),
        ),
    ),
    _case(
        "set-id-and-sticky",
        "mkdir /opt",
        "for m in 4755 2755 6711 1644 0000 7777; do echo $m > /opt/$m; chmod $m /opt/$m; done",
        "mkdir /opt/s /opt/g",
        "chmod 1777 /opt/s",
        "chmod 2775 /opt/g",
        "echo x > /opt/g/inherits",
        "chmod u-s /srv/setuid",
    ),
    _case(
        "chown-only",
        "chown 1000:1001 /srv/file",
        "chown 5:6 /srv/tree/d01",
        "chown -h 7:8 /srv/dangling",
    ),
    _case("chown-clears-set-id", "chown 1000 /srv/setuid"),
    _case(
        "chown-large-ids",
        "chown 3000000000:4000000000 /srv/file",
        "chown 2097151:2097152 /srv/same-size",
    ),
    _case("chmod-only", "chmod 600 /srv/file", "chmod 700 /srv/tree/d01"),
    _case(
        "content-changed-mtime-restored",
        "touch -r /srv/same-size /tmp/t",
        "echo VERSION ONE > /srv/same-size",
        "touch -r /tmp/t /srv/same-size",
        "rm /tmp/t",
    ),
    _case(
        "touch-only",
        "touch -d '2001-02-03 04:05:06' /srv/file /srv/tree/d02",
        "touch /srv/tree/d03/f1",
    ),
    _case(
        "odd-times",
        python(
            "for n, t in (('before', -1), ('zero', 0), ('old', -5_000_000_000), ('far', 9_000_000_000)):",
            "    open('/srv/' + n, 'w').close()",
            "    os.utime('/srv/' + n, (t, t))",
            "os.utime('/srv/file', ns=(0, 1_234_567_890_987_654_321))",
            "os.utime('/srv/same-size', ns=(0, -1_500_000_000))",
        ),
    ),
    _case("rename-base-directory", "mv /srv/tree /srv/wood", "mv /srv/file /home/file"),
    _case(
        "swap-base-directories",
        "mv /srv/tree/d01 /tmp/x",
        "mv /srv/tree/d02 /srv/tree/d01",
        "mv /tmp/x /srv/tree/d02",
    ),
    _case(
        "rename-over-a-file",
        "echo new > /srv/new",
        "mv /srv/new /srv/file",
        "mv /srv/dangling /srv/same-size",
    ),
    _case(
        "fifo-socket-devices",
        "mkdir /opt",
        "mkfifo -m 640 /opt/fifo",
        "mknod /opt/char c 10 200",
        "mknod /opt/block b 259 70000",
        "chown 3:4 /opt/char",
        python("import stat", "os.mknod('/opt/socket', stat.S_IFSOCK | 0o755)"),
    ),
    _case("file-becomes-device", "rm /srv/file", "mknod /srv/file c 1 3"),
    _case(
        "socket-over-a-file",
        "rm /srv/file",
        "rm -r /srv/dir",
        python(
            "import stat",
            "os.mknod('/srv/file', stat.S_IFSOCK | 0o755)",
            "os.mknod('/srv/dir', stat.S_IFSOCK | 0o755)",
        ),
    ),
    _case(
        "sparse-file",
        python(
            "with open('/srv/sparse', 'wb') as f:",
            "    f.truncate(50 << 20); f.seek(10 << 20); f.write(b'island' * 1000)",
            "    f.seek(40 << 20); f.write(b'x'); f.truncate((60 << 20) + 7)",
            "with open('/srv/hole', 'wb') as f: f.truncate(5 << 20)",
            "with open('/srv/ends', 'wb') as f: f.seek(1 << 20); f.write(b'end')",
        ),
    ),
    _case(
        "odd-names",
        python(
            r"names = [b'new\nline', b'\xff\xfe', 'größe'.encode(), b'caf\xe9', b' lead', b'trail ', b'q\"uo\\te']",
            r"names += [b'-rf', b'*', b'\x01\x7f', b'a=b', b'%s', b'...', '日本'.encode() * 30]",
            "for n in names:",
            "    open(b'/srv/' + n, 'w').close(); os.mkdir(b'/home/' + n); open(b'/home/' + n + b'/' + n, 'w').close()",
            "    os.symlink(n, b'/tmp/' + n)",
        ),
    ),
    Case(
        id="odd-names-deleted",
        layers=(
            (
                python(
                    r"for n in (b'new\nline', b'\xff\xfe', b'x' * 250): os.makedirs(b'/srv/' + n + b'/in/' + n)"
                ),
            ),
            (
                python(
                    r"import os",
                    r"for n in (b'new\nline', b'\xff\xfe', b'x' * 250): os.removedirs(b'/srv/' + n + b'/in/' + n)",
                ),
            ),
        ),
    ),
    _case(
        "long-names",
        python(
            "for n in (98, 99, 100, 101, 155, 156, 254, 255):",
            "    open('/srv/' + 'f' * n, 'w').close(); os.mkdir('/home/' + 'd' * n)",
            "    os.symlink('t' * n * 4, '/tmp/' + 'l' * n)",
            "    open('/home/' + 'd' * n + '/x', 'w').close()",
            "os.link('/srv/' + 'f' * 255, '/srv/' + 'g' * 255)",
            "os.symlink('é' * 60, '/tmp/utf8'); os.symlink(b'\\xff' * 99, b'/tmp/raw')",
        ),
    ),
    _case(
        "deep-paths",
        python(
            "os.chdir('/srv')",
            "for n in range(14): os.mkdir('d' * 255); os.chdir('d' * 255)",
            "open('bottom', 'w').write('deep')",
            "os.chdir('/opt') if os.path.isdir('/opt') else (os.mkdir('/opt'), os.chdir('/opt'))",
            "for n in range(900): os.mkdir('e'); os.chdir('e')",
            "open('f', 'w').write('deeper')",
        ),
    ),
    _case(
        "background-process-left-writing",
        "mkdir /opt",
        "(while true; do echo x >> /opt/log; echo $RANDOM > /opt/$RANDOM; done) &",
        "sleep 1000 &",
        "until test -s /opt/log; do true; done",
    ),
    _case("nothing-but-reading", "cat /srv/file > /dev/null", "ls -lR / > /dev/null 2>&1"),
    _case("opened-for-writing-only", ": >> /srv/file", "exec 3<>/srv/same-size"),
    _case("temporary-file-gone", "echo x > /srv/tmp", "rm /srv/tmp"),
    _case("many-whiteouts-in-one-directory", "rm /srv/tree/d1*/f*", "rm -r /srv/tree/d2*"),
    _case(
        "runtime-directories", "echo x > /etc/new", "echo x > /tmp/left", "echo y >> /etc/passwd"
    ),
    _case(
        "empty-and-block-sized-files",
        "mkdir /opt",
        "for n in 0 1 511 512 513 1024 65535 65536 65537 1048576; do head -c $n /bin/busybox > /opt/$n; done",
    ),
)
