"""The real-time half of an application, from its fold to its server API; it starts and stops with it."""

from __future__ import annotations

from aiohttp import web

from hub import control, fold, metrics, publish, rights, sessions
from hub.centrifuge import api, api_consumer, from_nodes, node


def add(app: web.Application) -> None:
    """Give an application its real-time half."""
    app.cleanup_ctx.append(fold.keep_folding)
    app.cleanup_ctx.append(metrics.keep)
    app.cleanup_ctx.append(publish.keep_publishing)
    app.cleanup_ctx.append(sessions.keep)
    app.cleanup_ctx.append(rights.keep_rights)
    app.cleanup_ctx.append(control.keep_control)
    app.cleanup_ctx.append(node.keep)
    app.cleanup_ctx.append(from_nodes.keep)
    app.on_shutdown.append(node.leave)
    app.cleanup_ctx.append(api.keep_answering)
    app.cleanup_ctx.append(api_consumer.keep_consuming)
    app.on_shutdown.append(sessions.leave)
