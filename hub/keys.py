"""What the parts of one hub node share: the keys of its aiohttp application."""

from __future__ import annotations

import asyncpg
from aiohttp import web

from hub.configuration import Configuration
from hub.namespaces import Namespaces
from hub.rates import Rates
from hub.viewers import Viewers
from settings import Settings

SETTINGS = web.AppKey("settings", Settings)
#: What HUB_CONFIG configures.
CONFIGURATION = web.AppKey("configuration", Configuration)
#: What holds for a channel.
NAMESPACES = web.AppKey("namespaces", Namespaces)
#: How many requests this node takes.
RATES = web.AppKey("rates", Rates)
#: Signs tokens.
SECRET = web.AppKey("secret", str)
#: For raw SQL; the ORM has connections of its own.
POOL = web.AppKey("pool", asyncpg.Pool)
#: Who is behind a token, with the role of this moment.
VIEWERS = web.AppKey("viewers", Viewers)
