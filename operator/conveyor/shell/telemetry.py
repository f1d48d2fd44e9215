"""Metrics and logs.

In: what happens. Out: Prometheus metrics (names are API, see docs/operations.md) and JSON log lines.
"""

import logging

from prometheus_client import Counter, Gauge, Histogram
from pythonjsonlogger.json import JsonFormatter

RECONCILES = Counter("conveyor_reconciles_total", "Looks at builds, by outcome.", ["outcome"])
RECONCILE_SECONDS = Histogram("conveyor_reconcile_seconds", "How long a look at a build takes.")
QUEUE = Gauge("conveyor_queue_length", "Builds that wait to be looked at.")
STAGES = Counter(
    "conveyor_stages_total", "Stages, by result (built, discarded, failed).", ["result"]
)
JOBS_STARTED = Counter("conveyor_jobs_started_total", "Jobs created, by kind.", ["kind"])
API_CALLS = Gauge("conveyor_api_calls", "Requests sent to the API server since start.")
LEADER = Gauge("conveyor_leader", "1 while this process leads.")


def configure_logging(level: str) -> None:
    """One JSON line a record on stderr; libraries only warn."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        JsonFormatter(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("conveyor").setLevel(level.upper())
