"""The rows about commits, on small repositories: what they measure works, and is told as what it is."""

from bench.repositories import BOMBS, many_images

from bench import rows_commit


def test_a_project_of_images_is_read_and_planned(tmp_path):
    rows = rows_commit.images_rows(tmp_path, 1, images=3)
    assert [row.what for row in rows] == [
        "werf.yaml of 3 images, 27 stages: read, checked and planned, git's answers at hand",
        "werf.yaml of 3 images, 27 stages: conveyor plan, all stored",
    ]
    assert rows[0].bar == 1.0


def test_a_history_is_planned_again(tmp_path):
    rows = rows_commit.history_rows(tmp_path, 1, commits=40, files=200)
    assert [row.what.rpartition("re-plan")[2] for row in rows] == [
        " of the next commit",
        " 38 commits later",
        ": conveyor plan",
    ]
    assert all(row.bar == 1.0 for row in rows)


def test_a_template_that_asks_for_too_much_is_an_error_that_names_the_file(tmp_path, monkeypatch):
    bomb = "text of 1 GB"
    monkeypatch.setattr(rows_commit, "BOMBS", {bomb: BOMBS[bomb]})
    seconds, mib = rows_commit.bomb_rows(tmp_path, 1)
    assert bomb in seconds.what
    assert seconds.bar == rows_commit.BOMB_SECONDS
    assert (mib.bar, mib.unit) == (rows_commit.BOMB_MIB, "MiB")


def test_every_image_has_files_of_its_own():
    files = many_images(2)
    assert {name.split("/")[1] for name in files if name != "werf.yaml"} == {"s0", "s1"}
