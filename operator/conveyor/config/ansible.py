"""The section `ansible` of a stapel image → `Ansible`, every task as the JSON text that werf hashes.

In: the image's section. Out: tasks by stage with their cache versions; mistakes go to the report with their line.
What a task says beside its module is not judged here: it is handed to ansible as it is. Source: werf
pkg/config/raw_ansible.go, raw_ansible_task.go.
"""

from typing import Final

from conveyor.config.model import USER_STAGES, Ansible, UserStageName
from conveyor.config.raw import Section, describe, shorten
from conveyor.config.task_json import NotJson, task_json, task_size
from conveyor.config.versions import VERSION_KEYS, cache_versions
from conveyor.config.yaml import Entry, Mapping, Node, Scalar, Sequence

# werf: supportedModules.
_COMMANDS: Final = "command shell raw script"
_CRYPTO: Final = "openssl_certificate openssl_csr openssl_privatekey openssl_publickey"
_FILES: Final = (
    "acl archive assemble blockinfile copy file replace find ini_file iso_extract lineinfile stat tempfile unarchive"
    " xattr"
)
_NET: Final = "get_url slurp uri"
_LANGUAGES: Final = "bower bundler composer cpanm easy_install gem maven_artifact npm pear pip yarn"
_PACKAGES: Final = (
    "apk apt apt_key apt_repository apt_rpm dnf dpkg_selections debconf homebrew homebrew_cask homebrew_tap layman"
    " macports openbsd_pkg opkg package pacman pkg5 pkg5_publisher pkgin pkgng pkgutil portage portinstall pulp_repo"
    " redhat_subscription rhn_channel rhn_register rpm_key slackpkg sorcery svr4pkg swdepot swupd urpmi xbps yum"
    " yum_repository zypper zypper_repository"
)
_SYSTEM: Final = "cron user group getent locale_gen timezone"
_UTILITIES: Final = "meta assert debug fail set_fact wait_for"
MODULES: Final = tuple(
    " ".join((_COMMANDS, _CRYPTO, _FILES, _NET, _LANGUAGES, _PACKAGES, _SYSTEM, _UTILITIES)).split()
)
GONE: Final = frozenset({"rhn_channel", "rhn_register"})
"""Modules that werf allows and ansible no longer has."""

BLOCKS: Final = ("block", "rescue", "always")
# Keys of a task that are never a module: what is left names the module that was meant.
_KEYWORDS: Final = (
    "any_errors_fatal args async become become_exe become_flags become_method become_user changed_when check_mode"
    " collections connection debugger delay delegate_facts delegate_to diff environment failed_when ignore_errors"
    " ignore_unreachable local_action loop loop_control module_defaults name no_log notify poll port register"
    " remote_user retries run_once tags throttle timeout until vars when"
)
_NAME: Final = 60
MAX_TASKS: Final = 16_000_000
"""Characters of all tasks of a config; a short text with aliases can stand for a long one."""


def ansible_of(section: Section) -> Ansible | None:
    """Read `ansible`; None when it is not set."""
    ansible = section.section("ansible")
    if ansible is None:
        return None
    ansible.only(*USER_STAGES, *VERSION_KEYS)
    cache_version, stage_versions = cache_versions(ansible)
    tasks = {stage: _stage(ansible, stage) for stage in USER_STAGES}
    return Ansible(
        tasks={stage: texts for stage, texts in tasks.items() if texts},
        cache_version=cache_version,
        stage_cache_versions=stage_versions,
    )


def _stage(ansible: Section, stage: UserStageName) -> tuple[str, ...]:
    entry = ansible.node.entries.get(stage)
    return _Tasks(ansible).read(entry, f"ansible.{stage}") if entry else ()


class _Tasks:
    """Checks lists of tasks, nested ones too."""

    def __init__(self, section: Section) -> None:
        self._section = section

    def read(self, entry: Entry, path: str) -> tuple[str, ...]:
        """The tasks of a stage as JSON texts; those with a mistake are left out."""
        texts: list[str] = []
        for index, task in enumerate(self._items(entry.value, path)):
            if self._check(task, f"{path}[{index}]") and self._fits(task):
                texts += self._text(task, f"{path}[{index}]")
        return tuple(texts)

    def _fits(self, task: Node) -> bool:
        report, before = self._section.report, self._section.report.tasks
        report.tasks += task_size(task)
        if before <= MAX_TASKS < report.tasks:
            said = (
                f"more than {MAX_TASKS} characters of ansible tasks, counting what aliases repeat"
            )
            self._error(task.line, f"{said}; put long texts into files of the repository")
        return report.tasks <= MAX_TASKS

    def _items(self, node: Node, path: str) -> list[Node]:
        if isinstance(node, Sequence):
            return node.items
        if not _is_null(node):
            self._error(node.line, f"`{path}` is {describe(node)}; write a list of tasks")
        return []

    def _check(self, task: Node, path: str) -> bool:
        if not isinstance(task, Mapping):
            self._error(task.line, f"`{path}` is {describe(task)}; a task is a mapping")
            return False
        where = f"`{path}`{_name(task)}"
        blocks = [key for key in BLOCKS if key in task.entries and not _is_null(_value(task, key))]
        modules = [name for name in MODULES if name in task.entries]
        if not blocks:
            return self._check_module(task, modules, where)
        if modules:
            said = f"has `{blocks[0]}` and the module `{modules[0]}`"
            self._error(task.line, f"{where} {said}; move the module into a task of the block")
            return False
        fine = [self._check_block(task, key, path) for key in blocks]  # every mistake is told
        return all(fine)

    def _check_block(self, task: Mapping, key: str, path: str) -> bool:
        inner = f"{path}.{key}"
        items = self._items(_value(task, key), inner)
        fine = [self._check(item, f"{inner}[{index}]") for index, item in enumerate(items)]
        return all(fine)

    def _check_module(self, task: Mapping, modules: list[str], where: str) -> bool:
        given = [name for name in modules if not _is_null(_value(task, name))]
        if len(given) == 1:
            self._refuse_gone(task, given[0])
            return True
        if len(given) > 1:
            both = " and ".join(f"`{name}`" for name in given)
            self._error(task.line, f"{where} has {both}; a task has one module, make several tasks")
        elif modules:
            line = task.entries[modules[0]].line
            self._error(line, f"{where}: the module `{modules[0]}` is empty; say what it is to do")
        else:
            self._unsupported(task, where)
        return False

    def _refuse_gone(self, task: Mapping, module: str) -> None:
        if module in GONE:
            what = f"{self._section.subject}: the ansible module `{module}` is not supported:"
            line = task.entries[module].line
            self._section.report.not_supported(line, f"{what} ansible no longer has it; remove it")

    def _unsupported(self, task: Mapping, where: str) -> None:
        others = [key for key in task.entries if _may_be_module(key)]
        said = f": the module `{_cut(others[0])}` is not supported" if others else " has no module"
        line = task.entries[others[0]].line if others else task.line
        plain = others[0].rpartition(".")[2] if others else ""
        instead = f"write `{plain}`" if plain in MODULES else "use a supported one"
        self._error(line, f"{where}{said}; {instead}")
        self._section.report.note(
            f"supported modules of ansible: {', '.join(sorted(set(MODULES) - GONE))}"
        )

    def _text(self, task: Node, path: str) -> list[str]:
        try:
            return [task_json(task)]
        except NotJson as error:
            self._error(error.line, f"`{path}`: {error.message}")
            return []

    def _error(self, line: int, message: str) -> None:
        self._section.report.error(line, f"{self._section.subject}: {message}")


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def _value(task: Mapping, key: str) -> Node:
    return task.entries[key].value


def _may_be_module(key: str) -> bool:
    return key not in _KEYWORDS.split() and not key.startswith("with_") and key not in BLOCKS


def _name(task: Mapping) -> str:
    entry = task.entries.get("name")
    if entry is None or not isinstance(entry.value, Scalar):
        return ""
    return f" ({shorten(_cut(entry.value.text))})"


def _cut(text: str) -> str:
    return text if len(text) <= _NAME else text[:_NAME] + "…"
