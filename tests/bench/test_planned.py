"""The large project is as large as the benchmark says."""

from bench.planned import config_of

from bench import rows_plan


def test_images_have_ten_stages_but_the_first_has_no_imports(monkeypatch):
    monkeypatch.setattr(rows_plan, "IMAGES", 3)
    rows = rows_plan.rows(1)
    assert len(config_of(3).images) == 3
    assert [r.what for r in rows] == [
        f"plan of 3 images, 28 stages, facts at hand: {state}"
        for state in ("nothing stored", "all stored", "next commit")
    ]
    assert all(r.bar == 1.0 for r in rows)
