"""`ansible:` of a stapel image; its error messages are in tests/golden/config/ansible-*.txt."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from conveyor.api.errors import UserError
from conveyor.config.ansible import GONE, MODULES
from conveyor.config.model import Ansible, StapelImage
from conveyor.config.parse import parse

HEAD = "configVersion: 1\nproject: shop\n---\nimage: a\nfrom: x:1\nansible:\n"
LAYER = Path(__file__).parents[3] / "images" / "ansible" / "layer.py"
# What ansible-core itself has.
BUILTIN = """apt apt_key apt_repository assemble assert blockinfile command copy cron debconf debug dnf dpkg_selections
fail file find get_url getent group lineinfile meta package pip raw replace rpm_key script set_fact shell slurp stat
tempfile unarchive uri user wait_for yum_repository"""


def _ansible(body: str) -> Ansible:
    image = parse(HEAD + body).images[-1]
    assert isinstance(image, StapelImage)
    assert image.ansible is not None
    return image.ansible


def _message(body: str) -> str:
    with pytest.raises(UserError) as raised:
        parse(HEAD + body)
    return raised.value.message


def test_tasks_and_versions() -> None:
    ansible = _ansible(
        "  beforeInstall:\n  - {name: x, apt: {name: curl}}\n  setup: []\n  install: ~\n"
        "  cacheVersion: 1\n  setupCacheVersion: two\n"
    )
    assert ansible == Ansible(
        tasks={"beforeInstall": ('{"apt":{"name":"curl"},"name":"x"}',)},
        cache_version="1",
        stage_cache_versions={"setup": "two"},
    )


def test_nested_blocks() -> None:
    ansible = _ansible(
        "  install:\n  - block:\n    - block: [{command: a}]\n    rescue: [{fail: {msg: x}}]\n    when: yes\n"
    )
    assert ansible.tasks["install"] == (
        '{"block":[{"block":[{"command":"a"}]}],"rescue":[{"fail":{"msg":"x"}}],"when":true}',
    )


@pytest.mark.parametrize("module", sorted(set(MODULES) - GONE))
def test_every_module_is_taken(module: str) -> None:
    assert _ansible(f"  setup:\n  - {module}: x\n").tasks["setup"] == (f'{{"{module}":"x"}}',)


def test_a_module_that_is_null_does_not_count() -> None:
    """werf: `Fields[module] != nil`."""
    assert _ansible("  setup:\n  - {command: a, shell: }\n").tasks["setup"] == (
        '{"command":"a","shell":null}',
    )


def test_the_list_of_modules_is_told_once() -> None:
    message = _message("  setup:\n  - {template: x}\n  - {git: x}\n")
    assert message.count("supported modules of ansible: acl, apk, ") == 1
    assert message.endswith("zypper, zypper_repository")


@pytest.mark.parametrize("where", ["block", "rescue", "always"])
def test_mistakes_in_blocks_are_found(where: str) -> None:
    inner = f"  setup:\n  - block: [{{command: a}}]\n    {where}:\n    - docker_container: {{name: x}}\n"
    body = inner if where != "block" else inner.replace("block: [{command: a}]", "name: b")
    assert f"`ansible.setup[0].{where}[0]`: the module `docker_container`" in _message(body)


def test_a_text_that_aliases_make_long_is_refused() -> None:
    word = "x" * 100_000
    tasks = f"  setup:\n  - debug: {{msg: &long {word}}}\n" + "  - debug: {msg: *long}\n" * 200
    message = _message(tasks)
    assert message == (
        'werf.yaml:167: image "a": more than 16000000 characters of ansible tasks,'
        " counting what aliases repeat; put long texts into files of the repository"
    )


def test_the_layer_has_the_modules_of_collections(layer: ModuleType) -> None:
    of_collections = [name for names in layer.COLLECTIONS.values() for name in names.split()]
    renamed = {to.rpartition(".")[2] for to in layer.RENAMED.values()} - set(BUILTIN.split())
    assert (
        set(MODULES)
        == {*BUILTIN.split(), *of_collections, *layer.RENAMED, *layer.ACTIONS, *GONE} - renamed
    )


@pytest.fixture
def layer() -> ModuleType:
    """The program that makes the ansible layer."""
    spec = importlib.util.spec_from_file_location("ansible_layer", LAYER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
