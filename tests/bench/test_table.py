"""A benchmark's figures are shown as they are: medians, spreads, missed bars."""

from bench.table import HEAD, markdown, row


def test_median_spread_and_a_bar_that_is_held():
    cells = row("build", [3.0, 1.0, 2.0], bar=2.0).cells()
    assert cells == ("build", "2.00 s", "1.00-3.00", "3", "≤ 2 s", "ok")


def test_a_missed_bar_is_shown():
    assert row("build", [2.01], bar=2.0).verdict == "MISSED"


def test_the_verdict_is_about_the_figure_that_is_shown():
    assert row("build", [2.004], bar=2.0).verdict == "ok"


def test_counts_have_no_unit_and_no_fractions():
    assert row("Jobs", [0, 0], bar=0, unit="", digits=0).cells()[1:] == (
        "0",
        "0-0",
        "2",
        "≤ 0",
        "ok",
    )


def test_one_job_breaks_the_bar_of_none():
    assert row("Jobs", [1], bar=0, unit="", digits=0).verdict == "MISSED"


def test_columns_are_aligned():
    lines = markdown(HEAD, [row("a", [1.0]).cells(), row("much longer", [10.0]).cells()]).split(
        "\n"
    )
    assert len({len(line) for line in lines}) == 1
    assert lines[1].startswith("| -----------")
