"""The courier at work: inputs go in, layers come out, every run is reported as soon as it is pushed.

In: a task and the shared directory. Out: a `StageResult` and the exit code. Two things run side by side:
inputs for later runs are fetched while earlier runs build; a run's layers are pushed while the next run builds.
"""

import asyncio
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import aiohttp

from conveyor.adapters.oci_ref import ImageRef, OciFormatError
from conveyor.adapters.registry import RegistryClient
from conveyor.adapters.registry_endpoints import EndpointError, RegistryOptions
from conveyor.adapters.registry_errors import DeniedError, RegistryError, UnauthorizedError
from conveyor.adapters.together import both
from conveyor.api.errors import UserError
from conveyor.builder import courier_report
from conveyor.builder.courier_early import Pushes
from conveyor.builder.courier_errors import STAGE_REASONS, CourierError
from conveyor.builder.courier_io import Exchange
from conveyor.builder.courier_login import credentials_of
from conveyor.builder.courier_push import BlobPusher, Destination
from conveyor.builder.courier_report import (
    Layers,
    PushedAssembly,
    PushedBlob,
    PushedExport,
    StageResult,
)
from conveyor.builder.courier_task import CourierTask
from conveyor.builder.inputs import InputProvider

_SHORTEST_PAUSE: Final = 0.004
_LONGEST_PAUSE: Final = 0.1
_PART_OF_WAIT: Final = 1 / 250
_CALLBACK_SECONDS: Final = 2.0
_CALLBACK_ATTEMPTS: Final = 2
_MAX_LAYERS: Final = 1000
_LAYERS_AT_ONCE: Final = 3


class Courier:
    """One task's work."""

    def __init__(self, task: CourierTask, exchange: Exchange, registry: RegistryClient) -> None:
        self._task = task
        self._exchange = exchange
        self._registry = registry
        repo = ImageRef.parse(task.repo)
        pusher = BlobPusher(Destination(registry=registry, repo=repo, limits=task.limits))
        self._pushes = Pushes(exchange, pusher)
        self._calls: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(_LAYERS_AT_ONCE)
        self.result = StageResult()

    async def run(self, first: int) -> None:
        """Do everything; what has been delivered is in `result`, also when this raises.

        Args:
            first: the first run whose ready marker is not there yet.
        """
        inputs = InputProvider(self._task, self._exchange, self._registry).provide(first)
        try:
            await _until_second(inputs, self._collect())
        finally:
            await self._pushes.give_up()

    async def _collect(self) -> None:
        for run in range(self._task.runs):
            if not await self._wait(f"{run}.json"):
                self.result.failure = self._stage_failure(run)
                return
            if run + 1 < self._task.runs:
                await self._deliver(run)
            else:  # what it exports is ready soon after its layers: both are compressed and pushed at once
                await both(self._deliver(run), self._finish())
        if not self._task.runs:
            await self._finish()

    async def _finish(self) -> None:
        """Wait for the end of the stage program, push what it has exported."""
        await self._wait("done.json")
        self.result.failure = self._stage_failure(None)
        if self.result.failure is None:
            pushed = await asyncio.gather(*map(self._export, self._task.exports))
            self.result.exports.update(zip(self._task.exports, pushed, strict=True))

    async def _wait(self, name: str) -> bool:
        """Wait for a file of the stage program; False when it is done without it.

        Raises:
            CourierError: StageDied, StageNeverStarted.
        """
        begun = time.monotonic()
        deadline = begun + self._task.limits.start_seconds
        while True:
            self._pushes.look()
            lives = self._exchange.stage_lives()  # first: what it wrote before it died still counts
            if self._exchange.has_output(name):
                return True
            if self._exchange.has_output("done.json"):
                return self._exchange.has_output(name)
            if lives is False:
                raise CourierError("StageDied", "the stage container ended without a result")
            if lives is None and time.monotonic() > deadline:
                waited = self._task.limits.start_seconds
                raise CourierError("StageNeverStarted", f"the stage did not start in {waited} s")
            await asyncio.sleep(_pause(time.monotonic() - begun))

    def _stage_failure(self, run: int | None) -> Mapping[str, object] | None:
        done = self._exchange.read_output("done.json")
        if done.get("ok") is True and run is None:
            return None
        if done.get("ok") is True:
            raise CourierError(
                "LayerInvalid", f"the stage container is done, but run {run} is missing"
            )
        return courier_report.stage_failure(done)

    async def _deliver(self, run: int) -> None:
        told = self._exchange.read_output(f"{run}.json")
        layers = await self._pushed(told.get("layers"), f"{run}.json")
        self.result.runs.append(layers)
        self.result.outline = told.get("outline")
        following = run + 1
        if following == self._task.runs or not self._exchange.has_output(f"{following}.json"):
            self.report()  # else together with what is done already: every report is a look
        sys.stdout.buffer.write(courier_report.run_report(run, layers) + b"\n")
        sys.stdout.buffer.flush()

    def report(self) -> None:
        """Tell the operator everything so far, without waiting for its answer."""
        if self._task.callback_url is None:
            return
        body = courier_report.compact(courier_report.result_json(self.result))
        call = asyncio.create_task(self._call_back(body))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def reported(self) -> None:
        """Wait until every report has arrived or was given up."""
        if self._calls:
            await asyncio.wait(self._calls)

    async def _pushed(self, layers: object, name: str) -> Layers:
        """Push the layers that the stage program lists in a file."""
        if not isinstance(layers, list) or len(layers) > _MAX_LAYERS:
            raise CourierError(
                "LayerInvalid", f"{name}: layers is not a list of at most {_MAX_LAYERS}"
            )
        return tuple(await asyncio.gather(*map(self._layer, layers)))

    async def _layer(self, item: object) -> PushedBlob | None:
        if item is not None and not isinstance(item, dict):
            raise CourierError("LayerInvalid", "a layer is neither an object nor null")
        file = item.get("file") if item is not None else None
        if item is None or file is None:
            return None
        if not isinstance(file, str):
            raise CourierError("LayerInvalid", "a layer's file is not a name")
        async with self._slots:
            return await self._pushes.push(file, item)

    async def _export(self, name: str) -> PushedExport | PushedAssembly | None:
        described = self._exchange.read_output(f"export-{name}.json")
        if described.get("leftOut") is True:
            return None
        if "runs" in described:
            return await self._assembly(described["runs"], f"export-{name}.json")
        checksum = described.get("checksum")
        claimed = {"entries": described["entries"]} if "entries" in described else {}
        async with self._slots:
            blob = await self._pushes.push(f"export-{name}.tar", claimed, bundle=True)
        return PushedExport(
            blob=blob, checksum=checksum[:128] if isinstance(checksum, str) else None
        )

    async def _assembly(self, runs: object, name: str) -> PushedAssembly:
        if not isinstance(runs, list) or not all(isinstance(run, dict) for run in runs):
            raise CourierError("LayerInvalid", f"{name}: runs is not a list of objects")
        if len(runs) > _MAX_LAYERS:
            raise CourierError("LayerInvalid", f"{name} has more than {_MAX_LAYERS} runs")
        pushed = await asyncio.gather(*(self._pushed(run.get("layers"), name) for run in runs))
        return PushedAssembly(runs=tuple(pushed))

    async def _call_back(self, report: bytes) -> None:
        """Tell the operator at once. Best effort: the termination message says it again."""
        headers = {
            "Authorization": f"Bearer {self._task.callback_token}",
            "Content-Type": "application/json",
        }
        timeout = aiohttp.ClientTimeout(total=_CALLBACK_SECONDS)
        url = self._task.callback_url or ""
        async with aiohttp.ClientSession(timeout=timeout) as session:
            for _ in range(_CALLBACK_ATTEMPTS):
                try:
                    async with session.post(
                        url, data=report, headers=headers, allow_redirects=False
                    ) as reply:
                        if reply.status < 500:
                            return
                except (aiohttp.ClientError, TimeoutError, ValueError):
                    continue


def _pause(waited: float) -> float:
    """Seconds until the next look for a file: a small part of the time waited, so that looking costs little for long."""
    return min(max(waited * _PART_OF_WAIT, _SHORTEST_PAUSE), _LONGEST_PAUSE)


async def _until_second(first: Awaitable[None], second: Awaitable[None]) -> None:
    """Run both until the second has ended or either has failed; what is left over is given up."""
    tasks = [asyncio.ensure_future(first), asyncio.ensure_future(second)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            tasks[0].result()
        await tasks[1]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def carry_out(
    task: CourierTask, exchange: Exchange, first: int, store: Callable[[bytes], object]
) -> int:
    """Do the task, write the termination message, return the exit code.

    Args:
        task: what to do.
        exchange: the shared directory.
        first: the first run whose ready marker is not there yet.
        store: writes the termination message.
    """
    options = RegistryOptions(insecure=task.insecure, mirrors=task.mirrors, ca_file=task.ca_file)
    try:
        async with RegistryClient(credentials_of(task.docker_configs), options) as registry:
            courier = Courier(task, exchange, registry)
            code = await _guarded(courier, first, exchange)
            if courier.result.failure or courier.result.exports:
                courier.report()
            await courier.reported()
            store(await _message(courier.result, registry, task))
            return code
    except Exception as error:  # whatever it is, the operator must hear of it
        failed = explain(error)
        exchange.failed(failed.reason, failed.message)
        store(courier_report.reason_only(failed.reason, failed.message))
        return 1


async def _guarded(courier: Courier, first: int, exchange: Exchange) -> int:
    try:
        await courier.run(first)
    except Exception as error:  # what was delivered until now is reported with it
        failed = explain(error)
        exchange.failed(failed.reason, failed.message)
        courier.result.failure = {"reason": failed.reason, "message": failed.message}
        return 0 if failed.reason in STAGE_REASONS else 1
    return 0


async def _message(result: StageResult, registry: RegistryClient, task: CourierTask) -> bytes:
    text = courier_report.message(result)
    if text is not None:
        return text
    whole = courier_report.compact(courier_report.result_json(result))
    blob = await registry.upload_blob(ImageRef.parse(task.repo), whole)
    return courier_report.pointer(blob.digest)


def explain(error: Exception) -> CourierError:
    """Any error as one with a reason."""
    if isinstance(error, CourierError):
        return error
    if isinstance(error, UnauthorizedError | DeniedError):
        return CourierError("RegistryDenied", str(error))
    if isinstance(error, RegistryError):
        return CourierError("RegistryUnreachable", str(error))
    if isinstance(error, OciFormatError | EndpointError):
        return CourierError("TaskInvalid", str(error))
    if isinstance(error, UserError):
        return CourierError(error.reason, error.message)
    if not isinstance(error, OSError):
        traceback.print_exception(error)
    return CourierError("Internal", f"{type(error).__name__}: {error}")
