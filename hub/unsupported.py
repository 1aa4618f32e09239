"""Keys that Centrifugo v6 has and Switchboard does not, with what there is instead, as a half sentence or empty."""

from __future__ import annotations

from collections.abc import Mapping

_PATHS = "paths are fixed"
_SLOW = "a slow client costs no memory and is closed only when history is lost"
_FRAMES = "frames are made once for all clients"
_BACKEND = "clients are let in by tokens and access rules"
_LOG = "the log takes its place"

_CLOSES = "a refused connection ends with one of the codes in docs/operating.md"

_NOT_YET = "not built yet"

_SECTIONS = {
    "http_server": "see HUB_HOST and HUB_PORT; TLS ends in front of the hub",
    "log": "see HUB_LOG_FORMAT",
    "engine": _LOG,
    "broker": _LOG,
    "presence_manager": "nodes tell each other over the log",
    "map_broker": "",
    "controller": "nodes tell each other over the log",
    "shared_poll": "",
    "rpc": "methods are those of the hub",
    "proxies": _BACKEND,
    "grpc_api": "",
    "consumers": "write to the topic hub.api",
    "webtransport": "",
    "uni_grpc": "",
    "admin": "admins sign in as users",
    "prometheus": "metrics are always at /metrics",
    "health": "it is always at /health/live and /health/ready",
    "swagger": "",
    "debug": "",
    "init": "",
    "opentelemetry": "",
    "graphite": "metrics are at /metrics",
    "usage_stats": "none are sent",
    "node": "nodes name themselves",
    "shutdown": "",
    "pid_file": "",
    "enable_unreleased_features": "",
}

_CLIENT = {
    "proxy": _BACKEND,
    "channel_position_max_time_lag": "",
    "channel_position_check_delay": "every position follows from the one log",
    "presence_update_interval": "nodes tell each other at once, and every three seconds that they are alive",
    "user_id_http_header": _BACKEND,
    "connect_code_to_unidirectional_disconnect": _CLOSES,
    "token.insecure_skip_jwks_endpoint_safety_check": "",
    "subscription_token.insecure_skip_jwks_endpoint_safety_check": "",
}

_OPTIONS = {
    "map_clients_presence_channel_prefix": "",
    "map_users_presence_channel_prefix": "",
    "auto_cache_recover": "",
    "allow_tags_filter": "",
    "publication_data_format": "",
    "subscribe_proxy_enabled": _BACKEND,
    "subscribe_proxy_name": _BACKEND,
    "publish_proxy_enabled": _BACKEND,
    "publish_proxy_name": _BACKEND,
    "sub_refresh_proxy_enabled": _BACKEND,
    "sub_refresh_proxy_name": _BACKEND,
    "subscribe_stream_proxy_enabled": _BACKEND,
    "subscribe_stream_proxy_name": _BACKEND,
    "subscribe_stream_proxy_bidirectional": _BACKEND,
    "subscription_type": "",
    "map": "",
    "shared_poll": "",
}

_SOCKET = {
    "handler_prefix": _PATHS,
    "compression": _FRAMES,
    "compression_min_size": _FRAMES,
    "compression_level": _FRAMES,
    "read_buffer_size": "",
    "use_write_buffer_pool": "",
    "write_buffer_size": "",
    "write_timeout": _SLOW,
    "decompressed_message_size_limit": _FRAMES,
}

_UNI_SOCKET = {
    **_SOCKET,
    "disable_closing_handshake": "every close is told with its code",
    "join_push_messages": "messages due together are written together",
}

_UNI_STREAM = {"handler_prefix": _PATHS, "connect_code_to_http_response": _CLOSES}


def _below(place: str, names: Mapping[str, str]) -> dict[str, str]:
    return {f"{place}.{name}": why for name, why in names.items()}


#: By full name; everything in a section that stands here is meant too.
KEYS: Mapping[str, str] = {
    **_SECTIONS,
    **_below("client", _CLIENT),
    **_below("channel", {"proxy": _BACKEND, "publication_data_format": ""}),
    **_below("channel.without_namespace", _OPTIONS),
    **_below("channel.namespaces[]", _OPTIONS),
    **_below("http_api", {"handler_prefix": _PATHS, "external": "the hub has one port"}),
    **_below("websocket", _SOCKET),
    "sse.handler_prefix": _PATHS,
    "http_stream.handler_prefix": _PATHS,
    **_below("uni_websocket", _UNI_SOCKET),
    **_below("uni_sse", _UNI_STREAM),
    **_below("uni_http_stream", _UNI_STREAM),
    "emulation.handler_prefix": _PATHS,
}
