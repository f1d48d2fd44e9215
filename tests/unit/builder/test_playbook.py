"""What is told of a playbook that failed, and what it runs in; the tasks themselves: tests/cluster/test_ansible.py."""

from types import SimpleNamespace

import pytest

from conveyor.builder.playbook import environment, failure

NOTE = {"task": "- shell: make", "message": "non-zero return code: no rule", "exitCode": 3}


def test_the_task_and_what_its_module_said() -> None:
    found = failure(2, NOTE)
    assert (found.reason, found.exit_code, found.command) == ("CommandFailed", 3, "- shell: make")
    assert found.message == "the task failed: non-zero return code: no rule"


@pytest.mark.parametrize("code", [None, -15, 0, 256, "3"])
def test_without_a_code_of_its_own_it_is_ansibles(code: object) -> None:
    assert failure(2, {**NOTE, "exitCode": code}).exit_code == 2


def test_a_playbook_that_cannot_be_read() -> None:
    found = failure(4, {"task": "", "message": "'x' is not a valid attribute for a Task"})
    assert (found.message, found.command) == ("'x' is not a valid attribute for a Task", "")


def test_without_a_note() -> None:
    assert failure(250, {}).message == "ansible ended with status 250"
    ended = failure(-15, {})
    assert (ended.signal, ended.exit_code) == (15, None)


@pytest.mark.parametrize(("status", "code"), [(2, 137), (2, -9), (-9, None), (137, None)])
def test_memory(status: int, code: int | None) -> None:
    note = {**NOTE, "exitCode": code}
    assert failure(status, note, out_of_memory=True).reason == "OutOfMemory"
    assert failure(status, note).reason == "CommandFailed"


def test_another_failure_after_something_was_killed() -> None:
    assert failure(2, NOTE, out_of_memory=True).reason == "CommandFailed"


def test_texts_are_cut() -> None:
    found = failure(2, {"task": "x" * 9999, "message": "y" * 9999})
    assert (len(found.command), len(found.message)) == (512, 1000)


def test_environment() -> None:
    """werf: LANG and LC_ALL are UTF-8 whatever the image says."""
    image = {"A": "1", "LANG": "C", "HOME": "/h", "LD_PRELOAD": "x.so", "ANSIBLE_FORCE_COLOR": "1"}
    work = SimpleNamespace(environ=image)
    assert environment(work, "/root") == {  # type: ignore[arg-type]
        "A": "1",
        "HOME": "/h",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PYTHONIOENCODING": "utf-8",
    }
    assert environment(SimpleNamespace(environ={}), "/root")["HOME"] == "/root"  # type: ignore[arg-type]
