"""`python -m conveyor.builder.courier`: the container beside the stage.

In: the task in CONVEYOR_COURIER, and the directory that the stage container hands over (CONVEYOR_IO if that is set).
Out: blobs in the registry, one JSON line for each run on stdout, the StageResult as termination message, exit code 0 when
everything was reported (a user's failure too) and 1 when the courier itself failed.

Beside a stage that waits for inputs: it waits for what is imported here too, so that is done while its container is still
being made. Other stages begin without us (`courier_start`).
"""

import gc
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Final

from conveyor.builder.courier_errors import CourierError
from conveyor.builder.courier_io import Exchange
from conveyor.builder.courier_task import CourierTask, parse_task
from conveyor.builder.handover import take

_TERMINATION_LOG: Final = "/dev/termination-log"
_AUTHORITIES: Final = {"SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull}


def main(environment: Mapping[str, str], held: int | None = None) -> int:
    """Do what the environment asks for; returns the exit code.

    Args:
        environment: The container's.
        held: Descriptor of the shared directory, if somebody has it already (`courier_start`).
    """
    log = Path(environment.get("CONVEYOR_TERMINATION_LOG", _TERMINATION_LOG))
    signal.signal(signal.SIGTERM, lambda number, frame: _terminated(log, number, frame))
    try:
        task = parse_task(environment.get("CONVEYOR_COURIER", ""))
        if task.inputs_of(0):
            _load(task)
        place = environment.get("CONVEYOR_IO") or _handed_over(task) if held is None else held
        exchange = Exchange(place)
    except (CourierError, OSError) as error:
        reason = error.reason if isinstance(error, CourierError) else "Internal"
        _store_failure(log, reason, str(error))
        return 1
    try:
        _start_agent(task)
    except CourierError as error:
        exchange.failed(error.reason, error.message)
        _store_failure(log, error.reason, error.message)
        return 1
    first = ready_at_once(task, exchange)
    return _work(task, exchange, first, log)


def _handed_over(task: CourierTask) -> int:
    """Descriptor of the stage container's directory.

    Raises:
        CourierError: StageNeverStarted.
    """
    seconds = task.limits.start_seconds
    if (found := take(seconds)) is None:
        raise CourierError("StageNeverStarted", f"the stage did not start in {seconds} s")
    return found


def ready_at_once(task: CourierTask, exchange: Exchange) -> int:
    """Mark the leading runs that need no input; returns the first other one."""
    for run in range(task.runs):
        if task.inputs_of(run):
            return run
        exchange.ready(run)
    return task.runs


def _start_agent(task: CourierTask) -> None:
    """Before the first marker: a stage that may begin finds it listening."""
    if task.ssh is not None:
        from conveyor.builder.courier_ssh import start_agent  # noqa: PLC0415 - see the module's docstring

        start_agent(task.ssh)


def _work(task: CourierTask, exchange: Exchange, first: int, log: Path) -> int:
    _load(task)
    import asyncio  # noqa: PLC0415 - see the module's docstring

    from conveyor.builder.courier_run import carry_out  # noqa: PLC0415

    # Not asyncio.run, which waits for threads: the process ends when the result is written.
    return asyncio.new_event_loop().run_until_complete(
        carry_out(task, exchange, first, log.write_bytes)
    )


def _load(task: CourierTask) -> None:
    """Import the rest. aiohttp reads the machine's authorities at once, which takes 40 ms, and our calls bring their own."""
    gc.disable()  # nothing of it is garbage
    kept = {name: os.environ.get(name) for name in _AUTHORITIES}
    os.environ.update(_AUTHORITIES)
    try:
        import conveyor.builder.courier_run  # noqa: F401, PLC0415
        from conveyor.builder import inputs  # noqa: PLC0415

        inputs.load(task.inputs)
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        gc.freeze()
        gc.enable()


def _store_failure(log: Path, reason: str, message: str) -> None:
    from conveyor.builder.courier_report import reason_only  # noqa: PLC0415

    log.write_bytes(reason_only(reason, message))


def _terminated(log: Path, _number: int, _frame: FrameType | None) -> None:
    """End at once: threads and children go with the container."""
    _store_failure(log, "Terminated", "the courier was told to end before it was done")
    os._exit(1)


if __name__ == "__main__":
    code = main(os.environ)
    sys.stdout.flush()
    os._exit(code)  # a thread may still be compressing what nobody wants any more
