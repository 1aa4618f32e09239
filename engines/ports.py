"""TCP ports on this machine."""

from __future__ import annotations

import errno
import socket

from engines.child import EngineError


def free(host: str = "127.0.0.1") -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def check(host: str, port: int, remedy: str) -> None:
    """Raise EngineError if `port` cannot be listened on; `remedy` says what to do then."""
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise EngineError(f"Port {port} on {host} is taken: {remedy}.") from error
            raise EngineError(f"Port {port} on {host} cannot be used ({error.strerror}): {remedy}.") from error
