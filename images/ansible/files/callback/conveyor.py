"""What the log of an ansible stage says, and what is told of the task that failed.

In: ansible's events. Out: on stdout a line for every task, the output of commands, messages of `debug`; in the folder of
the playbook `failed.json` `{"task", "message", "exitCode"}` of the last task that failed and was not ignored: the
YAML of the task, what its module said, and the exit code of its command if it has one.
"""

# The names and arguments are ansible's, and so is that a callback reads `_task` and `_result`.
# ruff: noqa: SLF001, FBT002

import json
import os
from pathlib import Path

import yaml
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: conveyor
type: stdout
short_description: log of a stage
description: A line for every task, and the YAML of the one that failed.
"""
_FAILED = "failed.json"
_LAST_LINES = 3


class CallbackModule(CallbackBase):
    """One for the whole run."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "conveyor"

    def v2_playbook_on_task_start(self, task, is_conditional):
        """Tell which task begins."""
        self._say(f"· {_title(task)}")

    v2_playbook_on_handler_task_start = v2_playbook_on_task_start

    def v2_runner_on_ok(self, result):
        """Tell what came of it."""
        self._outcome(result)

    def v2_runner_on_skipped(self, result):
        """Tell that its condition did not hold."""
        if not _is_loop(result):
            self._say("  skipped")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        """Tell why it failed, and note it unless it is to be ignored."""
        if not _is_loop(result):
            self._outcome(result, "failed, ignored" if ignore_errors else "failed")
        if ignore_errors:
            return
        task = _yaml_of(result._task)
        self._say(f"  the task:\n{_indented(task)}")
        _note(task, result._result)

    def v2_runner_on_unreachable(self, result):
        """A connection plugin that failed: become_user, mostly."""
        self.v2_runner_on_failed(result)

    def v2_runner_item_on_ok(self, result):
        """One turn of a loop."""
        self._outcome(result)

    def v2_runner_item_on_failed(self, result):
        """One turn of a loop failed."""
        self._outcome(result, "failed")

    def v2_runner_item_on_skipped(self, result):
        """One turn of a loop was skipped."""
        self._say(f"  {_item(result)}skipped")

    def v2_runner_retry(self, result):
        """A task with `until` tries again."""
        self._say(f"  not yet; attempt {result._result.get('attempts')}")

    def _outcome(self, result, word=""):
        found = result._result
        self._handle_warnings(found)
        if _is_loop(result) and not word:
            return
        word = word or ("changed" if found.get("changed") else "ok")
        self._say(f"  {_item(result)}{word}{_message(result, word)}")
        for name in ("stdout", "stderr", "module_stdout", "module_stderr"):
            text = str(found.get(name) or "")
            if text.strip() and (word != "ok" or result._task.action in _COMMANDS):
                self._say(_indented(text.rstrip("\n")))

    def _say(self, text):
        self._display.display(text)


_COMMANDS = ("command", "shell", "raw", "script")


def _title(task):
    name = task.get_name().strip()
    return name if name == task.action else f"{name} [{task.action}]"


def _is_loop(result):
    return "results" in result._result and bool(result._task.loop)


def _item(result):
    label = result._result.get("_ansible_item_label")
    return f"({label}) " if label is not None else ""


def _message(result, word):
    found = result._result
    if result._task.action == "debug":
        shown = found.get("msg", {k: v for k, v in found.items() if not k.startswith("_")})
        return f": {shown if isinstance(shown, str) else json.dumps(shown, default=str)}"
    text = str(found.get("msg") or "").strip()
    return f": {text}" if text and word.startswith("failed") else ""


def _indented(text):
    return "\n".join(f"    {line}" for line in text.splitlines())


def _yaml_of(task):
    """The task as it stands in werf.yaml, without the tag that was added."""
    given = getattr(task, "_ds", None)
    if not isinstance(given, dict):
        return task.get_name()
    plain = json.loads(json.dumps(given, default=str))
    kept = [tag for tag in plain.pop("tags", None) or [] if not str(tag).startswith("task_")]
    plain |= {"tags": kept} if kept else {}
    text = yaml.safe_dump(
        [plain], sort_keys=False, allow_unicode=True, default_flow_style=False, width=1000
    )
    return text.strip()


def _note(task, found):
    failed = next((one for one in found.get("results") or [] if one.get("failed")), found)
    code = failed.get("rc")
    report = {
        "task": task,
        "message": _why(failed),
        "exitCode": code if isinstance(code, int) and code else None,
    }
    folder = Path(os.environ["ANSIBLE_CONFIG"]).parent
    (folder / _FAILED).write_text(json.dumps(report))


def _why(failed):
    """The module's message; of a command that says no more than its exit code, what it wrote last."""
    message = str(failed.get("msg") or "no message").strip()
    text = str(
        failed.get("stderr") or failed.get("stdout") or failed.get("module_stderr") or ""
    ).strip()
    if not text or text in message or not (failed.get("rc") or "module_stderr" in failed):
        return message
    return f"{message}: " + " / ".join(text.splitlines()[-_LAST_LINES:])
