"""One log line for each answer: never a token, so never a query string or a header."""

from __future__ import annotations

import structlog
from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from hub.requests import REQUEST_ID, VIEWER

log = structlog.get_logger()


class AccessLog(AbstractAccessLogger):
    """Writes `request_answered` with the path as it was sent, without its query."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        viewer = request.get(VIEWER)
        log.info(
            "request_answered",
            method=request.method,
            path=request.rel_url.raw_path,
            status=response.status,
            milliseconds=round(time * 1000, 1),
            user=viewer.id if viewer else None,
            request_id=request.get(REQUEST_ID),
        )
