"""The port that Prometheus scrapes: every path of it is the same."""

from __future__ import annotations

from aiohttp import web

from mock_server.core.repository import Repository
from mock_server.http_api.reply import TEXT
from mock_server.metrics import CONTENT_TYPE, CpuMeter, metrics_text


class MetricsService:
    """Answers each GET with the metrics of all loaded models."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._cpu = CpuMeter()

    async def answer(self, request: web.Request) -> web.Response:
        """Text of the metrics."""
        if request.method != "GET":
            refusal = b'{"error":"Method Not Allowed"}'
            return web.Response(
                status=405, body=refusal, headers={"Content-Type": TEXT}
            )
        text = metrics_text(self._repository.all(), self._cpu)
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})
