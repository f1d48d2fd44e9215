"""Names and labels are valid, bounded and the same every time."""

import re

import pytest

from conveyor.api.names import (
    Reason,
    ca_config_map_name,
    export_job_name,
    job_name,
    label_value,
    repo_hash,
    short,
    stage_lease_name,
)

DIGEST = "0123456789abcdef" * 3 + "01234567"
REPO = "registry.example.com:5000/team/project"
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


def test_job_name_is_digest_repository_and_attempt() -> None:
    assert job_name(REPO, DIGEST, 0) == f"stage-0123456789abcdef-{repo_hash(REPO)}-0"
    assert job_name(REPO, DIGEST, 1) != job_name(REPO, DIGEST, 0)
    assert job_name("other.example.com/x", DIGEST, 0) != job_name(REPO, DIGEST, 0)


def test_object_names_are_dns_labels() -> None:
    names = [
        job_name(REPO, DIGEST, 10_000_000),
        export_job_name(REPO, "image@sha256:1 /app → /srv" * 50, 3),
        stage_lease_name(REPO, DIGEST),
        ca_config_map_name("b" * 253),
        ca_config_map_name("a.b"),
    ]
    for name in names:
        if "." not in name:
            assert DNS_LABEL.fullmatch(name), name
        assert len(name) <= 63


@pytest.mark.parametrize("digest", ["", "abc", "G" * 56, "../../etc/passwd" * 4])
def test_what_is_no_digest_names_nothing(digest: str) -> None:
    with pytest.raises(ValueError, match="not a stage digest"):
        job_name(REPO, digest, 0)
    with pytest.raises(ValueError, match="not a stage digest"):
        stage_lease_name(REPO, digest)


@pytest.mark.parametrize("text", ["", "backend", "a.b_c-d", "x" * 63])
def test_valid_label_values_stay(text: str) -> None:
    assert label_value(text) == text


@pytest.mark.parametrize("text", ["a/b", "-a", "x" * 64, "é", "/", "a b", "x" * 400 + "/", "a\n"])
def test_other_texts_become_label_values(text: str) -> None:
    assert LABEL_VALUE.fullmatch(label_value(text))
    assert label_value(text) == label_value(text)


def test_different_texts_have_different_labels() -> None:
    texts = ["a/b", "a.b", "a b", "a//b", "a:b", "x" * 64, "x" * 65]
    assert len({label_value(text) for text in texts}) == len(texts)


def test_short() -> None:
    assert short(DIGEST) == "0123456789ab"


def test_reasons_are_camel_case_words_with_a_meaning() -> None:
    for reason in Reason:
        assert re.fullmatch(r"[A-Z][A-Za-z]+", reason.value)
        assert reason.meaning.endswith(".")
        assert f"{reason}" == reason.value
    assert Reason("StageFailed") is Reason.STAGE_FAILED
