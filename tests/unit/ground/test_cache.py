"""The cache of the development cluster: what a killed run left half-made is never taken for whole."""

# mypy: disable-error-code="import-not-found"

import subprocess
import sys
from pathlib import Path

import pytest

from cluster import cache

HACK = Path(__file__).parents[3] / "hack"


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A file of the cache, stored to the end."""
    made = tmp_path / "made"
    made.write_bytes(b"program" * 1000)
    path = tmp_path / "tools" / "program"
    cache.store(made, path)
    return path


def test_what_was_stored_is_whole(stored: Path) -> None:
    assert cache.is_whole(stored)
    assert cache.is_sealed(stored)


def test_a_truncated_file_is_not_whole(stored: Path) -> None:
    stored.write_bytes(stored.read_bytes()[:-1])
    assert not cache.is_whole(stored)


def test_without_its_checksum_nothing_is_whole(stored: Path) -> None:
    """The checksum is written last: a run killed before that leaves none."""
    stored.with_name(f"{stored.name}.sha256").unlink()
    assert not cache.is_whole(stored)
    assert not cache.is_sealed(stored)


def test_the_key_follows_content_mode_and_name(tmp_path: Path) -> None:
    def key(name: str, text: str, mode: int) -> str:
        folder = tmp_path / f"{name}-{text}-{mode}" / "sources"
        folder.mkdir(parents=True)
        (folder / name).write_text(text)
        (folder / name).chmod(mode)
        return cache.key_of([folder], "v1")

    keys = [key("a", "x", 0o644), key("a", "y", 0o644), key("b", "x", 0o644), key("a", "x", 0o755)]
    assert len(set(keys)) == 4


def test_a_killed_run_holds_no_lock_and_leaves_no_scratch(tmp_path: Path) -> None:
    """SIGKILL in the middle: the next run gets the lock at once, and the half-made things are gone."""
    script = (
        "import os, signal, sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\nfrom cluster import cache\n"
        "folder = Path(sys.argv[2])\n"
        "with cache.locked(folder, None), cache.scratch(folder) as place:\n"
        "    (place / 'half').write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", script, str(HACK), str(tmp_path)]
    done = subprocess.run(command, check=False, timeout=60)  # noqa: S603 - our own script
    assert done.returncode == -9
    assert list((tmp_path / "scratch").iterdir())
    with cache.locked(tmp_path, None):
        assert not (tmp_path / "scratch").exists()
