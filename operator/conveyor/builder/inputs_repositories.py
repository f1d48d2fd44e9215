"""Files of the repositories of a task, put into `in/`.

In: inputs of the task. Out: tars in the shared directory. Git is blocking and runs in a thread; all commits of a repository are
fetched at once, by the first input that needs one.
"""

import json

from conveyor.builder.courier_inputs import ContextCopy, GitInput, GitPatch
from conveyor.builder.courier_io import Exchange
from conveyor.builder.courier_task import CourierTask
from conveyor.builder.inputs_archive import write_archive, write_patch
from conveyor.builder.inputs_context import write_context
from conveyor.builder.inputs_git import GitStore


class GitInputs:
    """Provides what comes from git; keeps what it has fetched."""

    def __init__(self, task: CourierTask, exchange: Exchange) -> None:
        self._task = task
        self._exchange = exchange
        self._stores: dict[int, GitStore] = {}

    def write(self, item: GitInput) -> None:
        """Write its files.

        Raises:
            CourierError: They cannot be had.
        """
        store = self._fetched(item.repository)
        with self._exchange.create_input(item.file) as out:
            if isinstance(item, ContextCopy):
                described = write_context(
                    store,
                    item,
                    out,
                    self._task.limits,
                    lambda number: self._exchange.create_input(f"{item.file}.{number}"),
                )
                self._json(f"{item.file}.json", described)
            elif isinstance(item, GitPatch):
                deleted = write_patch(store, item, out, self._task.limits)
                self._json(f"{item.file}.deletes", deleted)
            else:
                write_archive(store, item, out, self._task.limits)

    def _json(self, name: str, value: object) -> None:
        with self._exchange.create_input(name) as out:
            out.write(json.dumps(value, separators=(",", ":")).encode())

    def _fetched(self, repository: int) -> GitStore:
        if repository not in self._stores:
            store = GitStore.create()
            commits = _commits(self._task, repository)
            store.fetch(self._task.git[repository], commits, ca_file=self._task.ca_file)
            self._stores[repository] = store
        return self._stores[repository]


def _commits(task: CourierTask, repository: int) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for item in task.inputs:
        if not isinstance(item, GitInput) or item.repository != repository:
            continue
        if isinstance(item, GitPatch):
            found[item.start] = None
        found[item.commit] = None
    return tuple(found)
