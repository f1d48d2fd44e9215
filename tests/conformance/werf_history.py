"""The git history of a vector, rebuilt as a bare repository with the same commit ids."""

import base64
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

Tree = dict[str, tuple[str, bytes]]


def make_repository(
    path: Path,
    commits: Sequence[Mapping[str, Any]],
    refs: Mapping[str, int],
) -> list[str]:
    """Make a bare repository with these commits; `refs` are full names and indices of commits. Answers their ids."""
    run_git("init", "--quiet", "--bare", "--initial-branch=main", str(path))
    stream = b"".join([*_commits(commits), *_resets(refs)])
    run_git("--git-dir", str(path), "fast-import", "--quiet", stdin=stream)
    ids = [_commit_id(path, index) for index in range(len(commits))]
    told = [commit.get("sha", found) for commit, found in zip(commits, ids, strict=True)]
    assert ids == told
    return ids


def _commit_id(path: Path, index: int) -> str:
    return run_git("--git-dir", str(path), "rev-parse", f"refs/all/{index}").strip()


def git_commit(commits: Sequence[Mapping[str, Any]], scratch: Path) -> str:
    """Return the id that the last commit gets; `scratch` is where a repository may be made."""
    run_git("init", "--quiet", "--bare", "--initial-branch=main", str(scratch))
    run_git("--git-dir", str(scratch), "fast-import", "--quiet", stdin=b"".join(_commits(commits)))
    return run_git("--git-dir", str(scratch), "rev-parse", f"refs/all/{len(commits) - 1}").strip()


def with_ids(commits: Sequence[Mapping[str, Any]], scratch: Path) -> list[dict[str, Any]]:
    """Return commits with their ids and what they leave out: `files`, `delete` and `parents` are enough to write."""
    common = {"author": "Dev <dev@example.org>", "message": "step"}
    done: list[dict[str, Any]] = []
    for index, commit in enumerate(commits):
        date = f"2024-01-01T00:00:{index:02}Z"
        parents = [index - 1] if index else []
        done.append({**common, "date": date, "parents": parents, **commit})
        done[-1]["sha"] = git_commit(done, scratch / f"{index}.git")
    return done


def run_git(*args: str, stdin: bytes = b"") -> str:
    """Run git without any configuration of the machine; return what it prints."""
    environment = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "PATH": "/usr/bin:/bin",
    }
    done = subprocess.run(  # noqa: S603
        ["git", *args],  # noqa: S607
        input=stdin,
        capture_output=True,
        env=environment,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode("utf-8", "surrogateescape")


def content_of(value: Any) -> tuple[str, bytes]:
    """Return git mode and bytes of a file as vectors write it."""
    if isinstance(value, str):
        return "100644", value.encode()
    if "symlink" in value:
        return "120000", value["symlink"].encode()
    if "base64" in value:
        return "100644", base64.b64decode(value["base64"])
    return "100644", "".join(value["lines"] % n for n in range(value["count"])).encode()


def trees_of(commits: Sequence[Mapping[str, Any]]) -> list[Tree]:
    """Return the files of each commit."""
    trees: list[Tree] = []
    for commit in commits:
        tree = dict(trees[commit["parents"][0]]) if commit["parents"] else {}
        for gone in commit.get("delete", ()):
            tree = {p: f for p, f in tree.items() if p != gone and not p.startswith(gone + "/")}
        for path, value in commit.get("files", {}).items():
            tree[path] = content_of(value)
        for path, mode in commit.get("modes", {}).items():
            tree[path] = (mode, tree[path][1])
        trees.append(tree)
    return trees


def _commits(commits: Sequence[Mapping[str, Any]]) -> Iterator[bytes]:
    for index, (commit, tree) in enumerate(zip(commits, trees_of(commits), strict=True)):
        seconds = int(datetime.fromisoformat(commit["date"]).timestamp())
        yield f"commit refs/all/{index}\nmark :{index + 1}\n".encode()
        for role in ("author", "committer"):
            yield f"{role} {commit['author']} {seconds} +0000\n".encode()
        yield _data(commit["message"].encode() + b"\n")
        for number, parent in enumerate(commit["parents"]):
            yield f"{'merge' if number else 'from'} :{parent + 1}\n".encode()
        yield b"deleteall\n"
        for path, (mode, content) in sorted(tree.items()):
            yield f"M {mode} inline ".encode() + _quote(path) + b"\n" + _data(content)
        yield b"\n"


def _resets(refs: Mapping[str, int]) -> Iterator[bytes]:
    for name, index in refs.items():
        yield f"reset {name}\nfrom :{index + 1}\n\n".encode()


def _data(content: bytes) -> bytes:
    return f"data {len(content)}\n".encode() + content + b"\n"


def _quote(path: str) -> bytes:
    return b'"' + path.encode().replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
