"""The files of a commit as templates read them: from another thread, with limits."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from conveyor.adapters import git_files
from conveyor.adapters.git_clones import open_local
from conveyor.adapters.git_files import GitFiles
from conveyor.api.errors import UserError

FILES = {"a.txt": "A", "app/b.txt": "B", "app/sub/c.txt": "C", "app/d.md": "D"}


@pytest.fixture
async def files(tmp_path: Path) -> GitFiles:
    return await _open(tmp_path, "")


async def _open(directory: Path, below: str) -> GitFiles:
    for name, text in FILES.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    (directory / "link").symlink_to("app/b.txt")
    (directory / "out").symlink_to("../../etc/passwd")
    user = ("-c", "user.name=Dev", "-c", "user.email=dev@example.org")
    for command in (["init", "-q"], ["add", "-A"], [*user, "commit", "-q", "-m", "all"]):
        _git(directory, *command)
    head = _git(directory, "rev-parse", "HEAD")
    return await GitFiles.open(await open_local(directory), head, below)


def _git(directory: Path, *args: str) -> str:
    command = ["git", "-C", str(directory), *args]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)  # noqa: S603
    return done.stdout.strip()


async def test_reading(files: GitFiles) -> None:
    assert await asyncio.to_thread(files.get, "/app/../a.txt") == "A"
    assert await asyncio.to_thread(files.get, "link") == "B"
    assert await asyncio.to_thread(files.get, "app") is None
    assert await asyncio.to_thread(files.get, "../a.txt") is None
    found = await asyncio.to_thread(files.glob, "app/**/*.txt")
    assert found == {"app/b.txt": "B", "app/sub/c.txt": "C"}
    assert await asyncio.to_thread(files.glob, "nope/*") == {}
    assert files.exists("app/sub")
    assert not files.exists("app/su")
    assert files.is_dir("/")
    assert files.is_dir("app")
    assert not files.is_dir("a.txt")


async def test_below_a_directory(tmp_path: Path) -> None:
    files = await _open(tmp_path, "app")
    assert await asyncio.to_thread(files.get, "b.txt") == "B"
    assert await asyncio.to_thread(files.get, "../a.txt") is None
    assert list(await asyncio.to_thread(files.glob, "**")) == ["b.txt", "d.md", "sub/c.txt"]


async def test_links_to_directories_are_followed_inside_the_repository(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/up").symlink_to("../shared")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/e.txt").write_text("E")
    (tmp_path / "shared/deep").symlink_to("deeper")
    (tmp_path / "shared/deeper").mkdir()
    (tmp_path / "shared/deeper/f.txt").write_text("F")
    files = await _open(tmp_path, "app")
    assert await asyncio.to_thread(files.get, "up/e.txt") == "E"
    assert await asyncio.to_thread(files.get, "up/deep/f.txt") == "F"
    assert await asyncio.to_thread(files.get, "up/none.txt") is None
    assert await asyncio.to_thread(files.is_dir, "up")
    assert await asyncio.to_thread(files.is_dir, "up/deep")
    assert await asyncio.to_thread(files.exists, "up/e.txt")
    assert not await asyncio.to_thread(files.exists, "up/none.txt")
    found = await asyncio.to_thread(files.glob, "up/**/*.txt")
    assert found == {"up/deeper/f.txt": "F", "up/e.txt": "E"}
    assert "up/e.txt" in await asyncio.to_thread(files.glob, "**/*.txt")


async def test_directories_that_lead_to_each_other_are_a_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "round").symlink_to("about")
    (tmp_path / "about").symlink_to("round")
    files = await _open(tmp_path, "")
    with pytest.raises(UserError, match=r"^round/x: more than 20 links in a row$"):
        await asyncio.to_thread(files.get, "round/x")


async def test_what_leads_out_or_is_malformed_is_a_users_mistake(files: GitFiles) -> None:
    with pytest.raises(UserError, match="leads out of the repository"):
        await asyncio.to_thread(files.get, "out")
    with pytest.raises(UserError, match="is not closed"):
        await asyncio.to_thread(files.glob, "{a")


async def test_limits(files: GitFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_files, "MAX_GLOB", 2)
    with pytest.raises(ValueError, match=r'"app/\*\*" matches 3 files; 2 are allowed'):
        await asyncio.to_thread(files.glob, "app/**")
    monkeypatch.setattr(git_files, "MAX_TEXT", 1)
    assert await asyncio.to_thread(files.get, "a.txt") == "A"
    assert await asyncio.to_thread(files.get, "a.txt") == "A"
    with pytest.raises(ValueError, match="more than 1 characters in all"):
        await asyncio.to_thread(files.get, "app/b.txt")
