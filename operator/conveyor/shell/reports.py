"""What couriers report over HTTP, before the kubelet tells the same.

In: POSTs with a Job's token. Out: `StageResult` by Job name. Only a head start: everything here is lost with the process,
and the termination message of the pod says it again (ADR 0007).
"""

import hmac
import secrets
from collections.abc import Callable

from conveyor.adapters.cache import LruCache
from conveyor.jobs.model import StageResult
from conveyor.jobs.result import merged, parse_result

JobKey = tuple[str, str]
"""(namespace, Job name)"""


class Reports:
    """Reports by Job, authenticated by a token that only the courier of that Job knows."""

    def __init__(self, wake: Callable[[JobKey], None]) -> None:
        self._tokens: LruCache[JobKey, str] = LruCache(4096)
        self._known: LruCache[JobKey, StageResult] = LruCache(4096)
        self._former: LruCache[JobKey, tuple[str | None, StageResult | None]] = LruCache(4096)
        self._wake = wake

    def open(self, job: JobKey) -> str:
        """Expect reports of a Job that is about to be created; returns its token.

        A name may come back once a Job is gone: what the former one said, or still says, counts no more.
        """
        self._former[job] = (self._tokens.get(job), self._known.get(job))
        self._known.pop(job)
        token = self._tokens[job] = secrets.token_urlsafe(32)
        return token

    def undo(self, job: JobKey) -> None:
        """The Job was not created: the name is another build's, whose courier goes on to report."""
        token, known = self._former.get(job) or (None, None)
        self._tokens.pop(job)
        if token is not None:
            self._tokens[job] = token
        if known is not None:
            self._known[job] = known

    def get(self, job: JobKey) -> StageResult | None:
        """What the Job has reported so far."""
        return self._known.get(job)

    def accept(self, job: JobKey, token: str, text: str) -> bool:
        """Take a report in; False when it is not to be believed or not a report."""
        wanted = self._tokens.get(job)
        given = token.encode("utf-8", "surrogateescape")
        if wanted is None or not hmac.compare_digest(given, wanted.encode()):
            return False
        result = parse_result(text)
        if result is None:
            return False
        self._known[job] = merged(self._known.get(job) or StageResult(), result)
        self._wake(job)
        return True
