"""Conformance cases (12): the ansible builder. Every test names its case."""

import hashlib

import pytest

from conveyor.api.errors import UserError
from conveyor.config.model import StapelImage
from conveyor.config.parse import parse
from conveyor.plan.dependencies import user_dependencies
from conveyor.plan.facts import Facts
from conveyor.plan.inquiry import Inquiry

HEAD = "configVersion: 1\nproject: shop\n---\nimage: a\nfrom: x:1\nansible:\n  beforeInstall:\n"
FILE = "  - {name: a file, file: {path: /x, state: touch}}\n"
COMMAND = "  - command: make <all>\n"
TEXTS = (
    '{"file":{"path":"/x","state":"touch"},"name":"a file"}',
    '{"command":"make \\u003call\\u003e"}',
)


def checksum(tasks, more=""):
    (image,) = parse(HEAD + tasks + more).images
    assert isinstance(image, StapelImage)
    return user_dependencies(image, "beforeInstall", [], Inquiry(Facts())).value


def sha256(*arguments):
    return hashlib.sha256(":::".join(arguments).encode()).hexdigest()


def refused(tasks):
    with pytest.raises(UserError) as raised:
        parse(HEAD + tasks)
    return raised.value


def test_case_1_two_modules_in_a_task():
    error = refused("  - {copy: {dest: /x, content: a}, file: {path: /x}}\n")
    assert error.reason == "InvalidWerfConfig"
    assert error.message.startswith("werf.yaml:8: ")
    assert "`copy` and `file`" in error.message


def test_case_2_allowed_and_unsupported_modules():
    assert checksum(FILE) == sha256(TEXTS[0])
    error = refused("  - docker_container: {name: x}\n")
    assert "the module `docker_container` is not supported" in error.message
    assert "unarchive, uri, urpmi, user" in error.message


def test_case_3_the_order_of_tasks_counts():
    assert checksum(FILE + COMMAND) == sha256(*TEXTS)
    assert checksum(COMMAND + FILE) == sha256(*reversed(TEXTS))


def test_case_4_the_name_of_a_task_counts():
    assert checksum(FILE) != checksum(FILE.replace("a file", "the file"))


def test_cache_versions_are_hashed_as_for_shell():
    """werf-semantics 4.3: the stage's own version, then the common one."""
    more = "  beforeInstallCacheVersion: b\n  cacheVersion: c\n"
    assert checksum(FILE, more) == sha256(TEXTS[0], sha256("b", "c"))
