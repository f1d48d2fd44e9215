"""Repositories on the cluster's git server.

In: files as values. Out: `Project` with its address and commit; further commits, branches and tags are pushed as asked.
"""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
SEED = """\
FROM ubuntu AS base
RUN echo "base"
FROM base AS stage1
RUN echo "stage1"
FROM base AS stage2
RUN echo "stage2"
"""
"""A Dockerfile of which the target stage2 needs two of three blocks."""


@dataclass(frozen=True, slots=True)
class Executable:
    """A file with mode 0755."""

    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    target: str


Content = str | bytes | Executable | Link | None
"""None: the file is removed."""


@dataclass(slots=True, kw_only=True)
class Project:
    """A repository: `url` for anybody, `private_url` for those who give the password."""

    folder: Path
    url: str
    private_url: str
    commit: str = ""
    commits: list[str] = field(default_factory=list)

    def change(self, files: Mapping[str, Content], message: str = "change") -> str:
        """Commit and push; answers the new commit."""
        for name, content in files.items():
            _write(self.folder / name, content)
        self._git("add", "--all")
        return self._commit(message)

    def submodule(self, path: str) -> str:
        """Make a path a submodule at some commit that nobody can fetch, another one each time."""
        (self.folder / path).mkdir(parents=True, exist_ok=True)
        self._git("update-index", "--add", "--cacheinfo", f"160000,{secrets.token_hex(20)},{path}")
        return self._commit("submodule")

    def _commit(self, message: str) -> str:
        self._git("commit", "--quiet", "--message", message)
        self.commit = self._git("rev-parse", "HEAD").strip()
        self.commits.append(self.commit)
        self.push("HEAD")
        return self.commit

    def push(self, *refs: str) -> None:
        """Push branches or tags."""
        self._git("push", "--quiet", "origin", *refs)

    def branch(self, name: str) -> None:
        """Go on on a new branch."""
        self._git("checkout", "--quiet", "-b", name)
        self.push(name)

    def branch_from(self, commit: str, name: str) -> None:
        """Go on on a new branch that begins at a commit."""
        self._git("checkout", "--quiet", "-b", name, commit)

    def orphan(self, name: str) -> None:
        """Go on on a new branch that has the present files and no past."""
        self._git("checkout", "--quiet", "--orphan", name)

    def merge(self, commit: str) -> str:
        """Merge a commit into the present branch, push, and answer the merge."""
        self._git("merge", "--quiet", "--no-ff", "--message", "merge", commit)
        self.commit = self._git("rev-parse", "HEAD").strip()
        self.push("HEAD")
        return self.commit

    def rewrite(self, branch: str) -> None:
        """Put the present commit in the place of a branch, whatever that was."""
        self.push(f"+HEAD:refs/heads/{branch}")

    def tag(self, name: str) -> None:
        """Tag the present commit, annotated."""
        self._git("tag", "--annotate", "--message", name, name)
        self.push(f"refs/tags/{name}")

    def _git(self, *arguments: str) -> str:
        return _git(self.folder, *arguments)


def new_project(folder: Path, files: Mapping[str, Content], python: str = "python3") -> Project:
    """Make a repository with one commit on its branch `main`."""
    name = f"e2e-{secrets.token_hex(5)}"
    command = [python, str(ROOT / "hack/cluster.py"), "git-repo", name]
    urls = _run(command, folder).split()
    assert len(urls) == 2, urls
    project = Project(folder=folder / name, url=urls[0], private_url=urls[1])
    project.folder.mkdir()
    _git(project.folder, "init", "--quiet", "--initial-branch=main")
    _git(project.folder, "remote", "add", "origin", project.url)
    project.change(files, "first")
    return project


def _write(path: Path, content: Content) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
    if content is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    match content:
        case Link(target=target):
            path.symlink_to(target)
        case Executable(text=text):
            path.write_text(text)
            path.chmod(0o755)
        case bytes():
            path.write_bytes(content)
        case _:
            path.write_text(content)


def _git(folder: Path, *arguments: str) -> str:
    return _run(["git", *arguments], folder)


def _run(command: list[str], folder: Path) -> str:
    """Output of a command; git knows nothing of this user's settings."""
    who = {"NAME": "Tester", "EMAIL": "tester@example.com"}
    env = {f"GIT_{role}_{key}": who[key] for role in ("AUTHOR", "COMMITTER") for key in who}
    env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    done = subprocess.run(  # noqa: S603 - our own commands
        command,
        cwd=folder,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise AssertionError(f"{' '.join(command)}: {done.stderr}")
    return done.stdout
