"""Remote sources of an ADD, as inputs that the courier is asked for.

In: a planned ADD. Out: the files that its steps find them in. An ADD with remote sources becomes several
copies, one after the other in one layer, as BuildKit does it: each remote source by itself, what stands between them
together.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

from conveyor.config.dockerfile import Instruction
from conveyor.config.remote_source import GitSource, RemoteSource
from conveyor.jobs.task_inputs import StageRun
from conveyor.plan.model import BlockStep


def parts_with_remotes(step: BlockStep, run: StageRun) -> Iterator[tuple[BlockStep, str]]:
    """Yield the copies that an ADD with remote sources consists of, each with the file that its source will be in.

    The file is "" for a part whose sources are all of the context: those are the caller's to fetch, before the next part.
    """
    one = step.instruction
    places = range(len(one.args) - 1)
    for remote, group in groupby(places, key=step.remotes.get):
        for some in [[*group]] if remote is None else [[place] for place in group]:
            words = tuple(one.args[place] for place in some)
            flags = one.flags if remote is None else _not_unpacked(one)
            made = replace(one, args=(*words, one.args[-1]), flags=flags, heredocs=())
            yield replace(step, instruction=made, remotes={}), _fetched(remote, run)
    if one.heredocs:  # always the last to be copied
        yield replace(step, instruction=replace(one, args=one.args[-1:]), remotes={}), ""


def _not_unpacked(instruction: Instruction) -> tuple[str, ...]:
    """Archives of the context are unpacked; what is fetched is not."""
    kept = (flag for flag in instruction.flags if flag.partition("=")[0] != "--unpack")
    return (*kept, "--unpack=false")


def _fetched(remote: RemoteSource | None, run: StageRun) -> str:
    if remote is None:
        return ""
    if isinstance(remote, GitSource):
        return run.fetch_git(
            "gitTree",
            remote.url,
            ref=remote.ref,
            subdir=remote.subdir,
            checksum=remote.checksum,
            keepGitDir=remote.keep_git_dir and not remote.subdir,
            submodules=remote.submodules,
            at=remote.at,
        )
    return run.fetch(
        "http", url=remote.url, name=remote.name, checksum=remote.checksum, at=remote.at
    )
