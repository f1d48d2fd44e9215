"""The operator's HTTP port: probes, metrics, couriers' reports.

In: requests. Out: 200 or the reason why not. `POST /results/NAMESPACE/JOB` takes a StageResult with the Job's bearer token; a
report is at most 64 KiB.
"""

from collections.abc import Callable
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from conveyor.shell.reports import Reports

_MAX_REPORT: Final = 64 * 1024


def make_app(
    reports: Reports, alive: Callable[[], str], ready: Callable[[], str]
) -> web.Application:
    """Build the application.

    Args:
        alive: Returns "" or why the process should be restarted.
        ready: Returns "" or why it does not serve yet.
    """
    app = web.Application(client_max_size=_MAX_REPORT)

    async def healthz(_: web.Request) -> web.Response:
        return _probe(alive())

    async def readyz(_: web.Request) -> web.Response:
        return _probe(ready())

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def result(request: web.Request) -> web.Response:
        job = (request.match_info["namespace"], request.match_info["job"])
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        accepted = reports.accept(job, token, await request.text())
        return web.Response(status=204 if accepted else 403)

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    app.router.add_post("/results/{namespace}/{job}", result)
    return app


def _probe(problem: str) -> web.Response:
    return web.Response(text=problem or "ok", status=503 if problem else 200)


async def serve(app: web.Application, port: int) -> web.AppRunner:
    """Listen on all addresses; the caller cleans the runner up."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", port).start()  # noqa: S104 - a pod's own address
    return runner
