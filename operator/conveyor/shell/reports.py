"""What couriers report over HTTP, before the kubelet tells the same.

In: POSTs with a Job's token. Out: `StageResult` by Job name. Only a head start: everything here is lost with the process,
and the termination message of the pod says it again (ADR 0007).
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable

from conveyor.adapters.cache import LruCache
from conveyor.jobs.model import RunResult, StageResult
from conveyor.jobs.observe import parse_result

JobKey = tuple[str, str]
"""(namespace, Job name)"""


class Reports:
    """Reports by Job, authenticated by a token that only the courier of that Job knows."""

    def __init__(self, wake: Callable[[JobKey], None]) -> None:
        self._secret = secrets.token_bytes(32)
        self._known: LruCache[JobKey, StageResult] = LruCache(4096)
        self._wake = wake

    def token(self, job: JobKey) -> str:
        """The token that a Job's courier is given."""
        return hmac.new(self._secret, "/".join(job).encode(), hashlib.sha256).hexdigest()

    def get(self, job: JobKey) -> StageResult | None:
        """What the Job has reported so far."""
        return self._known.get(job)

    def accept(self, job: JobKey, token: str, text: str) -> bool:
        """Take a report in; False when it is not to be believed or not a report."""
        if not hmac.compare_digest(token.encode(), self.token(job).encode()):
            return False
        result = parse_result(text)
        if result is None:
            return False
        self._known[job] = _merged(self._known.get(job), result)
        self._wake(job)
        return True


def _merged(old: StageResult | None, new: StageResult) -> StageResult:
    if old is None:
        return new
    runs: tuple[RunResult, ...] = max(old.runs, new.runs, key=len)
    return StageResult(
        runs=runs, exports={**old.exports, **new.exports}, failure=new.failure or old.failure
    )
