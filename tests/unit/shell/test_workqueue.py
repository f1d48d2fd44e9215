"""The queue of builds: one run at a time for a key, none is lost, failing ones are repeated with backoff."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, union-attr, arg-type, var-annotated"

import asyncio
import itertools
import logging

import pytest

from conveyor.shell.workqueue import WorkQueue

pytestmark = pytest.mark.looptime

A, B = ("default", "a"), ("default", "b")


class Work:
    """Notes when it is called; answers and failures are set by the test."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds
        self.calls = []
        self.running = 0
        self.most = 0
        self.same = set()
        self.answers = []

    async def __call__(self, key):
        loop = asyncio.get_running_loop()
        assert key not in self.same, "two runs of one key at once"
        self.calls.append((key, round(loop.time(), 3)))
        self.same.add(key)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.running -= 1
            self.same.discard(key)
        answer = self.answers.pop(0) if self.answers else None
        if answer is RuntimeError:
            raise RuntimeError("defect")
        return answer

    @property
    def times(self):
        return [at for _, at in self.calls]


async def run(queue, seconds):
    """Let the queue work for a while."""
    task = asyncio.create_task(queue.run())
    await asyncio.sleep(seconds)
    if task.done():
        pytest.fail(f"the queue ended: {task.exception()!r}")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_key_that_waits_is_looked_at_once():
    work = Work()
    queue = WorkQueue(work)
    for _ in range(100):
        queue.add(A)
    queue.add(B)
    assert len(queue) == 2
    await run(queue, 1)
    assert [key for key, _ in work.calls] == [A, B]
    assert len(queue) == 0


async def test_a_key_added_during_its_run_runs_once_more():
    work = Work(seconds=10)
    queue = WorkQueue(work)
    queue.add(A)
    loop = asyncio.get_running_loop()
    for at in (1, 2, 3):
        loop.call_later(at, queue.add, A)
    await run(queue, 50)
    assert work.times == [0, 10]


async def test_a_key_added_during_a_failing_run_runs_once_more_at_once():
    work = Work(seconds=10)
    work.answers = [RuntimeError]
    queue = WorkQueue(work)
    queue.add(A)
    asyncio.get_running_loop().call_later(1, queue.add, A)
    await run(queue, 15)
    assert work.times[:2] == [0, 10]


async def test_keys_run_beside_each_other_but_not_more_than_there_are_workers():
    work = Work(seconds=10)
    queue = WorkQueue(work, workers=3)
    for number in range(9):
        queue.add(("default", str(number)))
    await run(queue, 35)
    assert len(work.calls) == 9
    assert work.most == 3


async def test_an_answer_is_a_wish_to_be_looked_at_again():
    work = Work()
    work.answers = [5.0, 7.0, None]
    queue = WorkQueue(work)
    queue.add(A)
    await run(queue, 1000)
    assert work.times == [0, 5, 12]


async def test_the_earlier_of_two_wishes_counts():
    work = Work()
    queue = WorkQueue(work)
    queue.add_after(A, 30)
    queue.add_after(A, 10)
    queue.add_after(A, 20)
    await run(queue, 100)
    assert work.times == [10]


async def test_an_event_does_not_wait_for_the_wish():
    """And the run that it asks for is the one that was wished for."""
    work = Work()
    queue = WorkQueue(work)
    queue.add_after(A, 30)
    queue.add(A)
    await run(queue, 100)
    assert work.times == [0]


async def test_a_wish_during_a_run_is_not_part_of_it():
    work = Work(seconds=5)
    queue = WorkQueue(work)
    queue.add(A)
    asyncio.get_running_loop().call_later(2, queue.add_after, A, 1)
    await run(queue, 100)
    assert work.times == [0, 5]


async def test_a_failing_key_is_repeated_more_and_more_slowly(caplog):
    caplog.set_level(logging.CRITICAL)
    work = Work()
    work.answers = [RuntimeError] * 60
    queue = WorkQueue(work)
    queue.add(A)
    queue.add(B)
    await run(queue, 6000)
    times = [at for key, at in work.calls if key == A]
    waits = [later - at for at, later in itertools.pairwise(times)]
    assert 0.1 <= waits[0] <= 0.51
    assert all(wait <= 300 * 1.25 for wait in waits)
    assert all(0.25 <= wait / (0.2 * 2**n) <= 4 for n, wait in enumerate(waits[:9]))
    assert all(wait >= 200 for wait in waits[12:])


async def test_one_success_forgets_the_failures():
    work = Work()
    failures = [RuntimeError] * 6
    work.answers = [*failures, 50.0, RuntimeError, None]
    queue = WorkQueue(work)
    queue.add(A)
    await run(queue, 1000)
    assert len(work.times) == 9
    assert work.times[-1] - work.times[-2] < 1


async def test_a_key_may_fail_for_ever(caplog):
    """After a thousand failures 2**n is no float any more; the queue must not end."""
    caplog.set_level(logging.CRITICAL)
    work = Work()
    work.answers = [RuntimeError] * 2000
    queue = WorkQueue(work)
    queue.add(A)
    await run(queue, 1500 * 300)
    assert len(work.calls) > 1100
