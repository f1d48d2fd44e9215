"""The storage file: what is read is what was written, and every mistake has its place."""

import json
from pathlib import Path

import pytest

from conveyor.api.errors import UserError
from conveyor.cli import storage_file
from conveyor.cli.storage_file import Storage, read_storage, write_storage
from conveyor.plan.answers import (
    BaseImage,
    ImportRecord,
    StageDesc,
    StageID,
)
from conveyor.plan.questions import BaseImageInfo, ImportChecksum

DIGEST = "a" * 56
IMPORT = {"kind": "ImportChecksum", "id": "b" * 64, "image": "lib"}
BASE = {"kind": "BaseImageInfo", "reference": "debian:12", "platform": "linux/amd64"}


def stage(timestamp, **labels):
    return StageDesc(
        id=StageID(digest=DIGEST, timestamp=timestamp), manifest_digest="", labels=labels
    )


def error(path, document):
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    with pytest.raises(UserError) as caught:
        read_storage(path)
    return caught.value.message.replace(f"{path}", "FILE")


def test_a_missing_file_is_empty_storage(tmp_path):
    assert read_storage(tmp_path / "none") == Storage()


def test_what_is_written_is_read(tmp_path):
    answers = {
        ImportChecksum(id="b" * 64, source_image=""): ImportRecord(
            checksum="c" * 32, source_stage_id="s"
        ),
        BaseImageInfo(reference="debian:12", platform="linux/amd64"): BaseImage(
            digest="", id=f"sha256:{'d' * 64}", config={"Env": ["A=ä"]}
        ),
    }
    storage = Storage(answers=answers).with_stages([stage(5, x="1"), stage(2)])
    path = tmp_path / "s.json"
    write_storage(path, storage)
    assert read_storage(path) == storage
    assert storage.by_digest() == {DIGEST: (2, 5)}
    assert [file.name for file in tmp_path.iterdir()] == ["s.json"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ('{"version": 1,\n "stages": [,]}', "FILE:2:13: not JSON: Expecting value"),
        ("[]", "the file has to be an object, not a list"),
        ({}, "`version` is missing"),
        ({"version": 2}, "version: has to be 1; this conveyor knows no other format"),
        ({"version": True}, "`version` has to be a number"),
        ({"version": 1, "stage": []}, 'unknown key "stage"; did you mean `stages`?'),
        ({"version": 1, "stages": {}}, "stages: has to be a list, not an object"),
        ({"version": 1, "stages": [7]}, "stages[0] has to be an object, not a number"),
        ({"version": 1, "stages": [{}]}, "stages[0]: `id` is missing"),
        (
            {"version": 1, "stages": [{"id": DIGEST}]},
            f'stages[0].id: has to be DIGEST-TIMESTAMP as in a tag, not "{DIGEST}"',
        ),
        (
            {"version": 1, "stages": [{"id": f"{DIGEST}-1", "labels": {"a": 1}}]},
            'stages[0].labels: "a" has to be a text, not a number',
        ),
        (
            {"version": 1, "stages": [{"id": f"{DIGEST}-1"}, {"id": f"{DIGEST}-1"}]},
            f"stages[1].id: {DIGEST}-1 is in the file twice",
        ),
        (
            {"version": 1, "answers": [{"question": {"kind": "Weather"}}]},
            "answers[0].question.kind: `kind` has to be one of BaseImageInfo, ImageReference, ImportChecksum",
        ),
        (
            {"version": 1, "answers": [{"question": IMPORT, "answer": {}}]},
            "answers[0].answer: `checksum` is missing",
        ),
        (
            {"version": 1, "answers": [{"question": IMPORT, "answer": {"checksum": "x"}}]},
            'answers[0].answer.checksum: has to be 32 hex digits, not "x"',
        ),
        (
            {"version": 1, "answers": [{"question": BASE, "answer": {"id": "sha256:1"}}]},
            'answers[0].answer.id: has to be sha256: and 64 hex digits, not "sha256:1"',
        ),
        (
            {"version": 1, "answers": [{"question": {**BASE, "os": "x"}, "answer": {}}]},
            'answers[0].question: unknown key "os"',
        ),
        (
            {"version": 1, "answers": [{"question": BASE, "answer": {}}] * 2},
            "answers[1].question: this question is answered twice",
        ),
        (
            '{"version": 1, "stages": [], "stages": []}',
            "the key 'stages' stands twice in one object",
        ),
    ],
)
def test_mistakes_are_told_with_their_place(tmp_path, document, message):
    assert error(tmp_path / "s.json", document).removeprefix("FILE: ") == message


def test_all_mistakes_are_told_but_not_without_end(tmp_path):
    stages = [{"id": "x"}] * 15
    lines = error(tmp_path / "s.json", {"version": 1, "stages": stages}).splitlines()
    assert len(lines) == 11
    assert lines[-1] == "FILE: and 5 more"


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read_storage(tmp_path)
    with pytest.raises(UserError, match="cannot be written: No such file or directory"):
        write_storage(tmp_path / "no" / "file", Storage())


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "s").write_bytes(b"\xff")
    with pytest.raises(UserError, match="cannot be read: it is not UTF-8"):
        read_storage(tmp_path / "s")


def test_no_more_is_read_than_allowed_of_what_has_no_size(tmp_path, monkeypatch):
    monkeypatch.setattr(storage_file, "MAX_BYTES", 1000)
    with pytest.raises(UserError, match="has more than 1000 bytes"):
        read_storage(Path("/dev/zero"))
